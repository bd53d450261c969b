//! POP3 (RFC 1939, RFC 2449, RFC 2595 §4).

use bytes::Bytes;

use super::{Options, Start, is_text, lines, lists, no, word};
use crate::{Code, Dialogue, Error, Frame, Part, Reason, Reply, Step, Text};

/// The dialogue of a POP3 client.
///
/// `-ERR` to STLS is a refusal; in the greeting it ends the session. A server that does not know CAPA (RFC 2449 §5), or whose list
/// is not understood, is sent STLS all the same: nobody knows whether it offers it.
///
/// # The dialogue
///
/// ```text
/// S: +OK ready
/// C: CAPA                           (only when asked to ask)
/// S: +OK
/// S: STLS
/// S: .
/// C: STLS
/// S: +OK begin TLS negotiation
/// ```
///
/// # After TLS
///
/// The client speaks first, there is no second greeting, and the client asks for the capabilities again.
///
/// # Example
///
/// ```
/// use starttls::{Negotiation, protocol::Pop3};
///
/// let mut negotiation = Negotiation::required(Pop3::new());
/// negotiation.handle_input(b"+OK Dovecot (Debian) ready.\r\n")?;
/// assert_eq!(negotiation.poll_transmit().unwrap(), b"STLS\r\n"[..]);
/// negotiation.handle_input(b"+OK Begin TLS negotiation now.\r\n")?;
/// let upgrade: starttls::Upgrade = negotiation.finish()?;
/// # let _ = upgrade;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Pop3 {
    options: Options,
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
    pub fn options(self, options: Options) -> Self {
        Self { options, ..self }
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
        match self.options.start {
            Start::Greeting => Step::More,
            Start::AfterGreeting if self.options.ask => self.send_capa(),
            Start::AfterGreeting | Start::Command => self.send_stls(),
        }
    }

    fn frame(&self, reply: &[u8], last: Part<'_>) -> Frame {
        match (self.awaiting, last) {
            // A list goes on to a line of `.`.
            (Awaiting::Capa, Part::Line(line)) if says_ok(reply) && line != b"." => Frame::Line,
            _ => Frame::line(last),
        }
    }

    fn receive(&mut self, reply: &[u8]) -> Result<Step, Error> {
        // Some servers leave out the dash, or write small letters.
        let error = no(reply.strip_prefix(b"-").unwrap_or(reply), b"ERR");
        match (self.awaiting, error) {
            (Awaiting::Greeting, Some(text)) => Err(Error::Closing(refusal(text))),
            (Awaiting::Capa, Some(_)) => Ok(self.send_stls()),
            (Awaiting::Stls, Some(text)) => Ok(Step::Decline(Reason::Refused(refusal(text)))),
            (_, None) if !says_ok(reply) || !is_text(reply) => Err(Error::unexpected(reply)),
            (Awaiting::Greeting, None) if self.options.ask => Ok(self.send_capa()),
            (Awaiting::Greeting, None) => Ok(self.send_stls()),
            (Awaiting::Capa, None) => {
                self.advertised = lists(lines(reply).skip(1).filter(|line| *line != b"."), b"STLS");
                let declines = self.advertised == Some(false) && !self.options.insist;
                Ok(if declines { Step::Decline(Reason::NotAdvertised) } else { self.send_stls() })
            }
            (Awaiting::Stls, None) => Ok(Step::Upgrade),
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

/// Whether the first word of a reply is `+OK`.
fn says_ok(reply: &[u8]) -> bool {
    word(lines(reply).next().unwrap_or_default()).0 == b"+OK"
}

fn refusal(text: &[u8]) -> Reply {
    // RFC 3206 §4 and RFC 2449 §8.1: the response codes of conditions that pass.
    let temporary =
        [&b"[SYS/TEMP]"[..], b"[IN-USE]", b"[LOGIN-DELAY]"].iter().any(|code| word(text).0.eq_ignore_ascii_case(code));
    Reply { code: Code::Word("-ERR"), text: Text::new(text), temporary }
}
