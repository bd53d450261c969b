//! NSQ: "TCP Protocol Spec", IDENTIFY.
//!
//! - A frame has a size of four bytes, which counts what follows, a type of four bytes, and data. 0 is a response, 1 an error,
//!   which ends the session, as a response that begins with `E_` does; there is no other.
//! - The response `_heartbeat_` is passed over. `OK` means no, and so does a JSON object whose member `tls_v1` is not `true`.

use arbitrary::Unstructured;
use starttls::protocol::Client;

use crate::json::member;
use crate::nats::object;
use crate::talk::{End, Outcome, Talk};

pub(crate) fn dialogue(talk: &mut Talk<'_>) -> Outcome {
    talk.ask(b"  V2IDENTIFY\n\0\0\0\x2a{\"feature_negotiation\":true,\"tls_v1\":true}")?;
    loop {
        let (size, kind) = (talk.u32()?, talk.u32()?);
        if size < 4 || kind > 1 {
            return Err(End::Unexpected);
        }
        let data = talk.bytes(size - 4)?;
        if kind == 1 || data.starts_with(b"E_") {
            return Err(error(&data));
        }
        if data == b"_heartbeat_" {
            talk.pass();
            continue;
        }
        let listed = if data == b"OK" { false } else { member(&data, "tls_v1").ok_or(End::Unexpected)? };
        talk.advertised = Some(listed);
        return if listed { Ok(()) } else { Err(End::NotAdvertised) };
    }
}

fn error(data: &[u8]) -> End {
    let word = data.split(|byte| *byte == b' ').next().unwrap_or_default();
    let known = ["E_INVALID", "E_BAD_BODY", "E_IDENTIFY_FAILED"].into_iter().find(|known| known.as_bytes() == word);
    End::closing(known.unwrap_or("error"))
}

pub(crate) fn legal(_: Client<'_>, choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    let mut turn = Vec::new();
    for _ in 0..choice.int_in_range(0..=2)? {
        turn.extend(b"\0\0\0\x0f\0\0\0\0_heartbeat_");
    }
    let response = object(&["\"tls_v1\":true", "\"tls_v1\"\n: true"], choice)?;
    turn.extend((response.len() as u32 + 4).to_be_bytes());
    turn.extend([0; 4]);
    turn.extend(response.as_bytes());
    Ok(vec![turn])
}
