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
    /// [`Step::More`], and says how many bytes that were. How much of it is up to the dialogue, and nothing is right, too. A
    /// byte that comes alone is offered here first.
    fn skim(&mut self, input: &[u8]) -> usize {
        let _ = input;
        0
    }

    /// Takes from the front of `input`, which is not empty, up to the first byte that [`receive`](Self::receive) would answer
    /// otherwise than with [`Step::More`], and answers as it would.
    ///
    /// It may pass over so many answers of [`Step::Next`] as `lines` says, and takes those from it; but then it ends with
    /// such a byte all the same. How the bytes are taken is up to the dialogue: by default, one by one behind what it
    /// [skims](Self::skim).
    fn take(&mut self, input: &mut &[u8], lines: &mut u32) -> Result<Step, Error> {
        let _ = lines;
        one_by_one(self, input)
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

/// Takes bytes up to the first of which something comes: those that the dialogue skims at once, and the others one by one.
pub(crate) fn one_by_one<D: Dialogue + ?Sized>(dialogue: &mut D, input: &mut &[u8]) -> Result<Step, Error> {
    let skimmed = dialogue.skim(input);
    *input = input.get(skimmed..).unwrap_or_default();
    while let Some((&byte, rest)) = input.split_first() {
        *input = rest;
        match dialogue.receive(byte) {
            Ok(Step::More) => {}
            step => return step,
        }
    }
    Ok(Step::More)
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

    fn skim(&mut self, input: &[u8]) -> usize {
        (**self).skim(input)
    }

    fn take(&mut self, input: &mut &[u8], lines: &mut u32) -> Result<Step, Error> {
        (**self).take(input, lines)
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
