//! A dialogue without a socket.

use std::slice;

use bytes::Bytes;
use starttls::protocol::{Imap, Smtp};
use starttls::{Dialogue, Error, Limits, Negotiation, Protocol, Required, Upgrade};
use starttls_replay::{Transcript, Turn};

/// A negotiation that has not begun, and what its server is going to say.
pub struct Talk<D> {
    negotiation: Negotiation<D, Required>,
    turns: Vec<Turn>,
    chunk: usize,
    requests: Vec<Bytes>,
}

/// A dialogue that is chosen at run time.
pub type Dynamic = Box<dyn Dialogue + Send>;

impl Talk<Dynamic> {
    /// The usual dialogue of a protocol, whose server sends `chunk` bytes at a time.
    pub fn usual(protocol: Protocol, chunk: usize) -> Self {
        let transcript = Transcript::usual(protocol);
        let dialogue = protocol.dialogue(&transcript.identity()).expect("valid names");
        Self::new(dialogue, &transcript.turns, chunk)
    }
}

impl Talk<Smtp> {
    /// That of SMTP, for a client that knows its protocol when it is compiled.
    pub fn smtp(chunk: usize) -> Self {
        Self::new(smtp(), &Transcript::usual(Protocol::Smtp).turns, chunk)
    }

    /// One whose server has as many lines of capabilities as make `bytes` bytes.
    pub fn smtp_of(bytes: usize, chunk: usize) -> Self {
        let line = b"250-X-CAPABILITY-OF-SOME-LENGTH WITH A PARAMETER OR TWO\r\n";
        let reply = line.repeat(bytes / line.len());
        let turns = [
            Turn::Server(b"220 mail.example\r\n".to_vec()),
            Turn::Client(Vec::new()),
            Turn::Server([&reply[..], b"250 STARTTLS\r\n"].concat()),
            Turn::Client(Vec::new()),
            Turn::Server(b"220 go\r\n".to_vec()),
        ];
        Self::new(smtp(), &turns, chunk).limits(Limits { lines: u32::MAX, ..Limits::default() })
    }
}

impl Talk<Imap> {
    /// That of IMAP, likewise.
    pub fn imap(chunk: usize) -> Self {
        Self::new(imap(), &Transcript::usual(Protocol::Imap).turns, chunk)
    }

    /// One whose server has as many untagged responses as make `bytes` bytes.
    pub fn imap_of(bytes: usize, chunk: usize) -> Self {
        let line = b"* 1 FETCH (FLAGS (\\Seen) UID 4827313)\r\n";
        let reply = line.repeat(bytes / line.len());
        let turns = [
            Turn::Server(b"* OK ready\r\n".to_vec()),
            Turn::Client(Vec::new()),
            Turn::Server([&reply[..], b"A7F3 OK go\r\n"].concat()),
        ];
        Self::new(imap(), &turns, chunk).limits(Limits { lines: u32::MAX, ..Limits::default() })
    }
}

impl<D: Dialogue> Talk<D> {
    fn new(dialogue: D, turns: &[Turn], chunk: usize) -> Self {
        let requests = Vec::with_capacity(turns.len());
        Self { negotiation: Negotiation::required(dialogue), turns: turns.to_vec(), chunk, requests }
    }

    fn limits(mut self, limits: Limits) -> Self {
        self.negotiation = self.negotiation.limits(limits);
        self
    }

    /// Has it, to its end. What has to be dropped behind it is left to the caller.
    #[inline(always)] // Else it is the function that is measured, and counted wherever it is called.
    pub fn have(mut self) -> Had {
        for turn in &self.turns {
            let heard = match turn {
                Turn::Server(bytes) if self.chunk == 1 => {
                    bytes.iter().try_for_each(|byte| self.negotiation.handle_input(slice::from_ref(byte)))
                }
                Turn::Server(bytes) if self.chunk < bytes.len() => {
                    bytes.chunks(self.chunk).try_for_each(|chunk| self.negotiation.handle_input(chunk))
                }
                Turn::Server(bytes) => self.negotiation.handle_input(bytes),
                Turn::Client(_) => {
                    if let Some(request) = self.negotiation.poll_transmit() {
                        self.requests.push(request);
                    }
                    Ok(())
                }
            };
            if let Err(error) = heard {
                return (Err(error), self.turns, self.requests);
            }
        }
        (self.negotiation.finish(), self.turns, self.requests)
    }
}

/// How a talk ended, and what is left of it.
pub type Had = (Result<Upgrade, Error>, Vec<Turn>, Vec<Bytes>);

/// The dialogue of an SMTP client.
pub fn smtp() -> Smtp {
    Smtp::new("client.example").expect("a valid name")
}

/// The dialogue of an IMAP client.
pub fn imap() -> Imap {
    Imap::new("A7F3").expect("a valid tag")
}
