//! PostgreSQL: "SSL Session Encryption", ErrorResponse of "Message Formats".
//!
//! - SSLRequest is answered with one byte: `S` is yes, `N` is no, and `E` begins an ErrorResponse, which ends the session. Its
//!   length counts itself, and is 5 or more. Four printable characters are no length: they begin a text, up to NUL.

use arbitrary::Unstructured;
use starttls::protocol::Client;

use crate::talk::{End, Outcome, Talk};

pub(crate) fn dialogue(talk: &mut Talk<'_>) -> Outcome {
    talk.say(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")?;
    match talk.byte()? {
        b'S' => {
            talk.advertised = Some(true);
            Ok(())
        }
        b'N' => {
            talk.advertised = Some(false);
            Err(End::NotAdvertised)
        }
        b'E' => {
            let length = talk.bytes(4)?;
            if length.iter().all(|byte| (b' '..=b'~').contains(byte)) {
                while talk.byte()? != 0 {}
                return Err(End::closing("E"));
            }
            let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            if length < 5 {
                return Err(End::Unexpected);
            }
            talk.bytes(length - 4)?;
            Err(End::closing("E"))
        }
        _ => Err(End::Unexpected),
    }
}

pub(crate) fn legal(_: Client<'_>, _: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    Ok(vec![b"S".to_vec()])
}
