//! What an embedder writes: the upgrade, and TLS behind it, over any stream that `embedded-io` knows.

#![forbid(unsafe_code)]

use alloc::sync::Arc;

use embedded_io::{Read, Write};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use starttls::{Dialogue, Negotiation, Required, Upgrade};

/// Why there was no answer.
#[derive(Debug)]
pub enum Error<S> {
    Negotiation(starttls::Error),
    Tls(rustls::Error),
    /// TLS and this program do not fit: a buffer is too small, say.
    Buffer,
    /// The stream ended without close_notify.
    Truncated,
    Stream(S),
}

/// The largest record of TLS 1.2, which is larger than those of TLS 1.3 (RFC 5246 §6.2.3), and its header.
const RECORD: usize = 5 + (1 << 14) + 2048;

/// Holds a flight of the handshake, or a message and what TLS adds to it.
const OUTGOING: usize = 2048;

/// The plaintext phase: the loop is that of every runtime.
pub fn upgrade<S: Read + Write, D: Dialogue>(
    stream: &mut S,
    mut negotiation: Negotiation<D, Required>,
) -> Result<Upgrade, Error<S::Error>> {
    let mut buffer = [0; 512];
    loop {
        if let Some(request) = negotiation.poll_transmit() {
            stream.write_all(&request).and_then(|()| stream.flush()).map_err(Error::Stream)?;
        }
        if !negotiation.wants_read() {
            return negotiation.finish().map_err(Error::Negotiation);
        }
        match stream.read(&mut buffer).map_err(Error::Stream)? {
            0 => negotiation.handle_eof(),
            n => negotiation.handle_input(&buffer[..n]),
        }
        .map_err(Error::Negotiation)?;
    }
}

/// The TLS phase: completes the handshake, says `request`, and hears the whole answer, of which as much is kept as
/// `answer` holds. Returns how long the answer was.
pub fn ask<S: Read + Write>(
    stream: &mut S,
    upgrade: Upgrade,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    request: &[u8],
    answer: &mut [u8],
) -> Result<usize, Error<S::Error>> {
    let mut connection = upgrade.unbuffered_client_connection(config, name).map_err(Error::Tls)?;
    let mut incoming = [0; RECORD];
    let mut received = 0;
    let mut outgoing = [0; OUTGOING];
    let mut ready = 0;
    let mut asked = false;
    let mut heard = 0;
    loop {
        let UnbufferedStatus { mut discard, state } = connection.process_tls_records(&mut incoming[..received]);
        let next = match state.map_err(Error::Tls) {
            Ok(ConnectionState::EncodeTlsData(mut flight)) => {
                ready += flight.encode(&mut outgoing[ready..])?;
                Next::Go
            }
            Ok(ConnectionState::TransmitTlsData(flight)) => {
                flight.done();
                Next::Send
            }
            Ok(ConnectionState::BlockedHandshake) => Next::Read,
            // It comes again and again, whatever was written: it is for us to know what we have said.
            Ok(ConnectionState::WriteTraffic(_)) if asked => Next::Read,
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                asked = true;
                ready += traffic.encrypt(request, &mut outgoing[ready..])?;
                ready += traffic.queue_close_notify(&mut outgoing[ready..])?;
                Next::Send
            }
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(record) = traffic.next_record() {
                    let record = record.map_err(Error::Tls)?;
                    let room = answer.get_mut(heard..).unwrap_or_default();
                    let kept = room.len().min(record.payload.len());
                    room[..kept].copy_from_slice(&record.payload[..kept]);
                    heard += record.payload.len();
                    discard += record.discard;
                }
                Next::Go
            }
            Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => return Ok(heard),
            Ok(_) => return Err(Error::Buffer),
            Err(error) => return Err(error),
        };
        incoming.copy_within(discard..received, 0);
        received -= discard;
        match next {
            Next::Go => {}
            Next::Send => {
                let sent = stream.write_all(&outgoing[..ready]).and_then(|()| stream.flush());
                sent.map_err(Error::Stream)?;
                ready = 0;
            }
            Next::Read => match stream.read(&mut incoming[received..]).map_err(Error::Stream)? {
                0 => return Err(Error::Truncated),
                n => received += n,
            },
        }
    }
}

/// What is to be done before TLS is asked again.
enum Next {
    Go,
    Send,
    Read,
}

impl<S> From<EncodeError> for Error<S> {
    fn from(_: EncodeError) -> Self {
        Error::Buffer
    }
}

impl<S> From<EncryptError> for Error<S> {
    fn from(_: EncryptError) -> Self {
        Error::Buffer
    }
}
