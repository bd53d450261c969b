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
use memchr::memchr;

use super::tagged::{self, Origin, Status};
use super::{Knobs, Start, begins_with_word, check, ended, line, strip_word};
use crate::dialogue::one_by_one;
use crate::wire::{Excerpt, Line, Literals, Piece};
use crate::{Dialogue, Error, InvalidName, Reason, Reply, Step, Text};

/// The dialogue of an IMAP client.
///
/// `NO` and `BAD` to STARTTLS are refusals. `* PREAUTH` is [`Reason::Preauthenticated`], since STARTTLS is not allowed in
/// that state; `* BYE` ends the session ([`Error::Closing`]).
#[derive(Debug)]
pub struct Imap {
    line: Line<KEPT>,
    /// How much of what is kept of the line the literals have been shown.
    seen: usize,
    literals: Literals,
    reading: Reading,
}

/// How much is kept of a line.
const KEPT: usize = 224;

/// What the responses are read for.
#[derive(Debug)]
struct Reading {
    capability: Bytes,
    starttls: Bytes,
    /// That of STARTTLS, and until it is sent a letter more, for CAPABILITY.
    tag: Excerpt<17>,
    knobs: Knobs,
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
            line: Line::default(),
            seen: 0,
            literals: Literals::default(),
            reading: Reading {
                capability: Bytes::new(),
                starttls: line(&[tag, " STARTTLS"]),
                tag: longer,
                knobs: Knobs::default(),
                awaiting: Awaiting::Greeting,
                advertised: None,
            },
        })
    }

    /// Sets where to start, whether to ask for the capabilities, and whether to insist.
    #[must_use]
    pub fn knobs(mut self, knobs: Knobs) -> Self {
        let tag = self.reading.tag.as_bytes();
        let capability = if knobs.ask { [tag, b" CAPABILITY\r\n"].concat() } else { Vec::new() };
        self.reading = Reading { knobs, capability: capability.into(), ..self.reading };
        self
    }

    /// Looks at what has been kept, and at a byte behind it: the line's end, one of a literal, or one for which there is no
    /// room.
    #[inline(never)]
    fn look(&mut self, byte: u8) -> Result<Step, Error> {
        let unseen = &self.line.kept()[self.seen..];
        // Once they have been shown a part of the line they need the rest, since the part may end in a brace.
        if byte != b'\n' || self.seen > 0 || may_announce(unseen) {
            for &byte in unseen {
                self.literals.push(byte);
            }
        }
        self.seen = self.line.kept().len();
        match self.literals.push(byte) {
            Piece::Octet => {
                self.line.pause(self.literals.is_within());
                return Ok(Step::More);
            }
            Piece::Announced(length) if self.may_hold_literal() => {
                self.literals.enter(length);
                self.line.pause(self.literals.is_within());
                return Ok(Step::Next);
            }
            Piece::Announced(_) | Piece::Text => {}
        }
        if self.line.is_full() && byte != b'\n' {
            self.make_room();
        }
        let is_ended = self.line.push(byte);
        self.seen = self.line.kept().len();
        if is_ended { self.reading.line(self.line.head()) } else { Ok(Step::More) }
    }

    /// Whether the line, at its end, may announce a literal: the text of a status response and of `+` may not.
    fn may_hold_literal(&self) -> bool {
        self.reading.awaiting != Awaiting::Greeting
            && matches!(self.reading.parse(self.line.kept()), (Origin::Untagged, Status::Data, _))
    }

    /// Drops what has been read of a list of capabilities that goes on, and of a word that is too long to be STARTTLS.
    fn make_room(&mut self) {
        let line = self.line.kept();
        // What is no greeting is shown as it is.
        let is_meant = self.reading.awaiting != Awaiting::Greeting || self.reading.parse(line).1 == Status::Ok;
        if is_meant && let Some((words, false)) = list(line) {
            let start = line.len() - words.len();
            let read = words.iter().rposition(|&byte| byte == b' ').unwrap_or(0);
            if read == 0 {
                self.line.cut(start + 16..line.len());
            } else if !holds_starttls(&words[..read]) {
                self.line.cut(start..start + read);
            }
        }
    }
}

impl Reading {
    fn send_capability(&mut self) -> Bytes {
        self.awaiting = Awaiting::Capability;
        core::mem::take(&mut self.capability)
    }

    fn send_starttls(&mut self) -> Bytes {
        self.awaiting = Awaiting::StartTls;
        self.tag.pop();
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

    /// Reads a line, without its end.
    #[inline(always)]
    fn line(&mut self, line: &[u8]) -> Result<Step, Error> {
        if self.awaiting != Awaiting::StartTls
            && let Some((words, _)) = list(line)
        {
            self.advertised = Some(holds_starttls(words));
        }
        let (origin, status, _) = self.parse(line);
        match (self.awaiting, origin, status) {
            (Awaiting::Greeting, Origin::Untagged, Status::Ok) => Ok(self.next()),
            (Awaiting::Capability, Origin::Tagged, Status::Ok) => {
                self.advertised.get_or_insert(false);
                Ok(self.next())
            }
            (Awaiting::StartTls, Origin::Tagged, Status::Ok) => Ok(Step::Upgrade),
            (Awaiting::Capability | Awaiting::StartTls, Origin::Untagged, status) if status != Status::Bye => {
                Ok(Step::Next)
            }
            _ => self.refuse(&line[..KEPT.min(line.len())]),
        }
    }

    /// What any other line comes to.
    fn refuse(&self, line: &[u8]) -> Result<Step, Error> {
        let (origin, status, response) = self.parse(line);
        match (self.awaiting, origin, status) {
            (Awaiting::Greeting, Origin::Untagged, Status::Preauth) => {
                Ok(Step::Decline(Reason::Preauthenticated(Text::new(tagged::text(response)))))
            }
            (_, Origin::Untagged, Status::Bye) => Err(Error::Closing(reply(status, response))),
            (_, Origin::Tagged, Status::No | Status::Bad) => {
                Ok(Step::Decline(Reason::Refused(reply(status, response))))
            }
            _ => Err(Error::Unexpected(Text::new(line))),
        }
    }

    #[inline(always)]
    fn parse<'a>(&self, line: &'a [u8]) -> (Origin, Status, &'a [u8]) {
        let tag = (self.awaiting != Awaiting::Greeting).then(|| self.tag.as_bytes());
        tagged::parse(line, tag)
    }
}

/// Whether a literal may follow a line that ends so.
#[inline]
fn may_announce(line: &[u8]) -> bool {
    ended(line, b'\n').ends_with(b"}")
}

/// The words of `* CAPABILITY …` and `* OK [CAPABILITY …] …`, each behind a space, and whether the list has ended.
#[inline(always)]
fn list(line: &[u8]) -> Option<(&[u8], bool)> {
    let response = line.strip_prefix(b"* ")?;
    let code = strip_word(response, b"OK").and_then(|text| text.strip_prefix(b" ["));
    let (words, has_ended) = if let Some(code) = code {
        let words = strip_word(code, b"CAPABILITY")?;
        memchr(b']', words).map_or((words, false), |end| (&words[..end], true))
    } else {
        (strip_word(response, b"CAPABILITY")?, false)
    };
    matches!(words, [] | [b' ', ..]).then_some((words, has_ended))
}

const STARTTLS: &[u8; 8] = b"STARTTLS";

/// How far off the next byte is, at least, that may be the last of STARTTLS with a space ahead of it: by the five bits in
/// which a letter differs from the others, in any case.
const SKIP: [u8; 32] = {
    let last = STARTTLS.len() - 1;
    let mut skip = [STARTTLS.len() as u8 + 1; 32];
    skip[(b' ' & 0x1f) as usize] = STARTTLS.len() as u8;
    let mut at = 0;
    while at <= last {
        skip[(STARTTLS[at] & 0x1f) as usize] = (last - at) as u8;
        at += 1;
    }
    skip
};

/// Whether STARTTLS is one of these words (Horspool's search).
#[inline]
fn holds_starttls(words: &[u8]) -> bool {
    let mut at = STARTTLS.len();
    while let Some(&byte) = words.get(at) {
        match SKIP[usize::from(byte & 0x1f)] {
            0 if let [b' ', word @ ..] = &words[at - STARTTLS.len()..]
                && begins_with_word(word, STARTTLS) =>
            {
                return true;
            }
            0 => at += STARTTLS.len() - 1,
            skip => at += usize::from(skip),
        }
    }
    false
}

fn reply(status: Status, response: &[u8]) -> Reply {
    // RFC 5530 §3: the one response code that promises that the condition will pass.
    tagged::reply(status, response, Some(b"[UNAVAILABLE]"))
}

impl Dialogue for Imap {
    fn open(&mut self) -> Step {
        match self.reading.knobs.start {
            Start::Greeting => Step::More,
            Start::AfterGreeting if self.reading.knobs.ask => Step::Send(self.reading.send_capability()),
            Start::AfterGreeting | Start::Command => Step::Send(self.reading.send_starttls()),
        }
    }

    #[inline]
    fn receive(&mut self, byte: u8) -> Result<Step, Error> {
        // Nearly every byte: it is looked at when the line ends.
        if self.line.keep(byte) { Ok(Step::More) } else { self.look(byte) }
    }

    #[inline]
    fn skim(&mut self, input: &[u8]) -> usize {
        input.iter().take_while(|byte| self.line.keep(**byte)).count()
    }

    /// Reads a line where it stands, if it is there as a whole, and does not go on with a literal.
    #[inline]
    fn take(&mut self, input: &mut &[u8], _: &mut u32) -> Result<Step, Error> {
        if self.line.is_new()
            && let Some(end) = memchr(b'\n', input)
            && !may_announce(&input[..end])
        {
            let line = ended(&input[..end], b'\n');
            *input = &input[end + 1..];
            return self.reading.line(line);
        }
        one_by_one(self, input)
    }

    fn awaiting(&self) -> &'static str {
        match self.reading.awaiting {
            Awaiting::Greeting => "greeting",
            Awaiting::Capability => "CAPABILITY",
            Awaiting::StartTls => "STARTTLS",
        }
    }

    fn advertised(&self) -> Option<bool> {
        self.reading.advertised
    }
}
