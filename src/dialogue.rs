//! What a protocol has to know, and nothing more.

use alloc::boxed::Box;
use bytes::Bytes;

use crate::role::Client;
use crate::{Error, Findings, Reason, Tls};

/// One protocol's way to TLS, from one side. Implement it to teach the crate a protocol that it lacks.
///
/// A dialogue hears whole units: a line, a reply of many lines, a packet with its header. It says what a unit consists of
/// ([`frame`](Self::frame)), and the [`Negotiation`] that drives it puts the units together, keeps the limits, and the order
/// of turns. So no dialogue can depend on how the bytes were split, or be asked to hold what an endless one says.
///
/// [`Negotiation`]: crate::Negotiation
pub trait Dialogue<R = Client> {
    /// What the connection begins with: something to say, or [`Step::More`] if the peer speaks first. Called once.
    fn open(&mut self) -> Step;

    /// How the unit goes on of which `begun` has arrived, with `last` as its last part. By default a unit is one line.
    ///
    /// Asked at the beginning of a unit and wherever a part of it ends, and nowhere else. A unit that turns out wrong is best
    /// refused here, with [`Frame::Unexpected`] as early as it shows: then nobody waits for the rest of it.
    fn frame(&self, begun: &[u8], last: Part<'_>) -> Frame {
        let _ = begun;
        Frame::line(last)
    }

    /// Takes a whole unit. If its last part is a line, the end of that line is left out.
    ///
    /// # Errors
    /// [`Error::Unexpected`] for what the protocol does not allow, [`Error::Closing`] for a peer that ends the session.
    fn receive(&mut self, unit: &[u8]) -> Result<Step, Error>;

    /// The awaited reply: `greeting`, or the command that it answers.
    fn awaiting(&self) -> &'static str;

    /// Whether the peer may say something before it is asked, such as a notice.
    ///
    /// If so, what arrives while a request waits to be sent is received as well: it makes no difference in which segment a
    /// notice came. Such a unit is passed over if [`receive`](Self::receive) returns [`Step::Unasked`], and it may end the
    /// session. Anything else that began to arrive before the request was sent is [`Error::Injected`]: part of a reply, and
    /// above all one that decides. If the peer does not speak unasked, every byte ahead of the request is.
    ///
    /// An empty line decides nothing and is no attack: where the protocol does not allow it, it is [`Error::Unexpected`].
    fn speaks_unasked(&self) -> bool {
        false
    }

    /// Whether the server listed the upgrade among its capabilities; `None` as long as it has not listed any.
    fn advertised(&self) -> Option<bool> {
        None
    }

    /// What the protocol asks of TLS. Only a few ask for anything.
    fn tls(&self) -> Tls {
        Tls::default()
    }

    /// What the server said that the client needs after TLS, once it has said so. Only a few protocols have anything.
    ///
    /// To keep the dialogue for it, negotiate with `&mut dialogue`, which is a dialogue as well.
    fn findings(&self) -> Option<Findings<'_>> {
        None
    }
}

/// How a unit goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// With a line, which ends in CR LF or, from sloppy peers, in LF.
    Line,
    /// With bytes up to and including this one.
    Until(u8),
    /// With so many bytes. More than the limits allow are refused at once, before the first of them has come.
    Exactly(u32),
    /// It does not: it is whole.
    Whole,
    /// It does not, since the protocol allows nothing that begins so: that is [`Error::Unexpected`].
    Unexpected,
}

impl Frame {
    /// For a unit that is one line.
    pub fn line(last: Part<'_>) -> Self {
        if let Part::Nothing = last { Self::Line } else { Self::Whole }
    }

    /// For a unit that is one byte, where a parser takes the bytes as they come.
    pub fn byte(last: Part<'_>) -> Self {
        if let Part::Nothing = last { Self::Exactly(1) } else { Self::Whole }
    }

    /// For a unit that ends with the bytes that its header announces.
    pub fn body(length: u32) -> Self {
        if length == 0 { Self::Whole } else { Self::Exactly(length) }
    }
}

/// The part of a unit that came last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// The unit has not begun.
    Nothing,
    /// A line, its end left out.
    Line(&'a [u8]),
    /// So many bytes as were asked for.
    Bytes(&'a [u8]),
}

/// Who said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that asks for TLS.
    Client,
    /// The one that is asked.
    Server,
}

/// What a unit of the peer's, or the opening, brought about.
#[derive(Debug)]
pub enum Step {
    /// Nothing yet: the next unit belongs to the same line or packet, or the first is to come.
    More,
    /// The reply goes on with another unit.
    Next,
    /// The peer may say this at any time, and it is passed over: the reply is still to come.
    Unasked,
    /// The reply ended, and another follows that needs no request.
    Await,
    /// The reply ended, and this is to be sent next.
    Send(Bytes),
    /// The reply ended, and this is to be sent, behind which TLS is to start.
    SendThenUpgrade(Bytes),
    /// This is to be sent, and the session has then come to this end.
    SendThenEnd(Bytes, Error),
    /// The reply ended, and TLS is to start.
    Upgrade,
    /// The reply ended, and the connection stays in plaintext.
    Decline(Reason),
}

/// What owns or borrows a dialogue is one.
macro_rules! forward {
    ($($owner:ty),*) => {$(
        impl<R, D: Dialogue<R> + ?Sized> Dialogue<R> for $owner {
            fn open(&mut self) -> Step {
                (**self).open()
            }

            fn frame(&self, begun: &[u8], last: Part<'_>) -> Frame {
                (**self).frame(begun, last)
            }

            fn receive(&mut self, unit: &[u8]) -> Result<Step, Error> {
                (**self).receive(unit)
            }

            fn awaiting(&self) -> &'static str {
                (**self).awaiting()
            }

            fn speaks_unasked(&self) -> bool {
                (**self).speaks_unasked()
            }

            fn advertised(&self) -> Option<bool> {
                (**self).advertised()
            }

            fn tls(&self) -> Tls {
                (**self).tls()
            }

            fn findings(&self) -> Option<Findings<'_>> {
                (**self).findings()
            }
        }
    )*};
}

forward!(Box<D>, &mut D);
