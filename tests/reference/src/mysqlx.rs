//! MySQL X Protocol: "Messages", "Connection", "Notices"; protobuf's encoding.
//!
//! - A message is a length, 4 bytes with the lowest first, that counts what follows: a type, and protobuf. Ok is 0, Error 1,
//!   Notice 11, which is passed over; there is no other.
//! - An Error has a severity (1, fatal if it is 1), a code (2) and a text (3). Fatal ones end the session, the others refuse.

use arbitrary::Unstructured;
use starttls::protocol::Client;

use crate::talk::{End, Outcome, Talk};

pub(crate) fn dialogue(talk: &mut Talk<'_>) -> Outcome {
    talk.ask(b"\x14\0\0\0\x02\x0a\x11\x0a\x0f\x0a\x03tls\x12\x08\x08\x01\x12\x04\x08\x07\x40\x01")?;
    loop {
        let header = talk.bytes(5)?;
        let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        if length == 0 || ![0, 1, 11].contains(&header[4]) {
            return Err(End::Unexpected);
        }
        let message = talk.bytes(length as usize - 1)?;
        match header[4] {
            0 => return Ok(()),
            1 => return Err(error(&message)),
            _ => talk.pass(),
        }
    }
}

fn error(mut message: &[u8]) -> End {
    let (mut fatal, mut number) = (false, None);
    while let (Some(key), Some(value)) = (varint(&mut message), varint(&mut message)) {
        match (key >> 3, key & 7) {
            (1, 0) => fatal = value == 1,
            (2, 0) => number = Some(u32::try_from(value).unwrap_or(u32::MAX)),
            (_, 0) => {}
            (_, 2) => message = &message[message.len().min(usize::try_from(value).unwrap_or(usize::MAX))..],
            _ => break,
        }
    }
    let Some(number) = number else { return End::Unexpected };
    let name = match number {
        1040 => "ER_CON_COUNT_ERROR",
        1053 => "ER_SERVER_SHUTDOWN",
        5000 => "ER_X_BAD_MESSAGE",
        5001 => "ER_X_CAPABILITIES_PREPARE_FAILED",
        5002 => "ER_X_CAPABILITY_NOT_FOUND",
        _ => "error",
    };
    let (code, temporary) = (format!("{number} {name}"), [1040, 1053].contains(&number));
    if fatal { End::Closing { code, temporary } } else { End::Refused { code, temporary } }
}

/// A number of at most ten bytes, of which each has seven bits; those beyond 64 are lost.
fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for count in 0..10 {
        let byte = *message.get(count)?;
        number |= u64::from(byte & 0x7f).checked_shl(7 * count as u32).unwrap_or(0);
        if byte < 0x80 {
            *message = &message[count + 1..];
            return Some(number);
        }
    }
    None
}

pub(crate) fn legal(_: Client<'_>, choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    let mut turn = Vec::new();
    for _ in 0..choice.int_in_range(0..=3)? {
        let length: u8 = choice.int_in_range(1..=40)?;
        turn.extend([length, 0, 0, 0, 11]);
        for _ in 1..length {
            turn.push(choice.arbitrary()?);
        }
    }
    let text = *choice.choose(&[&b""[..], b"\x0a\x02ok"])?;
    turn.extend([1 + text.len() as u8, 0, 0, 0, 0]);
    turn.extend(text);
    Ok(vec![turn])
}
