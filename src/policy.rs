//! What a caller accepts as the end of a negotiation.

use crate::role::{Client, Role, Server};
use crate::{Accept, Error, Reason, Tls, Upgrade};

/// TLS or nothing: the negotiation ends in an [`Upgrade`] or in an error.
#[derive(Clone, Copy, Debug)]
pub enum Required {}

/// TLS if the server wants it: the negotiation ends in an [`Outcome`], which has to be matched.
#[derive(Clone, Copy, Debug)]
pub enum Opportunistic {}

/// A server's: the negotiation ends in an [`Accept`] or in an error.
#[derive(Clone, Copy, Debug)]
pub enum Accepting {}

/// How an [`Opportunistic`] negotiation ended, `U` being what an upgrade yields and `D` what a refusal leaves.
#[derive(Debug)]
#[must_use = "the connection may still be in plaintext"]
pub enum Outcome<U = Upgrade, D = Reason> {
    /// The server is ready for TLS.
    Upgraded(U),
    /// The server stays in plaintext, and the connection can be used so.
    Declined(D),
}

/// [`Required`], [`Opportunistic`] or [`Accepting`]; no other type can implement it.
pub trait Policy: sealed::Sealed {
    /// Whose policy it is.
    type Role: Role;
    /// What [`Negotiation::finish`](crate::Negotiation::finish) yields.
    type Outcome: core::fmt::Debug;

    /// The outcome when the server agreed.
    fn upgraded(tls: Tls) -> Self::Outcome;

    /// The outcome when the server declined.
    ///
    /// # Errors
    /// [`Error::Declined`] where nothing but TLS will do.
    fn declined(reason: Reason) -> Result<Self::Outcome, Error>;

    /// The error if bytes stand behind what ended the negotiation like this: behind a refusal it is the refusal, since
    /// nobody gains anything by adding to one, but the connection cannot be used any more.
    fn followed(outcome: &Self::Outcome) -> Error {
        let _ = outcome;
        Error::Injected
    }
}

impl Policy for Required {
    type Role = Client;
    type Outcome = Upgrade;

    fn upgraded(tls: Tls) -> Upgrade {
        Upgrade::new(tls)
    }

    fn declined(reason: Reason) -> Result<Upgrade, Error> {
        Err(Error::Declined(reason))
    }
}

impl Policy for Opportunistic {
    type Role = Client;
    type Outcome = Outcome;

    fn upgraded(tls: Tls) -> Outcome {
        Outcome::Upgraded(Upgrade::new(tls))
    }

    fn declined(reason: Reason) -> Result<Outcome, Error> {
        Ok(Outcome::Declined(reason))
    }

    fn followed(outcome: &Outcome) -> Error {
        match outcome {
            Outcome::Upgraded(_) => Error::Injected,
            Outcome::Declined(reason) => Error::Declined(reason.clone()),
        }
    }
}

impl Policy for Accepting {
    type Role = Server;
    type Outcome = Accept;

    fn upgraded(tls: Tls) -> Accept {
        Accept::new(tls)
    }

    fn declined(reason: Reason) -> Result<Accept, Error> {
        Err(Error::Declined(reason))
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Required {}
    impl Sealed for super::Opportunistic {}
    impl Sealed for super::Accepting {}
}
