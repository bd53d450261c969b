//! Microsoft SQL Server: TDS 7 (MS-TDS §2.2.6.5, §3.2.5.1), and TDS 8 (MS-TDS §3.2.5.1).
//!
//! ```text
//! C: 12 01 001a 0000 00 00          a packet: PRELOGIN, last of its message, 26 bytes
//!    00 000b 0006                   VERSION: at 11, 6 bytes
//!    01 0011 0001                   ENCRYPTION: at 17, 1 byte
//!    ff                             end of the options
//!    00 00 00 00 00 00 01           no version, ENCRYPT_ON
//! S: 04 01 …                        a packet: the reply, with options of the same form
//!    ENCRYPTION                     01 ENCRYPT_ON or 03 ENCRYPT_REQ
//! ```
//!
//! 00 (ENCRYPT_OFF: TLS for the login only) and 02 (ENCRYPT_NOT_SUP) are refusals. Nothing else may be said.
//!
//! The handshake of TDS 7 travels in PRELOGIN packets ([`Framing::Tds`]), and TLS is on the wire as it is behind it. The
//! client speaks first then: LOGIN7. TDS 8 begins with TLS, under the application protocol `tds/8.0`; its PRELOGIN comes
//! behind the handshake.

use bytes::Bytes;

use crate::wire::Packet;
use crate::{Code, Dialogue, Error, Framing, Reason, Reply, Step, Text, Tls};

const PRELOGIN: &[u8] = &[
    0x12, 0x01, 0x00, 0x1a, 0x00, 0x00, 0x00, 0x00, // header
    0x00, 0x00, 0x0b, 0x00, 0x06, // VERSION
    0x01, 0x00, 0x11, 0x00, 0x01, // ENCRYPTION
    0xff, 0, 0, 0, 0, 0, 0, 0x01, // end, version, ENCRYPT_ON
];

/// The dialogue of a client of SQL Server.
#[derive(Debug)]
pub struct Mssql {
    strict: bool,
    reply: Packet<8, 128>,
    advertised: Option<bool>,
}

impl Mssql {
    /// TDS 7: TLS behind PRELOGIN.
    pub fn new() -> Self {
        Self { strict: false, reply: Packet::new(), advertised: None }
    }

    /// TDS 8, which SQL Server calls strict encryption: TLS from the first byte.
    pub fn strict() -> Self {
        Self { strict: true, ..Self::new() }
    }

    /// Takes the whole reply.
    fn reply(&mut self) -> Result<Step, Error> {
        let encryption =
            encryption(self.reply.body()).ok_or_else(|| Error::Unexpected(Text::new(self.reply.body())))?;
        self.advertised = Some(encryption != 2);
        match encryption {
            1 | 3 => Ok(Step::Upgrade),
            0 => Ok(refused(0, "ENCRYPT_OFF")),
            2 => Ok(refused(2, "ENCRYPT_NOT_SUP")),
            _ => Err(Error::Unexpected(Text::new(self.reply.body()))),
        }
    }
}

impl Default for Mssql {
    fn default() -> Self {
        Self::new()
    }
}

fn refused(number: u32, name: &'static str) -> Step {
    let reply = Reply { code: Code::Named(number, name), text: Text::new(b""), temporary: false };
    Step::Decline(Reason::Refused(reply))
}

/// The value of the ENCRYPTION option: the options stand first, and say where their values are.
fn encryption(body: &[u8]) -> Option<u8> {
    let options = body.split_at_checked(body.iter().step_by(5).position(|&token| token == 0xff)? * 5)?.0;
    let mut encryption = options.chunks_exact(5).filter(|option| option[0] == 1);
    let (Some(&[_, high, low, 0, 1]), None) = (encryption.next(), encryption.next()) else { return None };
    let at = usize::from(u16::from_be_bytes([high, low]));
    body.get(at).copied().filter(|_| at > options.len())
}

impl Dialogue for Mssql {
    fn open(&mut self) -> Step {
        if self.strict { Step::Upgrade } else { Step::Send(Bytes::from_static(PRELOGIN)) }
    }

    fn receive(&mut self, byte: u8) -> Result<Step, Error> {
        // A reply that is not one whole packet has more options than there are.
        let length = |header: &[u8; 8]| match (header[..2] == [0x04, 0x01], u16::from_be_bytes([header[2], header[3]]))
        {
            (true, length @ 9..) => Ok(u32::from(length) - 8),
            _ => Err(Error::Unexpected(Text::new(header))),
        };
        if self.reply.push(byte, length)? { self.reply() } else { Ok(Step::More) }
    }

    fn awaiting(&self) -> &'static str {
        "PRELOGIN"
    }

    fn advertised(&self) -> Option<bool> {
        self.advertised
    }

    fn tls(&self) -> Tls {
        if self.strict {
            Tls { alpn: Some(b"tds/8.0"), framing: None }
        } else {
            Tls { alpn: None, framing: Some(Framing::Tds) }
        }
    }
}
