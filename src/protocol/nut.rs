//! NUT, the protocol of Network UPS Tools (RFC 9271).

use bytes::Bytes;

use super::{no, word};
use crate::{Code, Dialogue, Error, Reason, Reply, Step, Text};

/// The dialogue of a NUT client.
///
/// `ERR` and its code is a refusal, all of them permanent: FEATURE-NOT-CONFIGURED if the server has no
/// certificate, FEATURE-NOT-SUPPORTED if it was built without TLS.
///
/// # The dialogue
///
/// ```text
/// C: STARTTLS
/// S: OK STARTTLS
/// ```
///
/// Lines end in LF. The server does not greet, there is no list of capabilities, and it says nothing unasked.
///
/// # After TLS
///
/// The client speaks first: USERNAME, PASSWORD and all else come then.
///
/// # Example
///
/// ```
/// use starttls::{Negotiation, protocol::Nut};
///
/// let mut negotiation = Negotiation::required(Nut::new());
/// assert_eq!(negotiation.poll_transmit().unwrap(), b"STARTTLS\n"[..]);
/// negotiation.handle_input(b"OK STARTTLS\n")?;
/// let upgrade: starttls::Upgrade = negotiation.finish()?;
/// # let _ = upgrade;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Nut(());

impl Nut {
    /// A client: nothing has to be known about it.
    pub fn new() -> Self {
        Self::default()
    }
}

fn refusal(text: &[u8]) -> Reply {
    let (code, rest) = word(text);
    let (code, text) = match code {
        b"FEATURE-NOT-CONFIGURED" => ("FEATURE-NOT-CONFIGURED", rest),
        b"FEATURE-NOT-SUPPORTED" => ("FEATURE-NOT-SUPPORTED", rest),
        b"ALREADY-SSL-MODE" => ("ALREADY-SSL-MODE", rest),
        b"UNKNOWN-COMMAND" => ("UNKNOWN-COMMAND", rest),
        b"ACCESS-DENIED" => ("ACCESS-DENIED", rest),
        _ => ("ERR", text),
    };
    Reply { code: Code::Word(code), text: Text::new(text), temporary: false }
}

impl Dialogue for Nut {
    fn open(&mut self) -> Step {
        Step::Send(Bytes::from_static(b"STARTTLS\n"))
    }

    fn receive(&mut self, line: &[u8]) -> Result<Step, Error> {
        match (line, no(line, b"ERR")) {
            (b"OK STARTTLS", _) => Ok(Step::Upgrade),
            (_, Some(text)) => Ok(Step::Decline(Reason::Refused(refusal(text)))),
            _ => Err(Error::unexpected(line)),
        }
    }

    fn awaiting(&self) -> &'static str {
        "STARTTLS"
    }
}
