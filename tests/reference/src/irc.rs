//! IRC: RFC 1459 §2.3.1 (messages), IRCv3 `tls` and capability negotiation.
//!
//! - A message is a line: `:prefix COMMAND parameters`, or `COMMAND parameters`. Spaces separate, and one is as good as several.
//! - `CAP target LS * :list` lists capabilities, and more lines follow; `CAP target LS :list` is the last. The capability is
//!   `tls`, alone or with `=` and a value. `CAP target LS` and `CAP LS :list` are no list that one could understand, and STARTTLS is
//!   tried.
//! - STARTTLS is agreed to with 670, and refused with 691 and any of 400 to 599; a refusal of CAP means that the server
//!   knows none, and STARTTLS is tried.
//! - Passed over: NOTICE, PING, CAP of any other kind, 020, 439 and empty lines. `ERROR`, with anything but a letter or digit
//!   behind it, and 465 end the session. A line of 670 has no NUL or CR.

use arbitrary::Unstructured;
use starttls::protocol::{Client, Start};

use crate::talk::{End, Outcome, Talk, is, is_plain, no};

pub(crate) fn dialogue(talk: &mut Talk<'_>) -> Outcome {
    let options = talk.client.options;
    if options.ask && options.start != Start::Command {
        talk.ask("CAP LS 302\r\n")?;
        loop {
            let (message, _) = message(talk)?;
            if let Some((list, last)) = capabilities(&message) {
                let has_tls = |list: Vec<Vec<u8>>| list.iter().any(|name| name == b"tls" || name.starts_with(b"tls="));
                if talk.advertised != Some(true) {
                    talk.advertised = list.map(has_tls);
                }
                if !last && talk.heard_early {
                    return Err(End::Injected);
                }
                if !last {
                    continue;
                }
                if talk.advertised == Some(false) && !options.insist {
                    return Err(End::NotAdvertised);
                }
                break;
            }
            match numeric(&message)? {
                None => talk.pass(),
                Some(400..=599) => break,
                Some(_) => return Err(End::Unexpected),
            }
        }
    }
    talk.ask("STARTTLS\r\n")?;
    loop {
        let (message, plain) = message(talk)?;
        match numeric(&message)? {
            None => talk.pass(),
            Some(670) if plain => return Ok(()),
            Some(code @ (400..=599 | 691)) => {
                return Err(End::Refused { code: code.to_string(), temporary: false });
            }
            Some(_) => return Err(End::Unexpected),
        }
    }
}

/// The words of a message, its prefix left out, and whether its line is plain.
fn message(talk: &mut Talk<'_>) -> Result<(Vec<Vec<u8>>, bool), End> {
    let mut line = talk.line()?;
    while line.is_empty() {
        talk.pass();
        line = talk.line()?;
    }
    let mut words: Vec<Vec<u8>> = line.split(|byte| *byte == b' ').map(<[u8]>::to_vec).collect();
    let mut first = true;
    words.retain(|word| std::mem::take(&mut first) || !word.is_empty());
    if words[0].starts_with(b":") {
        words.remove(0);
    }
    Ok((words, is_plain(&line)))
}

/// The numeric that decides, if the message is one. The rest is passed over, or ends the session.
fn numeric(message: &[Vec<u8>]) -> Result<Option<u16>, End> {
    let command = message.first().ok_or(End::Unexpected)?;
    let closing = |code: &str| Err(End::Closing { code: code.to_owned(), temporary: false });
    match command[..] {
        _ if ["NOTICE", "PING", "CAP"].iter().any(|known| is(command, known)) => Ok(None),
        _ if no(command, "ERROR").is_some() => closing("ERROR"),
        [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9'] => match str::from_utf8(command).expect("digits") {
            "020" | "439" => Ok(None),
            "465" => closing("465"),
            code => Ok(Some(code.parse().expect("a number"))),
        },
        _ => Err(End::Unexpected),
    }
}

/// The capabilities that a message lists, and whether it is the last that does.
fn capabilities(message: &[Vec<u8>]) -> Option<(Option<Vec<Vec<u8>>>, bool)> {
    let (list, last) = match message {
        [cap, ..] if !is(cap, "CAP") => return None,
        [_, _, ls, star, list @ ..] if is(ls, "LS") && star == b"*" => (list, false),
        [_, _, ls, list @ ..] if is(ls, "LS") => (list, true),
        [_, ls, ..] if is(ls, "LS") => (&[][..], true),
        _ => return None,
    };
    if list.is_empty() {
        return Some(if last { (None, true) } else { (Some(Vec::new()), false) });
    }
    let mut list = list.to_vec();
    list[0] = list[0].strip_prefix(b":").unwrap_or(&list[0]).to_vec();
    Some((Some(list), last))
}

pub(crate) fn legal(client: Client<'_>, choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    let options = client.options;
    let mut turns = Vec::new();
    if options.ask && options.start != Start::Command {
        let mut list = passed_over(choice)?;
        for _ in 0..choice.int_in_range(0..=2)? {
            list += choice.choose(&["CAP * LS * :away-notify\r\n", ":irc.example  CAP  *  LS  *  :  tlsx=1  x\n"])?;
        }
        list += choice.choose(&[":irc CAP * LS :tls\r\n", "CAP x LS tls=6697\n", "cap * ls :a b=c  tls \r\n"])?;
        turns.push(choice.choose(&[list.as_str(), ":irc 421 * CAP :what?\r\n"])?.to_string());
    }
    turns.push(passed_over(choice)? + *choice.choose(&[":irc.example 670 * :go\r\n", "670\n", "670  x 691\r\n"])?);
    Ok(turns.into_iter().map(String::into_bytes).collect())
}

fn passed_over(choice: &mut Unstructured<'_>) -> arbitrary::Result<String> {
    let mut messages = String::new();
    for _ in 0..choice.int_in_range(0..=2)? {
        messages += choice.choose(&[
            ":irc.example NOTICE * :*** Looking up\r\n",
            "PING :670\r\n",
            ":a CAP * NEW :tls\r\n",
            "020 * :wait\n",
            ":a  439 * :wait\r\n",
            "notice\r\n",
            "\r\n",
        ])?;
    }
    Ok(messages)
}
