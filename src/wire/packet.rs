//! Packets: what they begin with, and the length in their header.

use crate::Frame;

/// How a unit goes on that begins with one of these, or `None` once it has. The bytes are asked for one by one, so that the
/// first that is wrong is refused at once.
pub fn magic(begun: &[u8], known: &[&[u8]]) -> Option<Frame> {
    match () {
        () if known.iter().any(|magic| begun.starts_with(magic)) => None,
        () if known.iter().any(|magic| magic.starts_with(begun)) => Some(Frame::Exactly(1)),
        () => Some(Frame::Unexpected),
    }
}

/// How a packet goes on. `length` reads the length of the body from a header; `None` if there is no such header.
pub fn frame<const H: usize>(begun: &[u8], length: impl FnOnce(&[u8; H]) -> Option<u32>) -> Frame {
    match begun.try_into() {
        Ok(header) => length(header).map_or(Frame::Unexpected, Frame::body),
        Err(_) if begun.is_empty() => Frame::Exactly(H as u32),
        Err(_) => Frame::Whole,
    }
}
