//! NUT: RFC 9271.
//!
//! - STARTTLS is answered with the line `OK STARTTLS`, or with `ERR`, in any case, and maybe a code and more behind anything but a
//!   letter or digit.

use arbitrary::Unstructured;
use starttls::protocol::Client;

use crate::talk::{End, Outcome, Talk, no, word};

const CODES: [&[u8]; 5] =
    [b"FEATURE-NOT-CONFIGURED", b"FEATURE-NOT-SUPPORTED", b"ALREADY-SSL-MODE", b"UNKNOWN-COMMAND", b"ACCESS-DENIED"];

pub(crate) fn dialogue(talk: &mut Talk<'_>) -> Outcome {
    talk.say("STARTTLS\n")?;
    let line = talk.line()?;
    if line == b"OK STARTTLS" {
        return Ok(());
    }
    let text = no(&line, "ERR").ok_or(End::Unexpected)?;
    let known = CODES.into_iter().find(|code| *code == word(text).0).unwrap_or(b"ERR");
    Err(End::Refused { code: String::from_utf8_lossy(known).into_owned(), temporary: false })
}

pub(crate) fn legal(_: Client<'_>, choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    Ok(vec![choice.choose(&["OK STARTTLS\n", "OK STARTTLS\r\n"])?.as_bytes().to_vec()])
}
