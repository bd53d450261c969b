//! IMAP: RFC 9051 §7 (responses), §6.2.1.
//!
//! - A response is a line: `* …` is untagged, `tag …` answers the command with that tag. Behind the origin stands a status.
//! - Lines of untagged data may hold literals: a line that ends in `{n}` goes on behind n bytes of anything. Status
//!   responses hold none.
//! - A greeting is `* OK`, `* PREAUTH` or `* BYE`; `* NO` and `* BAD` end the session as well. Later the server may send untagged
//!   responses at any time, but not `* PREAUTH`; `BYE` ends the session, with our tag or without.
//! - NO, BAD, BYE and PREAUTH may have anything but a letter or digit behind them. A greeting and a go-ahead have no NUL or CR.
//! - `* CAPABILITY` and the code `[CAPABILITY …]` of an untagged OK list the capabilities; the last list counts. If a word of it is
//!   none that is printable and begins with a letter or digit, or there is no list, STARTTLS is tried.

use arbitrary::Unstructured;
use starttls::protocol::{Client, Start};

use crate::talk::{End, Outcome, Talk, is_plain, listed, no, word};

pub(crate) fn dialogue(talk: &mut Talk<'_>) -> Outcome {
    let options = talk.client.options;
    let tag = format!("{:X}", talk.client.seed);
    if options.start == Start::Greeting {
        let response = response(talk, false, true)?;
        let Some(greeting) = response.strip_prefix(b"* ") else { return Err(End::Unexpected) };
        match &status(greeting)[..] {
            "OK" if is_plain(greeting) => {}
            "PREAUTH" => return Err(End::Preauthenticated),
            "BYE" | "NO" | "BAD" => return Err(closing(greeting)),
            _ => return Err(End::Unexpected),
        }
    }
    if options.ask && options.start != Start::Command {
        talk.ask(format!("{tag}C CAPABILITY\r\n"))?;
        answer(talk, &format!("{tag}C"), true)?;
    }
    if options.start != Start::Command && talk.advertised == Some(false) && !options.insist {
        return Err(End::NotAdvertised);
    }
    talk.ask(format!("{tag} STARTTLS\r\n"))?;
    answer(talk, &tag, false)
}

/// Hears the answer to the command with this tag, and what comes before it.
fn answer(talk: &mut Talk<'_>, tag: &str, lists: bool) -> Outcome {
    loop {
        let response = response(talk, true, lists)?;
        if let Some(untagged) = response.strip_prefix(b"* ") {
            match &status(untagged)[..] {
                "BYE" => return Err(closing(untagged)),
                "PREAUTH" => return Err(End::Unexpected),
                _ => talk.pass(),
            }
            continue;
        }
        let (origin, answer) = word(&response);
        return match &status(answer)[..] {
            _ if origin != tag.as_bytes() => Err(End::Unexpected),
            "OK" if lists || is_plain(answer) => Ok(()),
            "BYE" => Err(closing(answer)),
            code @ ("NO" | "BAD") => Err(End::Refused { code: code.to_owned(), temporary: is_temporary(answer) }),
            _ => Err(End::Unexpected),
        };
    }
}

/// Hears a response, leaves its literals out, and notes the capabilities if it lists them, which needs none.
fn response(talk: &mut Talk<'_>, literals: bool, lists: bool) -> Result<Vec<u8>, End> {
    let mut response = Vec::new();
    let mut is_line = true;
    loop {
        let line = talk.line()?;
        response.extend(&line);
        match literal(&line) {
            Some(length) if literals && is_data(&response) => drop(talk.bytes(length)?),
            _ => break,
        }
        is_line = false;
    }
    if lists
        && is_line
        && let Some(words) = capabilities(&response)
    {
        talk.advertised = listed(&words, "STARTTLS");
    }
    Ok(response)
}

fn literal(line: &[u8]) -> Option<usize> {
    let line = line.strip_suffix(b"}")?;
    let brace = line.iter().rposition(|byte| *byte == b'{')?;
    let digits = &line[brace + 1..];
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(str::from_utf8(digits).expect("digits").parse().unwrap_or(usize::MAX))
}

fn is_data(response: &[u8]) -> bool {
    response.strip_prefix(b"* ").is_some_and(|untagged| {
        let status = status(untagged);
        !matches!(&status[..], "OK" | "NO" | "BAD" | "BYE" | "PREAUTH")
    })
}

/// The words that a response lists, if it lists any.
fn capabilities(response: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (first, text) = word(response.strip_prefix(b"* ")?);
    let (keyword, list) = match text.strip_prefix(b"[") {
        Some(code) if first.eq_ignore_ascii_case(b"OK") => word(&code[..code.iter().position(|byte| *byte == b']')?]),
        _ => (first, text),
    };
    let words = || list.split(|byte| *byte == b' ').map(<[u8]>::to_vec).collect();
    keyword.eq_ignore_ascii_case(b"CAPABILITY").then(words)
}

/// The status of a response, in capitals; of one that is none, its first word.
fn status(response: &[u8]) -> String {
    let said = ["NO", "BAD", "BYE", "PREAUTH"].into_iter().find(|known| no(response, known).is_some());
    said.map_or_else(|| String::from_utf8_lossy(word(response).0).to_ascii_uppercase(), str::to_owned)
}

/// RFC 5530 §3.
fn is_temporary(response: &[u8]) -> bool {
    let text = no(response, &status(response)).unwrap_or_default();
    word(text).0.eq_ignore_ascii_case(b"[UNAVAILABLE]")
}

fn closing(response: &[u8]) -> End {
    End::Closing { code: status(response), temporary: is_temporary(response) }
}

pub(crate) fn legal(client: Client<'_>, choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    let options = client.options;
    let tag = format!("{:X}", client.seed);
    let mut turns = Vec::new();
    if options.start == Start::Greeting {
        turns.push(
            choice
                .choose(&["* OK hi\r\n", "* ok [CAPABILITY IMAP4 STARTTLS ID] hi\r\n", "* OK [ALERT] STARTTLS\n"])?
                .to_string(),
        );
    }
    if options.ask && options.start != Start::Command {
        let list = *choice.choose(&["* CAPABILITY IMAP4rev1 STARTTLS\r\n", "* capability starttls LOGINDISABLED\n"])?;
        turns.push(format!("{}{list}{tag}C OK done\r\n", untagged(choice)?));
    }
    turns.push(format!("{}{tag} {}\r\n", untagged(choice)?, choice.choose(&["OK", "ok begin", "OK [CAPABILITY] NO"])?));
    Ok(turns.into_iter().map(String::into_bytes).collect())
}

fn untagged(choice: &mut Unstructured<'_>) -> arbitrary::Result<String> {
    let mut responses = String::new();
    for _ in 0..choice.int_in_range(0..=3)? {
        responses += choice.choose(&[
            "* 3 EXISTS\r\n",
            "* OK [ALERT] {5}\r\n",
            "* X {7}\r\nA7F3 NO\r\n",
            "* X {0}\r\n {3}\r\n* B YE\r\n",
            "* NO not you\n",
            "* \r\n",
        ])?;
    }
    Ok(responses)
}
