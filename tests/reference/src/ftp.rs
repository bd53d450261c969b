//! FTP: RFC 959 §4.2 (replies), RFC 2389 §3.2 (FEAT), RFC 4217.
//!
//! - A reply is a line of three digits, alone or with a space behind them; or it begins with the digits and `-`, and ends with
//!   the first later line that begins with the same digits and a space, whatever stands between.
//! - A greeting is 220, behind any number of 120. 230 means that there is no need to log in. 4xx and 5xx in its place end the
//!   session, as 421 does anywhere.
//! - 211 to FEAT lists features, a line each between the first and the last, behind a space: `AUTH` with `TLS` among the words
//!   or the parts between semicolons. With 4xx or 5xx the server does not know FEAT, and
//!   AUTH TLS is tried.
//! - AUTH TLS is agreed to with 234, and refused with 4xx, which are temporary, and 5xx.

use arbitrary::Unstructured;
use starttls::protocol::{Client, Start};

use crate::talk::{End, Outcome, Talk, digits, is, word};

pub(crate) fn dialogue(talk: &mut Talk<'_>) -> Outcome {
    let knobs = talk.client.knobs;
    if knobs.start == Start::Greeting {
        loop {
            match reply(talk)?.0 {
                120 => {}
                220 => break,
                230 => return Err(End::Preauthenticated),
                code @ 400..=599 => return Err(closing(code)),
                _ => return Err(End::Unexpected),
            }
        }
    }
    if knobs.ask && knobs.start != Start::Command {
        talk.say("FEAT\r\n")?;
        match reply(talk)? {
            (211, features) => {
                let listed = features.iter().any(|feature| is_auth_tls(feature));
                talk.advertised = Some(listed);
                if !listed && !knobs.insist {
                    return Err(End::NotAdvertised);
                }
            }
            (421, _) => return Err(closing(421)),
            (400..=599, _) => {}
            _ => return Err(End::Unexpected),
        }
    }
    talk.say("AUTH TLS\r\n")?;
    match reply(talk)?.0 {
        234 => Ok(()),
        421 => Err(closing(421)),
        code @ 400..=599 => Err(End::Refused { code: code.to_string(), temporary: code < 500 }),
        _ => Err(End::Unexpected),
    }
}

fn closing(code: u16) -> End {
    End::Closing { code: code.to_string(), temporary: code < 500 }
}

/// The code, and the lines between the first and the last.
fn reply(talk: &mut Talk<'_>) -> Result<(u16, Vec<Vec<u8>>), End> {
    let (code, separator) = digits(&talk.line()?).ok_or(End::Unexpected)?;
    let mut lines = Vec::new();
    match separator {
        None | Some(b' ') => return Ok((code, lines)),
        Some(b'-') => {}
        Some(_) => return Err(End::Unexpected),
    }
    loop {
        let line = talk.line()?;
        if digits(&line) == Some((code, Some(b' '))) {
            return Ok((code, lines));
        }
        lines.push(line);
    }
}

fn is_auth_tls(line: &[u8]) -> bool {
    let Some(feature) = line.strip_prefix(b" ") else { return false };
    let (name, mechanisms) = word(feature);
    is(name, "AUTH") && mechanisms.split(|byte| b" ;".contains(byte)).any(|mechanism| is(mechanism, "TLS"))
}

pub(crate) fn legal(client: Client<'_>, choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    let knobs = client.knobs;
    let mut turns = Vec::new();
    if knobs.start == Start::Greeting {
        let wait = *choice.choose(&["", "120 soon\r\n", "120-so\r\n220 no\r\n120 on\r\n120\n"])?;
        let greeting =
            *choice.choose(&["220 ftp.example\r\n", "220-hi\r\n 220 no\r\n220-\r\n\r\n220 yes\r\n", "220\n"])?;
        turns.push([wait, greeting].concat());
    }
    if knobs.ask && knobs.start != Start::Command {
        let mut list = "211-Features:\r\n".to_owned();
        for _ in 0..choice.int_in_range(0..=3)? {
            list += choice.choose(&[" PBSZ\r\n", "AUTH TLS\r\n", " AUTH SSL\n", "234 go\r\n", " SIZE AUTH TLS\r\n"])?;
        }
        list += choice.choose(&[" AUTH TLS\r\n211 End\r\n", " auth SSL;tls;\n211 \n"])?;
        turns.push(choice.choose(&[list.as_str(), "500 what?\r\n", "530-log\r\n530 in\n"])?.to_string());
    }
    turns.push(choice.choose(&["234 go\r\n", "234-go\r\n534 no\r\n234 go\r\n", "234\n"])?.to_string());
    Ok(turns.into_iter().map(String::into_bytes).collect())
}
