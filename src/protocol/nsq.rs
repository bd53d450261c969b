//! NSQ (the NSQ documentation, "TCP Protocol Spec": IDENTIFY, "Data Format"; "TLS" of "Features").

use bytes::Bytes;

use crate::wire::{json, packet};
use crate::{Code, Dialogue, Error, Frame, Part, Reason, Reply, Step, Text};

const RESPONSE: u8 = 0;
const ERROR: u8 = 1;

const REQUEST: &[u8] = b"  V2IDENTIFY\n\x00\x00\x00\x2a{\"feature_negotiation\":true,\"tls_v1\":true}";

/// The dialogue of an NSQ client.
///
/// A response without `tls_v1`, or with `false`, is [`Reason::NotAdvertised`]. All errors that IDENTIFY can meet end the
/// session ([`Error::Closing`]).
///
/// # The dialogue
///
/// ```text
/// C: "  V2" "IDENTIFY\n" 0000002a {"feature_negotiation":true,"tls_v1":true}
/// S: 000000a5 00000000 {"tls_v1":true,…}
/// ```
///
/// A frame has its size, which counts all behind it, and its type: 0 is a response, 1 an error. The server may send the
/// response `_heartbeat_`, which is passed over. `OK` is the response of a server that knows no negotiation.
///
/// # After TLS
///
/// The server speaks first, with the response `OK`. IDENTIFY is not said again, but what the response to it claimed
/// is not to be believed.
///
/// # Example
///
/// ```
/// use starttls::{Negotiation, protocol::Nsq};
///
/// let mut negotiation = Negotiation::required(Nsq::new());
/// assert_eq!(negotiation.poll_transmit().unwrap(), b"  V2IDENTIFY\n\x00\x00\x00*{\"feature_negotiation\":true,\"tls_v1\":true}"[..]);
/// negotiation.handle_input(b"\x00\x00\x01\x0b\x00\x00\x00\x00{\"max_rdy_count\":2500,\"version\":\"1.2.1\
///     \",\"max_msg_timeout\":900000,\"msg_timeout\":60000,\"tls_v1\":true,\"deflat\
///     e\":false,\"deflate_level\":6,\"max_deflate_level\":6,\"snappy\":false,\"sam\
///     ple_rate\":0,\"auth_required\":false,\"output_buffer_size\":16384,\"output_b\
///     uffer_timeout\":250}")?;
/// let upgrade: starttls::Upgrade = negotiation.finish()?;
/// # let _ = upgrade;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Nsq {
    advertised: Option<bool>,
}

impl Nsq {
    /// A client: nothing has to be known about it.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Dialogue for Nsq {
    fn open(&mut self) -> Step {
        Step::Send(Bytes::from_static(REQUEST))
    }

    fn frame(&self, begun: &[u8], _: Part<'_>) -> Frame {
        packet::frame(begun, length)
    }

    fn receive(&mut self, frame: &[u8]) -> Result<Step, Error> {
        let [_, _, _, _, _, _, _, kind, body @ ..] = frame else { return Err(Error::unexpected(frame)) };
        match (*kind, body) {
            (ERROR, _) | (_, [b'E', b'_', ..]) => Err(Error::Closing(refusal(body))),
            (_, b"_heartbeat_") => Ok(Step::Unasked),
            _ => {
                let listed = json::truths(body, ["tls_v1"]).map(|[tls]| tls);
                let advertised = listed.or((body == b"OK").then_some(false));
                let advertised = *self.advertised.insert(advertised.ok_or_else(|| Error::unexpected(body))?);
                Ok(if advertised { Step::Upgrade } else { Step::Decline(Reason::NotAdvertised) })
            }
        }
    }

    /// Heartbeats.
    fn speaks_unasked(&self) -> bool {
        true
    }

    fn awaiting(&self) -> &'static str {
        "IDENTIFY"
    }

    fn advertised(&self) -> Option<bool> {
        self.advertised
    }
}

/// An error is a word and, behind a space, a text.
fn refusal(error: &[u8]) -> Reply {
    let known = ["E_INVALID", "E_BAD_BODY", "E_IDENTIFY_FAILED"];
    let known = known.iter().find_map(|word| Some((*word, error.strip_prefix(word.as_bytes())?)));
    let (word, text) = match known {
        Some((word, text @ ([] | [b' ', ..]))) => (word, text.trim_ascii_start()),
        _ => ("error", error),
    };
    Reply { code: Code::Word(word), text: Text::new(text), temporary: false }
}

/// How much stands behind a header: its size counts the type.
fn length(header: &[u8; 8]) -> Option<u32> {
    match *header {
        [a, b, c, d, 0, 0, 0, RESPONSE | ERROR] => u32::from_be_bytes([a, b, c, d]).checked_sub(4),
        _ => None,
    }
}
