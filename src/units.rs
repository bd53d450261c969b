//! Where bytes become units: the one place that knows how they were split.

use alloc::vec::Vec;

use memchr::memchr;

use crate::limits::{Limit, Limits, Meter};
use crate::{Error, Frame, Part};

/// Puts the units of one peer together.
///
/// A unit that lies in the input as a whole is handed on where it stands. Only one that was split is kept, until the rest of
/// it has come, and never beyond the limits.
#[derive(Debug)]
pub(crate) struct Units {
    pub(crate) meter: Meter,
    /// What has arrived of a unit that was split.
    kept: Vec<u8>,
    /// What is still to come of the current part; [`Frame::Whole`] between two units.
    part: Frame,
    /// Where in the unit the current part begins.
    start: u32,
}

impl Units {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { meter: Meter::new(limits), kept: Vec::new(), part: Frame::Whole, start: 0 }
    }

    /// Takes the next unit off the front of the input, or all of the input if the unit does not end there. Wherever a part
    /// ends, `frame` is asked how the unit goes on.
    pub(crate) fn next<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
        frame: impl Fn(&[u8], Part<'_>) -> Frame,
    ) -> Result<Option<&'a [u8]>, Error> {
        // The fast path of a line that comes byte by byte.
        if let ([byte], Frame::Line) = (*input, self.part)
            && *byte != b'\n'
            && (1..self.kept.capacity()).contains(&self.kept.len())
        {
            self.meter.count(1)?;
            self.kept.push(*byte);
            *input = &[];
            return Ok(None);
        }
        if self.part == Frame::Whole {
            if input.is_empty() {
                return Ok(None);
            }
            self.kept.clear();
            self.start = 0;
            self.part = match frame(&[], Part::Nothing) {
                // A unit has at least one byte, or there would be no end of them.
                Frame::Whole | Frame::Exactly(0) | Frame::Unexpected => Frame::Exactly(1),
                part => part,
            };
        }
        // How much of the input belongs to the unit, as long as none of it is kept.
        let mut taken = 0;
        let length = loop {
            let end = self.end(&input[taken..])?;
            taken = end.map_or(input.len(), |end| taken + end);
            if end.is_none() || !self.kept.is_empty() {
                self.keep(&input[..taken]);
                *input = &input[taken..];
                taken = 0;
            }
            if end.is_none() {
                return Ok(None);
            }
            let begun = if taken == 0 { &self.kept } else { &input[..taken] };
            let part = &begun[self.start as usize..];
            let is_line = self.part == Frame::Line;
            let last = if is_line { Part::Line(line(part)) } else { Part::Bytes(part) };
            self.part = frame(begun, last);
            match (self.part, last) {
                (Frame::Whole, Part::Line(line)) => break self.start as usize + line.len(),
                (Frame::Whole, _) => break begun.len(),
                (Frame::Unexpected, Part::Line(line)) => return Err(Error::unexpected(line)),
                (Frame::Unexpected, _) => return Err(Error::unexpected(begun)),
                // An empty part behind another would have no end.
                (Frame::Exactly(0), Part::Bytes([])) => {
                    self.part = Frame::Whole;
                    break begun.len();
                }
                (Frame::Line | Frame::Until(_) | Frame::Exactly(_), _) => self.start = begun.len() as u32,
            }
            if is_line {
                self.meter.line()?;
            }
        };
        if taken == 0 {
            return Ok(Some(&self.kept[..length]));
        }
        let (unit, rest) = input.split_at(taken);
        *input = rest;
        Ok(Some(&unit[..length]))
    }

    /// Counts what belongs to the current part, and says where it ends.
    #[inline]
    fn end(&mut self, input: &[u8]) -> Result<Option<usize>, Limit> {
        let end = match &mut self.part {
            Frame::Exactly(left) => {
                let length = *left as usize;
                self.meter.fits(length)?;
                *left = left.saturating_sub(input.len() as u32);
                (length <= input.len()).then_some(length)
            }
            part => {
                let last = if let Frame::Until(last) = part { *last } else { b'\n' };
                memchr(last, &input[..input.len().min(self.meter.room())]).map(|end| end + 1)
            }
        };
        self.meter.count(end.unwrap_or(input.len()))?;
        Ok(end)
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.kept.capacity() == 0 {
            self.kept.reserve(bytes.len().max(LEAST));
        }
        self.kept.extend_from_slice(bytes);
    }

    /// Frees what was kept.
    pub(crate) fn clear(&mut self) {
        self.kept = Vec::new();
    }
}

/// What is allocated at first: most units fit in it.
const LEAST: usize = 256;

/// A line without its end: LF, and one CR ahead of it.
#[inline]
fn line(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}
