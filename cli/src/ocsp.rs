//! What an OCSP staple says (RFC 6960 §4.2.1).
//!
//! ```text
//! OCSPResponse ::= SEQUENCE { ENUMERATED, [0] { SEQUENCE { OID, OCTET STRING } } }
//!     holds a BasicOCSPResponse ::= SEQUENCE { ResponseData, … }
//! ResponseData ::= SEQUENCE { [0] version OPTIONAL, responderID, GeneralizedTime, SEQUENCE OF SingleResponse, … }
//! SingleResponse ::= SEQUENCE { CertID, certStatus, … }
//! CertID ::= SEQUENCE { hashAlgorithm, OCTET STRING, OCTET STRING, INTEGER }
//! ```

use data_encoding::HEXLOWER;
use serde::Serialize;
use x509_parser::asn1_rs::{Any, Class, FromDer, Tag};

/// A staple, as the server sent it: its signature is not verified.
#[derive(Debug, PartialEq, Serialize)]
pub struct Staple {
    pub bytes: usize,
    /// `None` if it does not tell of this certificate, or cannot be read.
    pub status: Option<Status>,
}

/// What the responder says of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Good,
    Revoked,
    Unknown,
}

impl Status {
    pub fn word(self) -> &'static str {
        match self {
            Status::Good => "good",
            Status::Revoked => "REVOKED",
            Status::Unknown => "unknown to its responder",
        }
    }
}

impl Staple {
    /// `serial` is that of the server's certificate, in hexadecimal.
    pub fn new(response: &[u8], serial: Option<&str>) -> Self {
        Self { bytes: response.len(), status: status(response, serial) }
    }
}

fn status(response: &[u8], serial: Option<&str>) -> Option<Status> {
    let response = parts(response)?;
    let basic = parts(parts(response.get(1)?.data)?.get(1)?.data)?;
    let data = inside(basic.first()?)?;
    // The version is seldom there, and the list is the first sequence.
    let list = data.iter().find(|part| part.tag() == Tag::Sequence && part.class() == Class::Universal)?;
    inside(list)?.iter().find_map(|single| {
        let single = inside(single)?;
        let [id, status, ..] = &single[..] else { return None };
        (Some(&*HEXLOWER.encode(inside(id)?.last()?.data)) == serial).then_some(())?;
        match (status.class(), status.tag().0) {
            (Class::ContextSpecific, 0) => Some(Status::Good),
            (Class::ContextSpecific, 1) => Some(Status::Revoked),
            (Class::ContextSpecific, 2) => Some(Status::Unknown),
            _ => None,
        }
    })
}

/// The parts of the one value that `bytes` hold.
fn parts(bytes: &[u8]) -> Option<Vec<Any<'_>>> {
    inside(&Any::from_der(bytes).ok()?.1)
}

fn inside<'a>(value: &Any<'a>) -> Option<Vec<Any<'a>>> {
    let mut rest = value.data;
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let (behind, part) = Any::from_der(rest).ok()?;
        parts.push(part);
        rest = behind;
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value in DER of fewer than 128 bytes.
    fn der(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
        let content = parts.concat();
        let length = u8::try_from(content.len()).unwrap();
        assert!(length < 128);
        [vec![tag, length], content].concat()
    }

    fn response(serial: u8, status: u8, version: bool) -> Vec<u8> {
        let id = der(0x30, &[der(0x30, &[]), der(0x04, &[vec![1]]), der(0x04, &[vec![2]]), der(0x02, &[vec![serial]])]);
        let other = der(0x30, &[der(0x30, &[der(0x02, &[vec![99]])]), vec![0x81, 0]]);
        let single = der(0x30, &[id, vec![status, 0]]);
        let responder = der(0xa2, &[der(0x04, &[vec![7; 20]])]);
        let time = der(0x18, &[b"20261124000000Z".to_vec()]);
        let version = if version { der(0xa0, &[der(0x02, &[vec![0]])]) } else { Vec::new() };
        let data = der(0x30, &[version, responder, time, der(0x30, &[other, single])]);
        let basic = der(0x30, &[data]);
        der(0x30, &[vec![0x0a, 1, 0], der(0xa0, &[der(0x30, &[der(0x06, &[vec![43]]), der(0x04, &[basic])])])])
    }

    #[test]
    fn the_status_is_that_of_the_certificate() {
        for (tag, status) in
            [(0x80, Some(Status::Good)), (0xa1, Some(Status::Revoked)), (0x82, Some(Status::Unknown)), (0x83, None)]
        {
            for version in [false, true] {
                let response = response(5, tag, version);
                assert_eq!(Staple::new(&response, Some("05")), Staple { bytes: response.len(), status });
                assert_eq!(Staple::new(&response, Some("06")).status, None);
            }
        }
    }

    #[test]
    fn what_is_no_response_tells_nothing() {
        let whole = response(5, 0x80, true);
        for end in 0..whole.len() {
            assert_eq!(Staple::new(&whole[..end], Some("05")).status, None, "{end}");
        }
        // The responder could not tell: there is only an error.
        assert_eq!(Staple::new(&[0x30, 3, 0x0a, 1, 6], Some("05")).status, None);
    }
}
