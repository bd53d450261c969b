//! HTTP/1.1 Upgrade (RFC 2817 §3.2, RFC 9110 §7.8), also for IPP (RFC 8010 §8.1).
//!
//! ```text
//! C: OPTIONS * HTTP/1.1
//! C: Host: mail.example
//! C: Upgrade: TLS/1.2, TLS/1.0
//! C: Connection: Upgrade
//! C:
//! S: HTTP/1.1 101 Switching Protocols
//! S: Upgrade: TLS/1.0, HTTP/1.1
//! S: Connection: Upgrade            (CUPS says Keep-Alive, so it does not count)
//! S:
//! ```
//!
//! Before that the server may send other interim responses (1xx), which are passed over. A 101 has no body, whatever its
//! fields say: behind its empty line there is nothing.
//!
//! After TLS the *server* speaks first: its answer to the OPTIONS request. Then the client asks for what it wants.
//!
//! Prefer `https`, on its own port, wherever there is a choice. A server that has both lets someone on the path join a
//! client's plain TLS to this upgrade: the answer to the OPTIONS request, which the client never sent, then comes first,
//! and each of its requests gets the answer to another (the Opossum attack, 2025). Apache httpd has dropped the upgrade
//! for that reason in 2.4.64. Printers have little else.

use alloc::borrow::Cow;

use bytes::Bytes;
use httparse::Status;

use super::{Knobs, code, host, line, lines};
use crate::{Code, Dialogue, Error, Frame, InvalidName, Part, Reason, Reply, Step, Text};

/// The dialogue of an HTTP/1.1 client.
///
/// Any other final status than 101 is a refusal. 426, by which a server insists on an upgrade, has its name for a code.
/// The connection goes on in plaintext behind the body of the refusal, if its Content-Length tells where that is; if not,
/// the refusal ends the session ([`Error::Closing`]).
#[derive(Debug)]
pub struct Http {
    request: Bytes,
}

/// The longest body that is passed over for the sake of a connection in plaintext.
const LONGEST_BODY: u32 = 4096;

impl Http {
    /// A client that wants to talk to `host`, which may have a port behind a colon.
    ///
    /// # Errors
    /// [`InvalidName`] for a name with other characters than a host has.
    pub fn new(host: &str) -> Result<Self, InvalidName> {
        let host = self::host("the host of an HTTP request", host)?;
        let request = [
            line(&["OPTIONS * HTTP/1.1"]),
            line(&["Host: ", host]),
            line(&["Upgrade: TLS/1.2, TLS/1.0"]),
            line(&["Connection: Upgrade"]),
            line(&[]),
        ];
        Ok(Self { request: Bytes::from(request.concat()) })
    }

    /// There is neither a greeting nor a list of capabilities: nothing changes.
    #[must_use]
    pub fn knobs(self, _: Knobs) -> Self {
        self
    }
}

impl Dialogue for Http {
    fn open(&mut self) -> Step {
        Step::Send(core::mem::take(&mut self.request))
    }

    fn frame(&self, response: &[u8], last: Part<'_>) -> Frame {
        match last {
            Part::Line(b"") => Frame::Exactly(Head::read(response).map_or(0, |head| head.rest())),
            _ => head_frame(response, last),
        }
    }

    fn receive(&mut self, response: &[u8]) -> Result<Step, Error> {
        let head = Head::read(response)?;
        match head.body {
            _ if head.is_interim() => Ok(Step::Next),
            Body::Wrong(error) => Err(error),
            _ if head.status == 101 && head.tls => Ok(Step::Upgrade),
            _ if head.status == 101 => Err(Error::unexpected(head.shown)),
            Body::Unknown if head.status != 204 => Err(Error::Closing(head.refusal())),
            Body::Unknown | Body::Length(..=LONGEST_BODY) if head.minor == 1 => {
                Ok(Step::Decline(Reason::Refused(head.refusal())))
            }
            _ => Err(Error::Closing(head.refusal())),
        }
    }

    fn awaiting(&self) -> &'static str {
        "OPTIONS"
    }
}

/// How the head of a response goes on: line by line, to an empty one, and behind that with a body of no bytes. A line that
/// cannot stand where it does is refused at once.
pub(crate) fn head_frame(response: &[u8], last: Part<'_>) -> Frame {
    let Part::Line(line) = last else { return Frame::line(last) };
    // What httparse would ask more bytes for.
    let is_text = line.iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control());
    let fits = match (lines(&response[..response.len() - 1]).take(3).count(), line) {
        (1, _) => status_line(line).is_some(),
        (_, []) => return Frame::Exactly(0),
        // A field may be folded (RFC 9112 §5.2).
        (3, [b' ' | b'\t', ..]) => is_text,
        _ => is_text && line.contains(&b':') && httparse::parse_headers(line, &mut [httparse::EMPTY_HEADER]).is_ok(),
    };
    if fits { Frame::Line } else { Frame::Unexpected }
}

/// What matters of the head of a response (RFC 9112 §4, §5).
pub(crate) struct Head<'a> {
    pub(crate) status: u16,
    reason: &'a [u8],
    /// The status with the reason.
    shown: &'a [u8],
    minor: u8,
    /// Whether TLS, of any version, is what the server upgrades to.
    tls: bool,
    body: Body,
}

/// What the fields say of the body (RFC 9112 §6.3).
enum Body {
    Unknown,
    Length(u32),
    /// It ends with the connection, or with its last chunk.
    Endless,
    /// They contradict each other, or are no fields.
    Wrong(Error),
}

impl<'a> Head<'a> {
    /// Reads a head, and the body behind it is not looked at.
    ///
    /// # Errors
    /// [`Error::Unexpected`] for what does not begin with a status line.
    pub(crate) fn read(response: &'a [u8]) -> Result<Self, Error> {
        let first = lines(response).next().unwrap_or_default();
        let (minor, status, reason) = status_line(first).ok_or_else(|| Error::unexpected(first))?;
        let mut head =
            Self { status, reason, shown: &first["HTTP/1.1 ".len()..], minor, tls: false, body: Body::Unknown };
        let fields = unfold(response.split_at(memchr::memchr(b'\n', response).map_or(0, |end| end + 1)).1);
        match httparse::parse_headers(&fields, &mut [httparse::EMPTY_HEADER; 96]) {
            Ok(Status::Complete((_, fields))) => fields.iter().for_each(|field| head.field(field.name, field.value)),
            _ => head.body = Body::Wrong(Error::unexpected(response)),
        }
        Ok(head)
    }

    /// Takes a field; behind one that is wrong no other counts.
    fn field(&mut self, name: &str, value: &[u8]) {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if let Body::Wrong(_) = self.body {
            return;
        }
        if is("Upgrade") {
            self.tls |= elements(value).any(is_tls);
        } else if is("Transfer-Encoding") || is("Connection") && elements(value).any(is_close) {
            self.body = Body::Endless;
        } else if is("Content-Length") {
            self.body = match (length(value), &self.body) {
                (Some(_), Body::Endless) => Body::Endless,
                (Some(length), Body::Unknown) => Body::Length(length),
                (Some(length), Body::Length(known)) if length == *known => Body::Length(length),
                _ => Body::Wrong(Error::unexpected(value)),
            };
        }
    }

    pub(crate) fn is_interim(&self) -> bool {
        matches!(self.status, 100 | 102..=199)
    }

    /// How much of a body is passed over.
    fn rest(&self) -> u32 {
        match self.body {
            Body::Length(length @ ..=LONGEST_BODY) if self.status >= 200 && self.minor == 1 => length,
            _ => 0,
        }
    }

    /// What the response refuses.
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

/// The minor version, the status and the reason. An upgrade is HTTP/1.1's (RFC 9110 §7.8).
fn status_line(line: &[u8]) -> Option<(u8, u16, &[u8])> {
    let (minor, rest) = match line.strip_prefix(b"HTTP/1.")? {
        [b'0', b' ', rest @ ..] => (0, rest),
        [b'1', b' ', rest @ ..] => (1, rest),
        _ => return None,
    };
    match code(rest)? {
        (101, _) if minor == 0 => None,
        (status @ 100.., []) => Some((minor, status, b"")),
        (status @ 100.., [b' ', reason @ ..]) => Some((minor, status, reason)),
        _ => None,
    }
}

/// Fields with their folded lines in one (RFC 9112 §5.2).
fn unfold(fields: &[u8]) -> Cow<'_, [u8]> {
    if !lines(fields).any(|line| line.starts_with(b" ") || line.starts_with(b"\t")) {
        return Cow::Borrowed(fields);
    }
    let mut fields = fields.to_vec();
    for at in 1..fields.len() {
        if let [b'\n', b' ' | b'\t'] = fields[at - 1..=at] {
            fields[at - 1] = b' ';
            if at > 1 && fields[at - 2] == b'\r' {
                fields[at - 2] = b' ';
            }
        }
    }
    Cow::Owned(fields)
}

/// The elements of a list (RFC 9110 §5.6.1).
fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

/// Whether a protocol is TLS, of any version: `TLS/1.0` (RFC 2817 §3), in any case (RFC 9110 §7.8).
fn is_tls(protocol: &[u8]) -> bool {
    let (name, version) = protocol.split_at_checked(4).unwrap_or((protocol, b""));
    name.eq_ignore_ascii_case(b"TLS/") && matches!(version, [b'1', b'.', b'0'..=b'9'])
}

fn is_close(option: &[u8]) -> bool {
    option.eq_ignore_ascii_case(b"close")
}

/// A Content-Length: nothing but digits.
fn length(value: &[u8]) -> Option<u32> {
    str::from_utf8(value).ok().filter(|value| value.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}
