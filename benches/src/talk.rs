//! A dialogue without a socket.

use bytes::Bytes;
use starttls::{Dialogue, Negotiation, Protocol, Required, Upgrade};
use starttls_replay::{Transcript, Turn};

/// A negotiation that has not begun, and what its server is going to say.
pub struct Talk<D> {
    negotiation: Negotiation<D, Required>,
    /// What the server sends, and in between, as `None`, the client's turns.
    turns: Vec<Option<Vec<u8>>>,
    requests: Vec<Bytes>,
}

impl Talk<Box<dyn Dialogue + Send>> {
    /// The usual dialogue of a protocol, whose server sends `chunk` bytes at a time.
    pub fn new(protocol: Protocol, chunk: usize) -> Self {
        let transcript = Transcript::usual(protocol);
        let dialogue = protocol.dialogue(&transcript.identity()).expect("valid names");
        Self::with(dialogue, transcript, chunk)
    }
}

impl<D: Dialogue> Talk<D> {
    /// The same, for a dialogue whose type is known when it is compiled.
    pub fn with(dialogue: D, transcript: Transcript, chunk: usize) -> Self {
        let mut turns = Vec::new();
        for turn in transcript.turns {
            match turn {
                Turn::Server(bytes) => turns.extend(bytes.chunks(chunk).map(|chunk| Some(chunk.to_vec()))),
                Turn::Client(_) => turns.push(None),
            }
        }
        Self { negotiation: Negotiation::required(dialogue), requests: Vec::with_capacity(turns.len()), turns }
    }

    /// Has it, to its end. What has to be dropped is left to the caller.
    #[inline(always)] // Else it is the function that is measured, and counted wherever it is called.
    pub fn have(mut self) -> Had {
        for turn in &self.turns {
            match turn {
                Some(bytes) => self.negotiation.handle_input(bytes).expect("a server that keeps to its protocol"),
                None => self.requests.extend(self.negotiation.poll_transmit()),
            }
        }
        (self.negotiation.finish().expect("it upgrades"), self.turns, self.requests)
    }
}

/// What is left of a talk.
pub type Had = (Upgrade, Vec<Option<Vec<u8>>>, Vec<Bytes>);
