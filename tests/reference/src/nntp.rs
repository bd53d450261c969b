//! NNTP: RFC 3977 §3.2 (responses), §5.1, §5.2, RFC 4642 §2.2.
//!
//! - A response begins with a line of three digits, alone or with a space behind them; those of a no may have anything but a
//!   letter or digit there. No other has NUL or CR in a line.
//! - A greeting is 200 or 201; 4xx and 5xx in its place end the session, as 400 does anywhere.
//! - 101 to CAPABILITIES has a list behind it, which ends with a line of `.`; with 4xx or 5xx the server knows no such
//!   command, and STARTTLS is tried. So it is if a line begins with no keyword.
//! - STARTTLS is agreed to with 382, and refused with 4xx or 5xx. Of these 400 and 403 are temporary.

use arbitrary::Unstructured;
use starttls::protocol::{Client, Start};

use crate::talk::{End, Outcome, Talk, digits, is_plain, listed, parts};

pub(crate) fn dialogue(talk: &mut Talk<'_>) -> Outcome {
    let options = talk.client.options;
    if options.start == Start::Greeting {
        match response(talk, false)?.0 {
            200 | 201 => {}
            code @ 400..=599 => return Err(closing(code)),
            _ => return Err(End::Unexpected),
        }
    }
    if options.ask && options.start != Start::Command {
        talk.say("CAPABILITIES\r\n")?;
        match response(talk, true)? {
            (101, list) => {
                talk.advertised = listed(&list, "STARTTLS");
                if talk.advertised == Some(false) && !options.insist {
                    return Err(End::NotAdvertised);
                }
            }
            (400, _) => return Err(closing(400)),
            (401..=599, _) => {}
            _ => return Err(End::Unexpected),
        }
    }
    talk.say("STARTTLS\r\n")?;
    match response(talk, false)?.0 {
        382 => Ok(()),
        400 => Err(closing(400)),
        code @ 401..=599 => Err(End::Refused { code: code.to_string(), temporary: code == 403 }),
        _ => Err(End::Unexpected),
    }
}

fn closing(code: u16) -> End {
    End::Closing { code: code.to_string(), temporary: matches!(code, 400 | 403) }
}

/// The code, and the list behind 101 where there may be one.
fn response(talk: &mut Talk<'_>, lists: bool) -> Result<(u16, Vec<Vec<u8>>), End> {
    let line = talk.line()?;
    let (code, separator) = digits(&line).ok_or(End::Unexpected)?;
    if (400..600).contains(&code) && parts(separator) {
        return Ok((code, Vec::new()));
    }
    if !matches!(separator, None | Some(b' ')) {
        return Err(End::Unexpected);
    }
    let list = if lists && code == 101 { talk.list()? } else { Vec::new() };
    let plain = is_plain(&line) && list.iter().all(|capability| is_plain(capability));
    if plain { Ok((code, list)) } else { Err(End::Unexpected) }
}

pub(crate) fn legal(client: Client<'_>, choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    let options = client.options;
    let mut turns = Vec::new();
    if options.start == Start::Greeting {
        turns.push(choice.choose(&["200 ready\r\n", "201 no posting\n", "200\r\n"])?.to_string());
    }
    if options.ask && options.start != Start::Command {
        let mut list = "101 list:\r\nVERSION 2\r\n".to_owned();
        for _ in 0..choice.int_in_range(0..=3)? {
            list += choice.choose(&["READER\r\n", "LIST STARTTLS\r\n", "XSTARTTLS\n", ". x\r\n"])?;
        }
        list += choice.choose(&["STARTTLS\r\n.\r\n", "startTLS\n.\n"])?;
        turns.push(choice.choose(&[list.as_str(), "500 what?\r\n", "480 later\n"])?.to_string());
    }
    turns.push(choice.choose(&["382 go\r\n", "382\n"])?.to_string());
    Ok(turns.into_iter().map(String::into_bytes).collect())
}
