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

use bytes::Bytes;

use super::{Knobs, Start, begins_with_word, code, host, line};
use crate::wire::{Lines, find};
use crate::{Code, Dialogue, Error, InvalidName, Reason, Reply, Skimmed, Step, Text};

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
    awaiting: Awaiting,
    lines: Lines,
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
            awaiting: Awaiting::Greeting,
            lines: Lines::default(),
            first: None,
            advertised: None,
        })
    }

    /// Sets where to start, and whether to insist. EHLO asks for the capabilities anyway, so `ask` changes nothing.
    #[must_use]
    pub fn knobs(self, knobs: Knobs) -> Self {
        Self { knobs, ..self }
    }

    fn send_hello(&mut self) -> Bytes {
        self.awaiting = Awaiting::Hello;
        core::mem::take(&mut self.hello)
    }

    fn send_starttls(&mut self) -> Bytes {
        self.awaiting = Awaiting::StartTls;
        Bytes::from_static(b"STARTTLS\r\n")
    }

    /// Takes a whole line.
    fn line(&mut self) -> Result<Step, Error> {
        let line = self.lines.line();
        let Some((code, goes_on, text)) =
            parse(line).filter(|_| self.first.is_none_or(|first| line[..3] == first[..3]))
        else {
            return Err(self.unexpected());
        };
        if self.lists(text) {
            self.advertised = Some(true);
        }
        if goes_on {
            self.first = line.first_chunk().copied();
            self.lines.next();
            return Ok(Step::Next);
        }
        let step = self.reply(code);
        self.first = None;
        self.lines.clear();
        step
    }

    /// Whether a line of this text lists STARTTLS. The first line of the reply to EHLO is the server's name, which may be
    /// anything.
    fn lists(&self, text: &[u8]) -> bool {
        self.advertised.is_none()
            && self.awaiting == Awaiting::Hello
            && self.first == Some(*b"250-")
            && begins_with_word(text, b"STARTTLS")
    }

    /// Takes a whole reply.
    fn reply(&mut self, code: u16) -> Result<Step, Error> {
        match (self.awaiting, code) {
            (Awaiting::Greeting, 220) => Ok(Step::Send(self.send_hello())),
            (Awaiting::Hello, 250) => {
                let advertised = *self.advertised.get_or_insert(false);
                if advertised || self.knobs.insist {
                    Ok(Step::Send(self.send_starttls()))
                } else {
                    Ok(Step::Decline(Reason::NotAdvertised))
                }
            }
            (Awaiting::StartTls, 220) => Ok(Step::Upgrade),
            (_, 421) | (Awaiting::Greeting, 400..=599) => Err(Error::Closing(self.refusal(code))),
            (_, 400..=599) => Ok(Step::Decline(Reason::Refused(self.refusal(code)))),
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

    /// Reads the lines that go on where they stand, if they are there as a whole, and are not the first.
    fn skim(&mut self, input: &[u8], lines: u32) -> Skimmed {
        let (Some(first), true) = (self.first, self.lines.is_new()) else { return self.lines.skim(input) };
        let (mut passed, mut rest) = (0, input);
        while passed < lines
            && let Some(text) = rest.strip_prefix(&first)
            && let Some(end) = find([b'\n'], text)
        {
            let text = &text[..end];
            if self.lists(text.strip_suffix(b"\r").unwrap_or(text)) {
                self.advertised = Some(true);
            }
            passed += 1;
            rest = &rest[first.len() + end + 1..];
        }
        if passed == 0 {
            return self.lines.skim(input);
        }
        let whole = &input[..input.len() - rest.len()];
        self.lines.pass(whole);
        Skimmed { bytes: whole.len(), lines: passed }
    }

    fn awaiting(&self) -> &'static str {
        match self.awaiting {
            Awaiting::Greeting => "greeting",
            Awaiting::Hello => self.verb,
            Awaiting::StartTls => "STARTTLS",
        }
    }

    fn advertised(&self) -> Option<bool> {
        self.advertised
    }
}

/// The code, whether the reply goes on, and the text: `250-text`, `250 text` or `250` (RFC 5321 §4.2).
fn parse(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (code, rest) = code(line).filter(|(code, _)| (200..600).contains(code))?;
    match rest {
        [] => Some((code, false, rest)),
        [b' ', text @ ..] => Some((code, false, text)),
        [b'-', text @ ..] => Some((code, true, text)),
        _ => None,
    }
}
