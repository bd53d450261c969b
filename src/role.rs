//! Whose part a dialogue takes.

/// [`Client`] or [`Server`]; no other type can implement it.
pub trait Role: sealed::Sealed {
    /// Whether the peer has to wait for an answer to all that it said before it may say more.
    const LOCKSTEP: bool;
}

/// The part of the one that asks for TLS: it hears a server.
#[derive(Clone, Copy, Debug)]
pub enum Client {}

/// The part of the one that is asked: it hears a client, who may send commands ahead, but none behind the one for TLS.
#[derive(Clone, Copy, Debug)]
pub enum Server {}

impl Role for Client {
    const LOCKSTEP: bool = true;
}

impl Role for Server {
    const LOCKSTEP: bool = false;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Client {}
    impl Sealed for super::Server {}
}
