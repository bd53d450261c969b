//! PostgreSQL (the documentation's chapter Frontend/Backend Protocol, "SSL Session Encryption" and "Message Formats").
//!
//! ```text
//! C: 00 00 00 08  04 d2 16 2f       (SSLRequest: its length, and 80877103)
//! S: 'S'
//! ```
//!
//! `N` says that the server does not offer TLS; it then waits for a StartupMessage in the clear. `E` begins an
//! ErrorResponse, from a server that is older than SSLRequest or could not start a process; the server hangs up behind it.
//!
//! The answer is one byte, and nothing may stand behind it: what does was injected (CVE-2021-23222), and the negotiation
//! fails. So the text of an ErrorResponse is as untrusted as all that comes before TLS; clients that showed it as it came
//! have been fooled (CVE-2024-10977).
//!
//! After TLS the client speaks first, with its StartupMessage. Since version 17 a server also takes TLS from the first byte
//! on, without SSLRequest, if the client offers the application protocol `postgresql`: see [`Postgres::direct`].

use bytes::Bytes;

use crate::wire::{Excerpt, Packet};
use crate::{Code, Dialogue, Error, Reason, Reply, Step, Text, Tls};

/// The least and most that the length of an ErrorResponse may be, itself included; the most is what libpq takes.
const LENGTHS: core::ops::RangeInclusive<u32> = 5..=30_000;

/// The dialogue of a PostgreSQL client.
///
/// `N` is [`Reason::NotAdvertised`], and the connection may go on in plaintext. `E` ends the session
/// ([`Error::Closing`]): its text is the severity, SQLSTATE and message that the server, or someone on the path, claims.
#[derive(Debug, Default)]
pub struct Postgres {
    direct: bool,
    /// Whether the answer began with `E`.
    is_error: bool,
    error: Packet<5, 256>,
    advertised: Option<bool>,
}

impl Postgres {
    /// A client that asks for TLS: nothing has to be known about it.
    pub fn new() -> Self {
        Self::default()
    }

    /// A client of a server that is known to take TLS from the first byte on (version 17 and later): nothing is said in
    /// the clear, so no one on the path can answer `N`.
    pub fn direct() -> Self {
        Self { direct: true, ..Self::default() }
    }

    /// Takes a whole ErrorResponse: fields of a letter and a string, each ended by NUL, and one more NUL.
    fn error(&self) -> Error {
        let mut text = Excerpt::<{ Text::MOST }>::new();
        for field in self.error.body().split(|&byte| byte == 0) {
            if let [b'S' | b'C' | b'M', value @ ..] = field {
                if !text.as_bytes().is_empty() {
                    text.push(b' ');
                }
                text.extend(value);
            }
        }
        Error::Closing(Reply { code: Code::Word("E"), text: Text::new(text.as_bytes()), temporary: false })
    }
}

impl Dialogue for Postgres {
    fn open(&mut self) -> Step {
        if self.direct { Step::Upgrade } else { Step::Send(Bytes::from_static(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")) }
    }

    fn receive(&mut self, byte: u8) -> Result<Step, Error> {
        match byte {
            _ if self.is_error => {}
            b'S' => {
                self.advertised = Some(true);
                return Ok(Step::Upgrade);
            }
            b'N' => {
                self.advertised = Some(false);
                return Ok(Step::Decline(Reason::NotAdvertised));
            }
            b'E' => self.is_error = true,
            _ => return Err(Error::Unexpected(Text::new(&[byte]))),
        }
        let length = |header: &[u8; 5]| {
            let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
            if LENGTHS.contains(&length) { Ok(length - 4) } else { Err(Error::Unexpected(Text::new(header))) }
        };
        if self.error.push(byte, length)? { Err(self.error()) } else { Ok(Step::More) }
    }

    fn awaiting(&self) -> &'static str {
        "SSLRequest"
    }

    fn advertised(&self) -> Option<bool> {
        self.advertised
    }

    fn tls(&self) -> Tls {
        Tls { alpn: Some(b"postgresql"), framing: None }
    }
}
