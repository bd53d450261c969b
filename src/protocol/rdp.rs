//! RDP (MS-RDPBCGR §2.2.1.1, §2.2.1.2, §5.4.2.1; X.224 §13; T.123 §8).

use bytes::Bytes;

use crate::wire::packet;
use crate::{Code, Dialogue, Error, Findings, Frame, Part, Reason, Reply, Step, Text};

const SSL: u32 = 1;
const HYBRID: u32 = 2;

const RESPONSE: u8 = 2;
const FAILURE: u8 = 3;

/// The codes of X.224.
const CONNECTION_CONFIRM: u8 = 0xd0;
const DISCONNECT_REQUEST: u8 = 0x80;

/// The dialogue of an RDP client.
///
/// A failure (RDP_NEG_FAILURE) is a refusal by its name, and a disconnect request ends the session ([`Error::Closing`]). No
/// negotiation in the answer, or PROTOCOL_RDP selected, is [`Reason::NotAdvertised`].
///
/// # The dialogue
///
/// ```text
/// C: 03 00 0013   0e e0 0000 0000 00   01 00 0800 03000000      (RDP_NEG_REQ: PROTOCOL_SSL, PROTOCOL_HYBRID)
/// S: 03 00 0013   0e d0 0000 1234 00   02 00 0800 01000000      (RDP_NEG_RSP: the protocol selected)
/// ```
///
/// Each packet has a TPKT header with its length, and an X.224 connection request or confirm with the negotiation behind
/// it. A confirm without one is from a server that knows no TLS, as is the selection of 0, PROTOCOL_RDP.
///
/// # After TLS
///
/// TLS begins in the same way whichever protocol is selected. The client speaks first: with the MCS Connect Initial PDU under PROTOCOL_SSL; with CredSSP, which has the user authenticated in the network's name, under
/// PROTOCOL_HYBRID ([`Rdp::selected`]). The client says the selected protocol again in there (§2.2.1.3.2), which is how a
/// server notices that someone on the path has changed it.
///
/// # Example
///
/// ```
/// use starttls::{Negotiation, protocol::Rdp};
///
/// let mut negotiation = Negotiation::required(Rdp::new());
/// assert_eq!(negotiation.poll_transmit().unwrap(), b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00"[..]);
/// negotiation.handle_input(b"\x03\x00\x00\x13\x0e\xd0\x00\x00\x124\x00\x02\x01\x08\x00\x01\x00\x00\x00")?;
/// let upgrade: starttls::Upgrade = negotiation.finish()?;
/// # let _ = upgrade;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Rdp {
    request: &'static [u8],
    requested: u32,
    selected: Option<u32>,
    advertised: Option<bool>,
}

impl Rdp {
    /// A client that speaks CredSSP within TLS if the server wants it, as Windows does by default.
    pub fn new() -> Self {
        Self::with(SSL | HYBRID, b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00")
    }

    /// A client that cannot speak CredSSP. A server that insists on it refuses with HYBRID_REQUIRED_BY_SERVER.
    pub fn without_credssp() -> Self {
        Self::with(SSL, b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x01\x00\x00\x00")
    }

    fn with(requested: u32, request: &'static [u8]) -> Self {
        Self { request, requested, selected: None, advertised: None }
    }

    /// The protocol that the server selected, once it has: 1, PROTOCOL_SSL, or 2, PROTOCOL_HYBRID.
    pub fn selected(&self) -> Option<u32> {
        self.selected
    }
}

impl Default for Rdp {
    fn default() -> Self {
        Self::new()
    }
}

impl Dialogue for Rdp {
    fn open(&mut self) -> Step {
        Step::Send(Bytes::from_static(self.request))
    }

    fn frame(&self, begun: &[u8], _: Part<'_>) -> Frame {
        packet::frame(begun, length)
    }

    fn receive(&mut self, confirm: &[u8]) -> Result<Step, Error> {
        if let [_, _, _, _, _, DISCONNECT_REQUEST, _, _, _, _, reason, ..] = confirm {
            return Err(Error::Closing(reply((*reason).into(), "X.224 Disconnect Request")));
        }
        let (kind, value) = negotiation(confirm).ok_or_else(|| Error::unexpected(confirm))?;
        self.advertised = Some(kind == RESPONSE && value != 0);
        match (kind, value) {
            (RESPONSE, 0) => Ok(Step::Decline(Reason::NotAdvertised)),
            (RESPONSE, SSL | HYBRID) if value & self.requested != 0 => {
                self.selected = Some(value);
                Ok(Step::Upgrade)
            }
            (FAILURE, _) => Ok(Step::Decline(Reason::Refused(refusal(value)))),
            _ => Err(Error::unexpected(confirm)),
        }
    }

    fn awaiting(&self) -> &'static str {
        "X.224 Connection Request"
    }

    fn advertised(&self) -> Option<bool> {
        self.advertised
    }

    fn findings(&self) -> Option<Findings<'_>> {
        self.selected.map(|selected| Findings::Rdp { selected })
    }
}

/// How much stands behind the TPKT header of a connection confirm.
fn length(header: &[u8; 4]) -> Option<u32> {
    let [3, _, 0, length @ (11 | 19)] = *header else { return None };
    Some(u32::from(length) - 4)
}

/// What kind of negotiation a connection confirm has, and its value. None at all is the selection of 0.
fn negotiation(confirm: &[u8]) -> Option<(u8, u32)> {
    match confirm {
        // Behind the TPKT header, X.224: the length of what follows, the code, two references, the class.
        [_, _, _, _, 6, CONNECTION_CONFIRM, _, _, _, _, 0] => Some((RESPONSE, 0)),
        [_, _, _, _, 14, CONNECTION_CONFIRM, _, _, _, _, 0, RESPONSE, _, 8, 0, value @ ..]
        | [_, _, _, _, _, CONNECTION_CONFIRM, _, _, _, _, _, FAILURE, _, _, _, value @ ..] => {
            Some((confirm[11], u32::from_le_bytes(value.try_into().ok()?)))
        }
        _ => None,
    }
}

/// MS-RDPBCGR §2.2.1.2.2.
fn refusal(code: u32) -> Reply {
    let name = match code {
        1 => "SSL_REQUIRED_BY_SERVER",
        2 => "SSL_NOT_ALLOWED_BY_SERVER",
        3 => "SSL_CERT_NOT_ON_SERVER",
        4 => "INCONSISTENT_FLAGS",
        5 => "HYBRID_REQUIRED_BY_SERVER",
        6 => "SSL_WITH_USER_AUTH_REQUIRED_BY_SERVER",
        7 => "ENTRA_AUTH_REQUIRED_BY_SERVER",
        _ => "unknown",
    };
    reply(code, name)
}

fn reply(code: u32, name: &'static str) -> Reply {
    Reply { code: Code::Named(code, name), text: Text::new(b""), temporary: false }
}
