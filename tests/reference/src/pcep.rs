//! PCEP: RFC 5440 §6.1 (header), §7.15 (PCEP-ERROR), RFC 8253 §3.
//!
//! - A message has a version in three bits, which is 1, a type, and a length that counts its header of four bytes.
//! - StartTLS, type 13, has nothing more, and is yes. Open, type 1, ends the session; its length is a multiple of four, of more than
//!   a header. PCErr, type 6, does so too, but for 25/4, which refuses, and so does Close, type 7. Theirs may be any length.
//! - The error object may begin a PCErr: class 13, type 1 in four bits, length, two bytes that are ignored, the type and value.

use arbitrary::Unstructured;
use starttls::protocol::Client;

use crate::talk::{End, Outcome, Talk};

pub(crate) fn dialogue(talk: &mut Talk<'_>) -> Outcome {
    talk.say(b"\x20\x0d\x00\x04")?;
    let header = talk.bytes(4)?;
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let kind = header[1];
    if header[0] >> 5 != 1 {
        return Err(End::Unexpected);
    }
    match (kind, length) {
        (13, 4) => return Ok(()),
        (1, 8..) if length % 4 == 0 => {}
        (6 | 7, 4..) => {}
        _ => return Err(End::Unexpected),
    }
    let body = talk.bytes(length - 4)?;
    if kind != 6 {
        return Err(End::closing(if kind == 1 { "Open" } else { "Close" }));
    }
    let [13, 0x10..=0x1f, _, _, _, _, kind, value, ..] = body[..] else { return Err(End::closing("PCErr")) };
    match (kind, value) {
        (25, 4) => Err(End::refused("25 PCEP StartTLS failure")),
        (25, _) => Err(End::closing("25 PCEP StartTLS failure")),
        (1, _) => Err(End::closing("1 PCEP session establishment failure")),
        _ => Err(End::closing(&format!("{kind} PCErr"))),
    }
}

pub(crate) fn legal(_: Client<'_>, choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    Ok(vec![vec![0x20 | choice.int_in_range(0..=31)?, 13, 0, 4]])
}
