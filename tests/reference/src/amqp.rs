//! AMQP 1.0: OASIS AMQP 1.0 part 2 §2.2, part 5 §5.2.
//!
//! - The header of TLS is answered with itself. Any other header, `AMQP` and four bytes, ends the session.

use arbitrary::Unstructured;
use starttls::protocol::Client;

use crate::talk::{End, Outcome, Talk};

pub(crate) fn dialogue(talk: &mut Talk<'_>) -> Outcome {
    talk.say(b"AMQP\x02\x01\x00\x00")?;
    for letter in b"AMQP" {
        if talk.byte()? != *letter {
            return Err(End::Unexpected);
        }
    }
    if talk.bytes(4)? == [2, 1, 0, 0] { Ok(()) } else { Err(End::closing("AMQP")) }
}

pub(crate) fn legal(_: Client<'_>, _: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    Ok(vec![b"AMQP\x02\x01\x00\x00".to_vec()])
}
