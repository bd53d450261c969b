//! NBD (the NBD project's doc/proto.md: "Fixed newstyle negotiation", "TLS support", "Option reply types").

use bytes::Bytes;

use crate::wire::packet;
use crate::{Code, Dialogue, Error, Findings, Frame, Part, Reason, Reply, Step, Text};

const OPTIONS: &[u8] = b"NBDMAGICIHAVEOPT";
const OLD_STYLE: &[u8] = b"NBDMAGIC\x00\x00\x42\x02\x81\x86\x12\x53";
const REPLY: &[u8; 8] = b"\x00\x03\xe8\x89\x04\x55\x65\xa9";

const FIXED_NEWSTYLE: u8 = 1;
const NO_ZEROES: u16 = 2;
const STARTTLS: u32 = 5;
const ACK: u32 = 1;
const FIRST_ERROR: u32 = 0x8000_0000;
const SHUTDOWN: u32 = 0x8000_0007;
/// The most that a string of the protocol may be, and so the text of an error.
const LONGEST: u32 = 4096;

/// The dialogue of an NBD client.
///
/// A handshake of the old style, or of the new one before it was fixed, has no options to ask with:
/// [`Reason::NotAdvertised`]. An error reply is a refusal by the error's name; NBD_REP_ERR_SHUTDOWN ends the session
/// ([`Error::Closing`]).
///
/// # The dialogue
///
/// ```text
/// S: "NBDMAGIC" "IHAVEOPT"  flags with FIXED_NEWSTYLE (2 bytes)
/// C: flags (4 bytes)  "IHAVEOPT"  NBD_OPT_STARTTLS (5)  length 0
/// S: 0003e889045565a9  5  NBD_REP_ACK (1)  length 0
/// ```
///
/// The client's flags and its option go in one write: no answer stands between them. Its flags mirror NO_ZEROES. An error
/// reply may carry a text.
///
/// # After TLS
///
/// The client speaks first, with its options. The flags of both sides are not sent again and stay as they were;
/// options that were negotiated before TLS do not.
///
/// # Example
///
/// ```
/// use starttls::{Negotiation, protocol::Nbd};
///
/// let mut negotiation = Negotiation::required(Nbd::new());
/// negotiation.handle_input(b"NBDMAGICIHAVEOPT\x00\x03")?;
/// assert_eq!(negotiation.poll_transmit().unwrap(), b"\x00\x00\x00\x03IHAVEOPT\x00\x00\x00\x05\x00\x00\x00\x00"[..]);
/// negotiation.handle_input(b"\x00\x03\xe8\x89\x04Ue\xa9\x00\x00\x00\x05\x00\x00\x00\x01\x00\x00\x00\x00")?;
/// let upgrade: starttls::Upgrade = negotiation.finish()?;
/// # let _ = upgrade;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Nbd {
    awaiting: Awaiting,
    flags: Option<u16>,
    advertised: Option<bool>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Awaiting {
    #[default]
    Greeting,
    StartTls,
}

impl Nbd {
    /// A client: nothing has to be known about it.
    pub fn new() -> Self {
        Self::default()
    }

    /// The handshake flags of the server, once it has greeted: 1, NBD_FLAG_FIXED_NEWSTYLE, and 2, NBD_FLAG_NO_ZEROES. They
    /// are not sent again, and hold after TLS.
    pub fn flags(&self) -> Option<u16> {
        self.flags
    }

    fn send_starttls(&mut self, flags: u16) -> Step {
        self.flags = Some(flags);
        self.awaiting = Awaiting::StartTls;
        Step::Send(if flags & NO_ZEROES == 0 {
            Bytes::from_static(b"\x00\x00\x00\x01IHAVEOPT\x00\x00\x00\x05\x00\x00\x00\x00")
        } else {
            Bytes::from_static(b"\x00\x00\x00\x03IHAVEOPT\x00\x00\x00\x05\x00\x00\x00\x00")
        })
    }

    fn decline(&mut self) -> Step {
        self.advertised = Some(false);
        Step::Decline(Reason::NotAdvertised)
    }
}

impl Dialogue for Nbd {
    fn open(&mut self) -> Step {
        Step::More
    }

    fn frame(&self, begun: &[u8], _: Part<'_>) -> Frame {
        match self.awaiting {
            Awaiting::Greeting => packet::magic(begun, &[OPTIONS, OLD_STYLE]).unwrap_or(match begun {
                OPTIONS => Frame::Exactly(2),
                // The export's size, its flags, and zeros.
                OLD_STYLE => Frame::Exactly(8 + 4 + 124),
                _ => Frame::Whole,
            }),
            Awaiting::StartTls => packet::frame(begun, length),
        }
    }

    fn receive(&mut self, unit: &[u8]) -> Result<Step, Error> {
        if let Awaiting::Greeting = self.awaiting {
            return Ok(match unit.strip_prefix(OPTIONS) {
                Some(&[high, low]) if low & FIXED_NEWSTYLE != 0 => self.send_starttls(u16::from_be_bytes([high, low])),
                _ => self.decline(),
            });
        }
        let (header, text) = unit.split_first_chunk().ok_or_else(|| Error::unexpected(unit))?;
        let kind = match split(header) {
            (_, _, ACK, _) => return Ok(Step::Upgrade),
            (_, _, kind, _) => kind,
        };
        let reply = Reply { code: Code::Named(kind, name(kind)), text: Text::new(text), temporary: false };
        if kind == SHUTDOWN { Err(Error::Closing(reply)) } else { Ok(Step::Decline(Reason::Refused(reply))) }
    }

    fn awaiting(&self) -> &'static str {
        match self.awaiting {
            Awaiting::Greeting => "greeting",
            Awaiting::StartTls => "NBD_OPT_STARTTLS",
        }
    }

    fn advertised(&self) -> Option<bool> {
        self.advertised
    }

    fn findings(&self) -> Option<Findings<'_>> {
        self.flags.map(|flags| Findings::Nbd { flags })
    }
}

/// How much stands behind the header of a reply to our option.
fn length(header: &[u8; 20]) -> Option<u32> {
    match split(header) {
        (REPLY, STARTTLS, ACK, 0) => Some(0),
        (REPLY, _, FIRST_ERROR.., length @ 0..=LONGEST) => Some(length),
        _ => None,
    }
}

/// The magic number, the option, the type of the reply, and the length of what follows.
fn split(header: &[u8; 20]) -> (&[u8; 8], u32, u32, u32) {
    let (magic, fields) = header.split_first_chunk().expect("20 bytes");
    let field = |at: usize| u32::from_be_bytes([fields[at], fields[at + 1], fields[at + 2], fields[at + 3]]);
    (magic, field(0), field(4), field(8))
}

fn name(kind: u32) -> &'static str {
    match kind - FIRST_ERROR {
        1 => "NBD_REP_ERR_UNSUP",
        2 => "NBD_REP_ERR_POLICY",
        3 => "NBD_REP_ERR_INVALID",
        4 => "NBD_REP_ERR_PLATFORM",
        5 => "NBD_REP_ERR_TLS_REQD",
        6 => "NBD_REP_ERR_UNKNOWN",
        7 => "NBD_REP_ERR_SHUTDOWN",
        8 => "NBD_REP_ERR_BLOCK_SIZE_REQD",
        9 => "NBD_REP_ERR_TOO_BIG",
        _ => "unknown",
    }
}
