//! Lines, and the first bytes of things that may be longer.

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

    /// Adds those of the bytes for which there is room.
    pub fn extend(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.push(byte));
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

/// A line as it arrives, of which the first `N` bytes are kept. It ends in CR LF or, from sloppy servers, in LF.
#[derive(Clone, Debug, Default)]
pub struct Line<const N: usize = 224> {
    head: Excerpt<N>,
    ended: bool,
    /// Whether the byte before was the first of CR LF, if that it is.
    returned: bool,
}

impl<const N: usize> Line<N> {
    /// Takes the next byte, and says whether it ended the line. The byte after a line's end begins the next line.
    pub fn push(&mut self, byte: u8) -> bool {
        if self.ended {
            self.head.clear();
        }
        self.ended = byte == b'\n';
        if !self.ended {
            self.head.push(byte);
            self.returned = byte == b'\r';
        }
        self.ended
    }

    /// Takes a byte that stands within the line, even if it looks like the line's end.
    pub fn keep(&mut self, byte: u8) {
        self.head.push(byte);
        self.returned = false;
    }

    /// The beginning of the line, without its end.
    pub fn head(&self) -> &[u8] {
        match self.head.as_bytes() {
            [line @ .., b'\r'] if self.ended && self.returned => line,
            head => head,
        }
    }
}
