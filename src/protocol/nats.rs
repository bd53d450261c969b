//! NATS (the NATS documentation, "Client Protocol": INFO, -ERR; "TLS": handshake_first).
//!
//! ```text
//! S: INFO {"server_id":"…","version":"…","tls_required":true,…}
//! ```
//!
//! Nothing is sent: a client that reads `tls_required` or `tls_available` starts TLS. In place of INFO may stand `-ERR`
//! with a text in quotes. Both names are members of the outermost object, and nothing else of that object counts.
//!
//! After TLS the client speaks first, with CONNECT and PING. The server may send another INFO at any time then; that is the
//! one to believe, with the addresses of its fellows in it. A server that is set to `handshake_first` takes TLS from the
//! first byte on: see [`Nats::handshake_first`].

use super::ended;
use crate::wire::{Excerpt, Json, Line};
use crate::{Code, Dialogue, Error, Reason, Reply, Step, Text};

const REQUIRED: &str = "tls_required";
const AVAILABLE: &str = "tls_available";

/// The dialogue of a NATS client.
///
/// INFO without either member, or with `false`, is [`Reason::NotAdvertised`]; `-ERR` ends the session
/// ([`Error::Closing`]). A server of a large cluster may need more than the default of [`Limits::line`], since INFO lists
/// the others.
///
/// [`Limits::line`]: crate::Limits::line
#[derive(Debug)]
pub struct Nats {
    handshake_first: bool,
    line: Line<160>,
    /// The line's first word, while it arrives.
    operation: Excerpt<6>,
    /// What stands behind the first word.
    info: Option<Json<2>>,
    advertised: Option<bool>,
}

impl Nats {
    /// A client: nothing has to be known about it.
    pub fn new() -> Self {
        Self { handshake_first: false, line: Line::default(), operation: Excerpt::new(), info: None, advertised: None }
    }

    /// A client of a server that is known to take TLS from the first byte on: nothing is said in the clear.
    pub fn handshake_first() -> Self {
        Self { handshake_first: true, ..Self::new() }
    }

    /// Takes a whole line.
    fn line(&mut self) -> Result<Step, Error> {
        let operation = ended(self.operation.as_bytes(), if self.info.is_some() { b' ' } else { b'\n' });
        let is = |name: &[u8]| operation.eq_ignore_ascii_case(name);
        match &self.info {
            Some(info) if is(b"INFO") && info.ended() => {
                let advertised = info.is_true(REQUIRED) || info.is_true(AVAILABLE);
                self.advertised = Some(advertised);
                Ok(if advertised { Step::Upgrade } else { Step::Decline(Reason::NotAdvertised) })
            }
            _ if is(b"-ERR") => {
                let text = self.line.head()[4..].trim_ascii();
                Err(Error::Closing(Reply { code: Code::Word("-ERR"), text: Text::new(text), temporary: false }))
            }
            _ => Err(Error::Unexpected(Text::new(self.line.head()))),
        }
    }
}

impl Default for Nats {
    fn default() -> Self {
        Self::new()
    }
}

impl Dialogue for Nats {
    fn open(&mut self) -> Step {
        if self.handshake_first { Step::Upgrade } else { Step::More }
    }

    fn receive(&mut self, byte: u8) -> Result<Step, Error> {
        match &mut self.info {
            Some(info) => info.push(byte),
            None if matches!(byte, b' ' | b'\t') => self.info = Some(Json::new([REQUIRED, AVAILABLE])),
            None if byte == b'\n' => {}
            None => self.operation.push(byte),
        }
        if self.line.push(byte) { self.line() } else { Ok(Step::More) }
    }

    fn awaiting(&self) -> &'static str {
        "greeting"
    }

    fn advertised(&self) -> Option<bool> {
        self.advertised
    }
}
