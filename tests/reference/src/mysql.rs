//! MySQL: Protocol::HandshakeV10, Protocol::SSLRequest, ERR_Packet.
//!
//! - The greeting is one packet, number 0. It begins with 10, then a version that NUL ends, 4 bytes of thread id, 8 of the
//!   challenge, a filler, and the lower half of the capabilities. TLS wants two of those: 0x0200 and 0x0800.
//! - An error in its place, which begins with 255 and a number, ends the session. Its packet may have any number.

use arbitrary::Unstructured;
use starttls::protocol::Client;

use crate::talk::{End, Outcome, Talk};

/// Without two of the capabilities, which the server's decide: CLIENT_SECURE_CONNECTION, 0x8000, and CLIENT_PLUGIN_AUTH,
/// 0x80000.
const REQUEST: &[u8] = b"\x20\0\0\x01\x01\x0a\0\0\0\0\0\x01\x2d\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

pub(crate) fn dialogue(talk: &mut Talk<'_>) -> Outcome {
    let header = talk.bytes(4)?;
    let length = usize::from(header[0]) | usize::from(header[1]) << 8 | usize::from(header[2]) << 16;
    if length == 0 {
        return Err(End::Unexpected);
    }
    let kind = talk.byte()?;
    if kind != 255 && (kind != 10 || header[3] != 0) {
        return Err(End::Unexpected);
    }
    let packet = talk.bytes(length - 1)?;
    if kind == 255 {
        let Some(number) = packet.get(..2) else { return Err(End::Unexpected) };
        let number = u16::from_le_bytes([number[0], number[1]]);
        let name = match number {
            1040 => " ER_CON_COUNT_ERROR",
            1042 => " ER_BAD_HOST_ERROR",
            1043 => " ER_HANDSHAKE_ERROR",
            1053 => " ER_SERVER_SHUTDOWN",
            1129 => " ER_HOST_IS_BLOCKED",
            1130 => " ER_HOST_NOT_PRIVILEGED",
            1135 => " ER_CANT_CREATE_THREAD",
            1203 => " ER_TOO_MANY_USER_CONNECTIONS",
            _ => "",
        };
        let temporary = [1040, 1053, 1135, 1203].contains(&number);
        let digits = if name.is_empty() { 3 } else { 0 };
        return Err(End::Closing { code: format!("{number:0digits$}{name}"), temporary });
    }
    let end = packet.iter().position(|byte| *byte == 0).ok_or(End::Unexpected)?;
    let Some(capabilities) = packet.get(end + 14..end + 16) else { return Err(End::Unexpected) };
    let listed = capabilities[1] & 0x0a == 0x0a;
    talk.advertised = Some(listed);
    if !listed && !talk.client.options.insist {
        return Err(End::NotAdvertised);
    }
    let mut request = REQUEST.to_vec();
    request[5] |= capabilities[1] & 0x80;
    // Their upper half stands behind the character set and the status, in a part of 16 bytes that old servers lack.
    request[6] |= packet.get(end + 16..end + 32).map_or(0, |part| part[3]) & 0x08;
    talk.say(request)
}

pub(crate) fn legal(_: Client<'_>, choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    let mut packet =
        choice.choose(&[&b"\x0a8.0.36\0"[..], b"\x0a5.5.5-10.11.19-MariaDB-0+deb12u1\0", b"\x0a\0"])?.to_vec();
    for _ in 0..13 {
        packet.push(choice.arbitrary()?);
    }
    packet.extend([choice.arbitrary()?, choice.arbitrary::<u8>()? | 0x0a]);
    for _ in 0..choice.int_in_range(0..=20)? {
        packet.push(choice.arbitrary()?);
    }
    Ok(vec![[&[packet.len() as u8, 0, 0, 0][..], &packet].concat()])
}
