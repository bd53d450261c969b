//! Microsoft SQL Server: TDS 7 (MS-TDS §2.2.6.5, §3.2.5.1), and TDS 8 (MS-TDS §3.2.5.1).

use alloc::string::String;

use bytes::Bytes;

use crate::wire::packet;
use crate::{Code, Dialogue, Error, Frame, Framing, Part, Reason, Reply, Step, Text, Tls};

const PRELOGIN: &[u8] = &[
    0x12, 0x01, 0x00, 0x1a, 0x00, 0x00, 0x00, 0x00, // header
    0x00, 0x00, 0x0b, 0x00, 0x06, // VERSION
    0x01, 0x00, 0x11, 0x00, 0x01, // ENCRYPTION
    0xff, 0, 0, 0, 0, 0, 0, 0x01, // end, version, ENCRYPT_ON
];

/// The dialogue of a client of SQL Server.
///
/// An error in place of the options ends the session ([`Error::Closing`]).
///
/// # The dialogue
///
/// ```text
/// C: 12 01 001a 0000 00 00          a packet: PRELOGIN, last of its message, 26 bytes
///    00 000b 0006                   VERSION: at 11, 6 bytes
///    01 0011 0001                   ENCRYPTION: at 17, 1 byte
///    ff                             end of the options
///    00 00 00 00 00 00 01           no version, ENCRYPT_ON
/// S: 04 01 …                        a packet: the reply, with options of the same form
///    ENCRYPTION                     01 ENCRYPT_ON or 03 ENCRYPT_REQ
/// ```
///
/// 00 (ENCRYPT_OFF: TLS for the login only) and 02 (ENCRYPT_NOT_SUP) are refusals. In place of the options may stand an error,
/// behind which the server hangs up.
///
/// The handshake of TDS 7 travels in PRELOGIN packets ([`Framing::Tds`]). TDS 8 begins with TLS, under the application
/// protocol `tds/8.0`.
///
/// # After TLS
///
/// TLS is on the wire as it is, and the client speaks first: LOGIN7 in TDS 7, PRELOGIN in TDS 8.
///
/// # Example
///
/// ```
/// use starttls::{Negotiation, protocol::Mssql};
///
/// let mut negotiation = Negotiation::required(Mssql::new());
/// assert_eq!(negotiation.poll_transmit().unwrap(), b"\x12\x01\x00\x1a\x00\x00\x00\x00\x00\x00\x0b\x00\x06\x01\x00\x11\x00\x01\xff\
///     \x00\x00\x00\x00\x00\x00\x01"[..]);
/// negotiation.handle_input(b"\x04\x01\x00 \x00\x00\x01\x00\x00\x00\x10\x00\x06\x01\x00\x16\x00\x01\x02\
///     \x00\x17\x00\x01\xff\x0f\x00\x0f\xa1\x00\x00\x01\x00")?;
/// let upgrade: starttls::Upgrade = negotiation.finish()?;
/// # let _ = upgrade;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Mssql {
    strict: bool,
    advertised: Option<bool>,
}

impl Mssql {
    /// TDS 7: TLS behind PRELOGIN.
    pub fn new() -> Self {
        Self::default()
    }

    /// TDS 8, which SQL Server calls strict encryption: TLS from the first byte.
    pub fn strict() -> Self {
        Self { strict: true, ..Self::new() }
    }
}

fn refused(number: u32, name: &'static str) -> Step {
    let reply = Reply { code: Code::Named(number, name), text: Text::new(b""), temporary: false };
    Step::Decline(Reason::Refused(reply))
}

/// How much stands behind the header of a reply that is one whole packet, which the options always are.
fn length(header: &[u8; 8]) -> Option<u32> {
    let [0x04, 0x01, high, low, ..] = *header else { return None };
    u32::from(u16::from_be_bytes([high, low])).checked_sub(8).filter(|length| *length > 0)
}

/// The value of the ENCRYPTION option: the options stand first, and say where their values are.
fn encryption(body: &[u8]) -> Option<u8> {
    let options = body.split_at_checked(body.iter().step_by(5).position(|&token| token == 0xff)? * 5)?.0;
    let mut encryption = options.chunks_exact(5).filter(|option| option[0] == 1);
    let (Some(&[_, high, low, 0, 1]), None) = (encryption.next(), encryption.next()) else { return None };
    let at = usize::from(u16::from_be_bytes([high, low]));
    body.get(at).copied().filter(|_| at > options.len())
}

/// The error that stands in place of the options (MS-TDS §2.2.7.10): its number, and a text in UTF-16.
fn error(body: &[u8]) -> Option<Reply> {
    let [0xaa, _, _, a, b, c, d, _state, _class, low, high, rest @ ..] = body else { return None };
    let units = rest.as_chunks().0.iter().map(|unit| u16::from_le_bytes(*unit));
    let units = units.take(usize::from(u16::from_le_bytes([*low, *high])).min(Text::MOST));
    let text: String = char::decode_utf16(units).map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    let code = Code::Named(u32::from_le_bytes([*a, *b, *c, *d]), "error");
    Some(Reply { code, text: Text::new(text.as_bytes()), temporary: false })
}

impl Dialogue for Mssql {
    fn open(&mut self) -> Step {
        if self.strict { Step::Upgrade } else { Step::Send(Bytes::from_static(PRELOGIN)) }
    }

    fn frame(&self, begun: &[u8], _: Part<'_>) -> Frame {
        packet::frame(begun, length)
    }

    fn receive(&mut self, reply: &[u8]) -> Result<Step, Error> {
        let body = reply.get(8..).unwrap_or_default();
        if let Some(error) = error(body) {
            return Err(Error::Closing(error));
        }
        let encryption =
            encryption(body).filter(|encryption| *encryption < 4).ok_or_else(|| Error::unexpected(body))?;
        self.advertised = Some(encryption != 2);
        match encryption {
            0 => Ok(refused(0, "ENCRYPT_OFF")),
            2 => Ok(refused(2, "ENCRYPT_NOT_SUP")),
            _ => Ok(Step::Upgrade),
        }
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
