//! POP3: RFC 1939 §3, RFC 2449 §5 (CAPA), RFC 2595 §4.
//!
//! - A reply is one line, whose first word is `+OK`, in capitals and in a line without NUL and CR; or it begins with `-ERR`, in any
//!   case, whose dash may be missing, with anything but a letter or digit behind it.
//! - `-ERR` in place of the greeting ends the session.
//! - `+OK` to CAPA has a list behind it, a capability a line, that ends with a line of `.`; `-ERR` means that the server
//!   knows no CAPA, and STLS is tried. So it is if a line begins with no keyword.
//! - The codes `[IN-USE]`, `[LOGIN-DELAY]` and `[SYS/TEMP]` are temporary (RFC 2449 §8.1, RFC 3206 §4).

use arbitrary::Unstructured;
use starttls::protocol::{Client, Start};

use crate::talk::{End, Outcome, Talk, is, is_plain, listed, no, word};

pub(crate) fn dialogue(talk: &mut Talk<'_>) -> Outcome {
    let options = talk.client.options;
    if options.start == Start::Greeting
        && let Err(temporary) = reply(talk, false)?
    {
        return Err(End::Closing { code: "-ERR".to_owned(), temporary });
    }
    if options.ask && options.start != Start::Command {
        talk.say("CAPA\r\n")?;
        if let Ok(list) = reply(talk, true)? {
            talk.advertised = listed(&list, "STLS");
            if talk.advertised == Some(false) && !options.insist {
                return Err(End::NotAdvertised);
            }
        }
    }
    talk.say("STLS\r\n")?;
    match reply(talk, false)? {
        Ok(_) => Ok(()),
        Err(temporary) => Err(End::Refused { code: "-ERR".to_owned(), temporary }),
    }
}

/// A reply: yes, with the list behind it if there is one; or no, and whether it is temporary.
fn reply(talk: &mut Talk<'_>, lists: bool) -> Result<Result<Vec<Vec<u8>>, bool>, End> {
    let line = talk.line()?;
    if let Some(text) = no(line.strip_prefix(b"-").unwrap_or(&line), "ERR") {
        let code = word(text).0;
        return Ok(Err(["[IN-USE]", "[LOGIN-DELAY]", "[SYS/TEMP]"].iter().any(|known| is(code, known))));
    }
    if word(&line).0 != b"+OK" {
        return Err(End::Unexpected);
    }
    let list = if lists { talk.list()? } else { Vec::new() };
    if is_plain(&line) && list.iter().all(|capability| is_plain(capability)) {
        Ok(Ok(list))
    } else {
        Err(End::Unexpected)
    }
}

pub(crate) fn legal(client: Client<'_>, choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    let options = client.options;
    let mut turns = Vec::new();
    if options.start == Start::Greeting {
        turns
            .push(choice.choose(&["+OK\r\n", "+OK POP3 <1896.697170952@mail.example>\r\n", "+OK -ERR\n"])?.to_string());
    }
    if options.ask && options.start != Start::Command {
        let mut list = "+OK Capability list follows\r\n".to_owned();
        for _ in 0..choice.int_in_range(0..=4)? {
            list += choice.choose(&["TOP\r\n", "SASL PLAIN STLS\r\n", "STLSX\n", ". \r\n", "\r\n"])?;
        }
        list += choice.choose(&["STLS\r\n.\r\n", "stls\nUSER\n.\n", "STLS required\r\n.\r\n"])?;
        turns.push(choice.choose(&[list.as_str(), "-ERR what?\r\n"])?.to_string());
    }
    turns.push(choice.choose(&["+OK\r\n", "+OK begin TLS\n"])?.to_string());
    Ok(turns.into_iter().map(String::into_bytes).collect())
}
