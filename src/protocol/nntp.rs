//! NNTP (RFC 3977, RFC 4642).

use bytes::Bytes;

use super::{Options, Start, is_text, lines, lists, status};
use crate::{Code, Dialogue, Error, Frame, Part, Reason, Reply, Step, Text};

/// The dialogue of an NNTP client.
///
/// Any 4xx or 5xx to STARTTLS is a refusal: 580 if TLS cannot be started, 502 if the session is in TLS or authenticated
/// already, 480 and 483 although they are forbidden here (RFC 4642 §2.2.1). A server that does not know CAPABILITIES, or
/// whose list is not understood, is sent STARTTLS all the same: nobody knows whether it offers it.
///
/// # The dialogue
///
/// ```text
/// S: 200 news.example ready         (201: ready, but no posting)
/// C: CAPABILITIES                   (only when asked to ask)
/// S: 101 Capability list:
/// S: VERSION 2
/// S: STARTTLS
/// S: .
/// C: STARTTLS
/// S: 382 Continue with TLS negotiation
/// ```
///
/// A greeting of 400 or 502 (RFC 3977 §5.1) turns the client away, and a 400 at any time ends the session (§3.2.1).
///
/// # After TLS
///
/// The client speaks first, there is no second greeting, and the client asks for the capabilities again. All
/// that it said before is forgotten, but for MODE READER (RFC 4642 §2.2.2).
///
/// # Example
///
/// ```
/// use starttls::{Negotiation, protocol::Nntp};
///
/// let mut negotiation = Negotiation::required(Nntp::new());
/// negotiation.handle_input(b"200 mail.example InterNetNews NNRP server INN 2.7.1 ready (posting ok)\r\n")?;
/// assert_eq!(negotiation.poll_transmit().unwrap(), b"STARTTLS\r\n"[..]);
/// negotiation.handle_input(b"382 Begin TLS negotiation now\r\n")?;
/// let upgrade: starttls::Upgrade = negotiation.finish()?;
/// # let _ = upgrade;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Nntp {
    options: Options,
    awaiting: Awaiting,
    advertised: Option<bool>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Awaiting {
    #[default]
    Greeting,
    Capabilities,
    StartTls,
}

impl Nntp {
    /// A client: nothing has to be known about it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets where to start, whether to ask for the capabilities, and whether to insist.
    #[must_use]
    pub fn options(self, options: Options) -> Self {
        Self { options, ..self }
    }

    fn send_capabilities(&mut self) -> Step {
        self.awaiting = Awaiting::Capabilities;
        Step::Send(Bytes::from_static(b"CAPABILITIES\r\n"))
    }

    fn send_starttls(&mut self) -> Step {
        self.awaiting = Awaiting::StartTls;
        Step::Send(Bytes::from_static(b"STARTTLS\r\n"))
    }
}

impl Dialogue for Nntp {
    fn open(&mut self) -> Step {
        match self.options.start {
            Start::Greeting => Step::More,
            Start::AfterGreeting if self.options.ask => self.send_capabilities(),
            Start::AfterGreeting | Start::Command => self.send_starttls(),
        }
    }

    fn frame(&self, response: &[u8], last: Part<'_>) -> Frame {
        match (self.awaiting, last) {
            // A list goes on to a line of `.`.
            (Awaiting::Capabilities, Part::Line(line)) if parse(response).0 == 101 && line != b"." => Frame::Line,
            _ => Frame::line(last),
        }
    }

    fn receive(&mut self, response: &[u8]) -> Result<Step, Error> {
        let (code, text) = parse(response);
        match (self.awaiting, code) {
            (_, 400) | (Awaiting::Greeting, 400..=599) => Err(Error::Closing(refusal(code, text))),
            (Awaiting::Capabilities, 400..=599) => Ok(self.send_starttls()),
            (Awaiting::StartTls, 400..=599) => Ok(Step::Decline(Reason::Refused(refusal(code, text)))),
            _ if !is_text(response) => Err(Error::unexpected(response)),
            (Awaiting::Greeting, 200 | 201) if self.options.ask => Ok(self.send_capabilities()),
            (Awaiting::Greeting, 200 | 201) => Ok(self.send_starttls()),
            (Awaiting::Capabilities, 101) => {
                self.advertised = lists(lines(response).skip(1).filter(|line| *line != b"."), b"STARTTLS");
                let declines = self.advertised == Some(false) && !self.options.insist;
                Ok(if declines { Step::Decline(Reason::NotAdvertised) } else { self.send_starttls() })
            }
            (Awaiting::StartTls, 382) => Ok(Step::Upgrade),
            _ => Err(Error::unexpected(response)),
        }
    }

    fn awaiting(&self) -> &'static str {
        match self.awaiting {
            Awaiting::Greeting => "greeting",
            Awaiting::Capabilities => "CAPABILITIES",
            Awaiting::StartTls => "STARTTLS",
        }
    }

    fn advertised(&self) -> Option<bool> {
        self.advertised
    }
}

/// The code and the text of a response, which are those of its first line.
fn parse(response: &[u8]) -> (u16, &[u8]) {
    lines(response).next().and_then(status).unwrap_or_default()
}

fn refusal(code: u16, text: &[u8]) -> Reply {
    // RFC 3977 §3.2.1: the service is temporarily unavailable (400), or an internal fault kept it from acting (403).
    Reply { code: Code::Number(code), text: Text::new(text), temporary: matches!(code, 400 | 403) }
}
