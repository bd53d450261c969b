//! VNC: rfbproto, "ProtocolVersion", "Security", "VeNCrypt".
//!
//! - The version is `RFB xxx.yyy`, in digits, and LF. TLS wants 3.7 or later.
//! - The security types are a count and a byte each, of which VeNCrypt is 19. A count of 0 has a reason behind it, with its
//!   length in four bytes, and ends the session.
//! - VeNCrypt's version, two bytes, is 0.2 or later. 0 takes ours, and all else ends the session.
//! - The subtypes are a count and four bytes each. Of those with a certificate we take 260, 261, 262, 264 or 267, in that
//!   order. 1 takes ours, and all else ends the session.

use arbitrary::Unstructured;
use starttls::protocol::Client;

use crate::talk::{End, Outcome, Talk};

pub(crate) fn dialogue(talk: &mut Talk<'_>) -> Outcome {
    let mut version = Vec::new();
    while !version.ends_with(b"\n") && version.len() < 12 {
        version.push(talk.byte()?);
    }
    let digits = |at: usize| -> Result<u16, End> {
        let digits =
            version.get(at..at + 3).filter(|digits| digits.iter().all(u8::is_ascii_digit)).ok_or(End::Unexpected)?;
        Ok(str::from_utf8(digits).expect("digits").parse().expect("a number"))
    };
    let number = (digits(4)?, digits(8)?);
    if !version.starts_with(b"RFB ") || version[7] != b'.' || version.get(11) != Some(&b'\n') {
        return Err(End::Unexpected);
    }
    if number < (3, 7) {
        talk.advertised = Some(false);
        return Err(End::NotAdvertised);
    }
    talk.say(if number == (3, 7) { "RFB 003.007\n" } else { "RFB 003.008\n" })?;

    let count = talk.byte()?;
    if count == 0 {
        let length = talk.u32()?;
        talk.bytes(length)?;
        return Err(End::closing("0 no security types"));
    }
    let listed = talk.bytes(count.into())?.contains(&19);
    talk.advertised = Some(listed);
    if !listed {
        return Err(End::NotAdvertised);
    }
    talk.say([19])?;

    let version = talk.bytes(2)?;
    if version < vec![0, 2] {
        return Err(End::Unexpected);
    }
    talk.say([0, 2])?;

    let status = talk.byte()?;
    if status != 0 {
        return Err(End::closing(&format!("{status} VeNCrypt 0.2 rejected")));
    }
    let mut subtypes = Vec::new();
    for _ in 0..talk.byte()? {
        subtypes.push(talk.u32()?);
    }
    let Some(chosen) = [260_u32, 261, 262, 264, 267].into_iter().find(|known| subtypes.contains(&(*known as usize)))
    else {
        return Err(End::refused("no wanted subtype among"));
    };
    talk.say(chosen.to_be_bytes())?;

    match talk.byte()? {
        1 => Ok(()),
        status => Err(End::closing(&format!("{status} subtype rejected"))),
    }
}

pub(crate) fn legal(_: Client<'_>, choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    let version = *choice.choose(&["RFB 003.008\n", "RFB 003.007\n", "RFB 003.889\n", "RFB 004.001\n"])?;
    let mut types = *choice.choose(&[&[1, 19][..], &[3, 1, 19, 2], &[4, 19, 19, 255, 0]])?;
    let vencrypt = *choice.choose(&[[0, 2], [0, 3], [1, 0]])?;
    let mut subtypes = vec![0, 1];
    for _ in 0..choice.int_in_range(0..=3)? {
        subtypes[1] += 1;
        subtypes.extend(choice.int_in_range(256..=300_u32)?.to_be_bytes());
    }
    subtypes.extend(choice.choose(&[260_u32, 261, 262, 264, 267])?.to_be_bytes());
    if types.is_empty() {
        types = &[1, 19];
    }
    Ok(vec![version.into(), types.into(), vencrypt.into(), subtypes, vec![1]])
}
