//! MUPDATE: RFC 3656 §2, §3, §4.10.
//!
//! - A line that ends in `{n}` or `{n+}` goes on behind n octets of anything.
//! - The greeting is untagged lines, of which `* STARTTLS` is the capability and `* OK MUPDATE` the last; what else they say
//!   is passed over.
//! - STARTTLS is answered under its tag with `OK`, `NO` or `BAD`; an untagged `BAD` is a refusal as well. `BYE` ends the session,
//!   with the tag or without.

use arbitrary::Unstructured;
use starttls::protocol::{Client, Start};

use crate::talk::{End, Outcome, Piece, Talk, is, word};

pub(crate) fn dialogue(talk: &mut Talk<'_>) -> Outcome {
    let knobs = talk.client.knobs;
    let tag = format!("{:X} ", talk.client.seed);
    if knobs.start == Start::Greeting {
        loop {
            let line = talk.long_line()?;
            let [Piece::Line(first), literals @ ..] = &line[..] else { return Err(End::Unexpected) };
            let Some(untagged) = first.strip_prefix(b"* ") else { return Err(End::Unexpected) };
            let (status, text) = word(untagged);
            if is(status, "BYE") {
                return Err(refusal("BYE"));
            }
            if is(untagged, "STARTTLS") && literals.is_empty() {
                talk.advertised = Some(true);
            }
            if is(status, "OK") && is(word(text).0, "MUPDATE") {
                break;
            }
        }
        let listed = *talk.advertised.get_or_insert(false);
        if !listed && !knobs.insist {
            return Err(End::NotAdvertised);
        }
    }
    talk.ask(format!("{tag}STARTTLS\r\n"))?;
    let line = talk.long_line()?;
    let [Piece::Line(first), ..] = &line[..] else { return Err(End::Unexpected) };
    let untagged = first.strip_prefix(b"* ").map(|text| String::from_utf8_lossy(word(text).0).to_uppercase());
    let tagged = first.strip_prefix(tag.as_bytes()).map(|text| String::from_utf8_lossy(word(text).0).to_uppercase());
    match (untagged.as_deref(), tagged.as_deref()) {
        (None, Some("OK")) => Ok(()),
        (Some(code @ ("BAD" | "BYE")), _) | (None, Some(code @ ("NO" | "BAD" | "BYE"))) => Err(refusal(code)),
        _ => Err(End::Unexpected),
    }
}

fn refusal(code: &str) -> End {
    let code = code.to_owned();
    if code == "BYE" { End::Closing { code, temporary: false } } else { End::Refused { code, temporary: false } }
}

pub(crate) fn legal(client: Client<'_>, choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    let tag = format!("{:X}", client.seed);
    let mut turns = Vec::new();
    if client.knobs.start == Start::Greeting {
        let mut greeting = String::new();
        for _ in 0..choice.int_in_range(0..=3)? {
            greeting += choice.choose(&[
                "* AUTH GSSAPI STARTTLS\r\n",
                "* X {10}\r\n* STARTTLS\r\n",
                "* STARTTLSX\n",
                "* OK not yet\r\n",
                "* NO {2+}\n\r\n\n",
            ])?;
        }
        greeting += choice.choose(&["* STARTTLS\r\n", "* starttls\n"])?;
        turns.push(greeting + *choice.choose(&["* OK MUPDATE \"a\" \"b\"\r\n", "* ok mupdate\n"])?);
    }
    turns.push(format!("{tag} {}", choice.choose(&["OK \"go\"\r\n", "ok\n", "OK {4}\r\n NO!\r\n"])?));
    Ok(turns.into_iter().map(String::into_bytes).collect())
}
