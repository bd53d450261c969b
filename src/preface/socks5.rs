//! SOCKS5 (RFC 1928), without authentication or with a user's name and password (RFC 1929).
//!
//! ```text
//! C: 05 01 00                       (05 02 00 02 if credentials were given)
//! S: 05 00                          (05 02: the proxy wants them)
//! C: 01 04 "user" 04 "pass"         (only then)
//! S: 01 00
//! C: 05 01 00 03 0c "mail.example" 00 19
//! S: 05 00 00 01 00 00 00 00 00 00
//! ```
//!
//! The name is resolved by the proxy. What stands behind its last reply is the server's.

use alloc::vec::Vec;
use core::net::IpAddr;

use bytes::Bytes;

use super::{Leg, Preface, Target};
use crate::protocol::check;
use crate::{Code, Error, Frame, InvalidName, Part, Reply, Text};

/// A proxy that speaks SOCKS5. A reply other than success is [`Error::Proxy`], with the name of RFC 1928 §6.
#[derive(Debug)]
pub struct Socks5 {
    authentication: Option<Bytes>,
    request: Bytes,
    awaiting: Awaiting,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Awaiting {
    Method,
    Authentication,
    Reply,
}

const NO_AUTHENTICATION: u8 = 0;
const PASSWORD: u8 = 2;
const NO_METHOD: u8 = 0xff;

impl Socks5 {
    /// By way of a SOCKS5 proxy to a host, a name or an address, and its port.
    ///
    /// # Errors
    /// [`InvalidName`] for a name with other characters than a host has.
    pub fn new(host: &str, port: u16) -> Result<Self, InvalidName> {
        let mut request = Vec::from([5, 1, 0]);
        match Target::new(host)? {
            Target::Address(IpAddr::V4(address)) => {
                request.push(1);
                request.extend(address.octets());
            }
            Target::Address(IpAddr::V6(address)) => {
                request.push(4);
                request.extend(address.octets());
            }
            Target::Name(name) => {
                request.push(3);
                prefixed(&mut request, name);
            }
        }
        request.extend(port.to_be_bytes());
        let request = Bytes::from(request);
        Ok(Self { authentication: None, request, awaiting: Awaiting::Method })
    }

    /// Offers these credentials. They go to the proxy in the clear.
    ///
    /// # Errors
    /// [`InvalidName`] for control characters.
    pub fn credentials(self, user: &str, password: &str) -> Result<Self, InvalidName> {
        let (most, allowed) = (255, "anything but control characters");
        let is_allowed = |byte: u8| !byte.is_ascii_control();
        let mut request = Vec::from([1]);
        prefixed(&mut request, check("the user of a proxy", most, allowed, is_allowed, user)?);
        prefixed(&mut request, check("the password for a proxy", most, allowed, is_allowed, password)?);
        Ok(Self { authentication: Some(Bytes::from(request)), ..self })
    }

    fn send_request(&mut self) -> Leg {
        self.awaiting = Awaiting::Reply;
        Leg::Send(core::mem::take(&mut self.request))
    }
}

fn prefixed(request: &mut Vec<u8>, text: &str) {
    // `check` has bounded it.
    request.push(text.len() as u8);
    request.extend(text.as_bytes());
}

fn refused(code: u8, meaning: &'static str) -> Error {
    // RFC 1928 §6 has no notion of a later attempt.
    Error::Proxy(Reply { code: Code::Named(code.into(), meaning), text: Text::new(b""), temporary: false })
}

/// RFC 1928 §6.
fn meaning(code: u8) -> &'static str {
    match code {
        1 => "general failure",
        2 => "not allowed by the ruleset",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "TTL expired",
        7 => "command not supported",
        8 => "address type not supported",
        _ => "unassigned",
    }
}

impl Preface for Socks5 {
    fn open(&mut self) -> Leg {
        Leg::Send(Bytes::from_static(match self.authentication {
            None => &[5, 1, NO_AUTHENTICATION],
            Some(_) => &[5, 2, NO_AUTHENTICATION, PASSWORD],
        }))
    }

    fn frame(&self, begun: &[u8], _: Part<'_>) -> Frame {
        match (self.awaiting, begun) {
            (_, []) => Frame::Exactly(1),
            (Awaiting::Method | Awaiting::Reply, [5]) | (Awaiting::Authentication, [1]) => Frame::Exactly(1),
            // The address that the proxy connects from, which does not matter, and a port.
            (Awaiting::Reply, [5, 0] | [5, 0, 0] | [5, 0, 0, 3]) => Frame::Exactly(1),
            (Awaiting::Reply, [5, 0, 0, 1]) => Frame::Exactly(4 + 2),
            (Awaiting::Reply, [5, 0, 0, 4]) => Frame::Exactly(16 + 2),
            (Awaiting::Reply, [5, 0, 0, 3, length]) => Frame::Exactly(u32::from(*length) + 2),
            (_, [_]) | (Awaiting::Reply, [5, 0, _] | [5, 0, _, _]) => Frame::Unexpected,
            _ => Frame::Whole,
        }
    }

    fn receive(&mut self, reply: &[u8]) -> Result<Leg, Error> {
        match (self.awaiting, reply) {
            (Awaiting::Method, [5, NO_AUTHENTICATION]) | (Awaiting::Authentication, [1, 0]) => Ok(self.send_request()),
            (Awaiting::Method, [5, PASSWORD]) => {
                self.awaiting = Awaiting::Authentication;
                self.authentication.take().map(Leg::Send).ok_or_else(|| Error::unexpected(reply))
            }
            (Awaiting::Method, [5, NO_METHOD]) => Err(refused(NO_METHOD, "no acceptable method of authentication")),
            (Awaiting::Authentication, [1, status]) => Err(refused(*status, "authentication failed")),
            (Awaiting::Reply, [5, 0, 0, 1 | 3 | 4, _, _, _, ..]) => Ok(Leg::Through(Bytes::new())),
            (Awaiting::Reply, [5, code @ 1..=0xff]) => Err(refused(*code, meaning(*code))),
            _ => Err(Error::unexpected(reply)),
        }
    }

    fn awaiting(&self) -> &'static str {
        match self.awaiting {
            Awaiting::Method => "SOCKS5 method",
            Awaiting::Authentication => "SOCKS5 authentication",
            Awaiting::Reply => "SOCKS5 CONNECT",
        }
    }
}
