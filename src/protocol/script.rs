//! A dialogue that the caller writes, for a protocol that nobody has named.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::str::FromStr;

use bytes::Bytes;
use thiserror::Error;

use crate::{Code, Dialogue, Error, Reason, Reply, Step, Text};

/// A dialogue read from a text: what to send, and which lines to expect.
///
/// ```
/// use starttls::{Negotiation, protocol::Script};
///
/// let script: Script = r#"
///     ## The made-up Frobnication Protocol
///     expect "FROB/1 "
///     send   "SECURE\r\n"
///     skip   "; "                 a comment of the server's
///     refuse "SORRY"
///     expect "AYE\n"
/// "#.parse()?;
///
/// let mut negotiation = Negotiation::required(script);
/// negotiation.handle_input(b"FROB/1 ready\r\n")?;
/// assert_eq!(negotiation.poll_transmit().unwrap(), "SECURE\r\n");
/// negotiation.handle_input(b"; thinking\r\nAYE\r\n")?;
/// let _upgrade = negotiation.finish()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// - `send "…"` sends these bytes; several in a row are one request.
/// - `expect "…"` awaits a line that begins so. TLS starts behind the last, or is the answer to a `send` in its place.
/// - `refuse "…"` takes a line that begins so for a refusal, and `skip "…"` passes over one. Both stand before the
///   `expect` that they belong to. The first of these that fits a line counts; a line that fits none is an error.
///
/// One that ends in `\n` has to be the whole line. Lines end in CR LF or LF.
/// Escapes are `\r`, `\n`, `\t`, `\"`, `\\` and `\xNN`. Empty lines do not count, nor does `#` and what is behind it
/// at the start of a line, nor anything behind the closing quote.
#[derive(Debug)]
pub struct Script {
    moves: Box<[Move]>,
    /// Which of them is next.
    at: usize,
}

/// The most moves of a script, and the most bytes of each.
const MOST_MOVES: usize = 64;
const LONGEST: usize = 200;

#[derive(Debug)]
enum Move {
    Send(Bytes),
    Line(Verb, Bytes),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Verb {
    Expect,
    Refuse,
    Skip,
}

/// What is wrong with the text of a script, and in which line, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {error}")]
pub struct InvalidScript {
    /// The line.
    pub line: usize,
    /// What is wrong with it.
    pub error: ScriptError,
}

/// What can be wrong with the text of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ScriptError {
    /// Another word than those four.
    #[error("neither send, expect, refuse nor skip")]
    UnknownVerb,
    /// What follows is not in quotes, or the quotes are not closed.
    #[error("no text in quotes")]
    NoText,
    /// The quotes are empty, or hold nothing but the end of a line: every line would fit.
    #[error("an empty text")]
    Empty,
    /// The text has more than 200 bytes.
    #[error("a text of more than 200 bytes")]
    TooLong,
    /// A backslash before something else than one of the escapes.
    #[error("an unknown escape")]
    UnknownEscape,
    /// A line to be received has a line end before its own end, so that none could fit.
    #[error("more than one line")]
    Lines,
    /// The script has more than 64 moves, or none.
    #[error("a script has 1 to 64 moves")]
    Length,
    /// A `refuse` or `skip` that no `expect` follows.
    #[error("no expect follows")]
    NothingExpected,
}

impl FromStr for Script {
    type Err = InvalidScript;

    fn from_str(text: &str) -> Result<Self, InvalidScript> {
        let mut moves: Vec<Move> = Vec::new();
        let (mut last, mut count) = (1, 0);
        for (number, line) in text.lines().enumerate() {
            let at = |error| InvalidScript { line: number + 1, error };
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            (last, count) = (number + 1, count + 1);
            if count > MOST_MOVES {
                return Err(at(ScriptError::Length));
            }
            match (moves.last_mut(), parse(line).map_err(at)?) {
                (Some(Move::Line(Verb::Refuse | Verb::Skip, _)), Move::Send(_)) => {
                    return Err(at(ScriptError::NothingExpected));
                }
                (Some(Move::Send(said)), Move::Send(more)) => *said = Bytes::from([&said[..], &more].concat()),
                (_, next) => moves.push(next),
            }
        }
        match moves.last() {
            None => Err(InvalidScript { line: last, error: ScriptError::Length }),
            Some(Move::Line(Verb::Refuse | Verb::Skip, _)) => {
                Err(InvalidScript { line: last, error: ScriptError::NothingExpected })
            }
            Some(_) => Ok(Self { moves: moves.into(), at: 0 }),
        }
    }
}

fn parse(line: &str) -> Result<Move, ScriptError> {
    let (verb, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let verb = match verb {
        "send" => None,
        "expect" => Some(Verb::Expect),
        "refuse" => Some(Verb::Refuse),
        "skip" => Some(Verb::Skip),
        _ => return Err(ScriptError::UnknownVerb),
    };
    let text = unquote(rest.trim_start().strip_prefix('"').ok_or(ScriptError::NoText)?)?;
    let Some(verb) = verb else { return if text.is_empty() { Err(ScriptError::Empty) } else { Ok(Move::Send(text)) } };
    match text.strip_suffix(b"\n").unwrap_or(&text) {
        [] | [b'\r'] => Err(ScriptError::Empty),
        line if line.contains(&b'\n') => Err(ScriptError::Lines),
        _ => Ok(Move::Line(verb, text)),
    }
}

/// Reads up to the closing quote.
fn unquote(text: &str) -> Result<Bytes, ScriptError> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    loop {
        bytes.push(match rest.next().ok_or(ScriptError::NoText)? {
            b'"' => return Ok(Bytes::from(bytes)),
            b'\\' => match rest.next() {
                Some(b'r') => b'\r',
                Some(b'n') => b'\n',
                Some(b't') => b'\t',
                Some(byte @ (b'"' | b'\\')) => byte,
                Some(b'x') => hex(rest.next())
                    .zip(hex(rest.next()))
                    .map(|(high, low)| high << 4 | low)
                    .ok_or(ScriptError::UnknownEscape)?,
                _ => return Err(ScriptError::UnknownEscape),
            },
            byte => byte,
        });
        if bytes.len() > LONGEST {
            return Err(ScriptError::TooLong);
        }
    }
}

fn hex(digit: Option<u8>) -> Option<u8> {
    char::from(digit?).to_digit(16).map(|digit| digit as u8)
}

/// Whether a line, its end taken off, is the one that a move means.
fn fits(line: &[u8], text: &[u8]) -> bool {
    match text.strip_suffix(b"\n") {
        Some(whole) => line == whole.strip_suffix(b"\r").unwrap_or(whole),
        None => line.starts_with(text),
    }
}

impl Script {
    /// What comes next: a request, or a line to expect.
    fn next(&mut self) -> Option<Step> {
        let Some(Move::Send(request)) = self.moves.get_mut(self.at) else { return None };
        let request = core::mem::take(request);
        self.at += 1;
        Some(if self.at == self.moves.len() { Step::SendThenUpgrade(request) } else { Step::Send(request) })
    }
}

impl Dialogue for Script {
    fn open(&mut self) -> Step {
        self.next().unwrap_or(Step::More)
    }

    fn receive(&mut self, line: &[u8]) -> Result<Step, Error> {
        for (ahead, candidate) in self.moves[self.at..].iter().enumerate() {
            let Move::Line(verb, text) = candidate else { break };
            match verb {
                Verb::Skip if fits(line, text) => return Ok(Step::Unasked),
                Verb::Refuse if fits(line, text) => {
                    let reply = Reply { code: Code::Word(""), text: Text::new(line), temporary: false };
                    return Ok(Step::Decline(Reason::Refused(reply)));
                }
                Verb::Expect if fits(line, text) => {
                    self.at += ahead + 1;
                    let end = if self.at == self.moves.len() { Step::Upgrade } else { Step::Await };
                    return Ok(self.next().unwrap_or(end));
                }
                Verb::Expect => break,
                Verb::Skip | Verb::Refuse => {}
            }
        }
        Err(Error::unexpected(line))
    }

    /// What the script skips ahead of the line that it expects next.
    fn speaks_unasked(&self) -> bool {
        let next = self.moves[self.at..].iter().find(|next| !matches!(next, Move::Line(Verb::Refuse, _)));
        matches!(next, Some(Move::Line(Verb::Skip, _)))
    }

    fn awaiting(&self) -> &'static str {
        "a line that the script expects"
    }
}
