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
    /// What is to be said once all that has arrived was heard.
    unsent: Option<String>,
    /// How much of what has arrived came before that.
    early: usize,
    /// Whether what was heard last came before it, in part or all.
    pub(crate) heard_early: bool,
    /// What was heard last.
    heard: Vec<u8>,
    /// Whether the server says lines.
    lines: bool,
}

impl<'a> Talk<'a> {
    pub(crate) fn new(client: Client<'a>, turns: &'a [Vec<u8>]) -> Self {
        Self {
            client,
            advertised: None,
            turns: turns.iter(),
            arrived: Vec::new(),
            sent: Vec::new(),
            unsent: None,
            early: 0,
            heard_early: false,
            heard: Vec::new(),
            lines: false,
        }
    }

    /// Hears so many bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Result<Vec<u8>, End> {
        while self.arrived.len() < count {
            self.sent.extend(self.unsent.take());
            self.arrived.extend(self.turns.next().ok_or(End::Pending)?);
        }
        self.heard_early |= count > 0 && self.early > 0;
        self.early = self.early.saturating_sub(count);
        self.heard.extend(&self.arrived[..count]);
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
        self.lines = true;
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            line.extend(self.bytes(1)?);
        }
        line.pop();
        line.pop_if(|last| *last == b'\r');
        Ok(line)
    }

    /// Hears lines up to one of a period, which is left out.
    pub(crate) fn list(&mut self) -> Result<Vec<Vec<u8>>, End> {
        let mut lines = Vec::new();
        loop {
            let line = self.line()?;
            if line == b"." {
                return Ok(lines);
            }
            lines.push(line);
        }
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

    /// Says something, for which the server has to be silent. An empty line is no attack, but never right.
    pub(crate) fn say(&mut self, request: impl AsRef<[u8]>) -> Outcome {
        let request = Escaped(request.as_ref()).to_string();
        if self.arrived == b"\r" && self.lines {
            // What it is the beginning of comes only later.
            self.sent.push(request);
            while self.arrived.len() < 2 {
                self.arrived.extend(self.turns.next().ok_or(End::Pending)?);
            }
            return Err(if self.arrived[1] == b'\n' { End::Unexpected } else { End::Injected });
        }
        match self.arrived[..] {
            [] => self.sent.push(request),
            [b'\n', ..] | [b'\r', b'\n', ..] if self.lines => return Err(End::Unexpected),
            _ => return Err(End::Injected),
        }
        Ok(())
    }

    /// Says something to a server that may speak unasked. What has arrived by then may be passed over, but decides nothing.
    pub(crate) fn ask(&mut self, request: impl AsRef<[u8]>) -> Outcome {
        if self.heard_early {
            return Err(End::Injected);
        }
        self.early = self.arrived.len();
        self.heard.clear();
        self.unsent = Some(Escaped(request.as_ref()).to_string());
        Ok(())
    }

    /// Passes over what was heard.
    pub(crate) fn pass(&mut self) {
        self.heard_early = false;
        self.heard.clear();
    }

    /// The verdict on a dialogue that ended like this. Behind an agreement the server has nothing more to say.
    pub(crate) fn verdict(self, outcome: Outcome) -> Verdict {
        let silent = self.arrived.is_empty() && self.turns.as_slice().iter().all(Vec::is_empty);
        let end = match outcome {
            Err(end @ (End::Closing { .. } | End::Pending)) => end,
            Err(End::Unexpected) if self.lines && [&b"\n"[..], b"\r\n"].contains(&&self.heard[..]) => End::Unexpected,
            _ if self.heard_early => End::Injected,
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

/// What stands behind a word that says no, if the text begins with it: in any case, and whatever follows, but for letters and digits.
/// One space or tab there is no part of the text.
pub(crate) fn no<'a>(text: &'a [u8], keyword: &str) -> Option<&'a [u8]> {
    let end = text.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(text.len());
    let (first, rest) = text.split_at(end);
    is(first, keyword).then(|| if matches!(rest.first(), Some(b' ' | b'\t')) { &rest[1..] } else { rest })
}

/// Whether what stands behind the digits of a no keeps it apart from its text.
pub(crate) fn parts(separator: Option<u8>) -> bool {
    !separator.is_some_and(|byte| byte.is_ascii_alphanumeric())
}

/// Whether a line could be shown as it is: it has neither NUL nor a carriage return.
pub(crate) fn is_plain(line: &[u8]) -> bool {
    !line.contains(&0) && !line.contains(&b'\r')
}

/// Whether one of these lines begins with this keyword. If none does, all must begin with one, or be empty: a letter or digit,
/// and more that is printable. Else nobody knows.
pub(crate) fn listed<L: AsRef<[u8]>>(lines: &[L], keyword: &str) -> Option<bool> {
    let mut known = true;
    for line in lines.iter().map(AsRef::as_ref) {
        let first = word(line).0;
        if is(first, keyword) {
            return Some(true);
        }
        let printable = first.iter().all(|byte| (b'!'..=b'~').contains(byte));
        known &= line.is_empty() || printable && first.first().is_some_and(u8::is_ascii_alphanumeric);
    }
    known.then_some(false)
}
