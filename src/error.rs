//! What can go wrong before TLS, as facts.

use core::fmt;

use bytes::Bytes;
use thiserror::Error;

use crate::Limit;

/// Why a negotiation did not end in an [`Upgrade`](crate::Upgrade).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The server does not upgrade. Its connection is intact, and still in plaintext.
    #[error(transparent)]
    Declined(#[from] Reason),
    /// The server ended the session (SMTP 421, a greeting of 554, IMAP `BYE`).
    #[error("the server ended the session: {0}")]
    Closing(Reply),
    /// The proxy on the way to the server refused: there is no connection to the server.
    #[error("the proxy refused: {0}")]
    Proxy(Reply),
    /// The server said something that the protocol does not allow at this point.
    #[error("not a reply that the protocol allows here: {0}{empty}", empty = if .0.as_bytes().is_empty() { "(empty)" } else { "" })]
    Unexpected(Text),
    /// Bytes arrived while no reply was outstanding: behind a reply, or ahead of the request. What the protocol lets a
    /// server say at any time is none of these, and an empty line ahead of the request is [`Unexpected`](Self::Unexpected).
    ///
    /// Before the ClientHello the server has nothing to say. Who appends bytes to its go-ahead wants them to be taken
    /// for bytes that came through TLS (response injection, CVE-2020-15685 and its kin).
    #[error("bytes arrived out of turn: injected on the path, or by a server that failed after it had agreed")]
    Injected,
    /// The server went beyond a limit.
    #[error("the server said more than the limits allow: {0}")]
    Limit(Limit),
    /// The server closed the connection.
    #[error("the server closed the connection")]
    Closed,
    /// [`finish`](crate::Negotiation::finish) was called while the dialogue was still going on.
    #[error("the negotiation has not ended")]
    Unfinished,
}

impl Error {
    /// [`Error::Unexpected`], with what the peer said.
    pub fn unexpected(unit: &[u8]) -> Self {
        Self::Unexpected(Text::new(unit))
    }
}

impl From<Limit> for Error {
    fn from(limit: Limit) -> Self {
        Self::Limit(limit)
    }
}

/// Why a server that keeps to its protocol stays in plaintext.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Reason {
    /// The upgrade is not among the capabilities that the server listed. Someone on the path may have removed it.
    #[error("the server does not offer TLS")]
    NotAdvertised,
    /// The server refused the command.
    #[error("the server refused{when}: {0}", when = if .0.temporary { " for now" } else { "" })]
    Refused(Reply),
    /// The server takes the session for authenticated already, when an upgrade is no longer allowed (IMAP `PREAUTH`).
    #[error("the session is authenticated already, so it cannot be upgraded: {0}")]
    Preauthenticated(Text),
}

/// A negative reply in the server's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status as the protocol spells it.
    pub code: Code,
    /// The text behind the status; the lines of a longer reply are kept apart by `\n`.
    pub text: Text,
    /// Whether the server says that a later attempt may succeed.
    pub temporary: bool,
}

/// The status of a [`Reply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Code {
    /// A number, such as SMTP's 454.
    Number(u16),
    /// A word, such as IMAP's `NO` or POP3's `-ERR`; empty where the whole reply is in its text.
    Word(&'static str),
    /// A number that the specification gives a name, such as LDAP's 52, `unavailable`.
    Named(u32, &'static str),
}

/// What the peer said: never trusted, cut off at a bound, and escaped when shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(Bytes);

impl Text {
    /// The most bytes that are kept.
    pub const MOST: usize = 256;

    /// Keeps the first [`MOST`](Self::MOST) bytes of `text`.
    pub fn new(text: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(&text[..text.len().min(Self::MOST)]))
    }

    /// The bytes as they came. They may hold anything, terminal escapes included.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(&self.0).fmt(f)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Shows any bytes in printable ASCII: the rest as `\r`, `\n`, `\t` or `\xNN`, and a backslash as `\\`.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|&byte| match byte {
            b'\r' => f.write_str("\\r"),
            b'\n' => f.write_str("\\n"),
            b'\t' => f.write_str("\\t"),
            b'\\' => f.write_str("\\\\"),
            b' '..=b'~' => write!(f, "{}", byte as char),
            _ => write!(f, "\\x{byte:02x}"),
        })
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Code::Number(number) => write!(f, "{number:03}"),
            Code::Word(word) => f.write_str(word),
            Code::Named(number, name) => write!(f, "{number} {name}"),
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.text.0.is_empty()) {
            (Code::Word(""), _) => write!(f, "{}", self.text),
            (code, true) => write!(f, "{code}"),
            (code, false) => write!(f, "{code} {}", self.text),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Limit::Bytes => "too many bytes",
            Limit::Line => "too long a line",
            Limit::Lines => "too many lines",
            Limit::Turns => "too many replies",
        })
    }
}

/// A name that the caller gave and that must not get onto the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{what} must be 1 to {most} characters out of {allowed}")]
pub struct InvalidName {
    pub(crate) what: &'static str,
    pub(crate) most: usize,
    pub(crate) allowed: &'static str,
}
