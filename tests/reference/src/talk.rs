//! A talk with a server all of whose words are known beforehand.

use starttls::Escaped;
use starttls::protocol::Client;

use crate::Verdict;

/// How a dialogue ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// TLS is to start.
    Upgraded,
    /// The server does not list it.
    NotAdvertised,
    /// The server refuses, with this status.
    Refused {
        /// As it is shown.
        code: String,
        /// Whether it may succeed later.
        temporary: bool,
    },
    /// The session is authenticated.
    Preauthenticated,
    /// The server ends the session, with this status.
    Closing {
        /// As it is shown.
        code: String,
        /// Whether it may succeed later.
        temporary: bool,
    },
    /// The protocol does not allow what the server said.
    Unexpected,
    /// The server said something while it was the client's turn.
    Injected,
    /// The server has said all, and something is missing.
    Pending,
}

impl End {
    /// The end of the session, for good.
    pub(crate) fn closing(code: &str) -> Self {
        Self::Closing { code: code.to_owned(), temporary: false }
    }

    /// A refusal, for good.
    pub(crate) fn refused(code: &str) -> Self {
        Self::Refused { code: code.to_owned(), temporary: false }
    }
}

/// A dialogue that upgrades, or ends otherwise.
pub(crate) type Outcome = Result<(), End>;

pub(crate) struct Talk<'a> {
    pub(crate) client: Client<'a>,
    /// To be set as soon as the server has made it known.
    pub(crate) advertised: Option<bool>,
    turns: std::slice::Iter<'a, Vec<u8>>,
    /// What has arrived of the turns so far and was not heard yet.
    arrived: Vec<u8>,
    sent: Vec<String>,
}

impl<'a> Talk<'a> {
    pub(crate) fn new(client: Client<'a>, turns: &'a [Vec<u8>]) -> Self {
        Self { client, advertised: None, turns: turns.iter(), arrived: Vec::new(), sent: Vec::new() }
    }

    /// Hears so many bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Result<Vec<u8>, End> {
        while self.arrived.len() < count {
            self.arrived.extend(self.turns.next().ok_or(End::Pending)?);
        }
        Ok(self.arrived.drain(..count).collect())
    }

    pub(crate) fn byte(&mut self) -> Result<u8, End> {
        Ok(self.bytes(1)?[0])
    }

    /// Hears a number, the highest byte first.
    pub(crate) fn u32(&mut self) -> Result<usize, End> {
        Ok(self.bytes(4)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    /// Hears a line, and gives it without its end, CR LF or LF.
    pub(crate) fn line(&mut self) -> Result<Vec<u8>, End> {
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            line.extend(self.bytes(1)?);
        }
        line.pop();
        line.pop_if(|last| *last == b'\r');
        Ok(line)
    }

    /// Hears a line that goes on behind each literal, `{n}` or `{n+}`, that its parts end in.
    pub(crate) fn long_line(&mut self) -> Result<Vec<Piece>, End> {
        let mut pieces = Vec::new();
        loop {
            let line = self.line()?;
            let length = announced(&line);
            pieces.push(Piece::Line(line));
            match length {
                Some(length) => pieces.push(Piece::Literal(self.bytes(length)?)),
                None => return Ok(pieces),
            }
        }
    }

    /// Says something, for which the server has to be silent. An empty line is not in its place either, but no attack.
    pub(crate) fn say(&mut self, request: impl AsRef<[u8]>) -> Outcome {
        match self.arrived.first() {
            None => {}
            Some(b'\r' | b'\n') => return Err(End::Unexpected),
            Some(_) => {}
        }
        self.part(request)
    }

    /// Says what TLS is the answer to.
    pub(crate) fn part(&mut self, request: impl AsRef<[u8]>) -> Outcome {
        if !self.arrived.is_empty() {
            return Err(End::Injected);
        }
        self.sent.push(Escaped(request.as_ref()).to_string());
        Ok(())
    }

    /// The verdict on a dialogue that ended like this. Behind an agreement the server has nothing more to say.
    pub(crate) fn verdict(self, outcome: Outcome) -> Verdict {
        let silent = self.arrived.is_empty() && self.turns.as_slice().iter().all(Vec::is_empty);
        let end = match outcome {
            Ok(()) if silent => End::Upgraded,
            Ok(()) => End::Injected,
            Err(end) => end,
        };
        Verdict { sent: self.sent, advertised: self.advertised, end }
    }
}

/// A part of a line that holds literals.
pub(crate) enum Piece {
    Line(Vec<u8>),
    Literal(Vec<u8>),
}

/// The length of the literal that a line announces at its end.
fn announced(line: &[u8]) -> Option<usize> {
    let inside = line.strip_suffix(b"}")?;
    let inside = inside.strip_suffix(b"+").unwrap_or(inside);
    let brace = inside.iter().rposition(|byte| !byte.is_ascii_digit())?;
    let digits = &inside[brace + 1..];
    if inside[brace] != b'{' || digits.is_empty() {
        return None;
    }
    Some(str::from_utf8(digits).expect("digits").parse().unwrap_or(usize::MAX))
}

/// Whether this is a keyword, in any case.
pub(crate) fn is(word: &[u8], keyword: &str) -> bool {
    word.eq_ignore_ascii_case(keyword.as_bytes())
}

/// The number that a line begins with, of three digits, and the byte behind it.
pub(crate) fn digits(line: &[u8]) -> Option<(u16, Option<u8>)> {
    let digits = line.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let number = str::from_utf8(digits).expect("digits").parse().expect("a number");
    Some((number, line.get(3).copied()))
}

/// What stands in front of the first space, and what behind it.
pub(crate) fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let mut halves = text.splitn(2, |byte| *byte == b' ');
    (halves.next().unwrap_or_default(), halves.next().unwrap_or_default())
}
