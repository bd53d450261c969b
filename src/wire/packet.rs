//! Packets that tell their length.

use super::Excerpt;
use crate::{Error, Text};

/// A packet as it arrives: a header of `H` bytes, and the body whose length it tells, of which the first `N` bytes are
/// kept.
#[derive(Clone, Debug)]
pub struct Packet<const H: usize, const N: usize> {
    header: Excerpt<H>,
    body: Excerpt<N>,
    /// How many bytes of the body are still to come.
    left: u32,
    ended: bool,
}

impl<const H: usize, const N: usize> Packet<H, N> {
    /// None of it has arrived.
    pub const fn new() -> Self {
        Self { header: Excerpt::new(), body: Excerpt::new(), left: 0, ended: false }
    }

    /// Takes the next byte, and says whether it ended the packet. The byte after a packet's end begins the next packet.
    ///
    /// `length` is asked once for the length of the body, in bytes, when the header is whole.
    ///
    /// # Errors
    /// Those of `length`.
    pub fn push(&mut self, byte: u8, length: impl FnOnce(&[u8; H]) -> Result<u32, Error>) -> Result<bool, Error> {
        if self.ended {
            *self = Self::new();
        }
        if self.header.as_bytes().len() < H {
            self.header.push(byte);
            match self.header() {
                Some(header) => self.left = length(header)?,
                None => return Ok(false),
            }
        } else {
            self.body.push(byte);
            self.left -= 1;
        }
        self.ended = self.left == 0;
        Ok(self.ended)
    }

    /// Whether the next byte is one of the body.
    pub fn within_body(&self) -> bool {
        !self.ended && self.header().is_some()
    }

    /// The error that a packet is that the protocol does not allow here: the first 64 bytes of it.
    pub fn unexpected(&self) -> Error {
        let mut packet = Excerpt::<64>::of(self.header.as_bytes());
        packet.extend(self.body.as_bytes());
        Error::Unexpected(Text::new(packet.as_bytes()))
    }

    /// The header, once it is whole.
    pub fn header(&self) -> Option<&[u8; H]> {
        self.header.as_bytes().try_into().ok()
    }

    /// The beginning of the body.
    pub fn body(&self) -> &[u8] {
        self.body.as_bytes()
    }
}

impl<const H: usize, const N: usize> Default for Packet<H, N> {
    fn default() -> Self {
        Self::new()
    }
}
