//! NSQ (the NSQ documentation, "TCP Protocol Spec": IDENTIFY, "Data Format"; "TLS" of "Features").
//!
//! ```text
//! C: "  V2" "IDENTIFY\n" 0000002a {"feature_negotiation":true,"tls_v1":true}
//! S: 000000a5 00000000 {"tls_v1":true,…}
//! ```
//!
//! A frame has its size, which counts all behind it, and its type: 0 is a response, 1 an error. The server may send the
//! response `_heartbeat_`, which is passed over. `OK` is the response of a server that knows no negotiation.
//!
//! After TLS the server speaks first, with the response `OK`. IDENTIFY is not said again, but what the response to it claimed
//! is not to be believed.

use bytes::Bytes;

use crate::wire::{Json, Packet};
use crate::{Code, Dialogue, Error, Reason, Reply, Step, Text};

const RESPONSE: u32 = 0;
const ERROR: u32 = 1;
const TLS: &str = "tls_v1";

const REQUEST: &[u8] = b"  V2IDENTIFY\n\x00\x00\x00\x2a{\"feature_negotiation\":true,\"tls_v1\":true}";

/// The dialogue of an NSQ client.
///
/// A response without `tls_v1`, or with `false`, is [`Reason::NotAdvertised`]. All errors that IDENTIFY can meet end the
/// session ([`Error::Closing`]).
#[derive(Debug)]
pub struct Nsq {
    frame: Packet<8, 160>,
    response: Json<1>,
    advertised: Option<bool>,
}

impl Nsq {
    /// A client: nothing has to be known about it.
    pub fn new() -> Self {
        Self { frame: Packet::new(), response: Json::new([TLS]), advertised: None }
    }

    /// Takes a whole frame.
    fn frame(&mut self) -> Result<Step, Error> {
        let response = core::mem::replace(&mut self.response, Json::new([TLS]));
        match (self.frame.header().map(kind), self.frame.body()) {
            (Some(RESPONSE), b"_heartbeat_") => Ok(Step::Next),
            (Some(RESPONSE), body) if body == b"OK" || response.ended() => {
                let advertised = response.is_true(TLS);
                self.advertised = Some(advertised);
                Ok(if advertised { Step::Upgrade } else { Step::Decline(Reason::NotAdvertised) })
            }
            (Some(ERROR), body) => Err(Error::Closing(refusal(body))),
            (_, body) => Err(Error::Unexpected(Text::new(body))),
        }
    }
}

impl Default for Nsq {
    fn default() -> Self {
        Self::new()
    }
}

impl Dialogue for Nsq {
    fn open(&mut self) -> Step {
        Step::Send(Bytes::from_static(REQUEST))
    }

    fn receive(&mut self, byte: u8) -> Result<Step, Error> {
        if self.frame.within_body() {
            self.response.push(byte);
        }
        let whole = self.frame.push(byte, |header| {
            let size = u32::from_be_bytes([header[0], header[1], header[2], header[3]]);
            match (kind(header), size.checked_sub(4)) {
                (RESPONSE | ERROR, Some(length)) => Ok(length),
                _ => Err(Error::Unexpected(Text::new(header))),
            }
        })?;
        if whole { self.frame() } else { Ok(Step::More) }
    }

    fn awaiting(&self) -> &'static str {
        "IDENTIFY"
    }

    fn advertised(&self) -> Option<bool> {
        self.advertised
    }
}

fn kind(header: &[u8; 8]) -> u32 {
    u32::from_be_bytes([header[4], header[5], header[6], header[7]])
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
