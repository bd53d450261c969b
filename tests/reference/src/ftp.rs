//! FTP: RFC 959 §4.2 (replies), RFC 2389 §3.2 (FEAT), RFC 4217.
//!
//! - A reply is a line of three digits, alone or with a space behind them; or it begins with the digits and `-`, and ends with
//!   the first later line that begins with the same digits and a space, or with those of a no. A no may have anything but a
//!   letter or digit behind its digits.
//! - A greeting is 220, behind any number of 120. 230 means that there is no need to log in. 4xx and 5xx in its place end the
//!   session, as 421 does anywhere.
//! - 211 to FEAT lists features, a line each between the first and the last, behind a space: `AUTH` with `TLS` among the words
//!   or the parts between semicolons. If a line is no feature, or AUTH has nothing behind it, AUTH TLS is tried. So it is with 4xx
//!   or 5xx: the server does not know FEAT.
//! - AUTH TLS is agreed to with 234, in lines without NUL and CR, and refused with 4xx, which are temporary, and 5xx.

use arbitrary::Unstructured;
use starttls::protocol::{Client, Start};

use crate::talk::{End, Outcome, Talk, digits, is, is_plain, parts, word};

pub(crate) fn dialogue(talk: &mut Talk<'_>) -> Outcome {
    let options = talk.client.options;
    if options.start == Start::Greeting {
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
    if options.ask && options.start != Start::Command {
        talk.say("FEAT\r\n")?;
        match reply(talk)? {
            (211, features) => {
                let found: Vec<Option<bool>> =
                    features[1..features.len().max(2) - 1].iter().map(|feature| is_auth_tls(feature)).collect();
                talk.advertised = match () {
                    () if found.contains(&Some(true)) => Some(true),
                    () if found.contains(&None) => None,
                    () => Some(false),
                };
                if talk.advertised == Some(false) && !options.insist {
                    return Err(End::NotAdvertised);
                }
            }
            (421, _) => return Err(closing(421)),
            (400..=599, _) => {}
            _ => return Err(End::Unexpected),
        }
    }
    talk.say("AUTH TLS\r\n")?;
    match reply(talk)? {
        (234, lines) if lines.iter().all(|line| is_plain(line)) => Ok(()),
        (421, _) => Err(closing(421)),
        (code @ 400..=599, _) => Err(End::Refused { code: code.to_string(), temporary: code < 500 }),
        _ => Err(End::Unexpected),
    }
}

fn closing(code: u16) -> End {
    End::Closing { code: code.to_string(), temporary: code < 500 }
}

/// The code, and the lines.
fn reply(talk: &mut Talk<'_>) -> Result<(u16, Vec<Vec<u8>>), End> {
    let mut lines = vec![talk.line()?];
    let (code, separator) = digits(&lines[0]).ok_or(End::Unexpected)?;
    match separator {
        None | Some(b' ') => return Ok((code, lines)),
        Some(b'-') => {}
        _ if (400..600).contains(&code) && parts(separator) => return Ok((code, lines)),
        Some(_) => return Err(End::Unexpected),
    }
    loop {
        let line = talk.line()?;
        match digits(&line) {
            Some((last, Some(b' '))) if last == code || (400..600).contains(&last) => {
                lines.push(line);
                return Ok((last, lines));
            }
            _ => lines.push(line),
        }
    }
}

/// Whether a line of the list is AUTH with TLS; `None` if nobody knows.
fn is_auth_tls(line: &[u8]) -> Option<bool> {
    let (name, mechanisms) = word(line.strip_prefix(b" ")?);
    if !is(name, "AUTH") {
        let printable = !name.is_empty() && name.iter().all(|byte| (b'!'..=b'~').contains(byte));
        return printable.then_some(false);
    }
    let tls = mechanisms.split(|byte| b" ;".contains(byte)).any(|mechanism| is(mechanism, "TLS"));
    (!mechanisms.is_empty()).then_some(tls)
}

pub(crate) fn legal(client: Client<'_>, choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    let options = client.options;
    let mut turns = Vec::new();
    if options.start == Start::Greeting {
        let wait = *choice.choose(&["", "120 soon\r\n", "120-so\r\n220 no\r\n120 on\r\n120\n"])?;
        let greeting =
            *choice.choose(&["220 ftp.example\r\n", "220-hi\r\n 220 no\r\n220-\r\n\r\n220 yes\r\n", "220\n"])?;
        turns.push([wait, greeting].concat());
    }
    if options.ask && options.start != Start::Command {
        let mut list = "211-Features:\r\n".to_owned();
        for _ in 0..choice.int_in_range(0..=3)? {
            list += choice.choose(&[" PBSZ\r\n", "AUTH TLS\r\n", " AUTH SSL\n", "234 go\r\n", " SIZE AUTH TLS\r\n"])?;
        }
        list += choice.choose(&[" AUTH TLS\r\n211 End\r\n", " auth SSL;tls;\n211 \n"])?;
        turns.push(choice.choose(&[list.as_str(), "500 what?\r\n", "530-log\r\n530 in\n"])?.to_string());
    }
    turns.push(choice.choose(&["234 go\r\n", "234-go\r\n 534 no\r\n235 no\r\n234 go\r\n", "234\n"])?.to_string());
    Ok(turns.into_iter().map(String::into_bytes).collect())
}
