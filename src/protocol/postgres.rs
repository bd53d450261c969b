//! PostgreSQL (the documentation's chapter Frontend/Backend Protocol, "SSL Session Encryption" and "Message Formats").

use alloc::vec::Vec;

use bytes::Bytes;

use crate::{Code, Dialogue, Error, Frame, Part, Reason, Reply, Step, Text, Tls};

/// The dialogue of a PostgreSQL client.
///
/// `N` is [`Reason::NotAdvertised`], and the connection may go on in plaintext. `E` ends the session
/// ([`Error::Closing`]): its text is the severity, SQLSTATE and message that the server, or someone on the path, claims.
///
/// # The dialogue
///
/// ```text
/// C: 00 00 00 08  04 d2 16 2f       (SSLRequest: its length, and 80877103)
/// S: 'S'
/// ```
///
/// `N` says that the server does not offer TLS; it then waits for a StartupMessage in the clear. `E` begins an
/// ErrorResponse, from a server that is older than SSLRequest, or a text up to NUL, from one that could not start a process.
/// The server hangs up behind either.
///
/// The answer is one byte, and nothing may stand behind it: what does was injected (CVE-2021-23222), and the negotiation
/// fails. So the text of an ErrorResponse is as untrusted as all that comes before TLS; clients that showed it as it came
/// have been fooled (CVE-2024-10977).
///
/// # After TLS
///
/// The client speaks first, with its StartupMessage. Since version 17 a server also takes TLS from the first byte
/// on, without SSLRequest, if the client offers the application protocol `postgresql`: see [`Postgres::direct`].
///
/// # Example
///
/// ```
/// use starttls::{Negotiation, protocol::Postgres};
///
/// let mut negotiation = Negotiation::required(Postgres::new());
/// assert_eq!(negotiation.poll_transmit().unwrap(), b"\x00\x00\x00\x08\x04\xd2\x16/"[..]);
/// negotiation.handle_input(b"S")?;
/// let upgrade: starttls::Upgrade = negotiation.finish()?;
/// # let _ = upgrade;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Postgres {
    direct: bool,
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
}

impl Dialogue for Postgres {
    fn open(&mut self) -> Step {
        if self.direct { Step::Upgrade } else { Step::Send(Bytes::from_static(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")) }
    }

    fn frame(&self, begun: &[u8], _: Part<'_>) -> Frame {
        match *begun {
            [] => Frame::Exactly(1),
            [b'E'] => Frame::Exactly(4),
            [b'E', a, b, c, d] => match u32::from_be_bytes([a, b, c, d]) {
                // No length, but the beginning of a text.
                _ if is_text(begun) => Frame::Until(0),
                // It counts itself.
                length => Frame::body(length.saturating_sub(4)),
            },
            _ => Frame::Whole,
        }
    }

    fn receive(&mut self, answer: &[u8]) -> Result<Step, Error> {
        match answer {
            b"S" => {
                self.advertised = Some(true);
                Ok(Step::Upgrade)
            }
            b"N" => {
                self.advertised = Some(false);
                Ok(Step::Decline(Reason::NotAdvertised))
            }
            [b'E', text @ .., 0] if answer.len() > 5 && is_text(answer) => {
                Err(Error::Closing(reply(text.trim_ascii_end())))
            }
            [b'E', _, _, _, _, fields @ ..] => Err(Error::Closing(error(fields))),
            _ => Err(Error::unexpected(answer)),
        }
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

/// An ErrorResponse: fields of a letter and a string, each ended by NUL, and one more NUL.
fn error(fields: &[u8]) -> Reply {
    let fields = fields.split(|&byte| byte == 0);
    let told = fields.filter_map(|field| if let [b'S' | b'C' | b'M', value @ ..] = field { Some(value) } else { None });
    let text = told.collect::<Vec<_>>().join(&b' ');
    reply(&text)
}

fn reply(text: &[u8]) -> Reply {
    Reply { code: Code::Word("E"), text: Text::new(text), temporary: false }
}

/// Whether an error is a text from its first byte on, in whatever language. A length of the same bytes would be that of half a
/// gigabyte at least.
fn is_text(error: &[u8]) -> bool {
    let begun = error.get(..5).unwrap_or(error);
    begun.iter().all(|byte| !byte.is_ascii_control())
        && str::from_utf8(begun).map_or_else(|error| error.error_len().is_none(), |_| true)
}
