//! HTTP/1.1 Upgrade (RFC 2817 §3.2, RFC 9110 §7.8), also for IPP (RFC 8010 §8.1).

use bytes::Bytes;

use super::{Options, host, line};
use crate::wire::http::{StatusLine, fields, head_frame};
use crate::{Dialogue, Error, Frame, InvalidName, Part, Reason, Step};

/// The dialogue of an HTTP/1.1 client.
///
/// Any other final status than 101 is a refusal. 426, by which a server insists on an upgrade, has its name for a code.
/// The connection goes on in plaintext behind the body of the refusal, if its Content-Length tells where that is; if not,
/// the refusal ends the session ([`Error::Closing`]).
///
/// # The dialogue
///
/// ```text
/// C: OPTIONS * HTTP/1.1
/// C: Host: mail.example
/// C: Upgrade: TLS/1.2, TLS/1.0
/// C: Connection: Upgrade
/// C:
/// S: HTTP/1.1 101 Switching Protocols
/// S: Upgrade: TLS/1.0, HTTP/1.1
/// S: Connection: Upgrade            (CUPS says Keep-Alive, so it does not count)
/// S:
/// ```
///
/// Before that the server may send other interim responses (1xx), which are passed over. A 101 has no body, whatever its
/// fields say: behind its empty line there is nothing.
///
/// Prefer `https`, on its own port, wherever there is a choice. A server that has both lets someone on the path join a
/// client's plain TLS to this upgrade: the answer to the OPTIONS request, which the client never sent, then comes first,
/// and each of its requests gets the answer to another (the Opossum attack, 2025). Apache httpd has dropped the upgrade
/// for that reason in 2.4.64. Printers have little else.
///
/// # After TLS
///
/// The *server* speaks first: its answer to the OPTIONS request. Then the client asks for what it wants.
///
/// # Example
///
/// ```
/// use starttls::{Negotiation, protocol::Http};
///
/// let mut negotiation = Negotiation::required(Http::new("mail.example")?);
/// assert_eq!(negotiation.poll_transmit().unwrap(), b"OPTIONS * HTTP/1.1\r\n\
///     Host: mail.example\r\n\
///     Upgrade: TLS/1.2, TLS/1.0\r\n\
///     Connection: Upgrade\r\n\
///     \r\n"[..]);
/// negotiation.handle_input(b"HTTP/1.1 101 Switching Protocols\r\n\
///     Connection: Keep-Alive\r\n\
///     Content-Language: en\r\n\
///     Content-Length: 0\r\n\
///     Date: Tue, 24 Nov 2026 00:05:48 GMT\r\n\
///     Keep-Alive: timeout=10\r\n\
///     Upgrade: TLS/1.2,TLS/1.1,TLS/1.0\r\n\
///     Accept-Encoding: gzip, deflate, identity\r\n\
///     Server: CUPS/2.4 IPP/2.1\r\n\
///     X-Frame-Options: DENY\r\n\
///     Content-Security-Policy: frame-ancestors 'none'\r\n\
///     \r\n")?;
/// let upgrade: starttls::Upgrade = negotiation.finish()?;
/// # let _ = upgrade;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    pub fn options(self, _: Options) -> Self {
        self
    }
}

impl Dialogue for Http {
    fn open(&mut self) -> Step {
        Step::Send(core::mem::take(&mut self.request))
    }

    fn frame(&self, response: &[u8], last: Part<'_>) -> Frame {
        match last {
            Part::Line(b"") => Frame::Exactly(rest(response)),
            _ => head_frame(response, last),
        }
    }

    fn receive(&mut self, response: &[u8]) -> Result<Step, Error> {
        let line = StatusLine::of(response)?;
        if line.is_interim() {
            return Ok(Step::Next);
        }
        match (line.status, Fields::of(response)) {
            (101, fields) => match fields?.tls {
                true => Ok(Step::Upgrade),
                false => Err(Error::unexpected(&[b"101 ", line.reason].concat())),
            },
            (status, Ok(fields)) if fields.end(status, line.minor).is_some() => {
                Ok(Step::Decline(Reason::Refused(line.refusal())))
            }
            // Where the body ends cannot be told.
            _ => Err(Error::Closing(line.refusal())),
        }
    }

    fn awaiting(&self) -> &'static str {
        "OPTIONS"
    }
}

/// How much of a body is passed over.
fn rest(response: &[u8]) -> u32 {
    let line = StatusLine::of(response).ok().filter(|line| line.status >= 200);
    line.zip(Fields::of(response).ok()).and_then(|(line, fields)| fields.end(line.status, line.minor)).unwrap_or(0)
}

/// What the fields of a response say.
#[derive(Default)]
struct Fields {
    /// Whether TLS, of any version, is what the server upgrades to.
    tls: bool,
    length: Option<u32>,
    /// Whether the body ends with the connection, or with its last chunk.
    endless: bool,
}

impl Fields {
    fn of(response: &[u8]) -> Result<Self, Error> {
        let mut known = Self::default();
        fields(response, |field| known.add(field.name, field.value))?;
        Ok(known)
    }

    fn add(&mut self, name: &str, value: &[u8]) -> Result<(), Error> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("Upgrade") {
            // No protocol is in quotes.
            self.tls |= !value.contains(&b'"') && elements(value).any(is_tls);
        } else if is("Transfer-Encoding") || is("Connection") && elements(value).any(is_close) {
            self.endless = true;
        } else if is("Content-Length") {
            let length = length(value).ok_or_else(|| Error::unexpected(value))?;
            if *self.length.get_or_insert(length) != length {
                return Err(Error::unexpected(value));
            }
        }
        Ok(())
    }

    /// Where the body ends, if that can be told (RFC 9112 §6.3) and is not too far away.
    fn end(&self, status: u16, minor: u8) -> Option<u32> {
        let length = if status == 204 { self.length.or(Some(0)) } else { self.length };
        length.filter(|length| *length <= LONGEST_BODY && minor == 1 && !self.endless)
    }
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
