//! How much a peer may say before TLS.

/// Bounds on everything that the peer sends in the plaintext phase, each inclusive.
///
/// The defaults are far above what real peers send, and small enough that an endless reply ends in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in all. Default 65,536.
    pub bytes: u32,
    /// Bytes of one line with its end, or of one packet where the protocol is not made of lines. A length that is announced
    /// beyond it is refused at once. Default 16,384.
    pub line: u32,
    /// Lines, or packets, of one reply. Default 256.
    pub lines: u32,
    /// Replies, the greeting included. Default 16.
    pub turns: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 65_536, line: 16_384, lines: 256, turns: 16 }
    }
}

/// Which of the [`Limits`] the peer went beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// [`Limits::bytes`]
    Bytes,
    /// [`Limits::line`]
    Line,
    /// [`Limits::lines`]
    Lines,
    /// [`Limits::turns`]
    Turns,
}

/// Counts what has arrived.
#[derive(Debug)]
pub(crate) struct Meter {
    /// The most of each.
    limits: Limits,
    /// What is left of each.
    left: Limits,
}

impl Meter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, left: limits }
    }

    /// How many replies have ended.
    #[inline]
    pub(crate) fn replies(&self) -> u32 {
        self.limits.turns - self.left.turns
    }

    /// How many more bytes the line may have.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        self.left.line.min(self.left.bytes) as usize
    }

    /// Whether there is room for so many bytes, or else which limit says no.
    #[inline]
    pub(crate) fn fits(&self, length: usize) -> Result<(), Limit> {
        match length <= self.room() {
            true => Ok(()),
            false if self.left.bytes <= self.left.line => Err(Limit::Bytes),
            false => Err(Limit::Line),
        }
    }

    /// Counts so many bytes of a line.
    #[inline]
    pub(crate) fn count(&mut self, length: usize) -> Result<(), Limit> {
        self.fits(length)?;
        self.left.bytes -= length as u32;
        self.left.line -= length as u32;
        Ok(())
    }

    /// Counts a line.
    #[inline]
    pub(crate) fn line(&mut self) -> Result<(), Limit> {
        self.left.line = self.limits.line;
        self.left.lines = self.left.lines.checked_sub(1).ok_or(Limit::Lines)?;
        Ok(())
    }

    /// Counts a reply, and its last line.
    #[inline]
    pub(crate) fn reply(&mut self) -> Result<(), Limit> {
        self.line()?;
        self.left.lines = self.limits.lines;
        self.left.turns = self.left.turns.checked_sub(1).ok_or(Limit::Turns)?;
        Ok(())
    }
}
