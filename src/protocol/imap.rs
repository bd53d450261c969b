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

use alloc::vec::Vec;

use bytes::Bytes;

use super::tagged::{self, Origin, Status};
use super::{Knobs, Start, begins_with_word, check, ended, line, strip_word};
use crate::dialogue::one_by_one;
use crate::wire::{Excerpt, Line, Literals, Piece, find, find_far};
use crate::{Dialogue, Error, InvalidName, Reason, Reply, Step, Text};

/// The dialogue of an IMAP client.
///
/// `NO` and `BAD` to STARTTLS are refusals. `* PREAUTH` is [`Reason::Preauthenticated`], since STARTTLS is not allowed in
/// that state; `* BYE` ends the session ([`Error::Closing`]).
#[derive(Debug)]
pub struct Imap {
    capability: Bytes,
    starttls: Bytes,
    /// That of CAPABILITY, which is that of STARTTLS and a letter more.
    tag: Excerpt<17>,
    knobs: Knobs,
    awaiting: Awaiting,
    line: Line<KEPT>,
    /// How much of what is kept of the line has been looked at.
    seen: usize,
    literals: Literals,
    capabilities: Capabilities,
}

/// How much is kept of a line.
const KEPT: usize = 224;

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
            knobs: Knobs::default(),
            awaiting: Awaiting::Greeting,
            line: Line::default(),
            seen: 0,
            literals: Literals::default(),
            capabilities: Capabilities::default(),
        })
    }

    /// Sets where to start, whether to ask for the capabilities, and whether to insist.
    #[must_use]
    pub fn knobs(self, knobs: Knobs) -> Self {
        let capability = if knobs.ask { [self.tag.as_bytes(), b" CAPABILITY\r\n"].concat() } else { Vec::new() };
        Self { knobs, capability: capability.into(), ..self }
    }

    fn send_capability(&mut self) -> Bytes {
        self.awaiting = Awaiting::Capability;
        core::mem::take(&mut self.capability)
    }

    fn send_starttls(&mut self) -> Bytes {
        self.awaiting = Awaiting::StartTls;
        core::mem::take(&mut self.starttls)
    }

    /// The command that follows the greeting, or the capabilities.
    fn next(&mut self) -> Step {
        if self.knobs.ask && self.awaiting == Awaiting::Greeting {
            Step::Send(self.send_capability())
        } else if self.capabilities.advertised == Some(false) && !self.knobs.insist {
            Step::Decline(Reason::NotAdvertised)
        } else {
            Step::Send(self.send_starttls())
        }
    }

    /// What a line comes to that lets the dialogue go on.
    fn accept(&mut self, origin: Origin, status: Status) -> Option<Step> {
        match (self.awaiting, origin, status) {
            (Awaiting::Greeting, Origin::Untagged, Status::Ok) => Some(self.next()),
            (_, Origin::Untagged, Status::Bye) => None,
            (Awaiting::Capability | Awaiting::StartTls, Origin::Untagged, _) => Some(Step::Next),
            (Awaiting::Capability, Origin::Tagged, Status::Ok) => {
                self.capabilities.advertised.get_or_insert(false);
                Some(self.next())
            }
            (Awaiting::StartTls, Origin::Tagged, Status::Ok) => Some(Step::Upgrade),
            _ => None,
        }
    }

    /// What any other line comes to.
    #[cold]
    fn refuse(&self, line: &[u8]) -> Result<Step, Error> {
        let (origin, status, text) = self.parse(line);
        match (self.awaiting, origin, status) {
            (Awaiting::Greeting, Origin::Untagged, Status::Preauth) => {
                Ok(Step::Decline(Reason::Preauthenticated(Text::new(text))))
            }
            (_, Origin::Untagged, Status::Bye) => Err(Error::Closing(reply(status, text))),
            (_, Origin::Tagged, Status::No | Status::Bad) => Ok(Step::Decline(Reason::Refused(reply(status, text)))),
            _ => Err(Error::Unexpected(Text::new(line))),
        }
    }

    fn parse<'a>(&self, line: &'a [u8]) -> (Origin, Status, &'a [u8]) {
        let tag = self.tag.as_bytes();
        let tag = match self.awaiting {
            Awaiting::Greeting => None,
            Awaiting::Capability => Some(tag),
            Awaiting::StartTls => tag.split_last().map(|(_, tag)| tag),
        };
        tagged::parse(line, tag)
    }

    /// Looks at what has been kept, and at a byte behind it: the line's end, one of a literal, or one for which there is no
    /// room.
    #[inline(never)]
    fn look(&mut self, byte: u8) -> Result<Step, Error> {
        let kept = self.line.kept();
        let unseen = &kept[self.seen..];
        self.seen = kept.len();
        let lists = self.awaiting != Awaiting::StartTls;
        if byte != b'\n' || may_announce(unseen) {
            for &byte in unseen {
                self.literals.push(byte);
            }
        }
        if lists {
            self.capabilities.scan(unseen);
        }
        match self.literals.push(byte) {
            Piece::Octet => return Ok(Step::More),
            Piece::Announced(length) if self.may_hold_literal() => {
                self.literals.enter(length);
                return Ok(Step::Next);
            }
            Piece::Announced(_) | Piece::Text => {}
        }
        if !self.line.push(byte) {
            if lists {
                self.capabilities.scan(&[byte]);
            }
            return Ok(Step::More);
        }
        self.seen = 0;
        self.capabilities.end();
        let (origin, status, _) = self.parse(self.line.head());
        self.accept(origin, status).map_or_else(|| self.refuse(self.line.head()), Ok)
    }

    /// Whether the line, at its end, may announce a literal: the text of a status response and of `+` may not.
    fn may_hold_literal(&self) -> bool {
        self.awaiting != Awaiting::Greeting
            && matches!(self.parse(self.line.kept()), (Origin::Untagged, Status::Data, _))
    }
}

/// Whether a literal may follow a line that ends so.
fn may_announce(line: &[u8]) -> bool {
    ended(line, b'\n').ends_with(b"}")
}

/// Looks for STARTTLS in `* CAPABILITY …` and `* OK [CAPABILITY …] …`, which may come in pieces.
#[derive(Debug, Default)]
struct Capabilities {
    listing: Listing,
    /// The beginning of a word that the last piece ended in.
    word: Excerpt<16>,
    advertised: Option<bool>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Listing {
    #[default]
    Unknown,
    Words,
    /// In a response code, which a bracket ends.
    Code,
    Elsewhere,
}

impl Capabilities {
    /// Takes a piece of a line, the carriage return of its end included. The first holds all that is ahead of the list, if
    /// there is a list.
    fn scan(&mut self, mut piece: &[u8]) {
        if self.listing == Listing::Unknown && !piece.is_empty() {
            (self.listing, piece) = list(piece).unwrap_or((Listing::Elsewhere, b""));
            if self.listing != Listing::Elsewhere {
                self.advertised = Some(false);
            }
        }
        if self.listing == Listing::Code
            && let Some(end) = find_far(b']', piece)
        {
            self.words(&piece[..end]);
            self.word(b"");
            self.listing = Listing::Elsewhere;
        } else {
            self.words(piece);
        }
    }

    fn words(&mut self, mut piece: &[u8]) {
        while matches!(self.listing, Listing::Words | Listing::Code) {
            let Some(end) = find([b' '], piece) else { return self.word.extend(piece) };
            self.word(&piece[..end]);
            piece = &piece[end + 1..];
        }
    }

    /// Ends a word, of which this is what the pieces before did not hold.
    #[inline(always)]
    fn word(&mut self, rest: &[u8]) {
        let is_starttls = if self.word.as_bytes().is_empty() {
            begins_with_word(rest, b"STARTTLS")
        } else {
            self.word.extend(rest);
            begins_with_word(core::mem::take(&mut self.word).as_bytes(), b"STARTTLS")
        };
        if is_starttls {
            self.advertised = Some(true);
            self.listing = Listing::Elsewhere;
        }
    }

    /// Ends a line.
    fn end(&mut self) {
        let word = core::mem::take(&mut self.word);
        if matches!(self.listing, Listing::Words | Listing::Code) {
            self.word(ended(word.as_bytes(), b'\n'));
        }
        self.listing = Listing::Unknown;
    }
}

/// How a line lists capabilities, if it does, and what stands behind that word.
fn list(line: &[u8]) -> Option<(Listing, &[u8])> {
    let response = line.strip_prefix(b"* ")?;
    let code = strip_word(response, b"OK").and_then(|text| text.strip_prefix(b" ["));
    let list = strip_word(code.unwrap_or(response), b"CAPABILITY")?;
    let listing = if code.is_some() { Listing::Code } else { Listing::Words };
    match list {
        [] | [b'\r'] => Some((listing, b"")),
        [b' ', list @ ..] => Some((listing, list)),
        [b']', ..] if code.is_some() => Some((listing, list)),
        _ => None,
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
        // Nearly every byte: it is looked at when the line ends.
        if !self.literals.is_within() && self.line.keep(byte) { Ok(Step::More) } else { self.look(byte) }
    }

    /// Reads a line where it stands, if it is there as a whole, and does not go on with a literal.
    #[inline]
    fn take(&mut self, input: &mut &[u8], _: &mut u32) -> Result<Step, Error> {
        if self.line.is_new()
            && let Some(end) = find_far(b'\n', input)
            && !may_announce(&input[..end])
        {
            let line = &input[..end];
            *input = &input[end + 1..];
            if self.awaiting != Awaiting::StartTls {
                self.capabilities.scan(line);
                self.capabilities.end();
            }
            let line = ended(line, b'\n');
            let line = &line[..KEPT.min(line.len())];
            let (origin, status, _) = self.parse(line);
            return self.accept(origin, status).map_or_else(|| self.refuse(line), Ok);
        }
        one_by_one(self, input)
    }

    fn awaiting(&self) -> &'static str {
        match self.awaiting {
            Awaiting::Greeting => "greeting",
            Awaiting::Capability => "CAPABILITY",
            Awaiting::StartTls => "STARTTLS",
        }
    }

    fn advertised(&self) -> Option<bool> {
        self.capabilities.advertised
    }
}
