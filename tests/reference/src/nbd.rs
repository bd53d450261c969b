//! NBD: doc/proto.md, "Fixed newstyle negotiation", "Option reply types".
//!
//! - The greeting is `NBDMAGIC`, `IHAVEOPT` and flags of two bytes. Flag 1 is the fixed newstyle, without which there is no TLS;
//!   flag 2 is mirrored. In place of `IHAVEOPT` an old server has a magic number of its own, then 8 + 4 + 124 bytes.
//! - A reply is a magic number, the option, a type and a length. Acknowledged is 1, of length 0; errors have the highest bit,
//!   and a text of at most 4096 bytes, whatever their option. Error 7 ends the session.

use arbitrary::Unstructured;
use starttls::protocol::Client;

use crate::talk::{End, Outcome, Talk};

pub(crate) fn dialogue(talk: &mut Talk<'_>) -> Outcome {
    for letter in b"NBDMAGIC" {
        if talk.byte()? != *letter {
            return Err(End::Unexpected);
        }
    }
    let mut style = Vec::new();
    while style.len() < 8 {
        style.push(talk.byte()?);
        if !b"IHAVEOPT".starts_with(&style) && !b"\0\0\x42\x02\x81\x86\x12\x53".starts_with(&style) {
            return Err(End::Unexpected);
        }
    }
    if style != b"IHAVEOPT" {
        talk.bytes(8 + 4 + 124)?;
        talk.advertised = Some(false);
        return Err(End::NotAdvertised);
    }
    let flags = talk.bytes(2)?[1];
    if flags & 1 == 0 {
        talk.advertised = Some(false);
        return Err(End::NotAdvertised);
    }
    talk.say([&[0, 0, 0, 1 | flags & 2][..], b"IHAVEOPT\0\0\0\x05\0\0\0\0"].concat())?;
    let magic = talk.bytes(8)?;
    let [option, kind, length] = [talk.u32()?, talk.u32()?, talk.u32()?];
    if magic != b"\0\x03\xe8\x89\x04\x55\x65\xa9" {
        return Err(End::Unexpected);
    }
    match (kind, length) {
        (1, 0) if option == 5 => return Ok(()),
        (0x8000_0000.., 0..=4096) => drop(talk.bytes(length)?),
        _ => return Err(End::Unexpected),
    }
    let name = match kind - 0x8000_0000 {
        1 => "NBD_REP_ERR_UNSUP",
        2 => "NBD_REP_ERR_POLICY",
        3 => "NBD_REP_ERR_INVALID",
        4 => "NBD_REP_ERR_PLATFORM",
        5 => "NBD_REP_ERR_TLS_REQD",
        6 => "NBD_REP_ERR_UNKNOWN",
        7 => return Err(End::closing(&format!("{kind} NBD_REP_ERR_SHUTDOWN"))),
        8 => "NBD_REP_ERR_BLOCK_SIZE_REQD",
        9 => "NBD_REP_ERR_TOO_BIG",
        _ => "unknown",
    };
    Err(End::refused(&format!("{kind} {name}")))
}

pub(crate) fn legal(_: Client<'_>, choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    let flags = [choice.arbitrary()?, choice.arbitrary::<u8>()? | 1];
    let reply = b"\0\x03\xe8\x89\x04\x55\x65\xa9\0\0\0\x05\0\0\0\x01\0\0\0\0";
    Ok(vec![[&b"NBDMAGICIHAVEOPT"[..], &flags].concat(), reply.to_vec()])
}
