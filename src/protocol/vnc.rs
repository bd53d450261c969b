//! VNC with VeNCrypt (the rfbproto project's document: "ProtocolVersion", "Security", "VeNCrypt").
//!
//! ```text
//! S: "RFB 003.008\n"
//! C: "RFB 003.008\n"
//! S: 02  02 13                       (how many security types, and these: 19 is VeNCrypt)
//! C: 13
//! S: 00 02                           (VeNCrypt 0.2)
//! C: 00 02
//! S: 00  02  00000105 00000101       (taken; how many subtypes, and these)
//! C: 00000105                        (X509Vnc)
//! S: 01                              (taken)
//! ```
//!
//! A server of version 3.3 chooses the security type itself, and VeNCrypt is not among those. An empty list of security
//! types is followed by a reason (its length in four bytes, and text), and then the server hangs up.
//!
//! Only the subtypes X509* have a certificate. Those called TLS* do a key exchange without one, that anyone on the path can
//! take part in, and that rustls does not do.
//!
//! After TLS the subtype decides who speaks first: the server with X509Vnc (a challenge) and X509SASL (its mechanisms), and
//! the client with X509Plain and X509Ident (a name). With X509None the server sends the security result. See
//! [`Vnc::subtype`]. The version goes on to hold; nothing is said again.

use bytes::Bytes;

use crate::wire::{Excerpt, Packet};
use crate::{Code, Dialogue, Error, Reason, Reply, Step, Text};

const VENCRYPT: u8 = 19;

/// A subtype of VeNCrypt with a certificate: TLS, and then this way to authenticate the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subtype {
    /// None at all: 260.
    X509None,
    /// VNC's challenge and response: 261.
    X509Vnc,
    /// A name and a password: 262.
    X509Plain,
    /// SASL: 264.
    X509Sasl,
    /// A name alone: 267.
    X509Ident,
}

/// The dialogue of a VNC client.
///
/// No VeNCrypt, or a version before 3.7, is [`Reason::NotAdvertised`]; VeNCrypt without a subtype that the client wants is a
/// refusal that names those there are. A server that rejects a choice, or gives a reason in place of the security types,
/// ends the session ([`Error::Closing`]).
#[derive(Debug)]
pub struct Vnc {
    wanted: &'static [Subtype],
    chosen: Option<Subtype>,
    /// The known ones among the subtypes that the server listed: one a bit, from 256 on.
    listed: u16,
    awaiting: Awaiting,
    /// The beginning of the reply as it came.
    reply: Excerpt<32>,
    reason: Packet<4, 200>,
    advertised: Option<bool>,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug)]
enum Awaiting {
    Version,
    TypeCount,
    /// This many security types are still to come.
    Types(u8),
    Reason,
    /// The version of VeNCrypt.
    VeNCrypt,
    VersionAck,
    SubtypeCount,
    /// This many bytes of subtypes are still to come; the last four are a subtype.
    Subtypes(u16, [u8; 4]),
    SubtypeAck,
}

impl Vnc {
    /// A client that knows all ways to authenticate, and takes the one that asks for least.
    pub fn new() -> Self {
        use Subtype::{X509Ident, X509None, X509Plain, X509Sasl, X509Vnc};
        Self::preferring(&[X509None, X509Vnc, X509Plain, X509Sasl, X509Ident])
    }

    /// A client that takes the first of these subtypes that the server lists, and no other.
    pub fn preferring(wanted: &'static [Subtype]) -> Self {
        Self {
            wanted,
            chosen: None,
            listed: 0,
            awaiting: Awaiting::Version,
            reply: Excerpt::new(),
            reason: Packet::new(),
            advertised: None,
        }
    }

    /// How the user is to be authenticated within TLS: what was chosen of the server's list, once it has been.
    /// [`Negotiation::dialogue`](crate::Negotiation::dialogue) leads here.
    pub fn subtype(&self) -> Option<Subtype> {
        self.chosen
    }

    /// Takes the server's version, `RFB 003.008`.
    fn version(&mut self) -> Result<Step, Error> {
        let version = match self.reply.as_bytes() {
            [b'R', b'F', b'B', b' ', version @ .., b'\n'] => number(version),
            _ => None,
        };
        let request: &[u8] = match version.ok_or_else(|| self.unexpected())? {
            ..3_007 => return Ok(self.decline()),
            3_007 => b"RFB 003.007\n",
            3_008.. => b"RFB 003.008\n",
        };
        Ok(self.send(Awaiting::TypeCount, request))
    }

    fn receive(&mut self, byte: u8) -> Result<Step, Error> {
        self.awaiting = match (self.awaiting, byte) {
            (Awaiting::Version, b'\n') => return self.version(),
            (Awaiting::Version, _) if self.reply.as_bytes().len() < 12 => Awaiting::Version,
            (Awaiting::Version, _) => return Err(self.unexpected()),
            (Awaiting::TypeCount, 0) => Awaiting::Reason,
            (Awaiting::TypeCount, count) => Awaiting::Types(count),
            (Awaiting::Types(left), _) => {
                *self.advertised.get_or_insert(false) |= byte == VENCRYPT;
                match (left, self.advertised) {
                    (1, Some(true)) => return Ok(self.send(Awaiting::VeNCrypt, &[VENCRYPT])),
                    (1, _) => return Ok(self.decline()),
                    _ => Awaiting::Types(left - 1),
                }
            }
            (Awaiting::Reason, _) => {
                if self.reason.push(byte, |length| Ok(u32::from_be_bytes(*length)))? {
                    return Err(closing(0, "no security types", self.reason.body()));
                }
                Awaiting::Reason
            }
            (Awaiting::VeNCrypt, _) => match self.reply.as_bytes() {
                [_] => Awaiting::VeNCrypt,
                [0, 2..=0xff] | [1..=0xff, _] => return Ok(self.send(Awaiting::VersionAck, b"\x00\x02")),
                _ => return Err(self.unexpected()),
            },
            (Awaiting::VersionAck, 0) => Awaiting::SubtypeCount,
            (Awaiting::VersionAck, _) => return Err(closing(byte, "VeNCrypt 0.2 rejected", b"")),
            (Awaiting::SubtypeCount, 0) => return Ok(self.choose()),
            (Awaiting::SubtypeCount, count) => Awaiting::Subtypes(u16::from(count) * 4, [0; 4]),
            (Awaiting::Subtypes(left, [_, b, c, d]), _) => {
                let last = [b, c, d, byte];
                if left % 4 == 1 {
                    self.list(u32::from_be_bytes(last));
                }
                if left == 1 {
                    return Ok(self.choose());
                }
                Awaiting::Subtypes(left - 1, last)
            }
            (Awaiting::SubtypeAck, 1) => return Ok(Step::Upgrade),
            (Awaiting::SubtypeAck, _) => return Err(closing(byte, "subtype rejected", b"")),
        };
        Ok(Step::More)
    }

    fn send(&mut self, awaiting: Awaiting, request: &'static [u8]) -> Step {
        self.awaiting = awaiting;
        self.reply.clear();
        Step::Send(Bytes::from_static(request))
    }

    fn decline(&mut self) -> Step {
        self.advertised = Some(false);
        Step::Decline(Reason::NotAdvertised)
    }

    /// Notes a subtype of the server's list.
    fn list(&mut self, subtype: u32) {
        if let Some(bit @ 0..16) = subtype.checked_sub(256) {
            self.listed |= 1 << bit;
        }
    }

    /// Chooses, when the list is whole.
    fn choose(&mut self) -> Step {
        let listed = |subtype: &&Subtype| self.listed & 1 << (subtype.request()[3]) != 0;
        self.chosen = self.wanted.iter().find(listed).copied();
        match self.chosen {
            Some(subtype) => self.send(Awaiting::SubtypeAck, subtype.request()),
            None => {
                let mut text = Excerpt::<128>::new();
                let names = NAMES.iter().enumerate().filter(|(bit, _)| self.listed & 1 << bit != 0);
                for (count, (_, name)) in names.enumerate() {
                    text.extend(if count > 0 { b" " } else { b"" });
                    text.extend(name.as_bytes());
                }
                let code = Code::Word("no wanted subtype among");
                Step::Decline(Reason::Refused(Reply { code, text: Text::new(text.as_bytes()), temporary: false }))
            }
        }
    }

    fn unexpected(&self) -> Error {
        Error::Unexpected(Text::new(self.reply.as_bytes()))
    }
}

impl Default for Vnc {
    fn default() -> Self {
        Self::new()
    }
}

impl Dialogue for Vnc {
    fn open(&mut self) -> Step {
        Step::More
    }

    fn receive(&mut self, byte: u8) -> Result<Step, Error> {
        self.reply.push(byte);
        self.receive(byte)
    }

    fn awaiting(&self) -> &'static str {
        match self.awaiting {
            Awaiting::Version => "greeting",
            Awaiting::TypeCount | Awaiting::Types(_) | Awaiting::Reason => "ProtocolVersion",
            Awaiting::VeNCrypt => "VeNCrypt",
            Awaiting::VersionAck | Awaiting::SubtypeCount | Awaiting::Subtypes(..) => "VeNCrypt 0.2",
            Awaiting::SubtypeAck => "subtype",
        }
    }

    fn advertised(&self) -> Option<bool> {
        self.advertised
    }
}

/// The subtypes from 256 on.
const NAMES: [&str; 12] = [
    "Plain",
    "TLSNone",
    "TLSVnc",
    "TLSPlain",
    "X509None",
    "X509Vnc",
    "X509Plain",
    "TLSSASL",
    "X509SASL",
    "Ident",
    "TLSIdent",
    "X509Ident",
];

impl Subtype {
    /// The number as it stands on the wire.
    fn request(self) -> &'static [u8; 4] {
        match self {
            Subtype::X509None => &[0, 0, 1, 4],
            Subtype::X509Vnc => &[0, 0, 1, 5],
            Subtype::X509Plain => &[0, 0, 1, 6],
            Subtype::X509Sasl => &[0, 0, 1, 8],
            Subtype::X509Ident => &[0, 0, 1, 11],
        }
    }
}

fn closing(code: u8, name: &'static str, text: &[u8]) -> Error {
    Error::Closing(Reply { code: Code::Named(code.into(), name), text: Text::new(text), temporary: false })
}

/// `003.008` as 3,008.
fn number(version: &[u8]) -> Option<u32> {
    let [a, b, c, b'.', d, e, f] = version else { return None };
    let digits = [a, b, c, d, e, f];
    digits
        .iter()
        .all(|digit| digit.is_ascii_digit())
        .then(|| digits.iter().fold(0, |number, digit| number * 10 + u32::from(**digit - b'0')))
}
