//! ACAP (RFC 2244, RFC 2595 §5).
//!
//! ```text
//! S: * ACAP (IMPLEMENTATION "Example 1.0") (SASL "CRAM-MD5") (STARTTLS)
//! C: A7F3 STARTTLS
//! S: A7F3 OK "Begin TLS negotiation now"
//! ```
//!
//! The greeting lists the capabilities, so there is nothing to ask. Strings are quoted, or literals.
//!
//! While the command is outstanding the server may send untagged responses. They are passed over: `ALERT`, `LANG`, `OK`,
//! `NO` and `BAD`. `BYE` ends the session.
//!
//! After TLS the server speaks first: it greets again, and the client has to forget the first greeting (RFC 2595 §5). Tags
//! go on being unique within the connection.

use bytes::Bytes;

use super::tagged::{self, Origin, Status};
use super::{Knobs, Start, check, line, word};
use crate::wire::{Excerpt, LongLine, Progress};
use crate::{Dialogue, Error, InvalidName, Reason, Reply, Step, Text};

/// The dialogue of an ACAP client.
///
/// `NO` and `BAD` to STARTTLS are refusals; `* BYE` ends the session ([`Error::Closing`]).
#[derive(Debug)]
pub struct Acap {
    starttls: Bytes,
    tag: Excerpt<16>,
    knobs: Knobs,
    awaiting: Awaiting,
    line: LongLine,
    listing: Listing,
    word: Excerpt<16>,
    advertised: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Awaiting {
    Greeting,
    StartTls,
}

/// Where in the greeting's capabilities, `(NAME "string" …)`, the next byte stands.
#[derive(Clone, Copy, Debug)]
enum Listing {
    Outside,
    Name,
    Arguments,
    Quoted,
    Escaped,
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
            knobs: Knobs::default(),
            awaiting: Awaiting::Greeting,
            line: LongLine::default(),
            listing: Listing::Outside,
            word: Excerpt::new(),
            advertised: None,
        })
    }

    /// Sets where to start, and whether to insist. The greeting lists the capabilities, so `ask` changes nothing.
    #[must_use]
    pub fn knobs(self, knobs: Knobs) -> Self {
        Self { knobs, ..self }
    }

    fn send_starttls(&mut self) -> Bytes {
        self.awaiting = Awaiting::StartTls;
        core::mem::take(&mut self.starttls)
    }

    /// Takes a whole line, with its literals.
    fn line(&mut self) -> Result<Step, Error> {
        let tag = self.tag.as_bytes();
        let tag = (self.awaiting != Awaiting::Greeting).then_some(tag);
        let line = self.line.head();
        let (origin, status, response) = tagged::parse(line, tag);
        let name = line.strip_prefix(b"* ").map_or(&b""[..], |response| word(response).0);
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match (self.awaiting, origin, status) {
            (Awaiting::Greeting, Origin::Untagged, Status::Data) if is("ACAP") => {
                let advertised = *self.advertised.get_or_insert(false);
                if advertised || self.knobs.insist {
                    Ok(Step::Send(self.send_starttls()))
                } else {
                    Ok(Step::Decline(Reason::NotAdvertised))
                }
            }
            (_, Origin::Untagged, Status::Bye) => Err(Error::Closing(reply(status, response))),
            (Awaiting::StartTls, Origin::Untagged, Status::Ok | Status::No | Status::Bad) => Ok(Step::Next),
            (Awaiting::StartTls, Origin::Untagged, Status::Data) if is("ALERT") || is("LANG") => Ok(Step::Next),
            (Awaiting::StartTls, Origin::Tagged, Status::Ok) => Ok(Step::Upgrade),
            (Awaiting::StartTls, Origin::Tagged, Status::No | Status::Bad) => {
                Ok(Step::Decline(Reason::Refused(reply(status, response))))
            }
            _ => Err(Error::Unexpected(Text::new(line))),
        }
    }

    fn scan_capabilities(&mut self, byte: u8) {
        self.listing = match (self.listing, byte) {
            (Listing::Outside, b'(') => {
                self.word.clear();
                Listing::Name
            }
            (Listing::Name, b' ' | b')') => {
                if self.word.as_bytes().eq_ignore_ascii_case(b"STARTTLS") {
                    self.advertised = Some(true);
                }
                if byte == b')' { Listing::Outside } else { Listing::Arguments }
            }
            (Listing::Name, _) => {
                self.word.push(byte);
                Listing::Name
            }
            (Listing::Arguments, b'"') => Listing::Quoted,
            (Listing::Arguments, b')') => Listing::Outside,
            (Listing::Quoted, b'"') => Listing::Arguments,
            (Listing::Quoted, b'\\') => Listing::Escaped,
            (Listing::Escaped, _) => Listing::Quoted,
            (listing, _) => listing,
        };
    }
}

fn reply(status: Status, response: &[u8]) -> Reply {
    tagged::reply(status, response, Some(b"(TRYLATER)"))
}

impl Dialogue for Acap {
    fn open(&mut self) -> Step {
        match self.knobs.start {
            Start::Greeting => Step::More,
            Start::AfterGreeting | Start::Command => Step::Send(self.send_starttls()),
        }
    }

    fn receive(&mut self, byte: u8) -> Result<Step, Error> {
        if self.awaiting == Awaiting::Greeting && !self.line.is_within_literal() {
            self.scan_capabilities(byte);
        }
        match self.line.push(byte) {
            Progress::More => Ok(Step::More),
            Progress::Literal => Ok(Step::Next),
            Progress::Ended => self.line(),
        }
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
