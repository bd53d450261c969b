//! ManageSieve (RFC 5804).
//!
//! ```text
//! S: "IMPLEMENTATION" "Example 1.0"
//! S: "SIEVE" "fileinto vacation"
//! S: "STARTTLS"
//! S: OK "ready"
//! C: CAPABILITY                     (only when asked to ask, behind a greeting that the caller has read)
//! C: STARTTLS
//! S: OK "Begin TLS negotiation now"
//! ```
//!
//! The greeting lists the capabilities. Their names are strings: quoted, or literals of `{n}` and, from some, `{n+}`. A
//! response is `OK`, `NO` or `BYE`, then maybe a code in parentheses, then maybe a string.
//!
//! After TLS the server speaks first: it sends its capabilities again, and `OK` (RFC 5804 §2.2). A client that does not
//! read them is one reply behind from then on.

use bytes::Bytes;

use super::{Knobs, Start, word};
use crate::wire::{Excerpt, LongLine, Progress};
use crate::{Code, Dialogue, Error, Reason, Reply, Step, Text};

/// The dialogue of a ManageSieve client.
///
/// `NO` to STARTTLS is a refusal, temporary with the code `TRYLATER`. `BYE` ends the session ([`Error::Closing`]), and so
/// does a greeting of `NO`.
#[derive(Debug, Default)]
pub struct Sieve {
    knobs: Knobs,
    awaiting: Awaiting,
    line: LongLine,
    advertised: Option<bool>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Awaiting {
    #[default]
    Greeting,
    Capability,
    StartTls,
}

impl Sieve {
    /// A client: nothing has to be known about it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets where to start, whether to ask for the capabilities, and whether to insist. The greeting lists them anyway.
    #[must_use]
    pub fn knobs(self, knobs: Knobs) -> Self {
        Self { knobs, ..self }
    }

    fn send_capability(&mut self) -> Bytes {
        self.awaiting = Awaiting::Capability;
        Bytes::from_static(b"CAPABILITY\r\n")
    }

    fn send_starttls(&mut self) -> Bytes {
        self.awaiting = Awaiting::StartTls;
        Bytes::from_static(b"STARTTLS\r\n")
    }

    /// Takes a whole line, with its literals.
    fn line(&mut self) -> Result<Step, Error> {
        let line = self.line.head();
        let (status, text) = word(line);
        let status = match (string(line), status) {
            (Some(name), _) => Status::Capability(name),
            (None, status) if status.eq_ignore_ascii_case(b"OK") => Status::Ok,
            (None, status) if status.eq_ignore_ascii_case(b"NO") => Status::No,
            (None, status) if status.eq_ignore_ascii_case(b"BYE") => Status::Bye,
            _ => return Err(self.unexpected()),
        };
        match (self.awaiting, status) {
            (Awaiting::Greeting | Awaiting::Capability, Status::Capability(name)) => {
                if name.as_bytes().eq_ignore_ascii_case(b"STARTTLS") {
                    self.advertised = Some(true);
                }
                Ok(Step::Next)
            }
            (Awaiting::Greeting | Awaiting::Capability, Status::Ok) => {
                let advertised = *self.advertised.get_or_insert(false);
                if advertised || self.knobs.insist {
                    Ok(Step::Send(self.send_starttls()))
                } else {
                    Ok(Step::Decline(Reason::NotAdvertised))
                }
            }
            (Awaiting::StartTls, Status::Ok) => Ok(Step::Upgrade),
            (_, Status::Bye) => Err(Error::Closing(reply("BYE", text))),
            (Awaiting::Greeting, Status::No) => Err(Error::Closing(reply("NO", text))),
            (_, Status::No) => Ok(Step::Decline(Reason::Refused(reply("NO", text)))),
            _ => Err(self.unexpected()),
        }
    }

    fn unexpected(&self) -> Error {
        Error::Unexpected(Text::new(self.line.head()))
    }
}

enum Status {
    Capability(Excerpt<16>),
    Ok,
    No,
    Bye,
}

fn reply(status: &'static str, text: &[u8]) -> Reply {
    let temporary = text.get(..9).is_some_and(|code| code.eq_ignore_ascii_case(b"(TRYLATER"));
    Reply { code: Code::Word(status), text: Text::new(text), temporary }
}

/// The most bytes of a string as it is written: what stands behind it is kept as well, and no name is as long.
const LONGEST: usize = 200;

/// The string that a line begins with, if it is a whole word of the line: `"…"`, `{n}` or `{n+}` (RFC 5804 §1.2, §4).
fn string(line: &[u8]) -> Option<Excerpt<16>> {
    let (string, rest) = match line {
        [b'"', rest @ ..] => quoted(rest)?,
        [b'{', rest @ ..] => literal(rest)?,
        _ => return None,
    };
    matches!(rest, [] | [b' ', ..]).then_some(string)
}

/// What stands before the closing quote, in the same line, and what behind it. A backslash stands before `"` and `\`.
fn quoted(line: &[u8]) -> Option<(Excerpt<16>, &[u8])> {
    let mut string = Excerpt::new();
    let line = line.split(|&byte| byte == b'\n').next()?;
    let mut bytes = line.iter();
    loop {
        match bytes.next()? {
            b'"' => break,
            b'\\' => string.push(*bytes.next()?),
            byte => string.push(*byte),
        }
    }
    let rest = bytes.as_slice();
    (line.len() - rest.len() < LONGEST).then_some((string, rest))
}

/// The octets of the literal, and what stands behind them.
fn literal(line: &[u8]) -> Option<(Excerpt<16>, &[u8])> {
    let brace = line.iter().position(|&byte| byte == b'}')?;
    let digits = line[..brace].strip_suffix(b"+").unwrap_or(&line[..brace]);
    let length: usize = str::from_utf8(digits).ok()?.parse().ok()?;
    let octets = line[brace + 1..].strip_prefix(b"\r").unwrap_or(&line[brace + 1..]).strip_prefix(b"\n")?;
    let (octets, rest) = octets.split_at_checked(length)?;
    (brace + 2 + length <= LONGEST).then_some((Excerpt::of(octets), rest))
}

impl Dialogue for Sieve {
    fn open(&mut self) -> Step {
        match self.knobs.start {
            Start::Greeting => Step::More,
            Start::AfterGreeting if self.knobs.ask => Step::Send(self.send_capability()),
            Start::AfterGreeting | Start::Command => Step::Send(self.send_starttls()),
        }
    }

    fn receive(&mut self, byte: u8) -> Result<Step, Error> {
        match self.line.push(byte) {
            Progress::More => Ok(Step::More),
            Progress::Literal => Ok(Step::Next),
            Progress::Ended => self.line(),
        }
    }

    fn skim(&mut self, input: &[u8]) -> usize {
        self.line.skim(input)
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
