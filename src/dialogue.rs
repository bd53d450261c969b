//! What a protocol has to know, and nothing more.

use alloc::boxed::Box;
use bytes::Bytes;

use crate::{Error, Reason, Tls};

/// One protocol's way to TLS, from the client's side. Implement it to teach the crate a protocol that it lacks.
///
/// A dialogue is written for one byte at a time, so it cannot depend on how the bytes were split. The [`Negotiation`] that
/// drives it keeps the limits and the order of turns: a byte gets here only while a reply is outstanding.
///
/// [`Negotiation`]: crate::Negotiation
pub trait Dialogue {
    /// What the connection begins with: a request, or [`Step::More`] if the server speaks first. Called once.
    fn open(&mut self) -> Step;

    /// Takes the next byte of the awaited reply.
    ///
    /// # Errors
    /// [`Error::Unexpected`] for what the protocol does not allow, [`Error::Closing`] for a server that ends the session.
    fn receive(&mut self, byte: u8) -> Result<Step, Error>;

    /// Takes at once, from the front of `input`, what [`receive`](Self::receive) would answer byte by byte with
    /// [`Step::More`]; or else whole lines, `lines` at most, at whose ends it would answer with [`Step::Next`]. How much of
    /// it is up to the dialogue, and nothing is right, too.
    fn skim(&mut self, input: &[u8], lines: u32) -> Skimmed {
        let _ = (input, lines);
        Skimmed::default()
    }

    /// The awaited reply: `greeting`, or the command that it answers.
    fn awaiting(&self) -> &'static str;

    /// Whether the server listed the upgrade among its capabilities; `None` as long as it has not listed any.
    fn advertised(&self) -> Option<bool>;

    /// What the protocol asks of TLS. Only a few ask for anything.
    fn tls(&self) -> Tls {
        Tls::default()
    }
}

/// What a dialogue took at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skimmed {
    /// So many bytes,
    pub bytes: usize,
    /// and so many of them ended a line.
    pub lines: u32,
}

/// Who said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// We did.
    Client,
    /// The peer did.
    Server,
}

/// What a byte of the server's, or the opening, brought about.
#[derive(Debug)]
pub enum Step {
    /// Nothing yet: the line or packet goes on, or the first is to come.
    More,
    /// A line or packet ended, and the reply has another.
    Next,
    /// The reply ended, and another follows that needs no request.
    Await,
    /// The reply ended, and the client is to send this request next.
    Send(Bytes),
    /// The reply ended, and the client is to send this request, to which TLS is the answer.
    SendThenUpgrade(Bytes),
    /// The reply ended, and TLS is to start.
    Upgrade,
    /// The reply ended, and the connection stays in plaintext.
    Decline(Reason),
}

impl<D: Dialogue + ?Sized> Dialogue for Box<D> {
    fn open(&mut self) -> Step {
        (**self).open()
    }

    fn receive(&mut self, byte: u8) -> Result<Step, Error> {
        (**self).receive(byte)
    }

    fn skim(&mut self, input: &[u8], lines: u32) -> Skimmed {
        (**self).skim(input, lines)
    }

    fn awaiting(&self) -> &'static str {
        (**self).awaiting()
    }

    fn advertised(&self) -> Option<bool> {
        (**self).advertised()
    }

    fn tls(&self) -> Tls {
        (**self).tls()
    }
}
