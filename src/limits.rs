//! How much a server may say before TLS.

use crate::Error;

/// Bounds on everything that the server sends in the plaintext phase, each inclusive.
///
/// The defaults are far above what real servers send, and small enough that an endless reply ends in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in all. Default 65,536.
    pub bytes: u32,
    /// Bytes of one line with its end, or of one packet where the protocol is not made of lines. Default 8,192.
    pub line: u32,
    /// Lines, or packets, of one reply. Default 256.
    pub lines: u32,
    /// Replies, the greeting included. Default 16.
    pub turns: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 65_536, line: 8_192, lines: 256, turns: 16 }
    }
}

/// Which of the [`Limits`] the server went beyond.
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
    limits: Limits,
    /// How many bytes there is room for in this line: none as long as it is not the server's turn.
    room: u32,
    /// How many more there are of all that the server may say.
    rest: u32,
    lines: u32,
    turns: u32,
}

impl Meter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, room: 0, rest: limits.bytes, lines: 0, turns: 0 }
    }

    #[inline]
    pub(crate) fn replies(&self) -> u32 {
        self.turns
    }

    /// How many bytes may come.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        self.room as usize
    }

    /// Why there is no room left in the line.
    pub(crate) fn exceeded(&self) -> Limit {
        if self.rest == 0 { Limit::Bytes } else { Limit::Line }
    }

    /// How many lines there is room for in this reply.
    #[inline]
    pub(crate) fn lines_left(&self) -> u32 {
        self.limits.lines - self.lines
    }

    /// So much has arrived, for which there was room, and of the last line its end is yet to be counted.
    #[inline]
    pub(crate) fn count(&mut self, bytes: usize, lines: u32) {
        self.room -= bytes as u32;
        self.lines += lines;
    }

    /// Counts a byte, if there is room for it. If there is none, [`close`](Self::close) has to follow.
    #[inline]
    pub(crate) fn byte(&mut self) -> bool {
        let is_over;
        (self.room, is_over) = self.room.overflowing_sub(1);
        !is_over
    }

    /// Nothing may come any more.
    pub(crate) fn close(&mut self) {
        self.room = 0;
    }

    /// Begins a line.
    #[inline]
    pub(crate) fn begin_line(&mut self) {
        self.rest += self.room;
        self.room = self.rest.min(self.limits.line);
        self.rest -= self.room;
    }

    /// A line ended, and another follows.
    #[inline]
    pub(crate) fn line(&mut self) -> Result<(), Error> {
        self.begin_line();
        count(&mut self.lines, self.limits.lines, Limit::Lines)
    }

    /// A reply ended, and its last line with it.
    #[inline]
    pub(crate) fn reply(&mut self) -> Result<(), Error> {
        self.rest += self.room;
        self.room = 0;
        count(&mut self.lines, self.limits.lines, Limit::Lines)?;
        self.lines = 0;
        count(&mut self.turns, self.limits.turns, Limit::Turns)
    }
}

#[inline]
fn count(counter: &mut u32, most: u32, limit: Limit) -> Result<(), Error> {
    if *counter >= most {
        return Err(Error::Limit(limit));
    }
    *counter += 1;
    Ok(())
}
