//! The first bytes of things that may be longer.

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
        let room = self.bytes.get_mut(usize::from(self.len)..).unwrap_or_default();
        let length = bytes.len().min(room.len());
        room[..length].copy_from_slice(&bytes[..length]);
        self.len += length as u16;
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
