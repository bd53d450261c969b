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

use super::{Knobs, Start, lines, word};
use crate::{Code, Dialogue, Error, Frame, Part, Reason, Reply, Step, Text};

/// The dialogue of a POP3 client.
///
/// `-ERR` to STLS is a refusal; in the greeting it ends the session. A server that does not know CAPA (RFC 2449 §5) is
/// sent STLS all the same: it cannot say whether it offers it.
#[derive(Debug, Default)]
pub struct Pop3 {
    knobs: Knobs,
    awaiting: Awaiting,
    advertised: Option<bool>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Awaiting {
    #[default]
    Greeting,
    Capa,
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

    fn send_capa(&mut self) -> Step {
        self.awaiting = Awaiting::Capa;
        Step::Send(Bytes::from_static(b"CAPA\r\n"))
    }

    fn send_stls(&mut self) -> Step {
        self.awaiting = Awaiting::Stls;
        Step::Send(Bytes::from_static(b"STLS\r\n"))
    }
}

impl Dialogue for Pop3 {
    fn open(&mut self) -> Step {
        match self.knobs.start {
            Start::Greeting => Step::More,
            Start::AfterGreeting if self.knobs.ask => self.send_capa(),
            Start::AfterGreeting | Start::Command => self.send_stls(),
        }
    }

    fn frame(&self, reply: &[u8], last: Part<'_>) -> Frame {
        match (self.awaiting, last) {
            // A list goes on to a line of `.`.
            (Awaiting::Capa, Part::Line(line)) if status(reply) == b"+OK" && word(line).0 != b"." => Frame::Line,
            _ => Frame::line(last),
        }
    }

    fn receive(&mut self, reply: &[u8]) -> Result<Step, Error> {
        let text = word(reply).1;
        match (self.awaiting, status(reply)) {
            (Awaiting::Greeting, b"+OK") if self.knobs.ask => Ok(self.send_capa()),
            (Awaiting::Greeting, b"+OK") | (Awaiting::Capa, b"-ERR") => Ok(self.send_stls()),
            (Awaiting::Greeting, b"-ERR") => Err(Error::Closing(refusal(text))),
            (Awaiting::Capa, b"+OK") => {
                let lists = lines(reply).skip(1).any(|line| word(line).0.eq_ignore_ascii_case(b"STLS"));
                self.advertised = Some(lists);
                Ok(if lists || self.knobs.insist { self.send_stls() } else { Step::Decline(Reason::NotAdvertised) })
            }
            (Awaiting::Stls, b"+OK") => Ok(Step::Upgrade),
            (Awaiting::Stls, b"-ERR") => Ok(Step::Decline(Reason::Refused(refusal(text)))),
            _ => Err(Error::unexpected(reply)),
        }
    }

    fn awaiting(&self) -> &'static str {
        match self.awaiting {
            Awaiting::Greeting => "greeting",
            Awaiting::Capa => "CAPA",
            Awaiting::Stls => "STLS",
        }
    }

    fn advertised(&self) -> Option<bool> {
        self.advertised
    }
}

/// The status of a reply: the first word of its first line.
fn status(reply: &[u8]) -> &[u8] {
    word(lines(reply).next().unwrap_or_default()).0
}

fn refusal(text: &[u8]) -> Reply {
    // RFC 3206 §4 and RFC 2449 §8.1: the response codes of conditions that pass.
    let temporary =
        [&b"[SYS/TEMP]"[..], b"[IN-USE]", b"[LOGIN-DELAY]"].iter().any(|code| word(text).0.eq_ignore_ascii_case(code));
    Reply { code: Code::Word("-ERR"), text: Text::new(text), temporary }
}
