//! JSON objects, of which one member matters.

use super::Excerpt;

/// How many objects and arrays may be within one another: one a bit of [`Json::arrays`].
const DEPTH: u8 = 32;

/// A JSON object (RFC 8259) as it arrives, and which of `N` names its own members give the value `true`.
///
/// Members of the objects within it do not count, nor does what stands in a string. A name that is given twice has its
/// last value.
#[derive(Clone, Debug)]
pub struct Json<const N: usize> {
    names: [&'static str; N],
    truth: [bool; N],
    state: State,
    /// How many objects and arrays are open.
    depth: u8,
    /// Which of them are arrays, the innermost in the lowest bit.
    arrays: u32,
    /// The name of the member of the outermost object whose value is next.
    name: Excerpt<24>,
    /// A value of letters.
    word: Excerpt<6>,
    /// The code unit that `\u` gives.
    unit: u16,
}

/// What may be next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Start,
    Name,
    NameOrEnd,
    Colon,
    Value,
    ValueOrEnd,
    Comma,
    String { is_name: bool },
    Escape { is_name: bool },
    Unit { is_name: bool, left: u8 },
    Number,
    Word,
    Ended,
    Invalid,
}

impl<const N: usize> Json<N> {
    /// None of it has arrived. No name may be longer than 23 bytes.
    pub const fn new(names: [&'static str; N]) -> Self {
        Self {
            names,
            truth: [false; N],
            state: State::Start,
            depth: 0,
            arrays: 0,
            name: Excerpt::new(),
            word: Excerpt::new(),
            unit: 0,
        }
    }

    /// Takes the next byte.
    pub fn push(&mut self, byte: u8) {
        // Nothing but the byte behind it ends a number or a word.
        if (self.state == State::Number && !matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
            || (self.state == State::Word && !byte.is_ascii_lowercase())
        {
            self.state = self.end_scalar();
        }
        self.state = match (self.state, byte) {
            (State::String { is_name }, b'"') => {
                if is_name {
                    State::Colon
                } else {
                    self.end_value(false)
                }
            }
            (State::String { is_name }, b'\\') => State::Escape { is_name },
            (State::String { .. }, 0..=0x1f) => State::Invalid,
            (State::String { is_name }, _) => self.character(is_name, byte),
            (State::Escape { is_name }, b'"' | b'\\' | b'/') => self.character(is_name, byte),
            (State::Escape { is_name }, b'b' | b'f' | b'n' | b'r' | b't') => self.character(is_name, b'\n'),
            (State::Escape { is_name }, b'u') => {
                self.unit = 0;
                State::Unit { is_name, left: 4 }
            }
            (State::Escape { .. }, _) => State::Invalid,
            (State::Unit { is_name, left }, _) => match (byte as char).to_digit(16) {
                Some(digit) => {
                    self.unit = self.unit << 4 | digit as u16;
                    match left {
                        // No name that is looked for has a character beyond ASCII.
                        1 => self.character(is_name, u8::try_from(self.unit).unwrap_or(0xff)),
                        _ => State::Unit { is_name, left: left - 1 },
                    }
                }
                None => State::Invalid,
            },
            (State::Number, _) => State::Number,
            (State::Word, _) => {
                self.word.push(byte);
                State::Word
            }
            (state, b' ' | b'\t' | b'\r' | b'\n') => state,
            (State::Start, b'{') => self.open(false),
            (State::Value | State::ValueOrEnd, b'{') => self.open(false),
            (State::Value | State::ValueOrEnd, b'[') => self.open(true),
            (State::Value | State::ValueOrEnd, b'"') => State::String { is_name: false },
            (State::Value | State::ValueOrEnd, b'-' | b'0'..=b'9') => State::Number,
            (State::Value | State::ValueOrEnd, b'a'..=b'z') => {
                self.word = Excerpt::of(&[byte]);
                State::Word
            }
            (State::Name | State::NameOrEnd, b'"') => {
                if self.depth == 1 {
                    self.name.clear();
                }
                State::String { is_name: true }
            }
            (State::Colon, b':') => State::Value,
            (State::Comma, b',') if self.in_array() => State::Value,
            (State::Comma, b',') => State::Name,
            (State::Comma | State::NameOrEnd, b'}') if !self.in_array() => self.close(),
            (State::Comma | State::ValueOrEnd, b']') if self.in_array() => self.close(),
            _ => State::Invalid,
        };
    }

    /// Whether the object is whole, and nothing stands behind it.
    pub fn ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Whether the member of this name is `true`.
    pub fn is_true(&self, name: &str) -> bool {
        self.names.iter().zip(self.truth).any(|(known, truth)| *known == name && truth)
    }

    fn character(&mut self, is_name: bool, byte: u8) -> State {
        if is_name && self.depth == 1 {
            self.name.push(byte);
        }
        State::String { is_name }
    }

    fn in_array(&self) -> bool {
        self.arrays & 1 == 1
    }

    fn open(&mut self, array: bool) -> State {
        if self.depth == DEPTH {
            return State::Invalid;
        }
        self.depth += 1;
        self.arrays = self.arrays << 1 | u32::from(array);
        if array { State::ValueOrEnd } else { State::NameOrEnd }
    }

    fn close(&mut self) -> State {
        self.depth -= 1;
        self.arrays >>= 1;
        self.end_value(false)
    }

    fn end_scalar(&mut self) -> State {
        match self.word.as_bytes() {
            _ if self.state == State::Number => self.end_value(false),
            word @ (b"true" | b"false" | b"null") => self.end_value(word == b"true"),
            _ => State::Invalid,
        }
    }

    fn end_value(&mut self, truth: bool) -> State {
        if self.depth == 1 {
            for (name, slot) in self.names.iter().zip(&mut self.truth) {
                if name.as_bytes() == self.name.as_bytes() {
                    *slot = truth;
                }
            }
        }
        if self.depth == 0 { State::Ended } else { State::Comma }
    }
}
