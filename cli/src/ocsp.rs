//! What an OCSP staple says (RFC 6960 §4.2.1).
//!
//! ```text
//! OCSPResponse ::= SEQUENCE { ENUMERATED, [0] { SEQUENCE { OID, OCTET STRING } } }
//!     holds a BasicOCSPResponse ::= SEQUENCE { ResponseData, … }
//! ResponseData ::= SEQUENCE { [0] version OPTIONAL, responderID, GeneralizedTime, SEQUENCE OF SingleResponse, … }
//! SingleResponse ::= SEQUENCE { CertID, certStatus, … }
//! CertID ::= SEQUENCE { hashAlgorithm, OCTET STRING, OCTET STRING, INTEGER }
//! ```

use std::iter;

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
    let basic = parts(parts(response).nth(1)?.data).nth(1)?;
    let data = parts(basic.data).next()?;
    // The version is seldom there, and the list is the first sequence.
    let list = inside(&data).find(|part| part.tag() == Tag::Sequence && part.class() == Class::Universal)?;
    inside(&list).find_map(|single| {
        let mut single = inside(&single);
        let (id, status) = (single.next()?, single.next()?);
        (Some(&*HEXLOWER.encode(inside(&id).last()?.data)) == serial).then_some(())?;
        match (status.class(), status.tag().0) {
            (Class::ContextSpecific, 0) => Some(Status::Good),
            (Class::ContextSpecific, 1) => Some(Status::Revoked),
            (Class::ContextSpecific, 2) => Some(Status::Unknown),
            _ => None,
        }
    })
}

/// The parts of the one value that `bytes` hold.
fn parts(bytes: &[u8]) -> impl Iterator<Item = Any<'_>> {
    Any::from_der(bytes).ok().into_iter().flat_map(|(_, value)| values(value.data))
}

fn inside<'a>(value: &Any<'a>) -> impl Iterator<Item = Any<'a>> + use<'a> {
    values(value.data)
}

/// One value behind the other, read as they are needed, up to one that cannot be.
fn values(mut bytes: &[u8]) -> impl Iterator<Item = Any<'_>> {
    iter::from_fn(move || {
        let (behind, value) = Any::from_der(bytes).ok()?;
        bytes = behind;
        Some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made with `openssl ocsp`, for serial numbers of which DER keeps the sign.
    const GOOD: &[u8] = include_bytes!("../tests/ocsp/good.der");
    const REVOKED: &[u8] = include_bytes!("../tests/ocsp/revoked.der");
    const UNKNOWN: &[u8] = include_bytes!("../tests/ocsp/unknown.der");

    #[test]
    fn the_status_is_that_of_the_certificate() {
        for (response, serial, status) in [
            (GOOD, "00cafe", Some(Status::Good)),
            (REVOKED, "00beef", Some(Status::Revoked)),
            (UNKNOWN, "00abba", Some(Status::Unknown)),
            (GOOD, "cafe", None),
            (GOOD, "00beef", None),
        ] {
            assert_eq!(Staple::new(response, Some(serial)), Staple { bytes: response.len(), status }, "{serial}");
        }
        assert_eq!(Staple::new(GOOD, None).status, None);
    }

    #[test]
    fn what_is_no_response_tells_nothing() {
        for end in 0..GOOD.len() {
            assert_eq!(Staple::new(&GOOD[..end], Some("00cafe")).status, None, "{end}");
        }
        // The responder could not tell: there is only an error.
        assert_eq!(Staple::new(&[0x30, 3, 0x0a, 1, 6], Some("00cafe")).status, None);
    }
}
