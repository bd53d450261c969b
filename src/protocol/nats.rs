//! NATS (the NATS documentation, "Client Protocol": INFO, -ERR; "TLS": handshake_first).

use alloc::boxed::Box;

use super::no;
use crate::wire::json;
use crate::{Code, Dialogue, Error, Findings, Reason, Reply, Step, Text};

/// The dialogue of a NATS client.
///
/// INFO without either member, or with `false`, is [`Reason::NotAdvertised`]; `-ERR` ends the session
/// ([`Error::Closing`]). A server of a large cluster may need more than the default of [`Limits::line`], since INFO lists
/// the others.
///
/// [`Limits::line`]: crate::Limits::line
///
/// # The dialogue
///
/// ```text
/// S: INFO {"server_id":"…","version":"…","tls_required":true,…}
/// ```
///
/// Nothing is sent: a client that reads `tls_required` or `tls_available` starts TLS. In place of INFO may stand `-ERR`
/// with a text in quotes. Both names are members of the outermost object, and nothing else of that object counts.
///
/// # After TLS
///
/// The client speaks first, with CONNECT and PING. The server may send another INFO at any time then; that is the
/// one to believe, with the addresses of its fellows in it. A server that is set to `handshake_first` takes TLS from the
/// first byte on: see [`Nats::handshake_first`].
///
/// # Example
///
/// ```
/// use starttls::{Negotiation, protocol::Nats};
///
/// let mut negotiation = Negotiation::required(Nats::new());
/// negotiation.handle_input(b"INFO {\"server_id\":\"NAR5ZNPYOAGHYWCNAIJB727Y7G7CMH3HOUGGWU622O4SXX2WUWIYTX\
///     4K\",\"server_name\":\"NAR5ZNPYOAGHYWCNAIJB727Y7G7CMH3HOUGGWU622O4SXX2WUWIYT\
///     X4K\",\"version\":\"2.9.10\",\"proto\":1,\"go\":\"go1.19.8\",\"host\":\"127.\
///     0.0.1\",\"port\":40843,\"headers\":true,\"tls_required\":true,\"max_payload\
///     \":1048576,\"client_id\":5,\"client_ip\":\"127.0.0.1\"} \r\n")?;
/// let upgrade: starttls::Upgrade = negotiation.finish()?;
/// # let _ = upgrade;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Nats {
    handshake_first: bool,
    info: Option<Box<str>>,
    advertised: Option<bool>,
}

impl Nats {
    /// A client: nothing has to be known about it.
    pub fn new() -> Self {
        Self::default()
    }

    /// A client of a server that is known to take TLS from the first byte on: nothing is said in the clear.
    pub fn handshake_first() -> Self {
        Self { handshake_first: true, ..Self::new() }
    }

    /// The object of the server's INFO, once it has come. Its `nonce` is what CONNECT has to sign.
    pub fn info(&self) -> Option<&str> {
        self.info.as_deref()
    }
}

impl Dialogue for Nats {
    fn open(&mut self) -> Step {
        if self.handshake_first { Step::Upgrade } else { Step::More }
    }

    fn receive(&mut self, line: &[u8]) -> Result<Step, Error> {
        let (operation, rest) = line.split_at(line.iter().position(|byte| b" \t".contains(byte)).unwrap_or(line.len()));
        if let Some(text) = no(line.strip_prefix(b"-").unwrap_or(line), b"ERR") {
            let reply = Reply { code: Code::Word("-ERR"), text: Text::new(text.trim_ascii()), temporary: false };
            return Err(Error::Closing(reply));
        }
        match json::truths(rest, ["tls_required", "tls_available"]) {
            Some([required, available]) if operation.eq_ignore_ascii_case(b"INFO") => {
                self.info = str::from_utf8(rest.trim_ascii()).ok().map(Box::from);
                let advertised = *self.advertised.insert(required || available);
                Ok(if advertised { Step::Upgrade } else { Step::Decline(Reason::NotAdvertised) })
            }
            _ => Err(Error::unexpected(line)),
        }
    }

    fn awaiting(&self) -> &'static str {
        "greeting"
    }

    fn advertised(&self) -> Option<bool> {
        self.advertised
    }

    fn findings(&self) -> Option<Findings<'_>> {
        self.info().map(|info| Findings::Nats { info })
    }
}
