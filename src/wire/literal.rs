//! The literals of IMAP and its kin.

use super::{Line, find};

/// Finds literals: `{n}` at the end of a line, and behind it n bytes of anything (RFC 9051 §4.3).
#[derive(Clone, Debug, Default)]
pub struct Literals {
    state: State,
    /// Whether `{n+}` is one, too.
    plus: bool,
}

/// How far a literal has been read.
#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    None,
    Length(Option<u32>),
    Plus(u32),
    Announced(u32),
    Return(u32),
    /// This many of its bytes are still to come.
    Within(u32),
}

/// What a byte is to a response that may hold literals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A byte of the line.
    Text,
    /// The end of a line that announced a literal of this length. If there may be one here, [`Literals::enter`] it.
    Announced(u32),
    /// A byte within a literal.
    Octet,
}

impl Literals {
    /// Literals that may also be announced as `{n+}`, as those are that ask for no leave (RFC 7888).
    pub fn or_plus() -> Self {
        Self { state: State::None, plus: true }
    }

    /// Takes the next byte.
    #[inline]
    pub fn push(&mut self, byte: u8) -> Piece {
        // Nearly every byte.
        if matches!(self.state, State::None) && byte != b'{' { Piece::Text } else { self.advance(byte) }
    }

    fn advance(&mut self, byte: u8) -> Piece {
        let (state, piece) = match (self.state, byte) {
            (State::Within(left), _) => (if left > 1 { State::Within(left - 1) } else { State::None }, Piece::Octet),
            (State::Announced(length) | State::Return(length), b'\n') => (State::None, Piece::Announced(length)),
            (State::Announced(length), b'\r') => (State::Return(length), Piece::Text),
            (_, b'{') => (State::Length(None), Piece::Text),
            (State::Length(length), b'0'..=b'9') => {
                // A length that overflows is over any limit: it stays at the most that there is.
                let length = length.unwrap_or(0).saturating_mul(10).saturating_add(u32::from(byte - b'0'));
                (State::Length(Some(length)), Piece::Text)
            }
            (State::Length(Some(length)), b'+') if self.plus => (State::Plus(length), Piece::Text),
            (State::Length(Some(length)) | State::Plus(length), b'}') => (State::Announced(length), Piece::Text),
            _ => (State::None, Piece::Text),
        };
        self.state = state;
        piece
    }

    /// What stands ahead of a brace or of the line's end, unless a literal or its length is being read.
    pub fn text<'a>(&self, input: &'a [u8]) -> &'a [u8] {
        match self.state {
            State::None => &input[..find([b'{', b'\n'], input).unwrap_or(input.len())],
            _ => &[],
        }
    }

    /// Whether the next byte stands within a literal.
    pub fn is_within(&self) -> bool {
        matches!(self.state, State::Within(_))
    }

    /// Expects a literal of this length. What [`push`](Self::push) took for text otherwise is now taken for octets.
    pub fn enter(&mut self, length: u32) {
        self.state = if length > 0 { State::Within(length) } else { State::None };
    }
}

/// A line with any literals in it, as ACAP, MUPDATE and ManageSieve have them: of the whole, the first `N` bytes are kept.
#[derive(Clone, Debug)]
pub struct LongLine<const N: usize = 224> {
    line: Line<N>,
    literals: Literals,
}

/// How far a [`LongLine`] has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It goes on.
    More,
    /// It goes on with a literal, behind the end of a line that is not its own.
    Literal,
    /// It ended.
    Ended,
}

impl<const N: usize> Default for LongLine<N> {
    fn default() -> Self {
        Self { line: Line::default(), literals: Literals::or_plus() }
    }
}

impl<const N: usize> LongLine<N> {
    /// Takes the next byte. The byte after a line's end begins the next line.
    pub fn push(&mut self, byte: u8) -> Progress {
        match self.literals.push(byte) {
            Piece::Text if self.line.push(byte) => Progress::Ended,
            Piece::Text => Progress::More,
            Piece::Announced(length) => {
                self.literals.enter(length);
                self.line.enclose(byte);
                Progress::Literal
            }
            Piece::Octet => {
                self.line.enclose(byte);
                Progress::More
            }
        }
    }

    /// Takes text that does not end the line.
    pub fn skim(&mut self, input: &[u8]) -> usize {
        self.line.extend(self.literals.text(input))
    }

    /// The beginning of the line, without its end.
    pub fn head(&self) -> &[u8] {
        self.line.head()
    }

    /// Whether the next byte stands within a literal.
    pub fn is_within_literal(&self) -> bool {
        self.literals.is_within()
    }
}
