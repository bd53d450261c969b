//! SMTP and LMTP: RFC 5321 §4.2 (replies), RFC 3207 §4.
//!
//! - A reply is lines: `code-text` for all but the last, `code text` or `code` for the last. Codes are 200 to 599. It says no if the
//!   last line does, with anything but a letter or digit behind the code. Otherwise all lines have one code, and no control that
//!   ends a text: NUL, CR.
//! - A greeting is 220; 4xx and 5xx in its place end the session, as 421 does anywhere.
//! - EHLO is agreed to with 250. The keyword STARTTLS, in any case, begins one of its lines, but never the first. If a line begins with
//!   no keyword at all, STARTTLS is tried.
//! - STARTTLS is agreed to with 220, and refused with any 4xx or 5xx, as EHLO is.

use arbitrary::Unstructured;
use starttls::protocol::{Client, Start};

use crate::talk::{End, Outcome, Talk, digits, is_plain, listed, parts};

pub(crate) fn dialogue(talk: &mut Talk<'_>, verb: &str) -> Outcome {
    let options = talk.client.options;
    if options.start == Start::Greeting {
        let (code, _) = reply(talk)?;
        match code {
            220 => {}
            400..=599 => return Err(End::Closing { code: code.to_string(), temporary: code < 500 }),
            _ => return Err(End::Unexpected),
        }
    }
    if options.start != Start::Command {
        talk.say(format!("{verb} {}\r\n", talk.client.name))?;
        let (code, texts) = reply(talk)?;
        agreed(code, 250)?;
        talk.advertised = listed(&texts[1..], "STARTTLS");
        if talk.advertised == Some(false) && !options.insist {
            return Err(End::NotAdvertised);
        }
    }
    talk.say("STARTTLS\r\n")?;
    let (code, _) = reply(talk)?;
    agreed(code, 220)
}

fn agreed(code: u16, yes: u16) -> Outcome {
    let temporary = code < 500;
    match code {
        421 => Err(End::Closing { code: code.to_string(), temporary }),
        400..=599 => Err(End::Refused { code: code.to_string(), temporary }),
        code if code == yes => Ok(()),
        _ => Err(End::Unexpected),
    }
}

/// The code, and the texts of a reply that does not say no.
fn reply(talk: &mut Talk<'_>) -> Result<(u16, Vec<Vec<u8>>), End> {
    let mut lines = vec![talk.line()?];
    while let Some((200..=599, Some(b'-'))) = digits(&lines[lines.len() - 1]) {
        lines.push(talk.line()?);
    }
    let (code, separator) = digits(&lines[lines.len() - 1]).ok_or(End::Unexpected)?;
    if (400..600).contains(&code) && parts(separator) {
        return Ok((code, Vec::new()));
    }
    let fits = |line: &Vec<u8>| is_plain(line) && digits(line).is_some_and(|(first, _)| first == code);
    if !lines.iter().all(fits) || !matches!(separator, None | Some(b' ')) {
        return Err(End::Unexpected);
    }
    Ok((code, lines.iter().map(|line| line.get(4..).unwrap_or_default().to_vec()).collect()))
}

pub(crate) fn legal(client: Client<'_>, choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    let options = client.options;
    let mut turns = Vec::new();
    if options.start == Start::Greeting {
        turns.push(lines(220, &["mail.example ESMTP", "ready"][choice.int_in_range(0..=1)?..], choice)?);
    }
    if options.start != Start::Command {
        let mut texts = vec!["mail.example"];
        for _ in 0..choice.int_in_range(0..=5)? {
            texts.push(*choice.choose(&[
                "SIZE 10240000",
                "8BITMIME",
                "XSTARTTLS",
                "STARTTLSX",
                "AUTH PLAIN STARTTLS",
                "",
            ])?);
        }
        texts.insert(
            choice.int_in_range(1..=texts.len())?,
            *choice.choose(&["STARTTLS", "starttls", "StartTLS required"])?,
        );
        turns.push(lines(250, &texts, choice)?);
    }
    let texts: &[&str] = choice.choose(&[&["2.0.0 go ahead", "554 no"][..], &["554 no"], &[""]])?;
    turns.push(lines(220, texts, choice)?);
    Ok(turns)
}

fn lines(code: u16, texts: &[&str], choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
    let mut reply = String::new();
    for (number, text) in texts.iter().enumerate() {
        let last = number + 1 == texts.len();
        // A code alone is a line as well (RFC 5321 §4.2).
        let separator = if !last { "-" } else { *choice.choose(&[" ", if text.is_empty() { "" } else { " " }])? };
        let end = choice.choose(&["\r\n", "\r\n", "\n"])?;
        reply += &format!("{code}{separator}{text}{end}");
    }
    Ok(reply.into())
}
