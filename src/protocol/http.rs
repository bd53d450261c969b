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

use bytes::Bytes;

use super::{Knobs, host, line};
use crate::wire::{HeadPart, ResponseHead};
use crate::{Code, Dialogue, Error, InvalidName, Reason, Reply, Step, Text};

/// The dialogue of an HTTP/1.1 client.
///
/// Any other final status than 101 is a refusal. 426, by which a server insists on an upgrade, has its name for a code.
/// The connection goes on in plaintext behind the body of the refusal, if its Content-Length tells where that is; if not,
/// the refusal ends the session ([`Error::Closing`]).
#[derive(Debug)]
pub struct Http {
    request: Bytes,
    head: ResponseHead,
    /// Whether the server switches to TLS, should it say 101.
    tls: bool,
    body: Body,
}

/// What follows the head.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Body {
    /// Nothing has told its length.
    Unknown,
    /// Content-Length has.
    Length(u32),
    /// The end of the connection ends it, or its chunks do.
    Endless,
    /// This much of it is still to come.
    Within(u32),
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
        let request = Bytes::from(request.concat());
        Ok(Self { request, head: ResponseHead::default(), tls: false, body: Body::Unknown })
    }

    /// There is neither a greeting nor a list of capabilities: nothing changes.
    #[must_use]
    pub fn knobs(self, _: Knobs) -> Self {
        self
    }

    /// Takes the end of the head.
    fn end(&mut self) -> Result<Step, Error> {
        match (self.head.status(), self.body) {
            (Some(101), _) if self.tls => Ok(Step::Upgrade),
            (None | Some(101), _) => Err(self.unexpected()),
            _ if self.head.is_old() => Err(Error::Closing(self.refusal())),
            (Some(204), Body::Unknown) | (_, Body::Length(0)) => Ok(Step::Decline(Reason::Refused(self.refusal()))),
            (_, Body::Length(length @ 1..=LONGEST_BODY)) => {
                self.body = Body::Within(length);
                Ok(Step::Next)
            }
            _ => Err(Error::Closing(self.refusal())),
        }
    }

    fn refusal(&self) -> Reply {
        let code = match self.head.status() {
            Some(426) => Code::Named(426, "Upgrade Required"),
            status => Code::Number(status.unwrap_or_default()),
        };
        // Too many requests (RFC 6585 §4), and the two of RFC 9110 §15.6 that pass.
        let temporary = matches!(self.head.status(), Some(429 | 503 | 504));
        Reply { code, text: Text::new(self.head.reason()), temporary }
    }

    fn unexpected(&self) -> Error {
        Error::Unexpected(Text::new(&[b"101 ", self.head.reason()].concat()))
    }
}

/// The elements of a list (RFC 9110 §5.6.1). Of one that was cut off, the last may be the beginning of another.
fn tokens(list: &[u8], whole: bool) -> impl Iterator<Item = &[u8]> {
    let mut tokens = list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    if !whole {
        tokens.next_back();
    }
    tokens
}

/// Whether a protocol is TLS, of any version: `TLS/1.0` (RFC 2817 §3), in any case (RFC 9110 §7.8).
fn is_tls(protocol: &[u8]) -> bool {
    let (name, version) = protocol.split_at_checked(4).unwrap_or((protocol, b""));
    name.eq_ignore_ascii_case(b"TLS/") && matches!(version, [b'1', b'.', b'0'..=b'9'])
}

fn is_close(option: &[u8]) -> bool {
    option.eq_ignore_ascii_case(b"close")
}

/// What a Content-Length adds to what is known of the body (RFC 9112 §6.3).
fn length(body: Body, value: &[u8]) -> Option<Body> {
    let digits = core::str::from_utf8(value).ok().filter(|value| value.bytes().all(|byte| byte.is_ascii_digit()))?;
    let length = Body::Length(digits.parse().ok()?);
    match body {
        Body::Unknown => Some(length),
        Body::Endless => Some(body),
        _ => (body == length).then_some(body),
    }
}

impl Dialogue for Http {
    fn open(&mut self) -> Step {
        Step::Send(core::mem::take(&mut self.request))
    }

    fn receive(&mut self, byte: u8) -> Result<Step, Error> {
        match self.body {
            Body::Within(1) => return Ok(Step::Decline(Reason::Refused(self.refusal()))),
            Body::Within(left) => {
                self.body = Body::Within(left - 1);
                return Ok(Step::More);
            }
            Body::Unknown | Body::Length(_) | Body::Endless => {}
        }
        match self.head.push(byte)? {
            HeadPart::More => Ok(Step::More),
            HeadPart::Line => Ok(Step::Next),
            HeadPart::Field { name, value, whole } => {
                if name.eq_ignore_ascii_case(b"Upgrade") {
                    self.tls |= tokens(value, whole).any(is_tls);
                } else if name.eq_ignore_ascii_case(b"Content-Length") {
                    self.body = length(self.body, value).ok_or_else(|| Error::Unexpected(Text::new(value)))?;
                } else if name.eq_ignore_ascii_case(b"Transfer-Encoding")
                    || name.eq_ignore_ascii_case(b"Connection") && tokens(value, true).any(is_close)
                {
                    self.body = Body::Endless;
                }
                Ok(Step::Next)
            }
            HeadPart::End => self.end(),
        }
    }

    fn awaiting(&self) -> &'static str {
        "OPTIONS"
    }

    fn advertised(&self) -> Option<bool> {
        None
    }
}
