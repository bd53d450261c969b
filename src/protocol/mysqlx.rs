//! MySQL X Protocol (the MySQL server's documentation, "X Protocol": messages, connection, notices).

use bytes::Bytes;

use crate::wire::packet;
use crate::{Code, Dialogue, Error, Frame, Part, Reason, Reply, Step, Text};

const OK: u8 = 0;
const ERROR: u8 = 1;
const NOTICE: u8 = 11;

/// CapabilitiesSet (2) { capabilities { capabilities { name "tls", value { SCALAR, scalar { V_BOOL, v_bool true } } } } }
const REQUEST: &[u8] = b"\x14\x00\x00\x00\x02\x0a\x11\x0a\x0f\x0a\x03tls\x12\x08\x08\x01\x12\x04\x08\x07\x40\x01";

/// The dialogue of a MySQL X Protocol client.
///
/// Error is a refusal by its number, or ends the session ([`Error::Closing`]) if it calls itself fatal.
///
/// # The dialogue
///
/// ```text
/// C: 14000000 02   CapabilitiesSet { tls: true }
/// S: 01000000 00   Ok
/// ```
///
/// Each message has a length of four bytes, the lowest first, that counts the type behind it; then protobuf. The server
/// may send a Notice (type 11) at any time, and sends one as soon as a client connects (ServerHello, since 8.0): notices are
/// passed over.
///
/// # After TLS
///
/// The client speaks first, and asks for the capabilities anew.
///
/// # Example
///
/// ```
/// use starttls::{Negotiation, protocol::MysqlX};
///
/// let mut negotiation = Negotiation::required(MysqlX::new());
/// assert_eq!(negotiation.poll_transmit().unwrap(), b"\x14\x00\x00\x00\x02\n\x11\n\x0f\n\x03tls\x12\x08\x08\x01\x12\x04\x08\x07@\
///     \x01"[..]);
/// negotiation.handle_input(b"\x01\x00\x00\x00\x00")?;
/// let upgrade: starttls::Upgrade = negotiation.finish()?;
/// # let _ = upgrade;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct MysqlX(());

impl MysqlX {
    /// A client: nothing has to be known about it.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Dialogue for MysqlX {
    fn open(&mut self) -> Step {
        Step::Send(Bytes::from_static(REQUEST))
    }

    fn frame(&self, begun: &[u8], _: Part<'_>) -> Frame {
        packet::frame(begun, length)
    }

    fn receive(&mut self, message: &[u8]) -> Result<Step, Error> {
        let [_, _, _, _, kind, body @ ..] = message else { return Err(Error::unexpected(message)) };
        match *kind {
            OK => Ok(Step::Upgrade),
            NOTICE => Ok(Step::Unasked),
            _ => {
                let (mut fatal, mut number, mut text) = (false, 0, &b""[..]);
                let mut rest = body;
                while let Some((field, behind)) = field(rest) {
                    match field {
                        (1, Value::Number(severity)) => fatal = severity == 1,
                        (2, Value::Number(code)) => number = code,
                        (3, Value::Bytes(bytes)) => text = bytes,
                        _ => {}
                    }
                    rest = behind;
                }
                let reply = refusal(number, text);
                if fatal { Err(Error::Closing(reply)) } else { Ok(Step::Decline(Reason::Refused(reply))) }
            }
        }
    }

    /// Notices.
    fn speaks_unasked(&self) -> bool {
        true
    }

    fn awaiting(&self) -> &'static str {
        "CapabilitiesSet"
    }
}

/// How much stands behind a header: its length counts the type.
fn length(header: &[u8; 5]) -> Option<u32> {
    match *header {
        [a, b, c, d, OK | ERROR | NOTICE] => u32::from_le_bytes([a, b, c, d]).checked_sub(1),
        _ => None,
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

/// Takes a field off the front: its number and value, and what stands behind it. A string ends with the message at last.
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
