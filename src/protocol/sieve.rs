//! ManageSieve (RFC 5804).

use alloc::borrow::Cow;
use alloc::vec::Vec;

use bytes::Bytes;

use super::{Options, Start, begins_with_word, is_text, lines, long_line, no, strip_literal};
use crate::{Code, Dialogue, Error, Frame, Part, Reason, Reply, Step, Text};

/// The dialogue of a ManageSieve client.
///
/// `NO` to STARTTLS is a refusal, temporary with the code `TRYLATER`. `BYE` ends the session ([`Error::Closing`]), and so
/// does a greeting of `NO`.
///
/// # The dialogue
///
/// ```text
/// S: "IMPLEMENTATION" "Example 1.0"
/// S: "SIEVE" "fileinto vacation"
/// S: "STARTTLS"
/// S: OK "ready"
/// C: CAPABILITY                     (only when asked to ask, behind a greeting that the caller has read)
/// C: STARTTLS
/// S: OK "Begin TLS negotiation now"
/// ```
///
/// The greeting lists the capabilities. Their names are strings: quoted, or literals of `{n}` and, from some, `{n+}`. A
/// response is `OK`, `NO` or `BYE`, then maybe a code in parentheses, then maybe a string.
///
/// # After TLS
///
/// The server speaks first: it sends its capabilities again, and `OK` (RFC 5804 §2.2). A client that does not
/// read them is one reply behind from then on.
///
/// # Example
///
/// ```
/// use starttls::{Negotiation, protocol::Sieve};
///
/// let mut negotiation = Negotiation::required(Sieve::new());
/// negotiation.handle_input(b"\"IMPLEMENTATION\" \"Dovecot (Debian) Pigeonhole\"\r\n\
///     \"SIEVE\" \"fileinto reject envelope encoded-character vacation subaddress c\
///     omparator-i;ascii-numeric relational regex imap4flags copy include variables\
///     \x20body enotify environment mailbox date index ihave duplicate mime foreverypa\
///     rt extracttext\"\r\n\
///     \"NOTIFY\" \"mailto\"\r\n\
///     \"SASL\" \"PLAIN\"\r\n\
///     \"STARTTLS\"\r\n\
///     \"VERSION\" \"1.0\"\r\n\
///     OK \"Dovecot (Debian) ready.\"\r\n")?;
/// assert_eq!(negotiation.poll_transmit().unwrap(), b"STARTTLS\r\n"[..]);
/// negotiation.handle_input(b"OK \"Begin TLS negotiation now.\"\r\n")?;
/// let upgrade: starttls::Upgrade = negotiation.finish()?;
/// # let _ = upgrade;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Sieve {
    options: Options,
    awaiting: Awaiting,
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
    pub fn options(self, options: Options) -> Self {
        Self { options, ..self }
    }

    fn send_capability(&mut self) -> Step {
        self.awaiting = Awaiting::Capability;
        Step::Send(Bytes::from_static(b"CAPABILITY\r\n"))
    }

    fn send_starttls(&mut self) -> Step {
        self.awaiting = Awaiting::StartTls;
        Step::Send(Bytes::from_static(b"STARTTLS\r\n"))
    }
}

impl Dialogue for Sieve {
    fn open(&mut self) -> Step {
        match self.options.start {
            Start::Greeting => Step::More,
            Start::AfterGreeting if self.options.ask => self.send_capability(),
            Start::AfterGreeting | Start::Command => self.send_starttls(),
        }
    }

    fn frame(&self, _: &[u8], last: Part<'_>) -> Frame {
        long_line(last)
    }

    fn receive(&mut self, line: &[u8]) -> Result<Step, Error> {
        let is_ok = begins_with_word(line, b"OK") && lines(line).next().is_some_and(is_text);
        match (self.awaiting, string(line)) {
            (Awaiting::Greeting | Awaiting::Capability, Some(name)) => {
                if name.eq_ignore_ascii_case(b"STARTTLS") {
                    self.advertised = Some(true);
                }
                Ok(Step::Next)
            }
            (Awaiting::Greeting | Awaiting::Capability, None) if is_ok => {
                let advertised = *self.advertised.get_or_insert(false);
                let declines = !advertised && !self.options.insist;
                Ok(if declines { Step::Decline(Reason::NotAdvertised) } else { self.send_starttls() })
            }
            (Awaiting::StartTls, None) if is_ok => Ok(Step::Upgrade),
            (awaiting, _) => match (no(line, b"NO"), no(line, b"BYE")) {
                (Some(text), _) if awaiting != Awaiting::Greeting => {
                    Ok(Step::Decline(Reason::Refused(reply("NO", text))))
                }
                (Some(text), _) => Err(Error::Closing(reply("NO", text))),
                (_, Some(text)) => Err(Error::Closing(reply("BYE", text))),
                _ => Err(Error::unexpected(line)),
            },
        }
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

fn reply(status: &'static str, text: &[u8]) -> Reply {
    let temporary = text.get(..9).is_some_and(|code| code.eq_ignore_ascii_case(b"(TRYLATER"));
    Reply { code: Code::Word(status), text: Text::new(text), temporary }
}

/// The string that a line begins with, if it is a whole word of the line: `"…"`, `{n}` or `{n+}` (RFC 5804 §1.2, §4).
fn string(line: &[u8]) -> Option<Cow<'_, [u8]>> {
    let (string, rest) = match line {
        [b'"', rest @ ..] => quoted(rest)?,
        [b'{', ..] => {
            let (octets, rest) = strip_literal(line)?;
            (Cow::Borrowed(octets), rest)
        }
        _ => return None,
    };
    matches!(rest, [] | [b' ', ..]).then_some(string)
}

/// What stands before the closing quote, in the same line, and what behind it. A backslash stands before `"` and `\`.
fn quoted(line: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let end = line.iter().position(|byte| matches!(byte, b'"' | b'\\' | b'\n')).filter(|&end| line[end] != b'\n')?;
    if line[end] == b'"' {
        return Some((Cow::Borrowed(&line[..end]), &line[end + 1..]));
    }
    let (mut string, mut bytes) = (Vec::new(), line.iter());
    loop {
        string.push(match bytes.next()? {
            b'"' => return Some((Cow::Owned(string), bytes.as_slice())),
            b'\n' => return None,
            b'\\' => *bytes.next()?,
            byte => *byte,
        });
    }
}
