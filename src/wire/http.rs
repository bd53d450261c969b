//! The head of an HTTP response.

use super::{Excerpt, Line};
use crate::{Error, Text};

/// The status line and the fields of an HTTP/1 response as they arrive (RFC 9112 §4, §5), of which bounded excerpts are
/// kept. Interim responses but 101 are passed over (RFC 9110 §15.2).
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    line: Line<128>,
    status: Option<u16>,
    minor: u8,
    reason: Excerpt<64>,
    /// The name of the field that the last line belongs to: a folded line goes on with it (RFC 9112 §5.2).
    field: Excerpt<24>,
}

/// What a byte of a response's head brought about.
#[derive(Debug, PartialEq, Eq)]
pub enum HeadPart<'a> {
    /// Nothing yet.
    More,
    /// The status line, or a part of an interim response.
    Line,
    /// A field, or a further line of it. Names count in any case, and longer ones than 23 bytes are not told apart.
    Field {
        /// Its name.
        name: &'a [u8],
        /// Its value, or as much of it as is kept.
        value: &'a [u8],
        /// Whether that is all of it.
        whole: bool,
    },
    /// The empty line: the head is over.
    End,
}

impl ResponseHead {
    /// Takes the next byte. Behind the end begins another head.
    ///
    /// # Errors
    /// [`Error::Unexpected`] for what is not the head of a response of HTTP/1.1, or of HTTP/1.0 other than 101.
    pub fn push(&mut self, byte: u8) -> Result<HeadPart<'_>, Error> {
        if !self.line.push(byte) {
            return Ok(HeadPart::More);
        }
        let line = self.line.head();
        let unexpected = || Error::Unexpected(Text::new(line));
        let Some(status) = self.status else {
            let (minor, status, reason) = status_line(line).ok_or_else(unexpected)?;
            (self.minor, self.status) = (minor, Some(status));
            self.reason = Excerpt::of(reason);
            self.field.clear();
            return Ok(HeadPart::Line);
        };
        let is_interim = matches!(status, 100 | 102..=199);
        if line.is_empty() {
            if is_interim {
                self.status = None;
                return Ok(HeadPart::Line);
            }
            return Ok(HeadPart::End);
        }
        let value = match line {
            [b' ' | b'\t', ..] if !self.field.as_bytes().is_empty() => line,
            _ => {
                let (name, value) = field(line).ok_or_else(unexpected)?;
                self.field = Excerpt::of(name);
                value
            }
        };
        if is_interim {
            return Ok(HeadPart::Line);
        }
        let whole = line.len() < 128;
        Ok(HeadPart::Field { name: self.field.as_bytes(), value: value.trim_ascii(), whole })
    }

    /// The status, once the status line was read.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// Whether the server speaks HTTP/1.0, in which a response ends with its connection.
    pub fn is_old(&self) -> bool {
        self.minor == 0
    }

    /// The reason phrase: a text of the peer's.
    pub fn reason(&self) -> &[u8] {
        self.reason.as_bytes()
    }
}

fn status_line(line: &[u8]) -> Option<(u8, u16, &[u8])> {
    let (minor, rest) = match line.strip_prefix(b"HTTP/1.")? {
        [b'0', rest @ ..] => (0, rest),
        [b'1', rest @ ..] => (1, rest),
        _ => return None,
    };
    let (code, rest) = rest.strip_prefix(b" ")?.split_at_checked(3)?;
    let reason = match rest {
        [] => rest,
        [b' ', reason @ ..] => reason,
        _ => return None,
    };
    let [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'] = code else { return None };
    let code = code.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    // An upgrade is HTTP/1.1's (RFC 9110 §7.8).
    (minor == 1 || code != 101).then_some((minor, code, reason))
}

/// A name that is a token, a colon, and the value. White space before the colon is not allowed (RFC 9112 §5.1).
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let name = &line[..colon];
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    (!name.is_empty() && name.iter().all(is_token)).then_some((name, &line[colon + 1..]))
}
