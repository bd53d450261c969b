//! LDAP (RFC 4511 §4.14).
//!
//! ```text
//! C: LDAPMessage { messageID 1, ExtendedRequest  { requestName 1.3.6.1.4.1.1466.20037 } }
//! S: LDAPMessage { messageID 1, ExtendedResponse { resultCode success, matchedDN "", diagnosticMessage "" } }
//! ```
//!
//! The response may have a referral, a responseName (which then is that of the request, §4.14.2), a responseValue and
//! controls. Lengths may have any form of BER's that is definite (§5.1): Active Directory pads its own to four bytes.
//!
//! Before the response the server may send unsolicited notifications, whose messageID is 0 (§4.4). The Notice of
//! Disconnection (§4.4.1) ends the session; others are passed over.
//!
//! After TLS the client speaks first, and drops what it learned of the server before (RFC 4513 §3.1.5). Message ids go on
//! being unique among the requests outstanding, so 1 may be used again.

use bytes::Bytes;

use crate::wire::{Ber, Excerpt, Part};
use crate::{Code, Dialogue, Error, Reason, Reply, Step, Text};

/// SEQUENCE { INTEGER 1, [APPLICATION 23] { [0] "1.3.6.1.4.1.1466.20037" } }
const REQUEST: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";
const STARTTLS: &[u8] = b"1.3.6.1.4.1.1466.20037";
const NOTICE_OF_DISCONNECTION: &[u8] = b"1.3.6.1.4.1.1466.20036";

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const ENUMERATED: u8 = 0x0a;
const SEQUENCE: u8 = 0x30;
const EXTENDED_RESPONSE: u8 = 0x78;
const CONTROLS: u8 = 0xa0;
const REFERRAL: u8 = 0xa3;
const RESPONSE_NAME: u8 = 0x8a;
const RESPONSE_VALUE: u8 = 0x8b;

/// The dialogue of an LDAP client.
///
/// Every resultCode but success is a refusal, by the code's name; busy and unavailable are temporary. A Notice of
/// Disconnection ends the session ([`Error::Closing`]). The referral of a refusal is not kept: who wrote it is unknown.
#[derive(Debug, Default)]
pub struct Ldap {
    ber: Ber,
    field: Field,
    id: u8,
    code: Option<u32>,
    name: Excerpt<32>,
    diagnostic: Excerpt<200>,
    /// The beginning of the message as it came.
    message: Excerpt<64>,
}

/// Which element of the message began last.
#[derive(Clone, Copy, Debug, Default)]
enum Field {
    #[default]
    None,
    Message,
    Id,
    Response,
    Code,
    MatchedDn,
    Diagnostic,
    Referral,
    Name,
    Value,
    Controls,
}

impl Ldap {
    /// A client: nothing has to be known about it.
    pub fn new() -> Self {
        Self::default()
    }

    /// The element that begins, by the order of RFC 4511 appendix B.
    fn next(&self, tag: u8, depth: u8, length: u32) -> Option<Field> {
        Some(match (self.field, depth, tag) {
            (Field::None, 0, SEQUENCE) => Field::Message,
            (Field::Message, 1, INTEGER) if length == 1 => Field::Id,
            (Field::Id, 1, EXTENDED_RESPONSE) => Field::Response,
            (Field::Response, 2, ENUMERATED) if (1..=4).contains(&length) => Field::Code,
            (Field::Code, 2, OCTET_STRING) => Field::MatchedDn,
            (Field::MatchedDn, 2, OCTET_STRING) => Field::Diagnostic,
            (Field::Diagnostic, 2, REFERRAL) => Field::Referral,
            (Field::Referral, 3, OCTET_STRING) => Field::Referral,
            (Field::Diagnostic | Field::Referral, 2, RESPONSE_NAME) => Field::Name,
            (Field::Diagnostic | Field::Referral | Field::Name, 2, RESPONSE_VALUE) => Field::Value,
            (Field::Diagnostic | Field::Referral | Field::Name | Field::Value, 1, CONTROLS) => Field::Controls,
            (Field::Controls, 2, SEQUENCE) | (Field::Controls, 3, _) => Field::Controls,
            _ => return None,
        })
    }

    fn content(&mut self, byte: u8) -> Option<()> {
        match self.field {
            Field::Id if byte > 1 => return None,
            Field::Id => self.id = byte,
            // X.690 §8.3.2: no byte more than the number needs.
            Field::Code if self.code == Some(0) && byte < 0x80 => return None,
            Field::Code => self.code = Some(self.code.unwrap_or(0) << 8 | u32::from(byte)),
            Field::Diagnostic => self.diagnostic.push(byte),
            Field::Name => self.name.push(byte),
            _ => {}
        }
        Some(())
    }

    /// Takes a whole message.
    fn message(&mut self) -> Result<Step, Error> {
        let whole =
            matches!(self.field, Field::Diagnostic | Field::Referral | Field::Name | Field::Value | Field::Controls);
        let code = self.code.filter(|_| whole).ok_or_else(|| self.unexpected())?;
        match (self.id, self.name.as_bytes(), code) {
            (1, b"" | STARTTLS, 0) => Ok(Step::Upgrade),
            (1, b"" | STARTTLS, _) => Ok(Step::Decline(Reason::Refused(self.refusal(code)))),
            (0, NOTICE_OF_DISCONNECTION, _) => Err(Error::Closing(self.refusal(code))),
            (0, name, _) if !name.is_empty() => {
                *self = Self::new();
                Ok(Step::Next)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn refusal(&self, code: u32) -> Reply {
        Reply {
            code: Code::Named(code, result(code)),
            text: Text::new(self.diagnostic.as_bytes()),
            temporary: matches!(code, 51 | 52),
        }
    }

    fn unexpected(&self) -> Error {
        Error::Unexpected(Text::new(self.message.as_bytes()))
    }
}

impl Dialogue for Ldap {
    fn open(&mut self) -> Step {
        Step::Send(Bytes::from_static(REQUEST))
    }

    fn receive(&mut self, byte: u8) -> Result<Step, Error> {
        self.message.push(byte);
        let fits = match self.ber.push(byte) {
            Some(Part::More) => Some(()),
            Some(Part::Header { tag, depth, length }) => self.next(tag, depth, length).map(|field| self.field = field),
            Some(Part::Content) => self.content(byte),
            None => None,
        };
        fits.ok_or_else(|| self.unexpected())?;
        if self.ber.ended() { self.message() } else { Ok(Step::More) }
    }

    fn awaiting(&self) -> &'static str {
        "StartTLS"
    }

    fn advertised(&self) -> Option<bool> {
        None
    }
}

/// RFC 4511 §4.1.9.
fn result(code: u32) -> &'static str {
    match code {
        0 => "success",
        1 => "operationsError",
        2 => "protocolError",
        3 => "timeLimitExceeded",
        4 => "sizeLimitExceeded",
        5 => "compareFalse",
        6 => "compareTrue",
        7 => "authMethodNotSupported",
        8 => "strongerAuthRequired",
        10 => "referral",
        11 => "adminLimitExceeded",
        12 => "unavailableCriticalExtension",
        13 => "confidentialityRequired",
        14 => "saslBindInProgress",
        16 => "noSuchAttribute",
        17 => "undefinedAttributeType",
        18 => "inappropriateMatching",
        19 => "constraintViolation",
        20 => "attributeOrValueExists",
        21 => "invalidAttributeSyntax",
        32 => "noSuchObject",
        33 => "aliasProblem",
        34 => "invalidDNSyntax",
        36 => "aliasDereferencingProblem",
        48 => "inappropriateAuthentication",
        49 => "invalidCredentials",
        50 => "insufficientAccessRights",
        51 => "busy",
        52 => "unavailable",
        53 => "unwillingToPerform",
        54 => "loopDetect",
        64 => "namingViolation",
        65 => "objectClassViolation",
        66 => "notAllowedOnNonLeaf",
        67 => "notAllowedOnRDN",
        68 => "entryAlreadyExists",
        69 => "objectClassModsProhibited",
        71 => "affectsMultipleDSAs",
        80 => "other",
        _ => "unknown",
    }
}
