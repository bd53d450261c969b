//! Dialogues as fuzzers have them.

use starttls::protocol::{Options, Start};

use crate::Transcript;

/// A server, and how it is listened to, in any bytes: one of options and chunk size, and then turns with `1e 1d` between them.
#[derive(Clone, Debug)]
pub struct Input {
    /// How the client is set up.
    pub options: Options,
    /// What the server says comes in chunks of this size, 1 to 16.
    pub chunk: usize,
    /// What the server says.
    pub turns: Vec<Vec<u8>>,
}

impl Input {
    /// What stands between turns: two control characters that no transcript has behind one another.
    pub const TURN: &[u8] = b"\x1e\x1d";

    /// What a transcript's server says, in chunks.
    pub fn new(transcript: &Transcript, chunk: usize) -> Self {
        Self { options: transcript.options, chunk, turns: transcript.server().map(<[u8]>::to_vec).collect() }
    }

    /// Reads any bytes but none.
    pub fn read(input: &[u8]) -> Option<Self> {
        let (flags, said) = input.split_first()?;
        let start = [Start::Greeting, Start::AfterGreeting, Start::Command, Start::Greeting][usize::from(flags & 3)];
        let options = Options { start, ask: flags & 4 != 0, insist: flags & 8 != 0 };
        let mut turns = vec![Vec::new()];
        let mut rest = said;
        while let Some((byte, behind)) = rest.split_first() {
            if let Some(turn) = rest.strip_prefix(Self::TURN) {
                turns.push(Vec::new());
                rest = turn;
            } else {
                turns.last_mut()?.push(*byte);
                rest = behind;
            }
        }
        Some(Self { options, chunk: usize::from(flags >> 4) + 1, turns })
    }

    /// The same as bytes.
    pub fn write(&self) -> Vec<u8> {
        let Options { start, ask, insist } = self.options;
        let flags = start as u8 | u8::from(ask) << 2 | u8::from(insist) << 3 | (self.chunk as u8 - 1) << 4;
        [&[flags][..], &self.turns.join(Self::TURN)].concat()
    }
}
