//! What the transports have in common: the handshake, and how an upgrade may end otherwise than in TLS.

mod handshake;
mod race;

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::time::Instant;

use crate::Reason;

pub use handshake::Handshake;
pub use race::{ATTEMPT_DELAY, interleaved, race};

/// How far away a deadline is that is none. The instants of some systems end soon behind it.
const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);

/// The instant `timeout` from now.
///
/// A timeout too long for the clock, such as [`Duration::MAX`], means that there is no deadline: the instant is 30 years away.
pub fn deadline(timeout: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(timeout).unwrap_or_else(|| now + FAR)
}

/// A connection that the server left in plaintext, ready for use.
#[derive(Debug)]
pub struct Declined<S> {
    /// The connection. Not a byte of what the server says next has been read from it.
    pub stream: S,
    /// Why the server declined.
    pub reason: Reason,
    /// Whether the server listed the upgrade among its capabilities; `None` if it has not listed any.
    pub advertised: Option<bool>,
}

/// Why an upgrade over a socket failed.
///
/// `Display` says what failed, and [`source`](core::error::Error::source) why: an [`io::Error`], a [`rustls::Error`] or a
/// [`crate::Error`]. Print the chain to show both.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The host has no address that can be found out.
    #[error("cannot resolve {host}")]
    Resolve {
        /// As the caller gave it.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// None of the host's addresses answered.
    #[error("cannot connect: {}", list(failures))]
    Connect {
        /// What each of them said, in the order of the attempts.
        failures: Vec<(SocketAddr, io::Error)>,
    },
    /// The dialogue before TLS failed.
    #[error("the negotiation failed at {awaiting}")]
    Negotiation {
        /// The reply that was awaited.
        awaiting: &'static str,
        /// The reason.
        source: crate::Error,
    },
    /// The deadline passed.
    #[error("the deadline passed at {stage}")]
    Timeout {
        /// `resolve`, `connect`, the reply that was awaited, or `TLS`.
        stage: &'static str,
    },
    /// The connection broke.
    #[error("the connection failed at {stage}")]
    Io {
        /// As for [`Timeout`](Self::Timeout).
        stage: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// The TLS handshake failed, the certificate's verification included.
    #[error("the TLS handshake failed")]
    Tls(#[source] rustls::Error),
}

impl Error {
    /// How far the upgrade got: `resolve`, `connect`, the reply that was awaited, or `TLS`.
    pub fn stage(&self) -> &'static str {
        match self {
            Error::Resolve { .. } => "resolve",
            Error::Connect { .. } => "connect",
            Error::Negotiation { awaiting: stage, .. } | Error::Timeout { stage } | Error::Io { stage, .. } => stage,
            Error::Tls(_) => "TLS",
        }
    }

    /// Turns an error of a stream into an error of the upgrade, for a transport. `stage` is as for [`stage`](Self::stage).
    ///
    /// [`TimedOut`](io::ErrorKind::TimedOut) means the deadline, unless it comes from the operating system: then the
    /// connection broke.
    pub fn during(stage: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::TimedOut if source.raw_os_error().is_none() => Error::Timeout { stage },
            _ => source
                .downcast()
                .map(Error::Tls)
                .or_else(|source| source.downcast().map(|source| Error::Negotiation { awaiting: stage, source }))
                .unwrap_or_else(|source| Error::Io { stage, source }),
        }
    }
}

fn list(failures: &[(SocketAddr, io::Error)]) -> String {
    let mut list = String::new();
    for (address, error) in failures {
        let separator = if list.is_empty() { "" } else { "; " };
        let _ = write!(list, "{separator}{address}: {error}");
    }
    if list.is_empty() { "the host has no address".to_owned() } else { list }
}
