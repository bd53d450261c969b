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
use crate::{Code, Dialogue, Error, Frame, Part, Reason, Reply, Step, Text};

const PROTOCOL_41: u16 = 0x0200;
const SSL: u16 = 0x0800;

/// CLIENT_LONG_PASSWORD, CLIENT_PROTOCOL_41, CLIENT_SSL, CLIENT_SECURE_CONNECTION; 16 MiB; utf8mb4_general_ci.
const REQUEST: &[u8] = &[
    0x20, 0, 0, 1, 0x01, 0x8a, 0, 0, 0, 0, 0, 1, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0,
];

/// The dialogue of a MySQL or MariaDB client.
///
/// A greeting without CLIENT_SSL is [`Reason::NotAdvertised`]; an error in its place ends the session
/// ([`Error::Closing`]).
#[derive(Debug, Default)]
pub struct Mysql {
    knobs: Knobs,
    advertised: Option<bool>,
}

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
}

impl Dialogue for Mysql {
    fn open(&mut self) -> Step {
        Step::More
    }

    fn frame(&self, begun: &[u8], _: Part<'_>) -> Frame {
        match *begun {
            [] => Frame::Exactly(4),
            [low, middle, high, _] if [low, middle, high] != [0; 3] => Frame::Exactly(1),
            // The version of the protocol, or an error in its place, whose number MariaDB counts from 1 at times.
            [low, middle, high, 0, 10] | [low, middle, high, _, 0xff] => {
                Frame::body(u32::from_le_bytes([low, middle, high, 0]) - 1)
            }
            [_, _, _, _] | [_, _, _, _, _] => Frame::Unexpected,
            _ => Frame::Whole,
        }
    }

    fn receive(&mut self, packet: &[u8]) -> Result<Step, Error> {
        let body = packet.get(4..).unwrap_or_default();
        if let [0xff, low, high, text @ ..] = body {
            return Err(Error::Closing(refusal(u16::from_le_bytes([*low, *high]), text)));
        }
        let capabilities = capabilities(body).ok_or_else(|| Error::unexpected(packet))?;
        let advertised = *self.advertised.insert(capabilities & (PROTOCOL_41 | SSL) == PROTOCOL_41 | SSL);
        if advertised || self.knobs.insist {
            Ok(Step::SendThenUpgrade(Bytes::from_static(REQUEST)))
        } else {
            Ok(Step::Decline(Reason::NotAdvertised))
        }
    }

    fn awaiting(&self) -> &'static str {
        "greeting"
    }

    fn advertised(&self) -> Option<bool> {
        self.advertised
    }
}

/// The lower half of a greeting's capabilities: behind the version, the thread id, 8 bytes of the challenge, and a zero.
fn capabilities(greeting: &[u8]) -> Option<u16> {
    let [10, rest @ ..] = greeting else { return None };
    let fields = &rest[rest.iter().position(|&byte| byte == 0)? + 1..];
    Some(u16::from_le_bytes(*fields.get(4 + 8 + 1..)?.first_chunk()?))
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
