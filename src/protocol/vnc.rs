//! VNC with VeNCrypt (the rfbproto project's document: "ProtocolVersion", "Security", "VeNCrypt").

use alloc::vec::Vec;

use bytes::Bytes;

use crate::{Code, Dialogue, Error, Findings, Frame, Part, Reason, Reply, Step, Text};

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
///
/// # The dialogue
///
/// ```text
/// S: "RFB 003.008\n"
/// C: "RFB 003.008\n"
/// S: 02  02 13                       (how many security types, and these: 19 is VeNCrypt)
/// C: 13
/// S: 00 02                           (VeNCrypt 0.2)
/// C: 00 02
/// S: 00  02  00000105 00000101       (taken; how many subtypes, and these)
/// C: 00000105                        (X509Vnc)
/// S: 01                              (taken)
/// ```
///
/// A server of version 3.3 chooses the security type itself, and VeNCrypt is not among those. An empty list of security
/// types is followed by a reason (its length in four bytes, and text), and then the server hangs up.
///
/// Only the subtypes X509* have a certificate. Those called TLS* do a key exchange without one, that anyone on the path can
/// take part in, and that rustls does not do.
///
/// # After TLS
///
/// The subtype decides who speaks first: the server with X509Vnc (a challenge) and X509SASL (its mechanisms), and
/// the client with X509Plain and X509Ident (a name). With X509None the server sends the security result. See
/// [`Vnc::subtype`]. The version goes on to hold; nothing is said again.
///
/// # Example
///
/// ```
/// use starttls::{Negotiation, protocol::Vnc};
///
/// let mut negotiation = Negotiation::required(Vnc::new());
/// negotiation.handle_input(b"RFB 003.008\n")?;
/// assert_eq!(negotiation.poll_transmit().unwrap(), b"RFB 003.008\n"[..]);
/// negotiation.handle_input(b"\x02\x13\x01")?;
/// assert_eq!(negotiation.poll_transmit().unwrap(), b"\x13"[..]);
/// negotiation.handle_input(b"\x00\x02")?;
/// assert_eq!(negotiation.poll_transmit().unwrap(), b"\x00\x02"[..]);
/// negotiation.handle_input(b"\x00\x03\x00\x00\x01\x04\x00\x00\x01\x01\x00\x00\x00\x01")?;
/// assert_eq!(negotiation.poll_transmit().unwrap(), b"\x00\x00\x01\x04"[..]);
/// negotiation.handle_input(b"\x01")?;
/// let upgrade: starttls::Upgrade = negotiation.finish()?;
/// # let _ = upgrade;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Vnc {
    wanted: &'static [Subtype],
    chosen: Option<Subtype>,
    awaiting: Awaiting,
    advertised: Option<bool>,
}

/// The reply that is awaited.
#[derive(Clone, Copy, Debug)]
enum Awaiting {
    Version,
    Types,
    /// The version of VeNCrypt.
    VeNCrypt,
    Subtypes,
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
        Self { wanted, chosen: None, awaiting: Awaiting::Version, advertised: None }
    }

    /// How the user is to be authenticated within TLS: what was chosen of the server's list, once it has been.
    pub fn subtype(&self) -> Option<Subtype> {
        self.chosen
    }

    fn send(&mut self, awaiting: Awaiting, request: &'static [u8]) -> Step {
        self.awaiting = awaiting;
        Step::Send(Bytes::from_static(request))
    }

    fn decline(&mut self) -> Step {
        self.advertised = Some(false);
        Step::Decline(Reason::NotAdvertised)
    }

    /// Chooses from the list of subtypes, four bytes each.
    fn choose(&mut self, list: &[u8]) -> Step {
        let listed = |number: &[u8; 4]| list.as_chunks().0.contains(number);
        self.chosen = self.wanted.iter().copied().find(|subtype| listed(subtype.request()));
        match self.chosen {
            Some(subtype) => self.send(Awaiting::SubtypeAck, subtype.request()),
            None => {
                let names = NAMES.iter().zip(0..).filter(|(_, number)| listed(&[0, 0, 1, *number]));
                let names = names.map(|(name, _)| *name).collect::<Vec<_>>().join(" ");
                let code = Code::Word("no wanted subtype among");
                let reply = Reply { code, text: Text::new(names.as_bytes()), temporary: false };
                Step::Decline(Reason::Refused(reply))
            }
        }
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

    fn frame(&self, begun: &[u8], _: Part<'_>) -> Frame {
        match (self.awaiting, begun) {
            // One by one, since it may be anything that ends sooner.
            (Awaiting::Version, [.., b'\n']) => Frame::Whole,
            (Awaiting::Version, _) if begun.len() < 12 => Frame::Exactly(1),
            (Awaiting::Version, _) => Frame::Unexpected,
            (Awaiting::VeNCrypt, []) => Frame::Exactly(2),
            (Awaiting::Types | Awaiting::Subtypes | Awaiting::SubtypeAck, []) => Frame::Exactly(1),
            // No types, but a reason and its length.
            (Awaiting::Types, [0]) => Frame::Exactly(4),
            (Awaiting::Types, [0, a, b, c, d]) => Frame::body(u32::from_be_bytes([*a, *b, *c, *d])),
            (Awaiting::Types, [count]) => Frame::body(u32::from(*count)),
            (Awaiting::Subtypes, [0]) => Frame::Exactly(1),
            (Awaiting::Subtypes, [0, count]) => Frame::body(u32::from(*count) * 4),
            _ => Frame::Whole,
        }
    }

    fn receive(&mut self, unit: &[u8]) -> Result<Step, Error> {
        match (self.awaiting, unit) {
            (Awaiting::Version, unit) => match number(unit).ok_or_else(|| Error::unexpected(unit))? {
                ..3_007 => Ok(self.decline()),
                3_007 => Ok(self.send(Awaiting::Types, b"RFB 003.007\n")),
                3_008.. => Ok(self.send(Awaiting::Types, b"RFB 003.008\n")),
            },
            (Awaiting::Types, [0, _, _, _, _, reason @ ..]) => Err(closing(0, "no security types", reason)),
            (Awaiting::Types, [_, types @ ..]) if types.contains(&VENCRYPT) => {
                self.advertised = Some(true);
                Ok(self.send(Awaiting::VeNCrypt, &[VENCRYPT]))
            }
            (Awaiting::Types, _) => Ok(self.decline()),
            (Awaiting::VeNCrypt, [0, 2..=0xff] | [1..=0xff, _]) => Ok(self.send(Awaiting::Subtypes, b"\x00\x02")),
            (Awaiting::Subtypes, [0, _, list @ ..]) => Ok(self.choose(list)),
            (Awaiting::Subtypes, [code, ..]) => Err(closing(*code, "VeNCrypt 0.2 rejected", b"")),
            (Awaiting::SubtypeAck, [1]) => Ok(Step::Upgrade),
            (Awaiting::SubtypeAck, [code, ..]) => Err(closing(*code, "subtype rejected", b"")),
            _ => Err(Error::unexpected(unit)),
        }
    }

    fn awaiting(&self) -> &'static str {
        match self.awaiting {
            Awaiting::Version => "greeting",
            Awaiting::Types => "ProtocolVersion",
            Awaiting::VeNCrypt => "VeNCrypt",
            Awaiting::Subtypes => "VeNCrypt 0.2",
            Awaiting::SubtypeAck => "subtype",
        }
    }

    fn advertised(&self) -> Option<bool> {
        self.advertised
    }

    fn findings(&self) -> Option<Findings<'_>> {
        self.chosen.map(|subtype| Findings::Vnc { subtype })
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

/// `RFB 003.008` and a line feed as 3,008.
fn number(version: &[u8]) -> Option<u32> {
    let [b'R', b'F', b'B', b' ', a, b, c, b'.', d, e, f, b'\n'] = version else { return None };
    let digits = [a, b, c, d, e, f].map(|digit| digit.is_ascii_digit().then(|| u32::from(digit - b'0')));
    digits.into_iter().try_fold(0, |number, digit| Some(number * 10 + digit?))
}
