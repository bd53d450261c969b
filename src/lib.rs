//! Turns a plaintext connection into TLS, whatever the protocol.
//!
//! Many protocols begin in the clear and upgrade in band: the client asks, the server agrees, and the next bytes are
//! TLS. This crate is that dialogue, and nothing else: bytes in, bytes out, without a socket, a clock or an executor.
//!
//! ```
//! use starttls::{Negotiation, protocol::Smtp};
//!
//! let mut negotiation = Negotiation::required(Smtp::new("client.example")?);
//! assert!(negotiation.poll_transmit().is_none()); // the server greets first
//!
//! negotiation.handle_input(b"220 mail.example ESMTP\r\n")?;
//! assert_eq!(negotiation.poll_transmit().unwrap(), "EHLO client.example\r\n");
//!
//! negotiation.handle_input(b"250-mail.example\r\n250 STARTTLS\r\n")?;
//! assert_eq!(negotiation.poll_transmit().unwrap(), "STARTTLS\r\n");
//!
//! negotiation.handle_input(b"220 2.0.0 Ready to start TLS\r\n")?;
//! let upgrade: starttls::Upgrade = negotiation.finish()?; // and on to `Upgrade::client_connection`
//! # let _ = upgrade;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The map
//!
//! - [`Negotiation`] is the state machine that every caller drives, under the policy [`Required`] or [`Opportunistic`].
//! - [`protocol`] has one type a protocol, and [`Protocol`] for those who choose at run time.
//! - [`Upgrade`] is what a negotiation ends in, and the only way to the TLS connection.
//! - [`Findings`] are what was said before TLS and is needed after it.
//! - [`Error`] and [`Reason`] say why there was none; [`Limits`] bound what a server may say.
//! - [`preface`] has what is said before: to an HTTP or SOCKS5 proxy, or a header of the PROXY protocol.
//! - [`Dialogue`] is what a protocol implements, and [`wire`] has the scanners that protocols share.
//!
//! Sockets are the business of the crates `starttls-std` (blocking) and `starttls-smol` (async); [`runtime`] has what it
//! takes to bring another.

#![no_std]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod dialogue;
mod error;
mod findings;
mod framing;
mod limits;
mod negotiation;
mod policy;
pub mod preface;
pub mod protocol;
pub mod role;
#[doc = include_str!("../docs/runtime.md")]
pub mod runtime {}
mod tls;
#[cfg(all(feature = "std", feature = "rustls"))]
pub mod transport;
mod units;
pub mod wire;

pub use dialogue::{Dialogue, Frame, Part, Side, Step};
pub use error::{Code, Error, Escaped, InvalidName, Reason, Reply, Text};
pub use findings::Findings;
pub use framing::Framing;
pub use limits::{Limit, Limits};
pub use negotiation::Negotiation;
pub use policy::{Accepting, Opportunistic, Outcome, Policy, Required};
pub use protocol::Protocol;
pub use tls::{Accept, Tls, Upgrade};
