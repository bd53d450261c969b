//! PostgreSQL: "SSL Session Encryption", ErrorResponse of "Message Formats".
//!
//! - SSLRequest is answered with one byte: `S` is yes, `N` is no, and `E` begins an ErrorResponse, which ends the session. Its
//!   length counts itself. Four bytes that are the beginning of a text in UTF-8, without control characters, are no length: the text
//!   goes up to NUL.

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
            let utf8 = str::from_utf8(&length).map_or_else(|error| error.error_len().is_none(), |_| true);
            if utf8 && !length.iter().any(u8::is_ascii_control) {
                while talk.byte()? != 0 {}
                return Err(End::closing("E"));
            }
            let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            talk.bytes(length.saturating_sub(4))?;
            Err(End::closing("E"))
        }
        _ => Err(End::Unexpected),
    }
}

pub(crate) fn legal(_: Client<'_>, _: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    Ok(vec![b"S".to_vec()])
}
