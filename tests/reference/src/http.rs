//! HTTP/1.1 Upgrade: RFC 9112 §4, §5, §6.3, RFC 9110 §7.8, §15.2, RFC 2817 §3.2.
//!
//! - A head is a status line, fields, each with its folded lines, and an empty line. None has control characters but tabs.
//! - Interim responses, 1xx but 101, are passed over.
//! - 101, of HTTP/1.1, is yes if a field `Upgrade` has `TLS/1.` and a digit in its list, which has no quotes.
//! - Any other status refuses, if its body has an end that can be told: none with 204, or the one and only Content-Length,
//!   of at most 4096. If not, it ends the session: with HTTP/1.0, with `Connection: close`, with Transfer-Encoding, with a length that
//!   is none, and, from 300 on, with a line that is no field.

use arbitrary::Unstructured;
use starttls::protocol::Client;

use crate::talk::{End, Outcome, Talk, is};

pub(crate) fn dialogue(talk: &mut Talk<'_>) -> Outcome {
    let host = talk.client.domain;
    talk.say(format!(
        "OPTIONS * HTTP/1.1\r\nHost: {host}\r\nUpgrade: TLS/1.2, TLS/1.0\r\nConnection: Upgrade\r\n\r\n"
    ))?;
    loop {
        let line = talk.line()?;
        let (old, status) = status_line(&line).ok_or(End::Unexpected)?;
        let refused = status >= 300;
        if !refused && line.iter().any(is_control) {
            return Err(End::Unexpected);
        }
        let mut broken = false;
        let mut fields: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        loop {
            let line = talk.line()?;
            if line.is_empty() {
                break;
            }
            broken |= line.iter().any(is_control);
            if broken && !refused {
                return Err(End::Unexpected);
            }
            if let Some((_, value)) = fields.last_mut().filter(|_| b" \t".contains(&line[0])) {
                value.push(b' ');
                value.extend(line);
                continue;
            }
            let colon = line.iter().position(|byte| *byte == b':').unwrap_or(0);
            if colon == 0 || !line[..colon].iter().all(|byte| is_token(*byte)) {
                broken = true;
            }
            if broken && !refused {
                return Err(End::Unexpected);
            }
            fields.push((line[..colon].to_vec(), line.get(colon + 1..).unwrap_or_default().to_vec()));
        }
        if matches!(status, 100 | 102..=199) {
            continue;
        }
        let (mut tls, mut endless, mut length) = (false, false, None);
        for (name, value) in &fields {
            let value = value.trim_ascii();
            let mut list = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            match () {
                () if is(name, "Upgrade") => tls |= !value.contains(&b'"') && list.any(is_tls),
                () if is(name, "Content-Length") => {
                    let digits = Some(value).filter(|value| value.iter().all(u8::is_ascii_digit));
                    let number = digits.and_then(|digits| str::from_utf8(digits).ok()?.parse::<u32>().ok());
                    broken |= number.is_none() || *length.get_or_insert(number) != number;
                }
                () if is(name, "Transfer-Encoding") => endless = true,
                () if is(name, "Connection") => endless |= list.any(|option| is(option, "close")),
                () => {}
            }
        }
        if status == 101 {
            return if tls && !broken { Ok(()) } else { Err(End::Unexpected) };
        }
        let temporary = matches!(status, 429 | 503 | 504);
        let code = if status == 426 { "426 Upgrade Required".to_owned() } else { status.to_string() };
        let length = if status == 204 && length.is_none() { Some(0) } else { length.flatten() };
        match length {
            Some(length @ 0..=4096) if !old && !endless && !broken => drop(talk.bytes(length as usize)?),
            _ => return Err(End::Closing { code, temporary }),
        }
        return Err(End::Refused { code, temporary });
    }
}

fn status_line(line: &[u8]) -> Option<(bool, u16)> {
    let version = line.get(..9)?;
    let old = match version {
        b"HTTP/1.0 " => true,
        b"HTTP/1.1 " => false,
        _ => return None,
    };
    let digits = line.get(9..12).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let status = str::from_utf8(digits).ok()?.parse().ok()?;
    let separated = matches!(line.get(12), None | Some(b' '));
    (separated && status >= 100 && !(old && status == 101)).then_some((old, status))
}

fn is_control(byte: &u8) -> bool {
    *byte != b'\t' && byte.is_ascii_control()
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_tls(protocol: &[u8]) -> bool {
    protocol.len() == 7 && is(&protocol[..6], "TLS/1.") && protocol[6].is_ascii_digit()
}

pub(crate) fn legal(_: Client<'_>, choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    let mut turn = String::new();
    for _ in 0..choice.int_in_range(0..=2)? {
        turn += choice.choose(&[
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\nUpgrade: x\r\n Content-Length: y\r\n\r\n",
            "HTTP/1.0 199\n\n",
        ])?;
    }
    turn += choice.choose(&["HTTP/1.1 101 Switching Protocols\r\n", "HTTP/1.1 101\n"])?;
    for _ in 0..choice.int_in_range(0..=3)? {
        turn += choice.choose(&[
            "Connection: Upgrade\r\n",
            "Content-Length: 5\r\n",
            "Transfer-Encoding: chunked\r\n",
            "X: y\r\n\tz\r\n",
            "Upgrade: HTTP/2.0,\n",
            "Server:\r\n",
        ])?;
    }
    turn +=
        choice.choose(&["Upgrade: TLS/1.0, HTTP/1.1\r\n", "upgrade:tls/1.2\n", "UPGRADE: x,\r\n y , TLS/1.3 ,\r\n"])?;
    turn += choice.choose(&["\r\n", "Connection: Keep-Alive\r\n\r\n", "\n"])?;
    Ok(vec![turn.into_bytes()])
}
