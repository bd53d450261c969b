//! The TLS handshake over a stream, in frames where the protocol wants them.

use alloc::vec::Vec;
use core::ops::DerefMut;
use std::io::{self, IoSlice, Read, Write};

use rustls::ConnectionCommon;

use crate::{Error, Framing, Limit};

/// How many frames of a handshake may be empty.
const EMPTY: u8 = 16;

/// The handshake of one connection. It survives a stream that is not ready.
///
/// It reads not a byte beyond the frame that it is in, so that the stream can be used as it is behind the handshake.
#[derive(Debug)]
pub struct Handshake {
    framing: Option<Framing>,
    header: Vec<u8>,
    /// How many bytes of TLS the frame still holds.
    left: usize,
    /// How many frames were empty.
    empty: u8,
    /// Frames that the stream has not taken yet.
    unsent: Vec<u8>,
}

impl Handshake {
    /// A handshake that travels as `framing` has it, which [`Tls::framing`](crate::Tls) tells.
    pub fn new(framing: Option<Framing>) -> Self {
        Self { framing, header: Vec::new(), left: 0, empty: 0, unsent: Vec::new() }
    }

    /// Completes the handshake of `connection` over `stream`, and sends all of it.
    ///
    /// # Errors
    /// Those of the stream. [`WouldBlock`](io::ErrorKind::WouldBlock) means that it is to be called again when the stream
    /// is ready, and [`WriteZero`](io::ErrorKind::WriteZero) that the stream takes no more. An error of TLS, or of the frames,
    /// is within an [`io::Error`].
    pub fn complete<C: DerefMut<Target = ConnectionCommon<D>>, D>(
        &mut self,
        connection: &mut C,
        stream: &mut (impl Read + Write),
    ) -> io::Result<()> {
        let mut stream = Framed { handshake: self, stream };
        while connection.is_handshaking() || connection.wants_write() {
            // What was not ready when rustls flushed it would not be flushed again, and the peer would wait for it.
            stream.flush()?;
            connection.complete_io(&mut stream)?;
        }
        stream.flush()
    }
}

/// A stream on which every flight of TLS is wrapped.
struct Framed<'a, S> {
    handshake: &'a mut Handshake,
    stream: &'a mut S,
}

impl<S: Write> Framed<'_, S> {
    fn send(&mut self) -> io::Result<()> {
        while !self.handshake.unsent.is_empty() {
            match self.stream.write(&self.handshake.unsent)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                sent => drop(self.handshake.unsent.drain(..sent)),
            }
        }
        Ok(())
    }
}

impl<S: Read> Read for Framed<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(framing) = self.handshake.framing else { return self.stream.read(buffer) };
        while self.handshake.left == 0 {
            let mut missing = [0; Framing::HEADER];
            let missing = &mut missing[self.handshake.header.len()..];
            match self.stream.read(missing)? {
                0 => return Ok(0),
                read => self.handshake.header.extend(&missing[..read]),
            }
            if let Ok(header) = self.handshake.header[..].try_into() {
                self.handshake.left = framing.length(header).map_err(io::Error::other)?;
                self.handshake.header.clear();
                if self.handshake.left == 0 {
                    self.handshake.empty += 1;
                    if self.handshake.empty > EMPTY {
                        return Err(io::Error::other(Error::Limit(Limit::Lines)));
                    }
                }
            }
        }
        let most = buffer.len().min(self.handshake.left);
        let read = self.stream.read(&mut buffer[..most])?;
        self.handshake.left -= read;
        Ok(read)
    }
}

impl<S: Write> Write for Framed<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let Some(framing) = self.handshake.framing else {
            // rustls would go on asking.
            return match self.stream.write_vectored(slices)? {
                0 => Err(io::ErrorKind::WriteZero.into()),
                sent => Ok(sent),
            };
        };
        self.send()?;
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let mut frames = bytes.chunks(Framing::MOST).peekable();
        while let Some(frame) = frames.next() {
            self.handshake.unsent.extend(framing.header(frame.len(), frames.peek().is_none()));
            self.handshake.unsent.extend(frame);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()?;
        self.stream.flush()
    }
}
