//! IMAP (RFC 9051 §6.2.1, RFC 3501 §6.2.1).

use alloc::vec::Vec;

use bytes::Bytes;
use memchr::memchr;

use super::tagged::{self, Origin, Status};
use super::{Options, Start, check, is_text, line, lists, literal, strip_word};
use crate::wire::Excerpt;
use crate::{Dialogue, Error, Frame, InvalidName, Part, Reason, Reply, Step, Text};

/// The dialogue of an IMAP client.
///
/// A server that does not list its capabilities, or in a form that is not understood, is sent STARTTLS all the same.
///
/// `NO` and `BAD` to STARTTLS are refusals. `* PREAUTH` is [`Reason::Preauthenticated`], since STARTTLS is not allowed in
/// that state; `* BYE` ends the session ([`Error::Closing`]), and so does a greeting of `NO` or `BAD`.
///
/// # The dialogue
///
/// ```text
/// S: * OK [CAPABILITY IMAP4rev1 STARTTLS] ready
/// C: A7F3C CAPABILITY                              (only when asked to ask)
/// S: * CAPABILITY IMAP4rev1 STARTTLS
/// S: A7F3C OK done
/// C: A7F3 STARTTLS
/// S: A7F3 OK begin TLS negotiation now
/// ```
///
/// While a command is outstanding the server may send any number of untagged responses, with literals in them. They are
/// passed over, but for `* BYE` and the capabilities.
///
/// # After TLS
///
/// The client speaks first, there is no second greeting, and the client has to drop the capabilities that it
/// saw before, those in the greeting too. Tags go on being unique within the connection (RFC 9051 §5.5).
///
/// # Example
///
/// ```
/// use starttls::{Negotiation, protocol::Imap};
///
/// let mut negotiation = Negotiation::required(Imap::new("A7F3")?);
/// negotiation.handle_input(b"* OK [CAPABILITY IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+ S\
///     TARTTLS AUTH=PLAIN] Dovecot (Debian) ready.\r\n")?;
/// assert_eq!(negotiation.poll_transmit().unwrap(), b"A7F3 STARTTLS\r\n"[..]);
/// negotiation.handle_input(b"A7F3 OK Begin TLS negotiation now.\r\n")?;
/// let upgrade: starttls::Upgrade = negotiation.finish()?;
/// # let _ = upgrade;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Imap {
    capability: Bytes,
    starttls: Bytes,
    /// That of STARTTLS, and until it is sent a letter more, for CAPABILITY.
    tag: Excerpt<17>,
    options: Options,
    awaiting: Awaiting,
    advertised: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Awaiting {
    Greeting,
    Capability,
    StartTls,
}

impl Imap {
    /// A client whose commands bear `tag`: 1 to 16 ASCII letters and digits.
    ///
    /// Who can guess the tag can write the answer before the question is asked. Take it from a random source, anew for
    /// each connection.
    ///
    /// # Errors
    /// [`InvalidName`] for any other character or length.
    pub fn new(tag: &str) -> Result<Self, InvalidName> {
        let tag = check("an IMAP tag", 16, "letters and digits", |byte| byte.is_ascii_alphanumeric(), tag)?;
        let mut longer = Excerpt::of(tag.as_bytes());
        longer.push(b'C');
        Ok(Self {
            capability: Bytes::new(),
            starttls: line(&[tag, " STARTTLS"]),
            tag: longer,
            options: Options::default(),
            awaiting: Awaiting::Greeting,
            advertised: None,
        })
    }

    /// Sets where to start, whether to ask for the capabilities, and whether to insist.
    #[must_use]
    pub fn options(self, options: Options) -> Self {
        let tag = self.tag.as_bytes();
        let capability = if options.ask { [tag, b" CAPABILITY\r\n"].concat() } else { Vec::new() };
        Self { options, capability: capability.into(), ..self }
    }

    fn send_capability(&mut self) -> Step {
        self.awaiting = Awaiting::Capability;
        Step::Send(core::mem::take(&mut self.capability))
    }

    fn send_starttls(&mut self) -> Step {
        self.awaiting = Awaiting::StartTls;
        self.tag.pop();
        Step::Send(core::mem::take(&mut self.starttls))
    }

    /// The command that follows the greeting, or the capabilities.
    fn next(&mut self) -> Step {
        if self.options.ask && self.awaiting == Awaiting::Greeting {
            self.send_capability()
        } else if self.advertised == Some(false) && !self.options.insist {
            Step::Decline(Reason::NotAdvertised)
        } else {
            self.send_starttls()
        }
    }

    /// Whether a response may: the text of a status response and of `+` may not, nor may a greeting.
    fn may_hold_literals(&self, response: &[u8]) -> bool {
        self.awaiting != Awaiting::Greeting && matches!(self.parse(response), (Origin::Untagged, Status::Data, _))
    }

    fn parse<'a>(&self, response: &'a [u8]) -> (Origin, Status, &'a [u8]) {
        let tag = (self.awaiting != Awaiting::Greeting).then(|| self.tag.as_bytes());
        tagged::parse(response, tag)
    }
}

impl Dialogue for Imap {
    fn open(&mut self) -> Step {
        match self.options.start {
            Start::Greeting => Step::More,
            Start::AfterGreeting if self.options.ask => self.send_capability(),
            Start::AfterGreeting | Start::Command => self.send_starttls(),
        }
    }

    fn frame(&self, response: &[u8], last: Part<'_>) -> Frame {
        match last {
            Part::Nothing | Part::Bytes(_) => Frame::Line,
            Part::Line(line) => match literal(line, false) {
                Some(length) if self.may_hold_literals(response) => Frame::Exactly(length),
                _ => Frame::Whole,
            },
        }
    }

    fn receive(&mut self, response: &[u8]) -> Result<Step, Error> {
        if self.awaiting != Awaiting::StartTls
            && let Some(capabilities) = capabilities(response)
        {
            self.advertised = lists(capabilities, b"STARTTLS");
        }
        let (origin, status, text) = self.parse(response);
        match (self.awaiting, origin, status) {
            (Awaiting::Greeting, Origin::Untagged, Status::Ok) if is_text(response) => Ok(self.next()),
            (Awaiting::Greeting, Origin::Untagged, Status::Preauth) => {
                Ok(Step::Decline(Reason::Preauthenticated(Text::new(tagged::text(text)))))
            }
            // Some servers greet with NO or BAD, or say BYE with a tag.
            (_, Origin::Untagged | Origin::Tagged, Status::Bye)
            | (Awaiting::Greeting, Origin::Untagged, Status::No | Status::Bad) => {
                Err(Error::Closing(reply(status, text)))
            }
            // PREAUTH can only be a greeting.
            (Awaiting::Capability | Awaiting::StartTls, Origin::Untagged, status) if status != Status::Preauth => {
                Ok(Step::Unasked)
            }
            (Awaiting::Capability, Origin::Tagged, Status::Ok) => Ok(self.next()),
            (Awaiting::StartTls, Origin::Tagged, Status::Ok) if is_text(response) => Ok(Step::Upgrade),
            (_, Origin::Tagged, Status::No | Status::Bad) => Ok(Step::Decline(Reason::Refused(reply(status, text)))),
            _ => Err(Error::unexpected(response)),
        }
    }

    /// Untagged responses (RFC 9051 §7).
    fn speaks_unasked(&self) -> bool {
        true
    }

    fn awaiting(&self) -> &'static str {
        match self.awaiting {
            Awaiting::Greeting => "greeting",
            Awaiting::Capability => "CAPABILITY",
            Awaiting::StartTls => "STARTTLS",
        }
    }

    fn advertised(&self) -> Option<bool> {
        self.advertised
    }
}

/// The words of `* CAPABILITY …` and `* OK [CAPABILITY …] …`. No list of them has a literal in it.
fn capabilities(response: &[u8]) -> Option<impl Iterator<Item = &[u8]> + Clone> {
    let response = response.strip_prefix(b"* ").filter(|response| memchr(b'\n', response).is_none())?;
    let list = match strip_word(response, b"OK").and_then(|text| text.strip_prefix(b" [")) {
        Some(code) => &code[..memchr(b']', code)?],
        None => response,
    };
    let words = strip_word(list, b"CAPABILITY").filter(|words| matches!(words, [] | [b' ', ..]))?;
    Some(words.split(|&byte| byte == b' '))
}

fn reply(status: Status, response: &[u8]) -> Reply {
    // RFC 5530 §3: the one response code that promises that the condition will pass.
    tagged::reply(status, response, Some(b"[UNAVAILABLE]"))
}
