//! ACAP: RFC 2244 §2.2 (responses), §6.1.1 (the greeting), RFC 2595 §5.
//!
//! - A line that ends in `{n}` or `{n+}` goes on behind n octets of anything.
//! - The greeting is `* ACAP`, then capabilities, each in parentheses: a name, and maybe strings. `NO` and `BAD` in its place end the
//!   session. If something else stands there, or a name does not begin with a letter or digit, STARTTLS is tried.
//! - STARTTLS is answered under its tag with `OK`, without NUL or CR up to a literal, `NO` or `BAD`. Before that may come, untagged,
//!   `OK`, `NO`, `BAD`, `ALERT` and `LANG`; `BYE` ends the session, with the tag or without. The code `(TRYLATER)` is temporary.
//! - NO, BAD and BYE may have anything but a letter or digit behind them.

use arbitrary::Unstructured;
use starttls::protocol::{Client, Start};

use crate::talk::{End, Outcome, Piece, Talk, is, is_plain, no, word};

pub(crate) fn dialogue(talk: &mut Talk<'_>) -> Outcome {
    let options = talk.client.options;
    let tag = format!("{:X} ", talk.client.seed);
    if options.start == Start::Greeting {
        let greeting = text(&talk.long_line()?, b"\"\"");
        let Some(greeting) = greeting.strip_prefix(b"* ") else { return Err(End::Unexpected) };
        let (first, capabilities) = word(greeting);
        if ["BYE", "NO", "BAD"].contains(&&*status(greeting)) {
            return Err(closing(greeting));
        }
        if !is(first, "ACAP") {
            return Err(End::Unexpected);
        }
        talk.advertised = lists_starttls(capabilities);
        if talk.advertised == Some(false) && !options.insist {
            return Err(End::NotAdvertised);
        }
    }
    talk.ask(format!("{tag}STARTTLS\r\n"))?;
    loop {
        let line = talk.long_line()?;
        let response = text(&line, b"");
        if let Some(untagged) = response.strip_prefix(b"* ") {
            match &status(untagged)[..] {
                "OK" | "NO" | "BAD" | "ALERT" | "LANG" => {
                    talk.pass();
                    continue;
                }
                "BYE" => return Err(closing(untagged)),
                _ => return Err(End::Unexpected),
            }
        }
        let Some(answer) = response.strip_prefix(tag.as_bytes()) else { return Err(End::Unexpected) };
        return match &status(answer)[..] {
            "OK" if matches!(&line[0], Piece::Line(first) if is_plain(first)) => Ok(()),
            "BYE" => Err(closing(answer)),
            code @ ("NO" | "BAD") => Err(End::Refused { code: code.to_owned(), temporary: is_temporary(answer) }),
            _ => Err(End::Unexpected),
        };
    }
}

fn status(response: &[u8]) -> String {
    let said = ["NO", "BAD", "BYE"].into_iter().find(|known| no(response, known).is_some());
    said.map_or_else(|| String::from_utf8_lossy(word(response).0).to_ascii_uppercase(), str::to_owned)
}

fn is_temporary(response: &[u8]) -> bool {
    is(word(no(response, &status(response)).unwrap_or_default()).0, "(TRYLATER)")
}

fn closing(response: &[u8]) -> End {
    End::Closing { code: status(response), temporary: is_temporary(response) }
}

/// A line, with this in place of what its literals hold.
fn text(line: &[Piece], literal: &[u8]) -> Vec<u8> {
    line.iter().flat_map(|piece| if let Piece::Line(line) = piece { line } else { literal }).copied().collect()
}

/// Whether STARTTLS is what stands first in a pair of parentheses. If not, all there is must be pairs of parentheses, with a space
/// between them, and a name in each.
fn lists_starttls(list: &[u8]) -> Option<bool> {
    let mut known = true;
    let mut at = 0;
    while at < list.len() {
        if list[at] != b'(' {
            known &= list[at] == b' ';
            at += 1;
            continue;
        }
        let name: Vec<u8> = list[at + 1..].iter().copied().take_while(|byte| !b" )".contains(byte)).collect();
        at += 1 + name.len();
        if at == list.len() {
            return None;
        }
        if is(&name, "STARTTLS") {
            return Some(true);
        }
        known &= name.first().is_some_and(u8::is_ascii_alphanumeric);
        let mut quoted = false;
        while at < list.len() && (quoted || list[at] != b')') {
            match list[at] {
                b'"' => quoted = !quoted,
                b'\\' if quoted => at += 1,
                _ => {}
            }
            at += 1;
        }
        at += 1;
    }
    known.then_some(false)
}

pub(crate) fn legal(client: Client<'_>, choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    let tag = format!("{:X}", client.seed);
    let mut turns = Vec::new();
    if client.options.start == Start::Greeting {
        let mut greeting = choice.choose(&["* ACAP", "* acap"])?.to_string();
        for _ in 0..choice.int_in_range(0..=3)? {
            greeting += choice.choose(&[
                " (IMPLEMENTATION \"x (STARTTLS)\")",
                " (SASL \"A\" \"B\\\" (STARTTLS)\")",
                " (X {10}\r\n(STARTTLS)) (Y)",
                " (STARTTLSX)",
            ])?;
        }
        turns.push(greeting + *choice.choose(&[" (STARTTLS)\r\n", " (starttls)\n", " (StartTLS \"x\") (Z)\r\n"])?);
    }
    let mut answer = String::new();
    for _ in 0..choice.int_in_range(0..=2)? {
        answer += choice.choose(&[
            "* OK \"x\"\r\n",
            "* no {3+}\n* \n\r\n",
            "* ALERT \"A7F3 NO\"\r\n",
            "* BAD\n",
            "* LANG\r\n",
        ])?;
    }
    turns.push(format!("{answer}{tag} {}", choice.choose(&["OK \"go\"\r\n", "ok\n", "OK {4}\r\n NO!\r\n"])?));
    Ok(turns.into_iter().map(String::into_bytes).collect())
}
