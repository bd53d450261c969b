//! ManageSieve: RFC 5804 §1.2, §1.6, §1.7, §2.2.
//!
//! - A line that ends in `{n}` or `{n+}` goes on behind n octets of anything.
//! - A capability begins with its name, a string: quoted, with `\\` before `"` and `\\`, or a literal. It ends at a space or
//!   at the end of the line.
//! - Any other line is a response: `OK`, `NO` or `BYE`, in any case, and maybe more. `OK` has no NUL or CR up to a literal; the others
//!   may have anything but a letter or digit behind them.
//! - The greeting and the reply to CAPABILITY are capabilities, then a response. `BYE` ends the session, and so does `NO` in
//!   the greeting. The code `(TRYLATER` is temporary.

use arbitrary::Unstructured;
use starttls::protocol::{Client, Start};

use crate::talk::{End, Outcome, Piece, Talk, is, is_plain, no, word};

pub(crate) fn dialogue(talk: &mut Talk<'_>) -> Outcome {
    let options = talk.client.options;
    if options.start == Start::Greeting {
        let status = listing(talk)?;
        if let Err(End::Refused { code, temporary }) = status {
            return Err(End::Closing { code, temporary });
        }
        offered(talk)?;
    } else if options.ask && options.start == Start::AfterGreeting {
        talk.say("CAPABILITY\r\n")?;
        listing(talk)??;
        offered(talk)?;
    }
    talk.say("STARTTLS\r\n")?;
    let line = talk.long_line()?;
    if name(&line).is_some() { Err(End::Unexpected) } else { response(&line)? }
}

fn offered(talk: &Talk<'_>) -> Outcome {
    if talk.advertised == Some(true) || talk.client.options.insist { Ok(()) } else { Err(End::NotAdvertised) }
}

/// Hears capabilities, and the response behind them.
fn listing(talk: &mut Talk<'_>) -> Result<Outcome, End> {
    loop {
        let line = talk.long_line()?;
        let Some(name) = name(&line) else {
            let status = response(&line)?;
            if status.is_ok() {
                talk.advertised.get_or_insert(false);
            }
            return Ok(status);
        };
        if is(&name, "STARTTLS") {
            talk.advertised = Some(true);
        }
    }
}

fn response(line: &[Piece]) -> Result<Outcome, End> {
    let [Piece::Line(line), ..] = line else { return Err(End::Unexpected) };
    let temporary = |text: &[u8]| text.len() >= 9 && is(&text[..9], "(TRYLATER");
    match (no(line, "NO"), no(line, "BYE")) {
        (Some(text), _) => Ok(Err(End::Refused { code: "NO".to_owned(), temporary: temporary(text) })),
        (_, Some(text)) => Err(End::Closing { code: "BYE".to_owned(), temporary: temporary(text) }),
        _ if is(word(line).0, "OK") && is_plain(line) => Ok(Ok(())),
        _ => Err(End::Unexpected),
    }
}

/// The string that a line begins with.
fn name(line: &[Piece]) -> Option<Vec<u8>> {
    match line {
        [Piece::Line(first), Piece::Literal(name), Piece::Line(rest), ..] if first.starts_with(b"{") => {
            let alone = first[1..].iter().all(|byte| byte.is_ascii_digit() || b"+}".contains(byte));
            (alone && matches!(rest.first(), None | Some(b' '))).then(|| name.clone())
        }
        [Piece::Line(first), ..] if first.starts_with(b"\"") => {
            let mut name = Vec::new();
            let mut rest = first[1..].iter();
            loop {
                match rest.next()? {
                    b'"' => break,
                    b'\\' => name.push(*rest.next()?),
                    byte => name.push(*byte),
                }
            }
            matches!(rest.next(), None | Some(b' ')).then_some(name)
        }
        _ => None,
    }
}

pub(crate) fn legal(client: Client<'_>, choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    let options = client.options;
    let mut turns = Vec::new();
    if options.start == Start::Greeting || options.ask && options.start == Start::AfterGreeting {
        let mut list = String::new();
        for _ in 0..choice.int_in_range(0..=3)? {
            list += choice.choose(&[
                "\"SIEVE\" \"fileinto STARTTLS\"\r\n",
                "\"SIEVE\" {10}\r\n\"STARTTLS\"\r\n",
                "{3+}\r\nABC \"x\"\r\n",
                "\"STARTTLSX\"\n",
                "\"\\\"STARTTLS\"\r\n",
            ])?;
        }
        list += choice.choose(&[
            "\"STARTTLS\"\r\n",
            "\"starttls\" \"x\"\n",
            "{8}\r\nSTARTTLS\r\n",
            "\"START\\TLS\"\r\n",
        ])?;
        turns.push(list + *choice.choose(&["OK\r\n", "ok \"ready\"\n", "OK (TAG {3}\r\nNO\n) \"\"\r\n"])?);
    }
    turns.push(choice.choose(&["OK\r\n", "Ok \"go\"\n", "OK {5}\r\nNO\r\n!\r\n"])?.to_string());
    Ok(turns.into_iter().map(String::into_bytes).collect())
}
