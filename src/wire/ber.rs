//! Elements of BER.

/// How many constructed elements may be open at once. LDAP's messages need three: the message, its controls, and one of
/// those.
const DEPTH: usize = 4;

/// BER elements within one another (X.690 §8.1), as they arrive: tags of one byte, definite lengths in any form of up to
/// four bytes, and every element exactly as long as it says.
#[derive(Clone, Debug, Default)]
pub struct Ber {
    /// How many bytes of the outermost element have arrived.
    at: u32,
    /// Where the constructed elements end that are open, the outermost first.
    ends: [u32; DEPTH],
    depth: u8,
    state: State,
}

/// What the next byte is.
#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Tag,
    Length {
        tag: u8,
    },
    /// One of the bytes of a length in the long form, of which `left` are to come.
    LongLength {
        tag: u8,
        left: u8,
        length: u32,
    },
    Content {
        end: u32,
    },
}

/// What a byte of an element brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Nothing yet.
    More,
    /// An element began: its tag, how many elements it is within, and the length of its content.
    Header {
        /// The identifier octet, with the class and whether the element is constructed.
        tag: u8,
        /// 0 for the outermost element.
        depth: u8,
        /// In bytes.
        length: u32,
    },
    /// The byte belongs to the content of the primitive element that began last.
    Content,
}

impl Ber {
    /// None of it has arrived.
    pub const fn new() -> Self {
        Self { at: 0, ends: [0; DEPTH], depth: 0, state: State::Tag }
    }

    /// Takes the next byte; `None` if no element may have it. The byte after the end of the outermost element begins the
    /// next.
    pub fn push(&mut self, byte: u8) -> Option<Part> {
        if self.ended() {
            *self = Self::new();
        }
        self.at += 1;
        let part = match self.state {
            State::Tag if byte & 0x1f == 0x1f => return None,
            State::Tag => {
                self.state = State::Length { tag: byte };
                Part::More
            }
            State::Length { tag } => match byte {
                0..=0x7f => self.begin(tag, u32::from(byte))?,
                0x81..=0x84 => {
                    self.state = State::LongLength { tag, left: byte - 0x80, length: 0 };
                    Part::More
                }
                _ => return None,
            },
            State::LongLength { tag, left, length } => {
                let length = length << 8 | u32::from(byte);
                if left > 1 {
                    self.state = State::LongLength { tag, left: left - 1, length };
                    Part::More
                } else {
                    self.begin(tag, length)?
                }
            }
            State::Content { .. } => Part::Content,
        };
        self.end()?;
        Some(part)
    }

    /// Whether the outermost element is whole.
    pub fn ended(&self) -> bool {
        self.at > 0 && self.depth == 0 && matches!(self.state, State::Tag)
    }

    /// The header of an element is whole.
    fn begin(&mut self, tag: u8, length: u32) -> Option<Part> {
        let depth = self.depth;
        let end = self.at.checked_add(length).filter(|&end| self.within().is_none_or(|outer| end <= outer))?;
        if tag & 0x20 == 0 {
            self.state = State::Content { end };
        } else {
            *self.ends.get_mut(usize::from(depth))? = end;
            self.depth += 1;
            self.state = State::Tag;
        }
        Some(Part::Header { tag, depth, length })
    }

    /// Closes the elements that end here; `None` if one of them ends within the header of another.
    fn end(&mut self) -> Option<()> {
        match self.state {
            State::Content { end } if end == self.at => self.state = State::Tag,
            State::Tag | State::Content { .. } => {}
            State::Length { .. } | State::LongLength { .. } if self.within() == Some(self.at) => return None,
            State::Length { .. } | State::LongLength { .. } => {}
        }
        if let State::Tag = self.state {
            while self.within() == Some(self.at) {
                self.depth -= 1;
            }
        }
        Some(())
    }

    /// Where the innermost constructed element ends.
    fn within(&self) -> Option<u32> {
        usize::from(self.depth).checked_sub(1).map(|innermost| self.ends[innermost])
    }
}
