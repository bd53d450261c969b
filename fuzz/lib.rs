//! What the targets share: a dialogue in a file.

use std::sync::LazyLock;

use starttls::Protocol;
use starttls::protocol::{Client, Knobs, Start};

/// The protocol that this process is about, which the environment names.
pub static PROTOCOL: LazyLock<Protocol> = LazyLock::new(|| {
    let name = std::env::var("STARTTLS_PROTOCOL").expect("STARTTLS_PROTOCOL names a protocol");
    name.parse().expect("a protocol")
});

/// Two control characters that no protocol has behind one another.
const TURN: &[u8] = b"\x1d\x1e";

/// A server, and how it is listened to.
#[derive(Clone, Debug)]
pub struct Dialogue {
    /// How the client is set up.
    pub knobs: Knobs,
    /// The bytes come in chunks of this size.
    pub chunk: usize,
    /// What the server says.
    pub turns: Vec<Vec<u8>>,
}

impl Dialogue {
    /// Reads one byte of knobs and chunk size, and then turns with [`TURN`] between them.
    pub fn read(input: &[u8]) -> Option<Self> {
        let (flags, said) = input.split_first()?;
        let start = [Start::Greeting, Start::AfterGreeting, Start::Command, Start::Greeting][usize::from(flags & 3)];
        let knobs = Knobs { start, ask: flags & 4 != 0, insist: flags & 8 != 0 };
        let mut turns = vec![Vec::new()];
        let mut rest = said;
        while let Some(byte) = rest.first() {
            match rest.strip_prefix(TURN) {
                Some(behind) => {
                    turns.push(Vec::new());
                    rest = behind;
                }
                None => {
                    turns.last_mut()?.push(*byte);
                    rest = &rest[1..];
                }
            }
        }
        Some(Self { knobs, chunk: usize::from(flags >> 4) + 1, turns })
    }

    /// The same as bytes.
    pub fn write(&self) -> Vec<u8> {
        let start = self.knobs.start as u8;
        let flags =
            start | u8::from(self.knobs.ask) << 2 | u8::from(self.knobs.insist) << 3 | (self.chunk as u8 - 1) << 4;
        [&[flags][..], &self.turns.join(TURN)].concat()
    }

    /// The client.
    pub fn client(&self) -> Client<'static> {
        Client { name: "client.example", domain: "mail.example", seed: 0xA7F3, knobs: self.knobs }
    }
}
