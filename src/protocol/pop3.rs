//! POP3 (RFC 1939, RFC 2449, RFC 2595 §4).
//!
//! ```text
//! S: +OK ready
//! C: CAPA                           (only when asked to ask)
//! S: +OK
//! S: STLS
//! S: .
//! C: STLS
//! S: +OK begin TLS negotiation
//! ```
//!
//! After TLS the client speaks first, there is no second greeting, and the client asks for the capabilities again.

use bytes::Bytes;

use super::{Knobs, Start, word};
use crate::wire::Line;
use crate::{Code, Dialogue, Error, Reason, Reply, Step, Text};

/// The dialogue of a POP3 client.
///
/// `-ERR` to STLS is a refusal; in the greeting it ends the session. A server that does not know CAPA (RFC 2449 §5) is
/// sent STLS all the same: it cannot say whether it offers it.
#[derive(Debug, Default)]
pub struct Pop3 {
    knobs: Knobs,
    awaiting: Awaiting,
    line: Line,
    advertised: Option<bool>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Awaiting {
    #[default]
    Greeting,
    Capa,
    /// `+OK` to CAPA was seen, the list goes on to a line of `.`.
    CapaList,
    Stls,
}

impl Pop3 {
    /// A client: nothing has to be known about it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets where to start, whether to ask for the capabilities, and whether to insist.
    #[must_use]
    pub fn knobs(self, knobs: Knobs) -> Self {
        Self { knobs, ..self }
    }

    fn send_capa(&mut self) -> Bytes {
        self.awaiting = Awaiting::Capa;
        Bytes::from_static(b"CAPA\r\n")
    }

    fn send_stls(&mut self) -> Bytes {
        self.awaiting = Awaiting::Stls;
        Bytes::from_static(b"STLS\r\n")
    }

    /// Takes a whole line.
    fn line(&mut self) -> Result<Step, Error> {
        let (status, text) = word(self.line.head());
        match (self.awaiting, status) {
            (Awaiting::Greeting, b"+OK") if self.knobs.ask => Ok(Step::Send(self.send_capa())),
            (Awaiting::Greeting, b"+OK") => Ok(Step::Send(self.send_stls())),
            (Awaiting::Greeting, b"-ERR") => Err(Error::Closing(refusal(text))),
            (Awaiting::Capa, b"+OK") => {
                self.awaiting = Awaiting::CapaList;
                self.advertised = Some(false);
                Ok(Step::Next)
            }
            (Awaiting::Capa, b"-ERR") => Ok(Step::Send(self.send_stls())),
            (Awaiting::CapaList, b".") if self.advertised == Some(true) || self.knobs.insist => {
                Ok(Step::Send(self.send_stls()))
            }
            (Awaiting::CapaList, b".") => Ok(Step::Decline(Reason::NotAdvertised)),
            (Awaiting::CapaList, keyword) => {
                if keyword.eq_ignore_ascii_case(b"STLS") {
                    self.advertised = Some(true);
                }
                Ok(Step::Next)
            }
            (Awaiting::Stls, b"+OK") => Ok(Step::Upgrade),
            (Awaiting::Stls, b"-ERR") => Ok(Step::Decline(Reason::Refused(refusal(text)))),
            _ => Err(Error::Unexpected(Text::new(self.line.head()))),
        }
    }
}

fn refusal(text: &[u8]) -> Reply {
    // RFC 3206 §4 and RFC 2449 §8.1: the response codes of conditions that pass.
    let temporary =
        [&b"[SYS/TEMP]"[..], b"[IN-USE]", b"[LOGIN-DELAY]"].iter().any(|code| word(text).0.eq_ignore_ascii_case(code));
    Reply { code: Code::Word("-ERR"), text: Text::new(text), temporary }
}

impl Dialogue for Pop3 {
    fn open(&mut self) -> Step {
        match self.knobs.start {
            Start::Greeting => Step::More,
            Start::AfterGreeting if self.knobs.ask => Step::Send(self.send_capa()),
            Start::AfterGreeting | Start::Command => Step::Send(self.send_stls()),
        }
    }

    fn receive(&mut self, byte: u8) -> Result<Step, Error> {
        if self.line.push(byte) { self.line() } else { Ok(Step::More) }
    }

    fn skim(&mut self, input: &[u8]) -> usize {
        self.line.skim(input)
    }

    fn awaiting(&self) -> &'static str {
        match self.awaiting {
            Awaiting::Greeting => "greeting",
            Awaiting::Capa | Awaiting::CapaList => "CAPA",
            Awaiting::Stls => "STLS",
        }
    }

    fn advertised(&self) -> Option<bool> {
        self.advertised
    }
}
