//! How the handshake travels where a protocol does not put it on the wire as it is.

use crate::{Error, Text};

/// A protocol's wrapping of the TLS handshake.
///
/// A transport that finds one in [`Tls::framing`](crate::Tls) puts [`header`](Self::header) in front of whatever TLS has
/// to send, and reads a header and then so many bytes of TLS as [`length`](Self::length) says. It does so until the
/// handshake is complete. From then on TLS is on the wire as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Framing {
    /// PRELOGIN packets of TDS (MS-TDS §2.2.3.1, §2.2.6.5). Servers behind some gateways send packets of the type of a reply.
    Tds,
}

impl Framing {
    /// The bytes of a header.
    pub const HEADER: usize = 8;
    /// The most bytes of TLS that one header may be put in front of: a TDS packet has 4,096 bytes before login.
    pub const MOST: usize = 4096 - Self::HEADER;

    /// The header of a message with `length` bytes of TLS, at most [`MOST`](Self::MOST), which is the last of a flight or
    /// is not.
    pub fn header(self, length: usize, last: bool) -> [u8; Self::HEADER] {
        debug_assert!(length <= Self::MOST);
        let [high, low] = ((Self::HEADER + length) as u16).to_be_bytes();
        // Type, status (end of message), length, process, number of the packet, window.
        [0x12, u8::from(last), high, low, 0, 0, 0, 0]
    }

    /// How many bytes of TLS stand behind this header.
    ///
    /// # Errors
    /// [`Error::Unexpected`] if it is no such header.
    pub fn length(self, header: [u8; Self::HEADER]) -> Result<usize, Error> {
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        match (header[0], length.checked_sub(Self::HEADER)) {
            (0x12 | 0x04, Some(length)) => Ok(length),
            _ => Err(Error::Unexpected(Text::new(&header))),
        }
    }
}
