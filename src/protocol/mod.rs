//! The protocols, one file each, and [`Protocol`] to choose one at run time.

use alloc::boxed::Box;
use alloc::format;
use core::fmt;
use core::str::FromStr;

use bytes::Bytes;
use thiserror::Error;

use crate::{Dialogue, InvalidName, Side};

mod acap;
mod ftp;
mod imap;
mod irc;
mod munin;
mod mupdate;
mod nntp;
mod nut;
mod pop3;
mod sieve;
mod smtp;
mod tagged;

pub use acap::Acap;
pub use ftp::Ftp;
pub use imap::Imap;
pub use irc::Irc;
pub use munin::Munin;
pub use mupdate::Mupdate;
pub use nntp::Nntp;
pub use nut::Nut;
pub use pop3::Pop3;
pub use sieve::Sieve;
pub use smtp::Smtp;

/// Declares [`Protocol`], its table, and the dialogue of each.
macro_rules! protocols {
    ($(
        $(#[$doc:meta])*
        $variant:ident {
            names: $names:expr,
            ports: $ports:expr,
            reference: $reference:expr,
            first: $first:ident,
            replies: $replies:expr,
            dialogue: |$client:pat_param| $dialogue:expr,
        }
    )*) => {
        /// A protocol that upgrades in band.
        ///
        /// It reads from the names that `openssl s_client -starttls` and `gnutls-cli --starttls-proto` use, in any case,
        /// and displays as the first of them.
        ///
        /// ```
        /// use starttls::Protocol;
        ///
        /// let protocol: Protocol = "submission".parse()?;
        /// assert_eq!((protocol, protocol.name(), protocol.ports()[0]), (Protocol::Smtp, "smtp", 25));
        /// # Ok::<(), starttls::protocol::UnknownProtocol>(())
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Protocol {
            $($(#[$doc])* $variant,)*
        }

        const TABLE: &[Row] = &[$(Row {
            protocol: Protocol::$variant,
            names: &$names,
            ports: &$ports,
            reference: $reference,
            first: Side::$first,
            replies: $replies,
        },)*];

        impl Protocol {
            /// The dialogue, for a [`Negotiation`](crate::Negotiation).
            ///
            /// # Errors
            /// [`InvalidName`] if a name of the client's has characters that must not get onto the wire.
            pub fn dialogue(self, client: &Client<'_>) -> Result<Box<dyn Dialogue + Send>, InvalidName> {
                Ok(match self {
                    $(Protocol::$variant => {
                        let $client = client;
                        Box::new($dialogue)
                    })*
                })
            }
        }
    };
}

protocols! {
    /// SMTP: [`Smtp::new`]
    Smtp {
        names: ["smtp", "submission"],
        ports: [25, 587],
        reference: "RFC 3207",
        first: Client,
        replies: 3,
        dialogue: |client| Smtp::new(client.name)?.knobs(client.knobs),
    }
    /// LMTP: [`Smtp::lmtp`]
    Lmtp {
        names: ["lmtp"],
        ports: [24],
        reference: "RFC 2033, RFC 3207",
        first: Client,
        replies: 3,
        dialogue: |client| Smtp::lmtp(client.name)?.knobs(client.knobs),
    }
    /// IMAP: [`Imap`]
    Imap {
        names: ["imap", "imap2"],
        ports: [143],
        reference: "RFC 9051 §6.2.1",
        first: Client,
        replies: 2,
        dialogue: |client| Imap::new(&format!("{:X}", client.seed))?.knobs(client.knobs),
    }
    /// POP3: [`Pop3`]
    Pop3 {
        names: ["pop3"],
        ports: [110],
        reference: "RFC 2595 §4",
        first: Client,
        replies: 2,
        dialogue: |client| Pop3::new().knobs(client.knobs),
    }
    /// ManageSieve: [`Sieve`]
    Sieve {
        names: ["sieve", "managesieve"],
        ports: [4190],
        reference: "RFC 5804 §2.2",
        first: Server,
        replies: 2,
        dialogue: |client| Sieve::new().knobs(client.knobs),
    }
    /// NNTP: [`Nntp`]
    Nntp {
        names: ["nntp"],
        ports: [119, 433],
        reference: "RFC 4642",
        first: Client,
        replies: 2,
        dialogue: |client| Nntp::new().knobs(client.knobs),
    }
    /// FTP: [`Ftp`]
    Ftp {
        names: ["ftp", "ftps"],
        ports: [21],
        reference: "RFC 4217",
        first: Client,
        replies: 2,
        dialogue: |client| Ftp::new().knobs(client.knobs),
    }
    /// IRC: [`Irc`]
    Irc {
        names: ["irc"],
        ports: [6667, 6665, 6666, 6668, 6669, 194],
        reference: "IRCv3 tls",
        first: Client,
        replies: 1,
        dialogue: |client| Irc::new().knobs(client.knobs),
    }
    /// ACAP: [`Acap`]
    Acap {
        names: ["acap"],
        ports: [674],
        reference: "RFC 2595 §5",
        first: Server,
        replies: 2,
        dialogue: |client| Acap::new(&format!("{:X}", client.seed))?.knobs(client.knobs),
    }
    /// MUPDATE: [`Mupdate`]
    Mupdate {
        names: ["mupdate"],
        ports: [3905],
        reference: "RFC 3656 §4.10",
        first: Server,
        replies: 2,
        // A tag has at most 14 characters: 56 bits of the seed.
        dialogue: |client| Mupdate::new(&format!("{:X}", client.seed & (u64::MAX >> 8)))?.knobs(client.knobs),
    }
    /// NUT: [`Nut`]
    Nut {
        names: ["nut"],
        ports: [3493],
        reference: "RFC 9271",
        first: Client,
        replies: 1,
        dialogue: |client| Nut::new().knobs(client.knobs),
    }
    /// Munin: [`Munin`]
    Munin {
        names: ["munin"],
        ports: [4949],
        reference: "Munin::Node::Server",
        first: Client,
        replies: 2,
        dialogue: |client| Munin::new().knobs(client.knobs),
    }
}

/// What is known of a protocol.
struct Row {
    protocol: Protocol,
    names: &'static [&'static str],
    ports: &'static [u16],
    reference: &'static str,
    first: Side,
    replies: u32,
}

/// What a client brings to the dialogue, for a protocol that is chosen at run time.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// The name that the client calls itself: in SMTP's EHLO, for example.
    pub name: &'a str,
    /// The domain that the client wants to talk to, which need not be the host that it connects to: XMPP's `to`, for
    /// example, and HTTP's `Host`.
    pub domain: &'a str,
    /// A number that nobody outside can guess, new for each connection. IMAP makes its tag from it.
    pub seed: u64,
    /// Where to start, and what to ask.
    pub knobs: Knobs,
}

/// How a dialogue differs from the shortest one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Knobs {
    /// Where to start.
    pub start: Start,
    /// Ask for the capabilities before the command, where the protocol does not need it: for diagnosis.
    pub ask: bool,
    /// Send the command although the server did not list it.
    pub insist: bool,
}

/// Where a dialogue starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// On a new connection.
    #[default]
    Greeting,
    /// The caller has read the greeting.
    AfterGreeting,
    /// The caller knows the capabilities, or repeats a command that was refused for a while.
    Command,
}

impl Protocol {
    /// Every protocol there is.
    pub fn all() -> impl Iterator<Item = Protocol> {
        TABLE.iter().map(|row| row.protocol)
    }

    /// The protocol whose well-known port this is.
    pub fn from_port(port: u16) -> Option<Self> {
        TABLE.iter().find(|row| row.ports.contains(&port)).map(|row| row.protocol)
    }

    /// The usual name.
    pub fn name(self) -> &'static str {
        self.names()[0]
    }

    /// All names, the usual one first.
    pub fn names(self) -> &'static [&'static str] {
        self.row().names
    }

    /// The well-known ports, the default first.
    pub fn ports(self) -> &'static [u16] {
        self.row().ports
    }

    /// The specification and, where there are several, its section.
    pub fn reference(self) -> &'static str {
        self.row().reference
    }

    /// Who speaks first after TLS.
    pub fn first_after_tls(self) -> Side {
        self.row().first
    }

    /// How many replies the server sends before TLS, its greeting included, in the shortest dialogue.
    pub fn round_trips(self) -> u32 {
        self.row().replies
    }

    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    fn from_str(name: &str) -> Result<Self, UnknownProtocol> {
        let named = |row: &&Row| row.names.iter().any(|known| known.eq_ignore_ascii_case(name));
        TABLE.iter().find(named).map(|row| row.protocol).ok_or(UnknownProtocol)
    }
}

/// The name is of no protocol that this crate knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("unknown protocol")]
pub struct UnknownProtocol;

/// Passes a name of the caller's on, if all its characters may get onto the wire.
fn check<'a>(
    what: &'static str,
    most: usize,
    allowed: &'static str,
    is_allowed: impl Fn(u8) -> bool,
    name: &'a str,
) -> Result<&'a str, InvalidName> {
    if (1..=most).contains(&name.len()) && name.bytes().all(is_allowed) {
        Ok(name)
    } else {
        Err(InvalidName { what, most, allowed })
    }
}

/// A command line, built before the dialogue begins.
fn line(parts: &[&str]) -> Bytes {
    Bytes::from([&parts.concat(), "\r\n"].concat())
}

/// The first word, and what stands behind its space.
fn word(line: &[u8]) -> (&[u8], &[u8]) {
    match line.iter().position(|&byte| byte == b' ') {
        Some(space) => (&line[..space], &line[space + 1..]),
        None => (line, b""),
    }
}

/// The three digits that a reply begins with, and what stands behind them.
fn code(line: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, rest) = line.split_first_chunk::<3>()?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some((digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0')), rest))
}
