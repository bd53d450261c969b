//! Microsoft SQL Server: MS-TDS §2.2.3.1 (packet header), §2.2.6.5 (PRELOGIN), §2.2.7.10 (ERROR).
//!
//! - The reply is one packet: type 4, the last of its message, and a length that counts the header of 8 bytes.
//! - It begins with options of 5 bytes, up to one that begins with 255: a token, where its value is, and how long that is.
//!   Token 1 is ENCRYPTION, of one byte, and stands there once. Its value lies behind the options.
//! - 1 and 3 are yes, 0 and 2 refuse.
//! - In place of the options an error may stand: 170, a length of two bytes, a number of four, state and class, and the length of
//!   a text. It ends the session.

use arbitrary::Unstructured;
use starttls::protocol::Client;

use crate::talk::{End, Outcome, Talk};

const PRELOGIN: &[u8] = b"\x12\x01\0\x1a\0\0\0\0\0\0\x0b\0\x06\x01\0\x11\0\x01\xff\0\0\0\0\0\0\x01";

pub(crate) fn dialogue(talk: &mut Talk<'_>) -> Outcome {
    talk.say(PRELOGIN)?;
    let header = talk.bytes(8)?;
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header[..2] != [4, 1] || length <= 8 {
        return Err(End::Unexpected);
    }
    let body = talk.bytes(length - 8)?;
    if body[0] == 170 && body.len() >= 11 {
        let number = u32::from_le_bytes([body[3], body[4], body[5], body[6]]);
        return Err(End::closing(&format!("{number} error")));
    }
    let encryption = encryption(&body).ok_or(End::Unexpected)?;
    talk.advertised = Some(encryption != 2);
    match encryption {
        1 | 3 => Ok(()),
        0 => Err(End::refused("0 ENCRYPT_OFF")),
        2 => Err(End::refused("2 ENCRYPT_NOT_SUP")),
        _ => Err(End::Unexpected),
    }
}

fn encryption(body: &[u8]) -> Option<u8> {
    let mut options = Vec::new();
    while *body.get(options.len() * 5)? != 255 {
        options.push(body.get(options.len() * 5..options.len() * 5 + 5)?);
    }
    options.iter().filter(|option| option[0] == 1).count().eq(&1).then_some(())?;
    let option = options.iter().find(|option| option[0] == 1)?;
    let at = usize::from(u16::from_be_bytes([option[1], option[2]]));
    (option[3..] == [0, 1] && at > options.len() * 5).then(|| body.get(at).copied())?
}

pub(crate) fn legal(_: Client<'_>, choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    let others = choice.int_in_range(0..=4_u8)?;
    let before = choice.int_in_range(0..=others)?;
    let end = (others + 1) * 5;
    let padding = *choice.choose(&[0, 1, 9, 200_u8])?;
    let mut body = Vec::new();
    for other in 0..=others {
        let token = if other == before { 1 } else { *choice.choose(&[0, 2, 3, 4, 5, 6, 7])? };
        let at = if token == 1 { end + 1 + padding } else { choice.int_in_range(0..=60)? };
        body.extend([token, 0, at, 0, u8::from(token == 1)]);
    }
    body.push(255);
    body.extend(vec![0; padding.into()]);
    body.push(*choice.choose(&[1, 3])?);
    let [high, low] = (body.len() as u16 + 8).to_be_bytes();
    Ok(vec![[&[4, 1, high, low, choice.arbitrary()?, 0, 1, 0][..], &body].concat()])
}
