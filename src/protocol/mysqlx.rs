//! MySQL X Protocol (the MySQL server's documentation, "X Protocol": messages, connection, notices).
//!
//! ```text
//! C: 14000000 02   CapabilitiesSet { tls: true }
//! S: 01000000 00   Ok
//! ```
//!
//! Each message has a length of four bytes, the lowest first, that counts the type behind it; then protobuf. The server
//! may send a Notice (type 11) at any time, and sends one as soon as a client connects (ServerHello, since 8.0): notices are
//! passed over.
//!
//! After TLS the client speaks first, and asks for the capabilities anew.

use bytes::Bytes;

use crate::wire::Packet;
use crate::{Code, Dialogue, Error, Reason, Reply, Step, Text};

const OK: u8 = 0;
const ERROR: u8 = 1;
const NOTICE: u8 = 11;

/// CapabilitiesSet (2) { capabilities { capabilities { name "tls", value { SCALAR, scalar { V_BOOL, v_bool true } } } } }
const REQUEST: &[u8] = b"\x14\x00\x00\x00\x02\x0a\x11\x0a\x0f\x0a\x03tls\x12\x08\x08\x01\x12\x04\x08\x07\x40\x01";

/// The dialogue of a MySQL X Protocol client.
///
/// Error is a refusal by its number, or ends the session ([`Error::Closing`]) if it calls itself fatal.
#[derive(Debug, Default)]
pub struct MysqlX {
    message: Packet<5, 256>,
}

impl MysqlX {
    /// A client: nothing has to be known about it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a whole message.
    fn message(&self) -> Result<Step, Error> {
        let body = self.message.body();
        match self.message.header() {
            Some([.., OK]) => Ok(Step::Upgrade),
            Some([.., NOTICE]) => Ok(Step::Next),
            Some([.., ERROR]) => {
                let (mut fatal, mut number, mut text) = (false, None, &b""[..]);
                let mut rest = body;
                while let Some((field, behind)) = field(rest) {
                    match field {
                        (1, Value::Number(severity)) => fatal = severity == 1,
                        (2, Value::Number(code)) => number = Some(code),
                        (3, Value::Bytes(bytes)) => text = bytes,
                        _ => {}
                    }
                    rest = behind;
                }
                let reply = refusal(number.ok_or_else(|| self.message.unexpected())?, text);
                if fatal { Err(Error::Closing(reply)) } else { Ok(Step::Decline(Reason::Refused(reply))) }
            }
            _ => Err(self.message.unexpected()),
        }
    }
}

impl Dialogue for MysqlX {
    fn open(&mut self) -> Step {
        Step::Send(Bytes::from_static(REQUEST))
    }

    fn receive(&mut self, byte: u8) -> Result<Step, Error> {
        let whole = self.message.push(byte, |header| {
            match *header {
                [a, b, c, d, OK | ERROR | NOTICE] => u32::from_le_bytes([a, b, c, d]).checked_sub(1),
                _ => None,
            }
            .ok_or_else(|| Error::Unexpected(Text::new(header)))
        })?;
        if whole { self.message() } else { Ok(Step::More) }
    }

    fn awaiting(&self) -> &'static str {
        "CapabilitiesSet"
    }

    fn advertised(&self) -> Option<bool> {
        None
    }
}

fn refusal(number: u64, text: &[u8]) -> Reply {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    let name = match number {
        1040 => "ER_CON_COUNT_ERROR",
        1053 => "ER_SERVER_SHUTDOWN",
        5000 => "ER_X_BAD_MESSAGE",
        5001 => "ER_X_CAPABILITIES_PREPARE_FAILED",
        5002 => "ER_X_CAPABILITY_NOT_FOUND",
        _ => "error",
    };
    Reply { code: Code::Named(number, name), text: Text::new(text), temporary: matches!(number, 1040 | 1053) }
}

/// The value of a field of protobuf's.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Takes a field off the front: its number and value, and what stands behind it. A string that was cut off at our bound
/// ends there.
fn field(message: &[u8]) -> Option<((u64, Value<'_>), &[u8])> {
    let (key, rest) = varint(message)?;
    let (value, rest) = varint(rest)?;
    match key & 7 {
        0 => Some(((key >> 3, Value::Number(value)), rest)),
        2 => {
            let (bytes, rest) = rest.split_at(usize::try_from(value).unwrap_or(usize::MAX).min(rest.len()));
            Some(((key >> 3, Value::Bytes(bytes)), rest))
        }
        _ => None,
    }
}

/// Takes a number off the front, seven bits a byte, the lowest first.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let end = bytes.iter().take(10).position(|byte| byte & 0x80 == 0)?;
    let (number, rest) = bytes.split_at(end + 1);
    Some((number.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f)), rest))
}
