//! POP3: RFC 1939 §3, RFC 2449 §5 (CAPA), RFC 2595 §4.
//!
//! - A reply is one line, whose first word is `+OK` or `-ERR`, in capitals.
//! - `-ERR` in place of the greeting ends the session.
//! - `+OK` to CAPA has a list behind it, a capability a line, that ends with a line of `.`; `-ERR` means that the server
//!   knows no CAPA, and STLS is tried.
//! - The codes `[IN-USE]`, `[LOGIN-DELAY]` and `[SYS/TEMP]` are temporary (RFC 2449 §8.1, RFC 3206 §4).

use arbitrary::Unstructured;
use starttls::protocol::{Client, Start};

use crate::talk::{End, Outcome, Talk, is, word};

pub(crate) fn dialogue(talk: &mut Talk<'_>) -> Outcome {
    let knobs = talk.client.knobs;
    if knobs.start == Start::Greeting
        && let Err((code, temporary)) = reply(talk)?
    {
        return Err(End::Closing { code, temporary });
    }
    if knobs.ask && knobs.start != Start::Command {
        talk.say("CAPA\r\n")?;
        if reply(talk)?.is_ok() {
            let mut list = Vec::new();
            while list.last().is_none_or(|keyword| keyword != b".") {
                list.push(word(&talk.line()?).0.to_vec());
            }
            let listed = list.iter().any(|keyword| is(keyword, "STLS"));
            talk.advertised = Some(listed);
            if !listed && !knobs.insist {
                return Err(End::NotAdvertised);
            }
        }
    }
    talk.say("STLS\r\n")?;
    reply(talk)?.map_err(|(code, temporary)| End::Refused { code, temporary })
}

/// A reply: yes, or no and whether it is temporary.
fn reply(talk: &mut Talk<'_>) -> Result<Result<(), (String, bool)>, End> {
    let line = talk.line()?;
    let (status, text) = word(&line);
    let code = word(text).0;
    let temporary = ["[IN-USE]", "[LOGIN-DELAY]", "[SYS/TEMP]"].iter().any(|known| is(code, known));
    match status {
        b"+OK" => Ok(Ok(())),
        b"-ERR" => Ok(Err(("-ERR".to_owned(), temporary))),
        _ => Err(End::Unexpected),
    }
}

pub(crate) fn legal(client: Client<'_>, choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    let knobs = client.knobs;
    let mut turns = Vec::new();
    if knobs.start == Start::Greeting {
        turns
            .push(choice.choose(&["+OK\r\n", "+OK POP3 <1896.697170952@mail.example>\r\n", "+OK -ERR\n"])?.to_string());
    }
    if knobs.ask && knobs.start != Start::Command {
        let mut list = "+OK Capability list follows\r\n".to_owned();
        for _ in 0..choice.int_in_range(0..=4)? {
            list += choice.choose(&["TOP\r\n", "SASL PLAIN STLS\r\n", "STLSX\n", ".STLS\r\n", "\r\n"])?;
        }
        list += choice.choose(&["STLS\r\n.\r\n", "stls\nUSER\n.\n", "STLS required\r\n. \r\n"])?;
        turns.push(choice.choose(&[list.as_str(), "-ERR what?\r\n"])?.to_string());
    }
    turns.push(choice.choose(&["+OK\r\n", "+OK begin TLS\n"])?.to_string());
    Ok(turns.into_iter().map(String::into_bytes).collect())
}
