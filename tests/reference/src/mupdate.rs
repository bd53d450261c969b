//! MUPDATE: RFC 3656 §2, §3, §4.10.
//!
//! - A line that ends in `{n}` or `{n+}` goes on behind n octets of anything.
//! - The greeting is untagged lines, of which `* STARTTLS`, and maybe more, is the capability and `* OK MUPDATE` the last; what else
//!   they say is passed over.
//! - STARTTLS is answered under its tag with `OK`, without NUL or CR up to a literal, `NO` or `BAD`; an untagged `BAD` is a refusal as
//!   well. `BYE` ends the session, with the tag or without.
//! - NO, BAD and BYE may have anything but a letter or digit behind them.

use arbitrary::Unstructured;
use starttls::protocol::{Client, Start};

use crate::talk::{End, Outcome, Piece, Talk, is, is_plain, no, word};

pub(crate) fn dialogue(talk: &mut Talk<'_>) -> Outcome {
    let options = talk.client.options;
    let tag = format!("{:X} ", talk.client.seed);
    if options.start == Start::Greeting {
        loop {
            let line = talk.long_line()?;
            let [Piece::Line(first), ..] = &line[..] else { return Err(End::Unexpected) };
            let Some(untagged) = first.strip_prefix(b"* ") else { return Err(End::Unexpected) };
            let (status, text) = word(untagged);
            if no(untagged, "BYE").is_some() {
                return Err(refusal("BYE"));
            }
            if is(status, "STARTTLS") {
                talk.advertised = Some(true);
            }
            if is(status, "OK") && is(word(text).0, "MUPDATE") {
                break;
            }
        }
        let listed = *talk.advertised.get_or_insert(false);
        if !listed && !options.insist {
            return Err(End::NotAdvertised);
        }
    }
    talk.ask(format!("{tag}STARTTLS\r\n"))?;
    let line = talk.long_line()?;
    let [Piece::Line(first), ..] = &line[..] else { return Err(End::Unexpected) };
    let said = |text| ["NO", "BAD", "BYE"].into_iter().find(|known| no(text, known).is_some());
    if let Some(untagged) = first.strip_prefix(b"* ") {
        return Err(said(untagged).filter(|code| *code != "NO").map_or(End::Unexpected, refusal));
    }
    let tagged = first.strip_prefix(tag.as_bytes()).ok_or(End::Unexpected)?;
    match said(tagged) {
        Some(code) => Err(refusal(code)),
        None if is(word(tagged).0, "OK") && is_plain(tagged) => Ok(()),
        None => Err(End::Unexpected),
    }
}

fn refusal(code: &str) -> End {
    let code = code.to_owned();
    if code == "BYE" { End::Closing { code, temporary: false } } else { End::Refused { code, temporary: false } }
}

pub(crate) fn legal(client: Client<'_>, choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    let tag = format!("{:X}", client.seed);
    let mut turns = Vec::new();
    if client.options.start == Start::Greeting {
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
