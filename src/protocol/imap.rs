//! IMAP (RFC 9051 §6.2.1, RFC 3501 §6.2.1).
//!
//! ```text
//! S: * OK [CAPABILITY IMAP4rev1 STARTTLS] ready
//! C: A7F3C CAPABILITY                              (only when asked to ask)
//! S: * CAPABILITY IMAP4rev1 STARTTLS
//! S: A7F3C OK done
//! C: A7F3 STARTTLS
//! S: A7F3 OK begin TLS negotiation now
//! ```
//!
//! While a command is outstanding the server may send any number of untagged responses, with literals in them. They are
//! passed over, but for `* BYE` and the capabilities.
//!
//! After TLS the client speaks first, there is no second greeting, and the client has to drop the capabilities that it
//! saw before, those in the greeting too. Tags go on being unique within the connection (RFC 9051 §5.5).

use bytes::Bytes;

use super::tagged::{self, Origin, Status};
use super::{Knobs, Start, check, ended, line};
use crate::wire::{Excerpt, Line, Literals, Piece, find};
use crate::{Dialogue, Error, InvalidName, Reason, Reply, Skimmed, Step, Text};

/// The dialogue of an IMAP client.
///
/// `NO` and `BAD` to STARTTLS are refusals. `* PREAUTH` is [`Reason::Preauthenticated`], since STARTTLS is not allowed in
/// that state; `* BYE` ends the session ([`Error::Closing`]).
#[derive(Debug)]
pub struct Imap {
    capability: Bytes,
    starttls: Bytes,
    tag: Excerpt<16>,
    knobs: Knobs,
    awaiting: Awaiting,
    line: Line,
    literals: Literals,
    listing: Listing,
    word: Excerpt<16>,
    advertised: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Awaiting {
    Greeting,
    Capability,
    StartTls,
}

/// Which word of the line is next, on the way to `* CAPABILITY …` or `* OK [CAPABILITY …]`.
#[derive(Clone, Copy, Debug)]
enum Listing {
    Star,
    Response,
    ResponseCode,
    Capability,
    CapabilityInCode,
    Elsewhere,
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
        Ok(Self {
            capability: line(&[tag, "C CAPABILITY"]),
            starttls: line(&[tag, " STARTTLS"]),
            tag: Excerpt::of(tag.as_bytes()),
            knobs: Knobs::default(),
            awaiting: Awaiting::Greeting,
            line: Line::default(),
            literals: Literals::default(),
            listing: Listing::Star,
            word: Excerpt::new(),
            advertised: None,
        })
    }

    /// Sets where to start, whether to ask for the capabilities, and whether to insist.
    #[must_use]
    pub fn knobs(self, knobs: Knobs) -> Self {
        Self { knobs, ..self }
    }

    fn send_capability(&mut self) -> Bytes {
        self.awaiting = Awaiting::Capability;
        core::mem::take(&mut self.capability)
    }

    fn send_starttls(&mut self) -> Bytes {
        self.awaiting = Awaiting::StartTls;
        self.listing = Listing::Elsewhere;
        core::mem::take(&mut self.starttls)
    }

    /// The command that follows the greeting, or the capabilities.
    fn next(&mut self) -> Step {
        if self.knobs.ask && self.awaiting == Awaiting::Greeting {
            Step::Send(self.send_capability())
        } else if self.advertised == Some(false) && !self.knobs.insist {
            Step::Decline(Reason::NotAdvertised)
        } else {
            Step::Send(self.send_starttls())
        }
    }

    /// Takes a whole line, its literals left out.
    #[inline(never)]
    fn line(&mut self) -> Result<Step, Error> {
        let (origin, status, text) = self.parse();
        match (self.awaiting, origin, status) {
            (Awaiting::Greeting, Origin::Untagged, Status::Ok) => Ok(self.next()),
            (Awaiting::Greeting, Origin::Untagged, Status::Preauth) => {
                Ok(Step::Decline(Reason::Preauthenticated(Text::new(text))))
            }
            (_, Origin::Untagged, Status::Bye) => Err(Error::Closing(reply(status, text))),
            (Awaiting::Capability | Awaiting::StartTls, Origin::Untagged, _) => Ok(Step::Next),
            (Awaiting::Capability, Origin::Tagged, Status::Ok) => {
                self.advertised.get_or_insert(false);
                Ok(self.next())
            }
            (Awaiting::StartTls, Origin::Tagged, Status::Ok) => Ok(Step::Upgrade),
            (_, Origin::Tagged, Status::No | Status::Bad) => Ok(Step::Decline(Reason::Refused(reply(status, text)))),
            _ => Err(Error::Unexpected(Text::new(self.line.head()))),
        }
    }

    fn parse(&self) -> (Origin, Status, &[u8]) {
        let tag = self.tag.as_bytes();
        match self.awaiting {
            Awaiting::Greeting => tagged::parse(self.line.head(), None),
            Awaiting::Capability => tagged::parse(self.line.head(), Some(&[tag, b"C"])),
            Awaiting::StartTls => tagged::parse(self.line.head(), Some(&[tag])),
        }
    }

    /// Whether the line, at its end, may announce a literal: the text of a status response and of `+` may not.
    fn may_hold_literal(&self) -> bool {
        self.awaiting != Awaiting::Greeting && matches!(self.parse(), (Origin::Untagged, Status::Data, _))
    }

    /// Looks for the capabilities in text that does not end the line.
    fn scan(&mut self, mut text: &[u8]) {
        while !matches!(self.listing, Listing::Elsewhere) {
            let Some(end) = find([b' ', b']'], text) else { return self.word.extend(text) };
            if self.word.as_bytes().is_empty() && self.ends_word(text[end]) {
                self.word(&text[..end], text[end]);
            } else {
                self.word.extend(&text[..end]);
                self.scan_byte(text[end]);
            }
            text = &text[end + 1..];
        }
    }

    fn scan_byte(&mut self, byte: u8) {
        if self.ends_word(byte) {
            let word = core::mem::take(&mut self.word);
            self.word(ended(word.as_bytes(), byte), byte);
        } else {
            self.word.push(byte);
        }
    }

    /// A bracket ends a response code, and is a character like any other elsewhere.
    fn ends_word(&self, byte: u8) -> bool {
        match byte {
            b' ' | b'\n' => true,
            b']' => matches!(self.listing, Listing::ResponseCode | Listing::CapabilityInCode),
            _ => false,
        }
    }

    /// Takes a whole word, and the byte that ended it.
    #[inline(never)]
    fn word(&mut self, word: &[u8], by: u8) {
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword.as_bytes());
        self.listing = match self.listing {
            Listing::Star if is("*") => Listing::Response,
            Listing::Response if is("OK") => Listing::ResponseCode,
            Listing::Response if is("CAPABILITY") => self.list(Listing::Capability),
            Listing::ResponseCode if is("[CAPABILITY") => self.list(Listing::CapabilityInCode),
            Listing::Capability | Listing::CapabilityInCode if is("STARTTLS") => {
                self.advertised = Some(true);
                Listing::Elsewhere
            }
            Listing::Capability | Listing::CapabilityInCode => self.listing,
            _ => Listing::Elsewhere,
        };
        if by == b']' {
            self.listing = Listing::Elsewhere;
        }
    }

    fn list(&mut self, listing: Listing) -> Listing {
        self.advertised = Some(false);
        listing
    }
}

fn reply(status: Status, text: &[u8]) -> Reply {
    // RFC 5530 §3: the one response code that promises that the condition will pass.
    tagged::reply(status, text, Some(b"[UNAVAILABLE]"))
}

impl Dialogue for Imap {
    fn open(&mut self) -> Step {
        match self.knobs.start {
            Start::Greeting => Step::More,
            Start::AfterGreeting if self.knobs.ask => Step::Send(self.send_capability()),
            Start::AfterGreeting | Start::Command => Step::Send(self.send_starttls()),
        }
    }

    #[inline]
    fn receive(&mut self, byte: u8) -> Result<Step, Error> {
        match self.literals.push(byte) {
            Piece::Octet => return Ok(Step::More),
            Piece::Announced(length) if self.may_hold_literal() => {
                self.literals.enter(length);
                return Ok(Step::Next);
            }
            Piece::Announced(_) | Piece::Text => {}
        }
        if !matches!(self.listing, Listing::Elsewhere) {
            self.scan_byte(byte);
        }
        if !self.line.push(byte) {
            return Ok(Step::More);
        }
        if self.awaiting != Awaiting::StartTls {
            self.listing = Listing::Star;
        }
        self.line()
    }

    fn skim(&mut self, input: &[u8], _: u32) -> Skimmed {
        let text = self.literals.text(input);
        self.scan(text);
        self.line.extend(text)
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
