//! The PROXY protocol, versions 1 and 2 (haproxy's `proxy-protocol.txt` §2).
//!
//! ```text
//! C: PROXY TCP4 192.0.2.1 192.0.2.2 56324 143
//! ```
//!
//! One header tells a server behind a load balancer whom the connection is from. There is no answer, so it shares a write
//! with the first request, if the client is to begin. Servers take it only from those whom they trust, and only where they
//! have been told to.

use alloc::format;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::{Leg, Preface};
use crate::{Error, Frame, Part};

/// A header of the PROXY protocol.
#[derive(Debug)]
pub struct Proxy(Bytes);

/// What every header of version 2 begins with: no line, so that no other protocol takes it for one.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Version 2, and the command behind it.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

/// A stream over IPv4, or IPv6.
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

impl Proxy {
    /// Version 1, a line of text, for a connection from `source` to `destination`.
    ///
    /// If one address is of IPv4 and the other of IPv6, both are written as the latter.
    pub fn v1(source: SocketAddr, destination: SocketAddr) -> Self {
        let (from, to) = same_family(source.ip(), destination.ip());
        let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
        let line = format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port());
        Self(Bytes::from(line))
    }

    /// Version 1, for a connection of which nothing is to be told.
    pub fn v1_unknown() -> Self {
        Self(Bytes::from_static(b"PROXY UNKNOWN\r\n"))
    }

    /// Version 2, in binary, for a connection from `source` to `destination`. Families are as in [`v1`](Self::v1).
    pub fn v2(source: SocketAddr, destination: SocketAddr) -> Self {
        let (family, addresses) = match same_family(source.ip(), destination.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => (TCP4, [from.octets(), to.octets()].concat()),
            (from, to) => (TCP6, [from, to].map(octets).concat()),
        };
        let ports = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
        Self(header(PROXY, family, &[addresses, ports].concat()))
    }

    /// Version 2, for a connection that the sender opened for itself, such as a check of the server's health.
    pub fn v2_local() -> Self {
        Self(header(LOCAL, 0, &[]))
    }
}

fn header(command: u8, family: u8, body: &[u8]) -> Bytes {
    let mut header = Vec::from(SIGNATURE);
    header.extend([command, family]);
    // At most two addresses and two ports: 36 bytes.
    header.extend((body.len() as u16).to_be_bytes());
    header.extend(body);
    Bytes::from(header)
}

fn same_family(from: IpAddr, to: IpAddr) -> (IpAddr, IpAddr) {
    if from.is_ipv4() == to.is_ipv4() { (from, to) } else { (octets(from).into(), octets(to).into()) }
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

impl Preface for Proxy {
    fn open(&mut self) -> Leg {
        Leg::Through(core::mem::take(&mut self.0))
    }

    fn frame(&self, _: &[u8], last: Part<'_>) -> Frame {
        Frame::byte(last)
    }

    fn receive(&mut self, unit: &[u8]) -> Result<Leg, Error> {
        Err(Error::unexpected(unit))
    }

    fn awaiting(&self) -> &'static str {
        "nothing"
    }
}
