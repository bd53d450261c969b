//! HTTP CONNECT (RFC 9110 §9.3.6), with Basic credentials (RFC 7617) or without.
//!
//! ```text
//! C: CONNECT mail.example:25 HTTP/1.1
//! C: Host: mail.example:25
//! C: Proxy-Authorization: Basic dXNlcjpwYXNz    (if credentials were given)
//! C:
//! S: HTTP/1.1 200 Connection established         (any 2xx, of HTTP/1.0 too; its fields do not matter)
//! S:
//! ```
//!
//! Interim responses are passed over. What stands behind the empty line is the server's.

use alloc::format;
use alloc::string::String;
use core::net::IpAddr;

use bytes::Bytes;

use super::{Leg, Preface, Target};
use crate::protocol::check;
use crate::wire::http::{StatusLine, head_frame};
use crate::{Error, Frame, InvalidName, Part};

/// A proxy that is asked to CONNECT. Any other status than 2xx is [`Error::Proxy`], 407 for want of credentials too.
#[derive(Debug)]
pub struct Connect {
    authority: String,
    credentials: Option<String>,
}

impl Connect {
    /// By way of an HTTP proxy to a host, a name or an address, and its port.
    ///
    /// # Errors
    /// [`InvalidName`] for a name with other characters than a host has.
    pub fn new(host: &str, port: u16) -> Result<Self, InvalidName> {
        let authority = match Target::new(host)? {
            Target::Address(IpAddr::V6(address)) => format!("[{address}]:{port}"),
            Target::Address(address) => format!("{address}:{port}"),
            Target::Name(name) => format!("{name}:{port}"),
        };
        Ok(Self { authority, credentials: None })
    }

    /// Sends these credentials along. They go to the proxy in the clear.
    ///
    /// # Errors
    /// [`InvalidName`] for control characters, and for a colon in the user's name (RFC 7617 §2).
    pub fn credentials(self, user: &str, password: &str) -> Result<Self, InvalidName> {
        let (most, allowed) = (255, "anything but control characters, nor colons in a user's name");
        let user = check("the user of a proxy", most, allowed, |byte| !byte.is_ascii_control() && byte != b':', user)?;
        let password = check("the password for a proxy", most, allowed, |byte| !byte.is_ascii_control(), password)?;
        let credentials = base64(format!("{user}:{password}").as_bytes());
        Ok(Self { credentials: Some(credentials), ..self })
    }
}

/// RFC 4648 §4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |chunk: &[u8]| {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | usize::from(chunk.get(at).copied().unwrap_or(0)));
        let digits = chunk.len() + 1;
        let digit = move |at| if at < digits { ALPHABET[bits >> (18 - 6 * at) & 63] as char } else { '=' };
        (0..4).map(digit)
    };
    bytes.chunks(3).flat_map(group).collect()
}

impl Preface for Connect {
    fn open(&mut self) -> Leg {
        let authorization = match &self.credentials {
            Some(credentials) => format!("Proxy-Authorization: Basic {credentials}\r\n"),
            None => String::new(),
        };
        let authority = &self.authority;
        Leg::Send(Bytes::from(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{authorization}\r\n")))
    }

    fn frame(&self, begun: &[u8], last: Part<'_>) -> Frame {
        head_frame(begun, last)
    }

    fn receive(&mut self, response: &[u8]) -> Result<Leg, Error> {
        let line = StatusLine::of(response)?;
        match line.status {
            _ if line.is_interim() => Ok(Leg::Next),
            200..=299 => Ok(Leg::Through(Bytes::new())),
            _ => Err(Error::Proxy(line.refusal())),
        }
    }

    fn awaiting(&self) -> &'static str {
        "CONNECT"
    }
}
