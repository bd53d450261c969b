//! LDAP (RFC 4511 §4.14).

use bytes::Bytes;

use crate::wire::ber::{self, element, optional};
use crate::{Code, Dialogue, Error, Frame, Part, Reason, Reply, Step, Text};

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
///
/// # The dialogue
///
/// ```text
/// C: LDAPMessage { messageID 1, ExtendedRequest  { requestName 1.3.6.1.4.1.1466.20037 } }
/// S: LDAPMessage { messageID 1, ExtendedResponse { resultCode success, matchedDN "", diagnosticMessage "" } }
/// ```
///
/// A response of success may have a responseName, which then is that of the request, but no responseValue (§4.14.2) and no
/// referral (§4.1.9). Behind what this specification knows others may follow, which are ignored (§4). Lengths may have any
/// form of BER's that is definite (§5.1): Active Directory pads its own to four bytes.
///
/// Before the response the server may send unsolicited notifications, whose messageID is 0 (§4.4). The Notice of
/// Disconnection (§4.4.1) ends the session; others are passed over.
///
/// # After TLS
///
/// The client speaks first, and drops what it learned of the server before (RFC 4513 §3.1.5). Message ids go on
/// being unique among the requests outstanding, so 1 may be used again.
///
/// # Example
///
/// ```
/// use starttls::{Negotiation, protocol::Ldap};
///
/// let mut negotiation = Negotiation::required(Ldap::new());
/// assert_eq!(negotiation.poll_transmit().unwrap(), b"0\x1d\x02\x01\x01w\x18\x80\x161.3.6.1.4.1.1466.20037"[..]);
/// negotiation.handle_input(b"0\x0c\x02\x01\x01x\x07\n\x01\x00\x04\x00\x04\x00")?;
/// let upgrade: starttls::Upgrade = negotiation.finish()?;
/// # let _ = upgrade;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Ldap(());

impl Ldap {
    /// A client: nothing has to be known about it.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Dialogue for Ldap {
    fn open(&mut self) -> Step {
        Step::Send(Bytes::from_static(REQUEST))
    }

    fn frame(&self, begun: &[u8], _: Part<'_>) -> Frame {
        ber::frame(begun, SEQUENCE)
    }

    fn receive(&mut self, message: &[u8]) -> Result<Step, Error> {
        let response = Response::parse(message).ok_or_else(|| Error::unexpected(message))?;
        match (response.id, response.name, response.code) {
            (1, None | Some(STARTTLS), 0) if response.is_success => Ok(Step::Upgrade),
            (1, _, 1..) => Ok(Step::Decline(Reason::Refused(response.refusal()))),
            (0, Some(NOTICE_OF_DISCONNECTION), _) | (0, None, 1..) => Err(Error::Closing(response.refusal())),
            (0, Some([_, ..]), _) => Ok(Step::Unasked),
            _ => Err(Error::unexpected(message)),
        }
    }

    /// Unsolicited notifications (RFC 4511 §4.4).
    fn speaks_unasked(&self) -> bool {
        true
    }

    fn awaiting(&self) -> &'static str {
        "StartTLS"
    }
}

/// What matters of an ExtendedResponse (RFC 4511 appendix B).
struct Response<'a> {
    id: u8,
    code: u32,
    /// Whether it has all that a response of success must have, and nothing that it must not.
    is_success: bool,
    diagnostic: &'a [u8],
    name: Option<&'a [u8]>,
}

impl<'a> Response<'a> {
    fn parse(message: &'a [u8]) -> Option<Self> {
        let (message, []) = element(message, SEQUENCE)? else { return None };
        let ([id], message) = element(message, INTEGER)? else { return None };
        let (response, mut rest) = element(message, EXTENDED_RESPONSE)?;
        let (code, mut response) = element(response, ENUMERATED)?;
        let _matched_dn = optional(&mut response, OCTET_STRING);
        let diagnostic = optional(&mut response, OCTET_STRING);
        let referral = optional(&mut response, REFERRAL);
        let name = optional(&mut response, RESPONSE_NAME);
        let controls = optional(&mut rest, CONTROLS).unwrap_or_default();
        let is_success = code == [0]
            && diagnostic.is_some()
            && referral.is_none()
            && ber::are_others(response, &[ENUMERATED, OCTET_STRING, REFERRAL, RESPONSE_NAME, RESPONSE_VALUE])
            && ber::are(controls, SEQUENCE, is_control)
            && ber::are_others(rest, &[INTEGER, EXTENDED_RESPONSE, CONTROLS]);
        let (1..=4, code) = (code.len(), code.iter().fold(0, |code, byte| code << 8 | u32::from(*byte))) else {
            return None;
        };
        Some(Self { id: *id, code, is_success, diagnostic: diagnostic.unwrap_or_default(), name })
    }

    fn refusal(&self) -> Reply {
        Reply {
            code: Code::Named(self.code, result(self.code)),
            text: Text::new(self.diagnostic),
            temporary: matches!(self.code, 51 | 52),
        }
    }
}

/// Whether this is a control (RFC 4511 §4.1.11): its type, and what else there may be.
fn is_control(control: &[u8]) -> bool {
    element(control, OCTET_STRING).is_some_and(|(_, rest)| ber::are_others(rest, &[]))
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
