//! Drives a negotiation without a socket.

use std::fmt::Debug;

use starttls::{Dialogue, Error, Negotiation, Policy};

/// How a negotiation went.
#[derive(Debug, PartialEq)]
pub struct Verdict {
    /// What the client sent, a request an element.
    pub sent: Vec<Vec<u8>>,
    /// How many replies it took.
    pub round_trips: u32,
    /// Whether the server listed the upgrade.
    pub advertised: Option<bool>,
    /// How it ended: the outcome as `Debug` shows it, or the error.
    pub end: Result<String, Error>,
}

/// Hands `negotiation` the server's turns, each in the given chunks, and the end of the stream behind them if `eof`.
///
/// What the client has to send is taken between the turns, so a chunk of a turn never counts as the answer to something
/// that an earlier chunk of it brought about.
///
/// # Panics
/// If the negotiation breaks its own rules: if it speaks, or answers anything else, after an error.
pub fn drive<D: Dialogue<P::Role>, P: Policy<Outcome: Debug>>(
    mut negotiation: Negotiation<D, P>,
    turns: &[Vec<&[u8]>],
    eof: bool,
) -> Verdict {
    let mut sent = Vec::new();
    let mut failure = None;
    'dialogue: for chunks in turns {
        sent.extend(negotiation.poll_transmit().map(|request| request.to_vec()));
        assert_eq!(negotiation.poll_transmit(), None, "one request a turn");
        for chunk in chunks {
            if let Err(error) = negotiation.handle_input(chunk) {
                failure = Some(error);
                break 'dialogue;
            }
        }
    }
    if failure.is_none() {
        // What is still to be sent when the server has said all: TLS may be the answer to it.
        sent.extend(negotiation.poll_transmit().map(|request| request.to_vec()));
    }
    if failure.is_none() && eof {
        failure = negotiation.handle_eof().err();
        assert!(failure.is_some(), "the end of the stream is never welcome");
    }
    let (round_trips, advertised) = (negotiation.round_trips(), negotiation.advertised());
    if let Some(error) = &failure {
        assert_eq!(negotiation.poll_transmit(), None, "it speaks after {error}");
        assert!(!negotiation.wants_read(), "it listens after {error}");
        for input in [&b""[..], b"\r\n", b"220 go\r\nA7F3 OK go\r\n+OK\r\n"] {
            assert_eq!(negotiation.handle_input(input).as_ref(), Err(error), "it answers something else");
        }
        assert_eq!(negotiation.handle_eof().as_ref(), Err(error), "it answers something else");
        assert_eq!(negotiation.poll_transmit(), None, "it speaks after {error}");
    }
    let end = negotiation.finish().map(|outcome| format!("{outcome:?}"));
    if let Some(error) = &failure {
        assert_eq!(end.as_ref(), Err(error), "it ends otherwise than it failed");
    }
    Verdict { sent, round_trips, advertised, end }
}
