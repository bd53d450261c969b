//! Applies a [`Framing`] to a stream.

use std::io::{self, IoSlice, Read, Write};

use starttls::Framing;

/// A stream on which every flight of TLS is wrapped by a [`Framing`].
///
/// It reads not a byte beyond the frame that it is in, so that the stream can be used as it is behind the handshake.
#[derive(Debug)]
pub struct Framed<'a, S> {
    stream: &'a mut S,
    framing: Framing,
    /// How many bytes of TLS the frame still holds.
    left: usize,
}

impl<'a, S> Framed<'a, S> {
    /// Wraps what goes through `stream`.
    pub fn new(stream: &'a mut S, framing: Framing) -> Self {
        Self { stream, framing, left: 0 }
    }
}

impl<S: Read> Read for Framed<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 && !buffer.is_empty() {
            let mut header = [0; Framing::HEADER];
            self.stream.read_exact(&mut header)?;
            self.left = self.framing.length(header).map_err(io::Error::other)?;
        }
        let most = buffer.len().min(self.left);
        let read = self.stream.read(&mut buffer[..most])?;
        self.left -= read;
        Ok(read)
    }
}

impl<S: Write> Write for Framed<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let mut frames = bytes.chunks(Framing::MOST).peekable();
        let mut flight = Vec::with_capacity(bytes.len() + Framing::HEADER);
        while let Some(frame) = frames.next() {
            flight.extend(self.framing.header(frame.len(), frames.peek().is_none()));
            flight.extend(frame);
        }
        self.stream.write_all(&flight)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
