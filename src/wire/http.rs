//! The head of an HTTP response (RFC 9112 §4, §5).

use alloc::borrow::Cow;

use memchr::memchr;

use crate::protocol::text::{code, lines};
use crate::{Code, Error, Frame, Part, Reply, Text};

/// How the head of a response goes on: line by line, to an empty one, and then with a body of no bytes. A line that cannot
/// stand where it does is refused at once.
pub(crate) fn head_frame(response: &[u8], last: Part<'_>) -> Frame {
    let Part::Line(line) = last else { return Frame::line(last) };
    let is_text = line.iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control());
    let fits = match (lines(&response[..response.len() - 1]).take(3).count(), line) {
        (1, _) => StatusLine::parse(line).is_some(),
        (_, []) => return Frame::Exactly(0),
        // A field may be folded (RFC 9112 §5.2).
        (3, [b' ' | b'\t', ..]) => is_text,
        _ => is_text && line.contains(&b':') && httparse::parse_headers(line, &mut [httparse::EMPTY_HEADER]).is_ok(),
    };
    if fits { Frame::Line } else { Frame::Unexpected }
}

/// The first line of a response. The reason may be anything.
pub(crate) struct StatusLine<'a> {
    pub(crate) minor: u8,
    pub(crate) status: u16,
    pub(crate) reason: &'a [u8],
}

impl<'a> StatusLine<'a> {
    /// That of a whole response.
    ///
    /// # Errors
    /// [`Error::Unexpected`] if it is none.
    pub(crate) fn of(response: &'a [u8]) -> Result<Self, Error> {
        let line = lines(response).next().unwrap_or_default();
        Self::parse(line).ok_or_else(|| Error::unexpected(line))
    }

    fn parse(line: &'a [u8]) -> Option<Self> {
        let (minor, rest) = match line.strip_prefix(b"HTTP/1.")? {
            [b'0', b' ', rest @ ..] => (0, rest),
            [b'1', b' ', rest @ ..] => (1, rest),
            _ => return None,
        };
        match code(rest)? {
            // An upgrade is HTTP/1.1's (RFC 9110 §7.8).
            (101, _) if minor == 0 => None,
            (status @ 100.., []) => Some(Self { minor, status, reason: b"" }),
            (status @ 100.., [b' ', reason @ ..]) => Some(Self { minor, status, reason }),
            _ => None,
        }
    }

    /// Whether another response follows (RFC 9110 §15.2).
    pub(crate) fn is_interim(&self) -> bool {
        matches!(self.status, 100 | 102..=199)
    }

    /// A response that says no.
    pub(crate) fn refusal(&self) -> Reply {
        let code = match self.status {
            426 => Code::Named(426, "Upgrade Required"),
            status => Code::Number(status),
        };
        // Too many requests (RFC 6585 §4), and the two of RFC 9110 §15.6 that pass.
        let temporary = matches!(self.status, 429 | 503 | 504);
        Reply { code, text: Text::new(self.reason), temporary }
    }
}

/// Visits the fields of a response.
///
/// # Errors
/// [`Error::Unexpected`] if they are none, and the first error of the visitor's.
pub(crate) fn fields(
    response: &[u8],
    visit: impl FnMut(&httparse::Header<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let fields = unfold(&response[memchr(b'\n', response).map_or(0, |end| end + 1)..]);
    match httparse::parse_headers(&fields, &mut [httparse::EMPTY_HEADER; 96]) {
        Ok(httparse::Status::Complete((_, fields))) => fields.iter().try_for_each(visit),
        _ => Err(Error::unexpected(&fields)),
    }
}

/// Fields with their folded lines in one (RFC 9112 §5.2): the line ends are replaced by spaces.
fn unfold(fields: &[u8]) -> Cow<'_, [u8]> {
    let mut head = lines(fields).take_while(|line| !line.is_empty());
    if !head.any(|line| line.starts_with(b" ") || line.starts_with(b"\t")) {
        return Cow::Borrowed(fields);
    }
    let mut fields = fields.to_vec();
    for at in 1..fields.len() {
        match fields[at - 1..] {
            [b'\n', b' ' | b'\t', ..] => fields[at - 1] = b' ',
            [b'\r', b'\n', b' ' | b'\t', ..] => fields[at - 1] = b' ',
            // The body may begin with a space.
            [b'\n', b'\n', ..] | [b'\n', b'\r', b'\n', ..] => break,
            _ => {}
        }
    }
    Cow::Owned(fields)
}
