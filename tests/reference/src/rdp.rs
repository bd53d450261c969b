//! RDP: MS-RDPBCGR §2.2.1.2 (connection confirm), T.123 §8 (TPKT), X.224 §13.
//!
//! - A packet is `03`, any byte, and a length of two bytes that counts these four: 11, or 19 with a negotiation.
//! - The confirm is its length less one, `d0`, two references of two bytes, and a class of 0.
//! - The negotiation is a type, flags, `0800`, and a value of four bytes, the lowest first. Type 2 selects: 0 is not to offer TLS,
//!   1 and 2 are TLS. Type 3 refuses, whatever the class and the length say.
//! - In place of the confirm, `80` is a disconnect request, whose reason takes the place of the class. It ends the session.

use arbitrary::Unstructured;
use starttls::protocol::Client;

use crate::talk::{End, Outcome, Talk};

pub(crate) fn dialogue(talk: &mut Talk<'_>) -> Outcome {
    talk.say(b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0")?;
    let header = talk.bytes(4)?;
    let length = match header[..] {
        [3, _, 0, length @ (11 | 19)] => usize::from(length),
        _ => return Err(End::Unexpected),
    };
    let confirm = talk.bytes(length - 4)?;
    if confirm[1] == 0x80 {
        return Err(End::closing(&format!("{} X.224 Disconnect Request", confirm[6])));
    }
    let exact = usize::from(confirm[0]) == confirm.len() - 1 && confirm[6] == 0;
    let (kind, value) = match confirm[7..] {
        _ if confirm[1] != 0xd0 => return Err(End::Unexpected),
        [] if exact => (2, 0),
        [2, _, 8, 0, a, b, c, d] if exact => (2, u32::from_le_bytes([a, b, c, d])),
        [3, _, _, _, a, b, c, d] => (3, u32::from_le_bytes([a, b, c, d])),
        _ => return Err(End::Unexpected),
    };
    talk.advertised = Some(kind == 2 && value != 0);
    let name = match value {
        1 => "SSL_REQUIRED_BY_SERVER",
        2 => "SSL_NOT_ALLOWED_BY_SERVER",
        3 => "SSL_CERT_NOT_ON_SERVER",
        4 => "INCONSISTENT_FLAGS",
        5 => "HYBRID_REQUIRED_BY_SERVER",
        6 => "SSL_WITH_USER_AUTH_REQUIRED_BY_SERVER",
        7 => "ENTRA_AUTH_REQUIRED_BY_SERVER",
        _ => "unknown",
    };
    match (kind, value) {
        (2, 0) => Err(End::NotAdvertised),
        (2, 1 | 2) => Ok(()),
        (3, _) => Err(End::refused(&format!("{value} {name}"))),
        _ => Err(End::Unexpected),
    }
}

pub(crate) fn legal(_: Client<'_>, choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    let [reserved, a, b, c, d, flags] = choice.arbitrary()?;
    let selected = *choice.choose(&[1, 2])?;
    Ok(vec![vec![3, reserved, 0, 19, 14, 0xd0, a, b, c, d, 0, 2, flags, 8, 0, selected, 0, 0, 0]])
}
