//! ACAP (RFC 2244, RFC 2595 §5).

use bytes::Bytes;

use super::tagged::{self, Origin, Status};
use super::{Options, Start, check, is_text, line, lines, long_line, outside_literals, word};
use crate::wire::Excerpt;
use crate::{Dialogue, Error, Frame, InvalidName, Part, Reason, Reply, Step};

/// The dialogue of an ACAP client.
///
/// `NO` and `BAD` to STARTTLS are refusals; `BYE`, or a greeting of `NO` or `BAD`, ends the session ([`Error::Closing`]). A server
/// whose list of capabilities is not understood is sent STARTTLS all the same.
///
/// # The dialogue
///
/// ```text
/// S: * ACAP (IMPLEMENTATION "Example 1.0") (SASL "CRAM-MD5") (STARTTLS)
/// C: A7F3 STARTTLS
/// S: A7F3 OK "Begin TLS negotiation now"
/// ```
///
/// The greeting lists the capabilities, so there is nothing to ask. Strings are quoted, or literals.
///
/// While the command is outstanding the server may send untagged responses. They are passed over: `ALERT`, `LANG`, `OK`,
/// `NO` and `BAD`. `BYE` ends the session.
///
/// # After TLS
///
/// The server speaks first: it greets again, and the client has to forget the first greeting (RFC 2595 §5). Tags
/// go on being unique within the connection.
///
/// # Example
///
/// ```
/// use starttls::{Negotiation, protocol::Acap};
///
/// let mut negotiation = Negotiation::required(Acap::new("A7F3")?);
/// negotiation.handle_input(b"* ACAP (IMPLEMENTATION \"Example 1.0\") (SASL \"CRAM-MD5\") (STARTTLS)\r\n")?;
/// assert_eq!(negotiation.poll_transmit().unwrap(), b"A7F3 STARTTLS\r\n"[..]);
/// negotiation.handle_input(b"A7F3 OK \"Begin TLS negotiation now\"\r\n")?;
/// let upgrade: starttls::Upgrade = negotiation.finish()?;
/// # let _ = upgrade;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Acap {
    starttls: Bytes,
    tag: Excerpt<16>,
    options: Options,
    awaiting: Awaiting,
    advertised: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Awaiting {
    Greeting,
    StartTls,
}

impl Acap {
    /// A client whose command bears `tag`: 1 to 16 ASCII letters and digits.
    ///
    /// Who can guess the tag can write the answer before the question is asked. Take it from a random source, anew for
    /// each connection.
    ///
    /// # Errors
    /// [`InvalidName`] for any other character or length.
    pub fn new(tag: &str) -> Result<Self, InvalidName> {
        let tag = check("an ACAP tag", 16, "letters and digits", |byte| byte.is_ascii_alphanumeric(), tag)?;
        Ok(Self {
            starttls: line(&[tag, " STARTTLS"]),
            tag: Excerpt::of(tag.as_bytes()),
            options: Options::default(),
            awaiting: Awaiting::Greeting,
            advertised: None,
        })
    }

    /// Sets where to start, and whether to insist. The greeting lists the capabilities, so `ask` changes nothing.
    #[must_use]
    pub fn options(self, options: Options) -> Self {
        Self { options, ..self }
    }

    fn send_starttls(&mut self) -> Step {
        self.awaiting = Awaiting::StartTls;
        Step::Send(core::mem::take(&mut self.starttls))
    }
}

fn reply(status: Status, response: &[u8]) -> Reply {
    tagged::reply(status, response, Some(b"(TRYLATER)"))
}

impl Dialogue for Acap {
    fn open(&mut self) -> Step {
        match self.options.start {
            Start::Greeting => Step::More,
            Start::AfterGreeting | Start::Command => self.send_starttls(),
        }
    }

    fn frame(&self, _: &[u8], last: Part<'_>) -> Frame {
        long_line(last)
    }

    fn receive(&mut self, line: &[u8]) -> Result<Step, Error> {
        let tag = (self.awaiting != Awaiting::Greeting).then(|| self.tag.as_bytes());
        let (origin, status, response) = tagged::parse(line, tag);
        let is = |known: &str| word(response).0.eq_ignore_ascii_case(known.as_bytes());
        match (self.awaiting, origin, status) {
            (Awaiting::Greeting, Origin::Untagged, Status::Data) if is("ACAP") => {
                self.advertised = lists_starttls(tagged::text(response));
                let declines = self.advertised == Some(false) && !self.options.insist;
                Ok(if declines { Step::Decline(Reason::NotAdvertised) } else { self.send_starttls() })
            }
            (_, Origin::Untagged | Origin::Tagged, Status::Bye)
            | (Awaiting::Greeting, Origin::Untagged, Status::No | Status::Bad) => {
                Err(Error::Closing(reply(status, response)))
            }
            (Awaiting::StartTls, Origin::Untagged, Status::Ok | Status::No | Status::Bad) => Ok(Step::Unasked),
            (Awaiting::StartTls, Origin::Untagged, Status::Data) if is("ALERT") || is("LANG") => Ok(Step::Unasked),
            (Awaiting::StartTls, Origin::Tagged, Status::Ok) if lines(line).next().is_some_and(is_text) => {
                Ok(Step::Upgrade)
            }
            (Awaiting::StartTls, Origin::Tagged, Status::No | Status::Bad) => {
                Ok(Step::Decline(Reason::Refused(reply(status, response))))
            }
            _ => Err(Error::unexpected(line)),
        }
    }

    /// Untagged responses: `ALERT`, `LANG`, `OK`, `NO`, `BAD` and `BYE` (RFC 2244 §2.2.2).
    fn speaks_unasked(&self) -> bool {
        true
    }

    fn awaiting(&self) -> &'static str {
        match self.awaiting {
            Awaiting::Greeting => "greeting",
            Awaiting::StartTls => "STARTTLS",
        }
    }

    fn advertised(&self) -> Option<bool> {
        self.advertised
    }
}

/// Whether STARTTLS is the name of a capability of the greeting: `(NAME "string" …)`. `None` if it is not, but something else
/// stands among the capabilities.
fn lists_starttls(greeting: &[u8]) -> Option<bool> {
    let mut bytes = outside_literals(greeting).flatten().copied();
    let mut listed = Some(false);
    while let Some(byte) = bytes.next() {
        match byte {
            b' ' => {}
            b'(' => {
                // One letter more than the name has.
                let mut name = Excerpt::<9>::new();
                let end = bytes.find(|byte| {
                    let is_end = b" )".contains(byte);
                    if !is_end {
                        name.push(*byte);
                    }
                    is_end
                })?;
                match name.as_bytes() {
                    name if name.eq_ignore_ascii_case(b"STARTTLS") => return Some(true),
                    [first, ..] if first.is_ascii_alphanumeric() => {}
                    _ => listed = None,
                }
                if end == b' ' {
                    skip_arguments(&mut bytes);
                }
            }
            _ => listed = None,
        }
    }
    listed
}

/// Passes over the arguments of a capability, which may have a parenthesis within quotes.
fn skip_arguments(bytes: &mut impl Iterator<Item = u8>) {
    let mut quoted = false;
    while let Some(byte) = bytes.next() {
        match byte {
            b')' if !quoted => return,
            b'"' => quoted = !quoted,
            b'\\' if quoted => drop(bytes.next()),
            _ => {}
        }
    }
}
