//! Lines, and the first bytes of things that may be longer.

use core::ops::Range;

use crate::Text;

/// Where the first of these bytes stands. Most lines and words are short, so that eight bytes at a time is the most that
/// pays.
#[inline]
pub fn find<const N: usize>(needles: [u8; N], input: &[u8]) -> Option<usize> {
    const LOW: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let found = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        let found = needles.iter().fold(0, |found, &needle| {
            // The lowest byte that is zero has its high bit set here, and none below it has.
            let difference = word ^ u64::from_ne_bytes([needle; 8]);
            found | difference.wrapping_sub(LOW) & !difference & HIGH
        });
        (found != 0).then(|| found.trailing_zeros() as usize / 8)
    };
    let mut rest = input;
    while let Some((word, behind)) = rest.split_first_chunk() {
        if let Some(at) = found(word) {
            return Some(input.len() - rest.len() + at);
        }
        rest = behind;
    }
    // The last eight bytes, of which some have been looked at.
    match input.last_chunk() {
        Some(last) => Some(input.len() - 8 + found(last)?),
        None => input.iter().position(|byte| needles.contains(byte)),
    }
}

/// The first `N` bytes of something that may be longer, kept inline.
#[derive(Clone, Debug)]
pub struct Excerpt<const N: usize> {
    bytes: [u8; N],
    len: u16,
}

impl<const N: usize> Excerpt<N> {
    /// An empty one.
    pub const fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    /// The first `N` of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut excerpt = Self::new();
        excerpt.extend(bytes);
        excerpt
    }

    /// Adds a byte, or drops it if there is no room.
    pub fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(usize::from(self.len)) {
            *slot = byte;
            self.len += 1;
        }
    }

    /// Drops the last byte.
    pub fn pop(&mut self) {
        self.len = self.len.saturating_sub(1);
    }

    /// Adds those of the bytes for which there is room.
    pub fn extend(&mut self, bytes: &[u8]) {
        copy(bytes, self.bytes.get_mut(usize::from(self.len)..));
        self.len = (usize::from(self.len) + bytes.len()).min(N) as u16;
    }

    /// What was kept.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Starts anew.
    pub fn clear(&mut self) {
        self.len = 0;
    }
}

impl<const N: usize> Default for Excerpt<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// A bit that no length has.
const PAUSED: u32 = 1 << 31;

/// A line as it arrives, of which the first `N` bytes are kept. It ends in CR LF or, from sloppy servers, in LF.
#[derive(Clone, Debug)]
pub struct Line<const N: usize = 224> {
    bytes: [u8; N],
    /// How many bytes it has, up to one more than are kept, and whether it pauses. The byte after a line's end is the first
    /// of the next line.
    len: u32,
    /// How many of those stand ahead of what may be the carriage return of its end.
    inner: u32,
    /// How much is kept of the line that ended last, without its end.
    last: u32,
}

impl<const N: usize> Default for Line<N> {
    fn default() -> Self {
        Self { bytes: [0; N], len: 0, inner: 0, last: 0 }
    }
}

impl<const N: usize> Line<N> {
    /// Takes the next byte, and says whether it ended the line.
    #[inline]
    pub fn push(&mut self, byte: u8) -> bool {
        if byte == b'\n' {
            self.end();
            return true;
        }
        if !self.keep(byte) {
            self.len = N as u32 + 1;
        }
        false
    }

    /// Takes what stands ahead of the line's end.
    #[inline]
    pub fn skim(&mut self, input: &[u8]) -> usize {
        if let [byte] = input {
            return usize::from(*byte != b'\n' && !self.push(*byte));
        }
        self.extend(&input[..find([b'\n'], input).unwrap_or(input.len())])
    }

    /// Takes bytes that do not end the line, and says how many they were.
    pub fn extend(&mut self, input: &[u8]) -> usize {
        copy(input, self.bytes.get_mut(self.len as usize..));
        self.len = (self.len as usize + input.len()).min(N + 1) as u32;
        input.len()
    }

    /// Takes a byte that stands within the line, even if it looks like the line's end.
    pub fn enclose(&mut self, byte: u8) {
        self.extend(&[byte]);
        self.inner = self.len;
    }

    /// Whether the next byte begins a line.
    pub fn is_new(&self) -> bool {
        self.len == 0
    }

    /// Keeps a byte that does not end the line, and says whether it was such a one, there was room for it, and the line
    /// does not pause.
    #[inline]
    pub fn keep(&mut self, byte: u8) -> bool {
        if byte == b'\n' {
            return false;
        }
        let Some(slot) = self.bytes.get_mut(self.len as usize) else { return false };
        *slot = byte;
        self.len += 1;
        true
    }

    /// Sets whether the bytes that come are none of the line's. There is no room for them then.
    pub fn pause(&mut self, pauses: bool) {
        self.len = self.len & !PAUSED | if pauses { PAUSED } else { 0 };
    }

    /// Whether as much is kept as can be, and nothing was lost.
    pub fn is_full(&self) -> bool {
        self.len as usize == N
    }

    /// Drops this part of what is kept of a line that has not ended.
    pub fn cut(&mut self, part: Range<usize>) {
        self.len -= part.len() as u32;
        self.bytes.copy_within(part.end.., part.start);
    }

    /// The beginning of the line that has ended, without its end.
    pub fn head(&self) -> &[u8] {
        &self.bytes[..self.last as usize]
    }

    /// What is kept of a line that has not ended.
    pub fn kept(&self) -> &[u8] {
        &self.bytes[..N.min((self.len & !PAUSED) as usize)]
    }

    fn end(&mut self) {
        let line = self.kept();
        let line = match line {
            // The last byte that is kept is not always the last of the line.
            [inner @ .., b'\r'] if self.len as usize == line.len() && self.len > self.inner => inner,
            line => line,
        };
        self.last = line.len() as u32;
        (self.len, self.inner) = (0, 0);
    }
}

/// A reply of several lines as it arrives. Its first [`Text::MOST`] bytes are kept, and the first 64 of its last line.
#[derive(Clone, Debug)]
pub struct Lines {
    bytes: [u8; Self::KEPT],
    /// Where the last line begins. Behind the part of the reply that is kept, each line takes the place of the one before.
    start: u32,
    /// Where the next byte goes, if there is room.
    end: u32,
}

impl Lines {
    const REPLY: usize = Text::MOST;
    const LINE: usize = 64;
    /// Behind the reply there is room for one line, and for a byte more: if one follows, a carriage return ahead of it is
    /// not that of the line's end.
    const KEPT: usize = Self::REPLY + Self::LINE + 1;

    /// Takes the next byte, and says whether it ended a line. Then comes [`next`](Self::next) or [`clear`](Self::clear).
    #[inline]
    pub fn push(&mut self, byte: u8) -> bool {
        if let Some(slot) = self.bytes.get_mut(self.end as usize) {
            *slot = byte;
        }
        self.end += 1;
        byte == b'\n'
    }

    /// Takes what stands ahead of the line's end.
    #[inline]
    pub fn skim(&mut self, input: &[u8]) -> usize {
        if let [byte] = input {
            return usize::from(*byte != b'\n' && !self.push(*byte));
        }
        let begun = &input[..find([b'\n'], input).unwrap_or(input.len())];
        self.extend(begun);
        begun.len()
    }

    /// Whether the next byte begins a line.
    pub fn is_new(&self) -> bool {
        self.start == self.end
    }

    /// The beginning of the last line, without its end.
    pub fn line(&self) -> &[u8] {
        let line = self.raw_line();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        &line[..Self::LINE.min(line.len())]
    }

    /// The same, with the carriage return of its end.
    #[inline]
    pub fn raw_line(&self) -> &[u8] {
        let line = &self.bytes[self.start as usize..Self::KEPT.min(self.end as usize)];
        line.strip_suffix(b"\n").unwrap_or(line)
    }

    /// The beginning of the reply, as it came.
    pub fn reply(&self) -> &[u8] {
        &self.bytes[..Self::REPLY.min(self.end as usize)]
    }

    /// Begins another line.
    #[inline]
    pub fn next(&mut self) {
        self.end = self.end.min(Self::REPLY as u32);
        self.start = self.end;
    }

    /// Begins another reply.
    pub fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// Takes bytes: the rest of a line, or whole lines.
    pub fn extend(&mut self, input: &[u8]) {
        copy(input, self.bytes.get_mut(self.end as usize..));
        self.end += input.len() as u32;
    }
}

impl Default for Lines {
    fn default() -> Self {
        Self { bytes: [0; Self::KEPT], start: 0, end: 0 }
    }
}

/// Copies as much as there is room for.
fn copy(input: &[u8], room: Option<&mut [u8]>) {
    let room = room.unwrap_or_default();
    let len = input.len().min(room.len());
    room[..len].copy_from_slice(&input[..len]);
}
