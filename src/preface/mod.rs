//! What has to be said before the dialogue with the server can begin: to a proxy, or for its sake.
//!
//! A [`Preface`] and a dialogue make a dialogue, [`Via`], which every [`Negotiation`](crate::Negotiation) drives:
//!
//! ```
//! use starttls::preface::{Socks5, Via};
//! use starttls::{Negotiation, protocol::Pop3};
//!
//! let proxy = Socks5::new("mail.example", 110)?;
//! let mut negotiation = Negotiation::required(Via::new(proxy, Pop3::new()));
//! assert_eq!(negotiation.poll_transmit().unwrap(), [5, 1, 0][..]);
//!
//! negotiation.handle_input(&[5, 0])?;
//! assert_eq!(negotiation.poll_transmit().unwrap(), b"\x05\x01\0\x03\x0cmail.example\0\x6e"[..]);
//!
//! // What the server greets with may follow the proxy's reply at once.
//! negotiation.handle_input(b"\x05\0\0\x01\x7f\0\0\x01\x00\x6e+OK\r\n")?;
//! assert_eq!(negotiation.poll_transmit().unwrap(), "STLS\r\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Prefaces nest: a PROXY header before a CONNECT is `Via::new(Proxy::v1(…), Via::new(Connect::new(…)?, dialogue))`.

use core::net::IpAddr;

use bytes::Bytes;

use crate::protocol::check;
use crate::{Dialogue, Error, Findings, Frame, InvalidName, Part, Step, Tls};

mod connect;
mod proxy;
mod socks5;

pub use connect::Connect;
pub use proxy::Proxy;
pub use socks5::Socks5;

/// One way to the server. Implement it to teach the crate a proxy that it lacks.
///
/// A proxy that turns us away is an error, [`Error::Proxy`], under any policy: there is no connection to the server, so
/// none that could stay in plaintext.
pub trait Preface {
    /// What the connection begins with. Called once.
    fn open(&mut self) -> Leg;

    /// How a unit of the awaited reply goes on: as [`Dialogue::frame`].
    fn frame(&self, begun: &[u8], last: Part<'_>) -> Frame;

    /// Takes a whole unit of the awaited reply: as [`Dialogue::receive`].
    ///
    /// # Errors
    /// [`Error::Proxy`] for a proxy that refuses, [`Error::Unexpected`] for what its protocol does not allow.
    fn receive(&mut self, unit: &[u8]) -> Result<Leg, Error>;

    /// The awaited reply, as [`Dialogue::awaiting`] names it.
    fn awaiting(&self) -> &'static str;
}

/// What a unit of the proxy's, or the opening, brought about.
#[derive(Debug)]
pub enum Leg {
    /// The first unit is to come.
    More,
    /// The reply has another unit.
    Next,
    /// The reply ended, and the client is to send this request next.
    Send(Bytes),
    /// The way to the server is free, once these bytes have been sent, if any.
    Through(Bytes),
}

/// A dialogue with a server that is reached by way of a preface.
#[derive(Debug)]
pub struct Via<P, D> {
    preface: P,
    dialogue: D,
    through: bool,
}

impl<P: Preface, D: Dialogue> Via<P, D> {
    /// The dialogue, after the preface.
    pub fn new(preface: P, dialogue: D) -> Self {
        Self { preface, dialogue, through: false }
    }

    fn step(&mut self, leg: Leg) -> Step {
        match leg {
            Leg::More => Step::More,
            Leg::Next => Step::Next,
            Leg::Send(request) => Step::Send(request),
            Leg::Through(head) => {
                self.through = true;
                after(head, self.dialogue.open())
            }
        }
    }
}

/// The opening of a dialogue, with these bytes ahead of it: in one write, where both are to be sent.
fn after(head: Bytes, opening: Step) -> Step {
    let joined = |request: Bytes| match () {
        () if head.is_empty() => request,
        () => Bytes::from([&head[..], &request].concat()),
    };
    match opening {
        Step::Send(request) => Step::Send(joined(request)),
        Step::SendThenUpgrade(request) => Step::SendThenUpgrade(joined(request)),
        // The proxy's reply has ended, and the server is to greet.
        Step::More | Step::Next | Step::Unasked | Step::Await if head.is_empty() => Step::Await,
        Step::More | Step::Next | Step::Unasked | Step::Await => Step::Send(head),
        Step::Upgrade if !head.is_empty() => Step::SendThenUpgrade(head),
        Step::SendThenEnd(request, error) => Step::SendThenEnd(joined(request), error),
        Step::Upgrade | Step::Decline(_) => opening,
    }
}

impl<P: Preface, D: Dialogue> Dialogue for Via<P, D> {
    fn open(&mut self) -> Step {
        let leg = self.preface.open();
        self.step(leg)
    }

    fn frame(&self, begun: &[u8], last: Part<'_>) -> Frame {
        if self.through { self.dialogue.frame(begun, last) } else { self.preface.frame(begun, last) }
    }

    fn receive(&mut self, unit: &[u8]) -> Result<Step, Error> {
        if self.through {
            return self.dialogue.receive(unit);
        }
        let leg = self.preface.receive(unit)?;
        Ok(self.step(leg))
    }

    fn speaks_unasked(&self) -> bool {
        self.through && self.dialogue.speaks_unasked()
    }

    fn awaiting(&self) -> &'static str {
        if self.through { self.dialogue.awaiting() } else { self.preface.awaiting() }
    }

    fn advertised(&self) -> Option<bool> {
        self.dialogue.advertised()
    }

    fn tls(&self) -> Tls {
        self.dialogue.tls()
    }

    fn findings(&self) -> Option<Findings<'_>> {
        self.dialogue.findings()
    }
}

/// Where a proxy is to connect to.
enum Target<'a> {
    Name(&'a str),
    Address(IpAddr),
}

impl<'a> Target<'a> {
    /// Reads a domain name, or an address, which may be in brackets if it is of IPv6.
    fn new(host: &'a str) -> Result<Self, InvalidName> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        match (bare.unwrap_or(host).parse(), bare) {
            (Ok(IpAddr::V4(_)), Some(_)) | (Err(_), _) => {
                let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
                check("the host behind a proxy", 255, "letters, digits and .-_, or an address", allowed, host)
                    .map(Target::Name)
            }
            (Ok(address), _) => Ok(Target::Address(address)),
        }
    }
}
