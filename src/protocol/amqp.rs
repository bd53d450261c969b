//! AMQP 1.0 (OASIS AMQP 1.0 part 5 §5.2, part 2 §2.2).

use bytes::Bytes;

use crate::wire::packet;
use crate::{Code, Dialogue, Error, Frame, Part, Reply, Step, Text};

const HEADER: &[u8; 8] = b"AMQP\x02\x01\x00\x00";

/// The dialogue of an AMQP 1.0 client.
///
/// Another header than that of TLS ends the session ([`Error::Closing`]): its protocol and version are the text.
///
/// # The dialogue
///
/// ```text
/// C: "AMQP" 02 01 00 00             (protocol 2 is TLS, 3 is SASL, 0 is AMQP itself; version 1.0.0)
/// S: "AMQP" 02 01 00 00
/// ```
///
/// A server that does not take the header answers with one that it does take, and hangs up.
///
/// # After TLS
///
/// The client speaks first, with the header of SASL or of AMQP itself. AMQP 0-9-1 has no such header: it is for
/// port 5671, TLS from the first byte on.
///
/// # Example
///
/// ```
/// use starttls::{Negotiation, protocol::Amqp};
///
/// let mut negotiation = Negotiation::required(Amqp::new());
/// assert_eq!(negotiation.poll_transmit().unwrap(), b"AMQP\x02\x01\x00\x00"[..]);
/// negotiation.handle_input(b"AMQP\x02\x01\x00\x00")?;
/// let upgrade: starttls::Upgrade = negotiation.finish()?;
/// # let _ = upgrade;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Amqp(());

impl Amqp {
    /// A client: nothing has to be known about it.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Dialogue for Amqp {
    fn open(&mut self) -> Step {
        Step::Send(Bytes::from_static(HEADER))
    }

    fn frame(&self, begun: &[u8], _: Part<'_>) -> Frame {
        let rest = if begun.len() < HEADER.len() { Frame::Exactly(4) } else { Frame::Whole };
        packet::magic(begun, &[b"AMQP"]).unwrap_or(rest)
    }

    fn receive(&mut self, header: &[u8]) -> Result<Step, Error> {
        match header {
            header if header == HEADER => Ok(Step::Upgrade),
            [b'A', b'M', b'Q', b'P', version @ ..] => {
                Err(Error::Closing(Reply { code: Code::Word("AMQP"), text: Text::new(version), temporary: false }))
            }
            _ => Err(Error::unexpected(header)),
        }
    }

    fn awaiting(&self) -> &'static str {
        "TLS protocol header"
    }
}
