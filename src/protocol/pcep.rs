//! PCEP (RFC 8253 §3, RFC 5440 §6).

use bytes::Bytes;

use crate::wire::packet;
use crate::{Code, Dialogue, Error, Frame, Part, Reason, Reply, Step, Text};

const VERSION: u8 = 1;
const OPEN: u8 = 1;
const PCERR: u8 = 6;
const CLOSE: u8 = 7;
const STARTTLS: u8 = 13;
/// The class of the PCEP-ERROR object (RFC 5440 §7.15), whose object type is 1.
const ERROR_OBJECT: u8 = 13;

/// The dialogue of a PCEP client.
///
/// PCErr 25/4, no TLS but a connection without it, is a refusal. Open, Close and all other PCErr end the session
/// ([`Error::Closing`]).
///
/// # The dialogue
///
/// ```text
/// C: 20 0d 0004                     (StartTLS: version 1, type 13, length 4)
/// S: 20 0d 0004                     (the same; it may be on its way before ours has arrived)
/// ```
///
/// A server that knows no TLS says Open, as if we had not asked, and hangs up on our StartTLS; one that cannot or will not
/// says PCErr, of Error-Type 25 if it knows what was asked.
///
/// # After TLS
///
/// The client (the PCC) speaks first in the handshake, and both sides send Open behind it. Nothing was said before
/// that could be said again.
///
/// # Example
///
/// ```
/// use starttls::{Negotiation, protocol::Pcep};
///
/// let mut negotiation = Negotiation::required(Pcep::new());
/// assert_eq!(negotiation.poll_transmit().unwrap(), b" \r\x00\x04"[..]);
/// negotiation.handle_input(b" \r\x00\x04")?;
/// let upgrade: starttls::Upgrade = negotiation.finish()?;
/// # let _ = upgrade;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Pcep(());

impl Pcep {
    /// A client: nothing has to be known about it.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Dialogue for Pcep {
    fn open(&mut self) -> Step {
        Step::Send(Bytes::from_static(b"\x20\x0d\x00\x04"))
    }

    fn frame(&self, begun: &[u8], _: Part<'_>) -> Frame {
        packet::frame(begun, length)
    }

    fn receive(&mut self, message: &[u8]) -> Result<Step, Error> {
        let reply = |code, text: &str| Reply { code, text: Text::new(text.as_bytes()), temporary: false };
        match message {
            [_, STARTTLS, ..] => Ok(Step::Upgrade),
            [_, OPEN, ..] => Err(Error::Closing(reply(Code::Word("Open"), "in place of StartTLS"))),
            [_, PCERR, _, _, ERROR_OBJECT, flags, _, _, _, _, kind, value, ..] if flags >> 4 == 1 => {
                let (code, text) = error(*kind, *value);
                match (*kind, *value) {
                    (25, 4) => Ok(Step::Decline(Reason::Refused(reply(code, text)))),
                    _ => Err(Error::Closing(reply(code, text))),
                }
            }
            [_, PCERR, ..] => Err(Error::Closing(reply(Code::Word("PCErr"), ""))),
            [_, CLOSE, ..] => Err(Error::Closing(reply(Code::Word("Close"), ""))),
            _ => Err(Error::unexpected(message)),
        }
    }

    fn awaiting(&self) -> &'static str {
        "StartTLS"
    }
}

/// How much stands behind a common header. Lengths count the header, and are multiples of four; the lower bits of the
/// version's byte are ignored.
fn length(header: &[u8; 4]) -> Option<u32> {
    let [version, kind, high, low] = *header;
    match (version >> 5, kind, u16::from_be_bytes([high, low])) {
        (VERSION, STARTTLS, 4) => Some(0),
        (VERSION, OPEN, length @ 8..) if length % 4 == 0 => Some(u32::from(length) - 4),
        (VERSION, PCERR | CLOSE, length) => u32::from(length).checked_sub(4),
        _ => None,
    }
}

/// RFC 8253 §8.2 for Error-Type 25, RFC 5440 §7.15 for 1.
fn error(kind: u8, value: u8) -> (Code, &'static str) {
    let name = match kind {
        1 => "PCEP session establishment failure",
        25 => "PCEP StartTLS failure",
        _ => "PCErr",
    };
    let text = match (kind, value) {
        (1, 1) => "reception of an invalid Open message or a non Open message",
        (25, 1) => "reception of StartTLS after any PCEP exchange",
        (25, 2) => "reception of any other message apart from StartTLS, Open, or PCErr",
        (25, 3) => "connection without TLS is not possible",
        (25, 4) => "connection without TLS is possible",
        (25, 5) => "no StartTLS message before the StartTLSWait timer expired",
        _ => "",
    };
    (Code::Named(kind.into(), name), text)
}
