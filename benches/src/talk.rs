//! A dialogue without a socket.

use std::slice;

use bytes::Bytes;
use starttls::protocol::{Imap, Smtp};
use starttls::{Dialogue, Error, Limits, Negotiation, Protocol, Required, Upgrade};
use starttls_replay::{Transcript, Turn};

/// A negotiation that has not begun, and what its server is going to say.
pub struct Talk<'a, D> {
    negotiation: Negotiation<D, Required>,
    turns: &'a [Turn],
    chunk: usize,
}

/// A dialogue that is chosen at run time.
pub type Dynamic = Box<dyn Dialogue + Send>;

impl<'a, D: Dialogue> Talk<'a, D> {
    /// One whose server sends `chunk` bytes at a time.
    pub fn new(dialogue: D, turns: &'a [Turn], chunk: usize) -> Self {
        Self { negotiation: Negotiation::required(dialogue), turns, chunk }
    }

    /// One whose server may send any number of lines.
    #[must_use]
    pub fn of_any_length(mut self) -> Self {
        self.negotiation = self.negotiation.limits(Limits { lines: u32::MAX, ..Limits::default() });
        self
    }

    /// Has it, to its end.
    ///
    /// # Errors
    /// Those of the negotiation.
    #[inline(always)] // Else it is the function that is measured, and counted wherever it is called.
    pub fn have(mut self, mut send: impl FnMut(Option<Bytes>)) -> Result<Upgrade, Error> {
        for turn in self.turns {
            match turn {
                Turn::Server(bytes) if self.chunk >= bytes.len() => self.negotiation.handle_input(bytes)?,
                Turn::Server(bytes) if self.chunk == 1 => {
                    for byte in bytes {
                        self.negotiation.handle_input(slice::from_ref(byte))?;
                    }
                }
                Turn::Server(bytes) => {
                    for chunk in bytes.chunks(self.chunk) {
                        self.negotiation.handle_input(chunk)?;
                    }
                }
                Turn::Client(_) => send(self.negotiation.poll_transmit()),
            }
        }
        self.negotiation.finish()
    }
}

/// What is said in the usual dialogue of a protocol.
pub fn usual(protocol: Protocol) -> Vec<Turn> {
    Transcript::usual(protocol).turns
}

/// The usual dialogue of SMTP, with as many lines of capabilities as make `bytes` bytes.
pub fn smtp_of(bytes: usize) -> Vec<Turn> {
    let line = b"250-X-CAPABILITY-OF-SOME-LENGTH WITH A PARAMETER OR TWO\r\n";
    let reply = line.repeat(bytes / line.len());
    vec![
        Turn::Server(b"220 mail.example\r\n".to_vec()),
        Turn::Client(Vec::new()),
        Turn::Server([&reply[..], b"250 STARTTLS\r\n"].concat()),
        Turn::Client(Vec::new()),
        Turn::Server(b"220 go\r\n".to_vec()),
    ]
}

/// That of IMAP, with as many untagged responses as make `bytes` bytes.
pub fn imap_of(bytes: usize) -> Vec<Turn> {
    let line = b"* 1 FETCH (FLAGS (\\Seen) UID 4827313)\r\n";
    let reply = line.repeat(bytes / line.len());
    vec![
        Turn::Server(b"* OK ready\r\n".to_vec()),
        Turn::Client(Vec::new()),
        Turn::Server([&reply[..], b"A7F3 OK go\r\n"].concat()),
    ]
}

/// The dialogue of a protocol that is chosen at run time.
pub fn dynamic(protocol: Protocol) -> Dynamic {
    protocol.dialogue(&Transcript::usual(protocol).identity()).expect("valid names")
}

/// The dialogue of an SMTP client.
pub fn smtp() -> Smtp {
    Smtp::new("client.example").expect("a valid name")
}

/// The dialogue of an IMAP client.
pub fn imap() -> Imap {
    Imap::new("A7F3").expect("a valid tag")
}
