//! RPC with TLS: RFC 9289 §4.1, RFC 5531 §9 (messages), §11 (records).
//!
//! - A record is fragments, each with a length of 31 bits behind a bit that the last one has. It has at most 440 bytes.
//! - A reply is words of four bytes: the xid, 1, then 0 for accepted or 1 for denied.
//! - Accepted: the verifier's flavour, 0, its length and itself, then a status; 0 is success, and has nothing behind it. The verifier
//!   `STARTTLS` offers TLS, an empty one does not.
//! - Denied: 0, or 1 and a reason. Behind a refusal may stand anything.

use arbitrary::Unstructured;
use starttls::protocol::Client;

use crate::talk::{End, Outcome, Talk};

pub(crate) fn dialogue(talk: &mut Talk<'_>) -> Outcome {
    let xid = talk.client.seed as u32;
    let call = [0x8000_0028, xid, 0, 2, 100_003, 4, 0, 7, 0, 0, 0];
    talk.say(call.map(u32::to_be_bytes).concat())?;
    let mut record = Vec::new();
    loop {
        let header = talk.u32()?;
        let length = header & 0x7fff_ffff;
        if record.len() + length > 440 {
            return Err(End::Unexpected);
        }
        record.extend(talk.bytes(length)?);
        if header >= 0x8000_0000 {
            break;
        }
    }
    let whole = record.len() % 4 == 0;
    let words: Vec<u32> =
        record.chunks_exact(4).map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]])).collect();
    let Some(reply) = words.strip_prefix(&[xid, 1]) else { return Err(End::Unexpected) };
    let (offered, status) = match *reply {
        [0, 0, 0, ref status @ ..] => (false, status),
        [0, 0, 8, a, b, ref status @ ..] if [a.to_be_bytes(), b.to_be_bytes()].concat() == b"STARTTLS" => {
            (true, status)
        }
        [1, 0, ..] => {
            talk.advertised = Some(false);
            return Err(End::refused("0 RPC_MISMATCH"));
        }
        [1, 1, reason, ..] => {
            talk.advertised = Some(false);
            let reasons = [
                "AUTH_BADCRED",
                "AUTH_REJECTEDCRED",
                "AUTH_BADVERF",
                "AUTH_REJECTEDVERF",
                "AUTH_TOOWEAK",
                "AUTH_INVALIDRESP",
                "AUTH_FAILED",
            ];
            let name = reasons.get((reason as usize).wrapping_sub(1)).unwrap_or(&"AUTH_ERROR");
            return Err(End::refused(&format!("{reason} {name}")));
        }
        _ => return Err(End::Unexpected),
    };
    let name = match *status {
        [0] if offered && whole => {
            talk.advertised = Some(true);
            return Ok(());
        }
        [0] if whole => {
            talk.advertised = Some(false);
            return Err(End::NotAdvertised);
        }
        [1, ..] => "1 PROG_UNAVAIL",
        [2, ..] => "2 PROG_MISMATCH",
        [3, ..] => "3 PROC_UNAVAIL",
        [4, ..] => "4 GARBAGE_ARGS",
        [5, ..] => "5 SYSTEM_ERR",
        [unknown, ..] if unknown > 5 => &format!("{unknown} unknown"),
        _ => return Err(End::Unexpected),
    };
    talk.advertised = Some(offered);
    Err(End::refused(name))
}

pub(crate) fn legal(client: Client<'_>, choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    let record = [
        &(client.seed as u32).to_be_bytes()[..],
        &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8],
        b"STARTTLS\0\0\0\0",
    ]
    .concat();
    let mut turn = Vec::new();
    let mut rest = &record[..];
    for _ in 0..choice.int_in_range(0..=3)? {
        let (fragment, behind) = rest.split_at(choice.int_in_range(0..=rest.len())?);
        turn.extend((fragment.len() as u32).to_be_bytes());
        turn.extend(fragment);
        rest = behind;
    }
    turn.extend((rest.len() as u32 | 0x8000_0000).to_be_bytes());
    turn.extend(rest);
    Ok(vec![turn])
}
