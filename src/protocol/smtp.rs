//! SMTP (RFC 5321, RFC 3207) and LMTP (RFC 2033).
//!
//! ```text
//! S: 220 mail.example ESMTP
//! C: EHLO client.example            (LHLO in LMTP)
//! S: 250-mail.example
//! S: 250-PIPELINING
//! S: 250 STARTTLS                   (in any line but the first)
//! C: STARTTLS
//! S: 220 2.0.0 Ready to start TLS
//! ```
//!
//! After TLS the client speaks first: it says EHLO (LHLO) again, and drops all that the server said before (RFC 3207
//! §4.2). There is no second greeting.
//!
//! EHLO and STARTTLS are not pipelined: both have to be the last command of a group (RFC 2920 §3.1).

use core::ops::ControlFlow::{self, Break, Continue};

use bytes::Bytes;

use super::{Knobs, Start, begins_with_word, code, ended, host, line};
use crate::dialogue::one_by_one;
use crate::wire::{Lines, find};
use crate::{Code, Dialogue, Error, InvalidName, Reason, Reply, Step, Text};

/// The dialogue of an SMTP or LMTP client.
///
/// Refusals: 4xx is temporary, and the command may be repeated on the same connection, by a new negotiation with
/// [`Start::Command`]; 5xx is permanent. A greeting other than 220 and a 421 anywhere end the session
/// ([`Error::Closing`]).
#[derive(Debug)]
pub struct Smtp {
    hello: Bytes,
    verb: &'static str,
    knobs: Knobs,
    lines: Lines,
    reading: Reading,
}

/// The reply that is awaited, as far as it has been read.
#[derive(Debug)]
struct Reading {
    awaiting: Awaiting,
    /// What the lines of this reply that go on begin with, once there is one: `250-`.
    first: Option<[u8; 4]>,
    advertised: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Awaiting {
    Greeting,
    Hello,
    StartTls,
}

impl Smtp {
    /// SMTP (RFC 5321) for a client that calls itself `name` in EHLO: its domain name, or an address as `[192.0.2.1]`.
    ///
    /// # Errors
    /// [`InvalidName`] for a name with characters that neither has.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        Self::with_verb("EHLO", name)
    }

    /// LMTP (RFC 2033): the same dialogue, with LHLO for EHLO.
    ///
    /// # Errors
    /// [`InvalidName`], as for [`new`](Self::new).
    pub fn lmtp(name: &str) -> Result<Self, InvalidName> {
        Self::with_verb("LHLO", name)
    }

    fn with_verb(verb: &'static str, name: &str) -> Result<Self, InvalidName> {
        let name = host("the name of an SMTP client", name)?;
        Ok(Self {
            hello: line(&[verb, " ", name]),
            verb,
            knobs: Knobs::default(),
            lines: Lines::default(),
            reading: Reading { awaiting: Awaiting::Greeting, first: None, advertised: None },
        })
    }

    /// Sets where to start, and whether to insist. EHLO asks for the capabilities anyway, so `ask` changes nothing.
    #[must_use]
    pub fn knobs(self, knobs: Knobs) -> Self {
        Self { knobs, ..self }
    }

    fn send_hello(&mut self) -> Bytes {
        self.expect(Awaiting::Hello);
        core::mem::take(&mut self.hello)
    }

    fn send_starttls(&mut self) -> Bytes {
        self.expect(Awaiting::StartTls);
        Bytes::from_static(b"STARTTLS\r\n")
    }

    fn expect(&mut self, reply: Awaiting) {
        self.reading.awaiting = reply;
        self.reading.first = None;
        self.lines.clear();
    }

    /// Takes a whole line that came in pieces.
    #[inline]
    fn line(&mut self) -> Result<Step, Error> {
        match self.reading.line(self.lines.raw_line()) {
            Continue(()) => {
                self.lines.next();
                Ok(Step::Next)
            }
            Break(code) => self.end(code, b""),
        }
    }

    /// Ends a reply, of which this has not been kept. What it said matters only if it was not the hoped-for one.
    #[inline(always)]
    fn end(&mut self, code: Option<u16>, reply: &[u8]) -> Result<Step, Error> {
        match code.and_then(|code| self.accept(code)) {
            Some(step) => Ok(step),
            None => {
                self.lines.extend(reply);
                self.refuse(code)
            }
        }
    }

    /// What a positive reply comes to.
    #[inline(always)]
    fn accept(&mut self, code: u16) -> Option<Step> {
        match (self.reading.awaiting, code) {
            (Awaiting::Greeting, 220) => Some(Step::Send(self.send_hello())),
            (Awaiting::Hello, 250) => {
                let advertised = *self.reading.advertised.get_or_insert(false);
                if advertised || self.knobs.insist {
                    Some(Step::Send(self.send_starttls()))
                } else {
                    Some(Step::Decline(Reason::NotAdvertised))
                }
            }
            (Awaiting::StartTls, 220) => Some(Step::Upgrade),
            _ => None,
        }
    }

    /// What any other reply comes to.
    #[cold]
    fn refuse(&self, code: Option<u16>) -> Result<Step, Error> {
        match (self.reading.awaiting, code) {
            (_, Some(code @ 421)) | (Awaiting::Greeting, Some(code @ 400..=599)) => {
                Err(Error::Closing(self.refusal(code)))
            }
            (_, Some(code @ 400..=599)) => Ok(Step::Decline(Reason::Refused(self.refusal(code)))),
            _ => Err(self.unexpected()),
        }
    }

    fn refusal(&self, code: u16) -> Reply {
        let text = self.lines.reply().get(4..).unwrap_or_default().trim_ascii_end();
        Reply { code: Code::Number(code), text: Text::new(text), temporary: code < 500 }
    }

    fn unexpected(&self) -> Error {
        Error::Unexpected(Text::new(self.lines.reply().trim_ascii_end()))
    }
}

impl Reading {
    /// Reads a line with the carriage return of its end, and says whether the reply goes on, or else with what code it
    /// ended: `None` is no reply at all.
    #[inline(always)]
    fn line(&mut self, line: &[u8]) -> ControlFlow<Option<u16>> {
        // Nearly every line.
        if let Some(first) = self.first
            && let Some(text) = line.strip_prefix(&first)
        {
            self.list(text);
            return Continue(());
        }
        match (parse(ended(line, b'\n')), self.first) {
            (Some((_, true)), None) => {
                self.first = line.first_chunk().copied();
                Continue(())
            }
            (Some((code, false)), first) if first.is_none_or(|first| line[..3] == first[..3]) => {
                self.list(line.get(4..).unwrap_or_default());
                Break(Some(code))
            }
            _ => Break(None),
        }
    }

    /// Notes whether a line of this text, which ends as the line does, lists STARTTLS. The first line of the reply to EHLO is
    /// the server's name, which may be anything.
    #[inline(always)]
    fn list(&mut self, text: &[u8]) {
        if self.advertised.is_none()
            && self.awaiting == Awaiting::Hello
            && self.first == Some(*b"250-")
            && begins_with_word(ended(text, b'\n'), b"STARTTLS")
        {
            self.advertised = Some(true);
        }
    }
}

impl Dialogue for Smtp {
    fn open(&mut self) -> Step {
        match self.knobs.start {
            Start::Greeting => Step::More,
            Start::AfterGreeting => Step::Send(self.send_hello()),
            Start::Command => Step::Send(self.send_starttls()),
        }
    }

    #[inline]
    fn receive(&mut self, byte: u8) -> Result<Step, Error> {
        if self.lines.push(byte) { self.line() } else { Ok(Step::More) }
    }

    #[inline]
    fn skim(&mut self, input: &[u8]) -> usize {
        self.lines.skim(input)
    }

    /// Reads the lines where they stand, if they are there as a whole.
    #[inline] // As is all that it calls, since it reads most replies in one go.
    fn take(&mut self, input: &mut &[u8], lines: &mut u32) -> Result<Step, Error> {
        let (mut rest, mut left) = (*input, *lines);
        while left > 0
            && self.lines.is_new()
            && let Some(end) = find([b'\n'], rest)
        {
            let line = &rest[..end];
            rest = &rest[end + 1..];
            match self.reading.line(line) {
                Continue(()) => left -= 1,
                Break(code) => {
                    let reply = &input[..input.len() - rest.len()];
                    (*input, *lines) = (rest, left);
                    return self.end(code, reply);
                }
            }
        }
        if left == *lines {
            return one_by_one(self, input);
        }
        self.lines.extend(&input[..input.len() - rest.len()]);
        self.lines.next();
        (*input, *lines) = (rest, left + 1);
        Ok(Step::Next)
    }

    fn awaiting(&self) -> &'static str {
        match self.reading.awaiting {
            Awaiting::Greeting => "greeting",
            Awaiting::Hello => self.verb,
            Awaiting::StartTls => "STARTTLS",
        }
    }

    fn advertised(&self) -> Option<bool> {
        self.reading.advertised
    }
}

/// The code, and whether the reply goes on: `250-text`, `250 text` or `250` (RFC 5321 §4.2).
#[inline(always)]
fn parse(line: &[u8]) -> Option<(u16, bool)> {
    let (code, rest) = code(line).filter(|(code, _)| (200..600).contains(code))?;
    match rest {
        [] | [b' ', ..] => Some((code, false)),
        [b'-', ..] => Some((code, true)),
        _ => None,
    }
}
