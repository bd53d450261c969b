//! MySQL and MariaDB (the client/server protocol's "Connection Phase": Protocol::HandshakeV10, Protocol::SSLRequest).
//!
//! ```text
//! S: length, 00; 10, version NUL, thread id, 8 bytes, 00, capabilities with CLIENT_SSL, …
//! C: 20 00 00 01; capabilities with CLIENT_SSL, greatest packet, character set, 23 zeros
//! ```
//!
//! Each packet begins with its length (three bytes, the lowest first) and its number. To the request TLS is the answer. In
//! place of the greeting may stand an error packet: `ff`, a number, a text.
//!
//! After TLS the client speaks first, with the whole HandshakeResponse41, in which its capabilities stand again. The
//! numbers of packets go on: that one has number 2. All else that the greeting said is to be taken for unauthenticated,
//! the challenge and the version too. MariaDB's version may begin with `5.5.5-`.

use bytes::Bytes;

use super::Knobs;
use crate::wire::Packet;
use crate::{Code, Dialogue, Error, Reason, Reply, Step, Text};

const PROTOCOL_41: u16 = 0x0200;
const SSL: u16 = 0x0800;

/// CLIENT_LONG_PASSWORD, CLIENT_PROTOCOL_41, CLIENT_SSL, CLIENT_SECURE_CONNECTION, CLIENT_PLUGIN_AUTH; 16 MiB;
/// utf8mb4_general_ci. Servers go by these capabilities after TLS as well: without the last one, only users with the plugin
/// mysql_native_password can log in.
const REQUEST: &[u8] = &[
    0x20, 0, 0, 1, 0x01, 0x8a, 0x08, 0, 0, 0, 0, 1, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0,
];

/// The dialogue of a MySQL or MariaDB client.
///
/// A greeting without CLIENT_SSL is [`Reason::NotAdvertised`]; an error in its place ends the session
/// ([`Error::Closing`]).
#[derive(Debug, Default)]
pub struct Mysql {
    knobs: Knobs,
    greeting: Packet<4, 160>,
    /// How many bytes have arrived since the NUL that ends the version, up to the capabilities.
    behind_version: Option<u8>,
    /// The lower half of the capabilities.
    capabilities: u16,
    advertised: Option<bool>,
}

/// Where the lower half of the capabilities ends: behind the thread id, eight bytes of the challenge, and a zero.
const CAPABILITIES: u8 = 4 + 8 + 1 + 2;

impl Mysql {
    /// A client: nothing has to be known about it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether to insist. The greeting has the capabilities, so it cannot be left out, nor asked for.
    #[must_use]
    pub fn knobs(self, knobs: Knobs) -> Self {
        Self { knobs, ..self }
    }

    /// Takes a byte of the greeting, or of the error in its place.
    fn content(&mut self, byte: u8) {
        match self.behind_version {
            None if byte == 0 => self.behind_version = Some(0),
            None => {}
            Some(CAPABILITIES) => {}
            Some(count) => {
                self.capabilities = u16::from(byte) << 8 | self.capabilities >> 8;
                self.behind_version = Some(count + 1);
            }
        }
    }

    /// Takes the whole packet.
    fn packet(&mut self) -> Result<Step, Error> {
        match (self.greeting.body(), self.behind_version) {
            ([0xff, low, high, text @ ..], _) => Err(Error::Closing(refusal(u16::from_le_bytes([*low, *high]), text))),
            ([10, ..], Some(CAPABILITIES)) => {
                let advertised = self.capabilities & (PROTOCOL_41 | SSL) == PROTOCOL_41 | SSL;
                self.advertised = Some(advertised);
                if advertised || self.knobs.insist {
                    Ok(Step::SendThenUpgrade(Bytes::from_static(REQUEST)))
                } else {
                    Ok(Step::Decline(Reason::NotAdvertised))
                }
            }
            _ => Err(self.greeting.unexpected()),
        }
    }
}

impl Dialogue for Mysql {
    fn open(&mut self) -> Step {
        Step::More
    }

    fn receive(&mut self, byte: u8) -> Result<Step, Error> {
        let within_body = self.greeting.within_body();
        let whole = self.greeting.push(byte, |header| match *header {
            [low, middle, high, 0] => Ok(u32::from_le_bytes([low, middle, high, 0])),
            _ => Err(Error::Unexpected(Text::new(header))),
        })?;
        if within_body {
            self.content(byte);
        }
        match self.greeting.body() {
            [] | [10 | 0xff, ..] if whole => self.packet(),
            [] | [10 | 0xff, ..] => Ok(Step::More),
            _ => Err(self.greeting.unexpected()),
        }
    }

    fn awaiting(&self) -> &'static str {
        "greeting"
    }

    fn advertised(&self) -> Option<bool> {
        self.advertised
    }
}

fn refusal(number: u16, text: &[u8]) -> Reply {
    let name = match number {
        1040 => "ER_CON_COUNT_ERROR",
        1042 => "ER_BAD_HOST_ERROR",
        1043 => "ER_HANDSHAKE_ERROR",
        1053 => "ER_SERVER_SHUTDOWN",
        1129 => "ER_HOST_IS_BLOCKED",
        1130 => "ER_HOST_NOT_PRIVILEGED",
        1135 => "ER_CANT_CREATE_THREAD",
        1203 => "ER_TOO_MANY_USER_CONNECTIONS",
        _ => "",
    };
    let code = if name.is_empty() { Code::Number(number) } else { Code::Named(number.into(), name) };
    // The SQLSTATE is there only if the server takes the client for one of version 4.1.
    let text = match text {
        [b'#', _, _, _, _, _, text @ ..] => text,
        text => text,
    };
    Reply { code, text: Text::new(text), temporary: matches!(number, 1040 | 1053 | 1135 | 1203) }
}
