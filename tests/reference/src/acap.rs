//! ACAP: RFC 2244 §2.2 (responses), §6.1.1 (the greeting), RFC 2595 §5.
//!
//! - A line that ends in `{n}` or `{n+}` goes on behind n octets of anything.
//! - The greeting is `* ACAP`, then capabilities, each in parentheses: a name, and maybe strings.
//! - STARTTLS is answered under its tag with `OK`, `NO` or `BAD`. Before that may come, untagged, `OK`, `NO`, `BAD`, `ALERT` and
//!   `LANG`; `BYE` ends the session. The code `(TRYLATER)` is temporary.

use arbitrary::Unstructured;
use starttls::protocol::{Client, Start};

use crate::talk::{End, Outcome, Piece, Talk, is, word};

pub(crate) fn dialogue(talk: &mut Talk<'_>) -> Outcome {
    let knobs = talk.client.knobs;
    let tag = format!("{:X} ", talk.client.seed);
    if knobs.start == Start::Greeting {
        let greeting = text(&talk.long_line()?, b"\"\"");
        let Some(greeting) = greeting.strip_prefix(b"* ") else { return Err(End::Unexpected) };
        let (status, capabilities) = word(greeting);
        if is(status, "BYE") {
            return Err(closing(greeting));
        }
        if !is(status, "ACAP") {
            return Err(End::Unexpected);
        }
        let listed = names(capabilities).iter().any(|name| is(name, "STARTTLS"));
        talk.advertised = Some(listed);
        if !listed && !knobs.insist {
            return Err(End::NotAdvertised);
        }
    }
    talk.ask(format!("{tag}STARTTLS\r\n"))?;
    loop {
        let response = text(&talk.long_line()?, b"");
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
            "OK" => Ok(()),
            code @ ("NO" | "BAD") => Err(End::Refused { code: code.to_owned(), temporary: is_temporary(answer) }),
            _ => Err(End::Unexpected),
        };
    }
}

fn status(response: &[u8]) -> String {
    String::from_utf8_lossy(word(response).0).to_ascii_uppercase()
}

fn is_temporary(response: &[u8]) -> bool {
    is(word(word(response).1).0, "(TRYLATER)")
}

fn closing(response: &[u8]) -> End {
    End::Closing { code: "BYE".to_owned(), temporary: is_temporary(response) }
}

/// A line, with this in place of what its literals hold.
fn text(line: &[Piece], literal: &[u8]) -> Vec<u8> {
    line.iter().flat_map(|piece| if let Piece::Line(line) = piece { line } else { literal }).copied().collect()
}

/// What stands first in each pair of parentheses.
fn names(mut list: &[u8]) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    while let Some(open) = list.iter().position(|byte| *byte == b'(') {
        list = &list[open + 1..];
        let Some(end) = list.iter().position(|byte| b" )".contains(byte)) else { break };
        names.push(list[..end].to_vec());
        let mut quoted = false;
        let mut at = end;
        while at < list.len() && (quoted || list[at] != b')') {
            match list[at] {
                b'"' => quoted = !quoted,
                b'\\' if quoted => at += 1,
                _ => {}
            }
            at += 1;
        }
        list = list.get(at..).unwrap_or_default();
    }
    names
}

pub(crate) fn legal(client: Client<'_>, choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    let tag = format!("{:X}", client.seed);
    let mut turns = Vec::new();
    if client.knobs.start == Start::Greeting {
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
