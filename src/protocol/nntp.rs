//! NNTP (RFC 3977, RFC 4642).
//!
//! ```text
//! S: 200 news.example ready         (201: ready, but no posting)
//! C: CAPABILITIES                   (only when asked to ask)
//! S: 101 Capability list:
//! S: VERSION 2
//! S: STARTTLS
//! S: .
//! C: STARTTLS
//! S: 382 Continue with TLS negotiation
//! ```
//!
//! A greeting of 400 or 502 (RFC 3977 §5.1) turns the client away, and a 400 at any time ends the session (§3.2.1).
//!
//! After TLS the client speaks first, there is no second greeting, and the client asks for the capabilities again. All
//! that it said before is forgotten, but for MODE READER (RFC 4642 §2.2.2).

use bytes::Bytes;

use super::{Knobs, Start, code, word};
use crate::wire::Line;
use crate::{Code, Dialogue, Error, Reason, Reply, Step, Text};

/// The dialogue of an NNTP client.
///
/// Any 4xx or 5xx to STARTTLS is a refusal: 580 if TLS cannot be started, 502 if the session is in TLS or authenticated
/// already, 480 and 483 although they are forbidden here (RFC 4642 §2.2.1). A server that does not know CAPABILITIES is
/// sent STARTTLS all the same: it cannot say whether it offers it.
#[derive(Debug, Default)]
pub struct Nntp {
    knobs: Knobs,
    awaiting: Awaiting,
    line: Line,
    advertised: Option<bool>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Awaiting {
    #[default]
    Greeting,
    Capabilities,
    /// 101 was seen, the list goes on to a line of `.`.
    List,
    StartTls,
}

impl Nntp {
    /// A client: nothing has to be known about it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets where to start, whether to ask for the capabilities, and whether to insist.
    #[must_use]
    pub fn knobs(self, knobs: Knobs) -> Self {
        Self { knobs, ..self }
    }

    fn send_capabilities(&mut self) -> Bytes {
        self.awaiting = Awaiting::Capabilities;
        Bytes::from_static(b"CAPABILITIES\r\n")
    }

    fn send_starttls(&mut self) -> Bytes {
        self.awaiting = Awaiting::StartTls;
        Bytes::from_static(b"STARTTLS\r\n")
    }

    /// Takes a whole line of the capability list.
    fn capability(&mut self) -> Step {
        let (keyword, _) = word(self.line.head());
        match keyword {
            b"." if self.advertised == Some(true) || self.knobs.insist => Step::Send(self.send_starttls()),
            b"." => Step::Decline(Reason::NotAdvertised),
            _ => {
                if keyword.eq_ignore_ascii_case(b"STARTTLS") {
                    self.advertised = Some(true);
                }
                Step::Next
            }
        }
    }

    /// Takes a whole line that is a response: `382 text`, or `382`.
    fn response(&mut self) -> Result<Step, Error> {
        let (code, text) = match code(self.line.head()) {
            Some((code, b"")) => (code, &b""[..]),
            Some((code, [b' ', text @ ..])) => (code, text),
            _ => return Err(self.unexpected()),
        };
        match (self.awaiting, code) {
            (Awaiting::Greeting, 200 | 201) if self.knobs.ask => Ok(Step::Send(self.send_capabilities())),
            (Awaiting::Greeting, 200 | 201) => Ok(Step::Send(self.send_starttls())),
            (_, 400) | (Awaiting::Greeting, 400..=599) => Err(Error::Closing(refusal(code, text))),
            (Awaiting::Capabilities, 101) => {
                self.awaiting = Awaiting::List;
                self.advertised = Some(false);
                Ok(Step::Next)
            }
            (Awaiting::Capabilities, 400..=599) => Ok(Step::Send(self.send_starttls())),
            (Awaiting::StartTls, 382) => Ok(Step::Upgrade),
            (Awaiting::StartTls, 400..=599) => Ok(Step::Decline(Reason::Refused(refusal(code, text)))),
            _ => Err(self.unexpected()),
        }
    }

    fn unexpected(&self) -> Error {
        Error::Unexpected(Text::new(self.line.head()))
    }
}

fn refusal(code: u16, text: &[u8]) -> Reply {
    // RFC 3977 §3.2.1: the service is temporarily unavailable (400), or an internal fault kept it from acting (403).
    Reply { code: Code::Number(code), text: Text::new(text), temporary: matches!(code, 400 | 403) }
}

impl Dialogue for Nntp {
    fn open(&mut self) -> Step {
        match self.knobs.start {
            Start::Greeting => Step::More,
            Start::AfterGreeting if self.knobs.ask => Step::Send(self.send_capabilities()),
            Start::AfterGreeting | Start::Command => Step::Send(self.send_starttls()),
        }
    }

    fn receive(&mut self, byte: u8) -> Result<Step, Error> {
        match (self.line.push(byte), self.awaiting) {
            (false, _) => Ok(Step::More),
            (true, Awaiting::List) => Ok(self.capability()),
            (true, _) => self.response(),
        }
    }

    fn skim(&mut self, input: &[u8]) -> usize {
        self.line.skim(input)
    }

    fn awaiting(&self) -> &'static str {
        match self.awaiting {
            Awaiting::Greeting => "greeting",
            Awaiting::Capabilities | Awaiting::List => "CAPABILITIES",
            Awaiting::StartTls => "STARTTLS",
        }
    }

    fn advertised(&self) -> Option<bool> {
        self.advertised
    }
}
