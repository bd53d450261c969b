//! The state machine that every caller drives.
//!
//! | state | on | next state |
//! |---|---|---|
//! | new | the dialogue's opening | as for a step while awaiting |
//! | Awaiting | `More`, `Next`, `Await` | Awaiting |
//! | Awaiting | `Send` | Sending |
//! | Awaiting | `SendThenUpgrade` | Parting |
//! | Awaiting | `Upgrade` | Ended |
//! | Awaiting | `Decline` | Ended if opportunistic, Failed if required |
//! | Awaiting | the dialogue's error, a limit | Failed |
//! | Sending | `poll_transmit` | Awaiting |
//! | Parting | `poll_transmit` | Ended |
//! | Sending, Parting, Ended | a byte | Failed: injected, but for an empty line while Sending, and behind a refusal |
//! | any | the end of the stream | Failed |
//! | Failed | anything | Failed |

use core::slice;

use bytes::Bytes;

use crate::limits::Meter;
use crate::{Dialogue, Error, Limits, Opportunistic, Policy, Required, Step, Text, Upgrade};

/// The plaintext phase of one connection: bytes in, bytes out, and at its end an [`Upgrade`].
///
/// It holds no socket, clock or buffer that the peer can grow, and allocates nothing while the dialogue goes well.
/// A deadline is the caller's to keep: dropping the negotiation is always safe.
///
/// - Outputs: [`poll_transmit`](Self::poll_transmit), [`finish`](Self::finish).
/// - Inputs: [`handle_input`](Self::handle_input), [`handle_eof`](Self::handle_eof).
/// - Getters: [`wants_read`](Self::wants_read), [`awaiting`](Self::awaiting), [`advertised`](Self::advertised),
///   [`round_trips`](Self::round_trips), [`dialogue`](Self::dialogue).
///
/// The loop is the same for every runtime:
///
/// ```
/// use starttls::{Negotiation, protocol::Smtp};
/// # use std::io::{Read, Write};
/// # fn upgrade(mut socket: impl Read + Write) -> Result<starttls::Upgrade, Box<dyn std::error::Error>> {
/// let mut negotiation = Negotiation::required(Smtp::new("client.example")?);
/// let mut buffer = [0; 2048];
/// loop {
///     if let Some(request) = negotiation.poll_transmit() {
///         socket.write_all(&request)?;
///     }
///     if !negotiation.wants_read() {
///         break Ok(negotiation.finish()?);
///     }
///     match socket.read(&mut buffer)? {
///         0 => negotiation.handle_eof()?,
///         n => negotiation.handle_input(&buffer[..n])?, // everything that the read returned
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Negotiation<D, P: Policy> {
    dialogue: D,
    state: State<P::Outcome>,
    meter: Meter,
}

#[derive(Debug)]
enum State<O> {
    /// This request is to be sent; the server has nothing to say until it was.
    Sending(Bytes),
    /// A reply is outstanding.
    Awaiting,
    /// This request is to be sent, and TLS is the answer to it.
    Parting(Bytes),
    Ended(O),
    Failed(Error),
}

impl<D: Dialogue> Negotiation<D, Required> {
    /// Starts a negotiation that ends in TLS or in an error.
    pub fn required(dialogue: D) -> Self {
        Self::new(dialogue)
    }
}

impl<D: Dialogue> Negotiation<D, Opportunistic> {
    /// Starts a negotiation whose caller is prepared to stay in plaintext when the server declines.
    ///
    /// A man in the middle can make any server seem to decline: this protects from passive listeners only.
    pub fn opportunistic(dialogue: D) -> Self {
        Self::new(dialogue)
    }
}

impl<D: Dialogue, P: Policy> Negotiation<D, P> {
    fn new(mut dialogue: D) -> Self {
        let opening = dialogue.open();
        let mut negotiation = Self { dialogue, state: State::Awaiting, meter: Meter::new(Limits::default()) };
        if let Err(error) = negotiation.enter(opening) {
            negotiation.state = State::Failed(error);
        }
        negotiation
    }

    /// Sets how much the server may say. For use before the first input; the default is [`Limits::default`].
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.meter = Meter::new(limits);
        if self.wants_read() {
            self.meter.begin_line();
        }
        self
    }

    /// The next request, if there is one: send all of it, then read.
    #[inline]
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        let (request, next) = match core::mem::replace(&mut self.state, State::Awaiting) {
            State::Sending(request) => {
                self.meter.begin_line();
                return Some(request);
            }
            State::Parting(request) => (Some(request), self.upgraded()),
            state => (None, state),
        };
        self.state = next;
        request
    }

    /// Whether a reply is outstanding. When it is not and nothing is left to transmit, it is time to [`finish`](Self::finish).
    pub fn wants_read(&self) -> bool {
        matches!(self.state, State::Awaiting)
    }

    /// Takes everything that one read returned, however the bytes were split on their way.
    ///
    /// # Errors
    /// The server broke the protocol, a limit, or the order of turns; it closed the session; or it declined and TLS is
    /// [`Required`]. The negotiation then stays failed: every later call answers the same error.
    #[inline]
    pub fn handle_input(&mut self, input: &[u8]) -> Result<(), Error> {
        // A byte that comes alone is not worth a search.
        if let [byte] = input { self.advance(*byte) } else { self.take(input) }
    }

    /// Notes that the server closed the connection. It has no right to, before TLS: this always fails.
    ///
    /// # Errors
    /// [`Error::Closed`], or the earlier error of a failed negotiation.
    pub fn handle_eof(&mut self) -> Result<(), Error> {
        match &self.state {
            State::Failed(error) => Err(error.clone()),
            _ => Err(self.fail(Error::Closed)),
        }
    }

    /// Ends the negotiation: an [`Upgrade`], or, if opportunistic, an [`Outcome`](crate::Outcome).
    ///
    /// # Errors
    /// The error that the negotiation failed with, or [`Error::Unfinished`].
    #[inline(always)] // It ends what the caller has at hand: a call would only move all of it.
    pub fn finish(self) -> Result<P::Outcome, Error> {
        match self.state {
            State::Ended(outcome) => Ok(outcome),
            State::Failed(error) => Err(error),
            State::Sending(_) | State::Awaiting | State::Parting(_) => Err(Error::Unfinished),
        }
    }

    /// The reply that is awaited or that was the last: `greeting`, or the command as it stands on the wire.
    pub fn awaiting(&self) -> &'static str {
        self.dialogue.awaiting()
    }

    /// Whether the server listed the upgrade among its capabilities; `None` as long as it has not listed any.
    pub fn advertised(&self) -> Option<bool> {
        self.dialogue.advertised()
    }

    /// How many replies have arrived that the protocol allows, the greeting included.
    pub fn round_trips(&self) -> u32 {
        self.meter.replies()
    }

    /// The dialogue, for what its protocol alone knows: the subtype that [`Vnc`](crate::protocol::Vnc) chose, for example.
    pub fn dialogue(&self) -> &D {
        &self.dialogue
    }

    #[inline(never)]
    fn take(&mut self, mut input: &[u8]) -> Result<(), Error> {
        if let State::Failed(error) = &self.state {
            return Err(error.clone());
        }
        while !input.is_empty() {
            let room = &input[..input.len().min(self.meter.room())];
            if room.is_empty() {
                return Err(self.no_room(input[0]));
            }
            let most = self.meter.lines_left();
            let (mut rest, mut left) = (room, most);
            match self.dialogue.take(&mut rest, &mut left) {
                Ok(step) => {
                    // A dialogue may be anybody's, and leave more than there was, or all of it.
                    let bytes = room.len() - rest.len().min(room.len() - 1);
                    self.meter.count(bytes, most.saturating_sub(left));
                    input = &input[bytes..];
                    self.step(step)?;
                }
                Err(error) => return Err(self.fail(error)),
            }
        }
        Ok(())
    }

    /// Takes a byte.
    #[inline(always)]
    fn advance(&mut self, byte: u8) -> Result<(), Error> {
        if !self.meter.byte() {
            return Err(self.no_room(byte));
        }
        // Nearly every byte of a line.
        if self.dialogue.skim(slice::from_ref(&byte)) > 0 { Ok(()) } else { self.receive(byte) }
    }

    #[inline(never)]
    fn receive(&mut self, byte: u8) -> Result<(), Error> {
        match self.dialogue.receive(byte) {
            Ok(step) => self.step(step),
            Err(error) => Err(self.fail(error)),
        }
    }

    #[inline(always)]
    fn step(&mut self, step: Step) -> Result<(), Error> {
        let entered = match step {
            Step::More => return Ok(()),
            Step::Next => self.meter.line(),
            step => self.meter.reply().and_then(|()| self.enter(step)),
        };
        entered.map_err(|error| self.fail(error))
    }

    /// Why a byte has no room.
    #[cold]
    fn no_room(&mut self, byte: u8) -> Error {
        let error = match core::mem::replace(&mut self.state, State::Awaiting) {
            State::Failed(error) => error,
            State::Awaiting => Error::Limit(self.meter.exceeded()),
            // An empty line decides nothing.
            State::Sending(_) if matches!(byte, b'\r' | b'\n') => Error::Unexpected(Text::new(&[byte])),
            State::Sending(_) | State::Parting(_) => Error::Injected,
            State::Ended(outcome) => P::followed(outcome),
        };
        self.fail(error)
    }

    /// Enters the state that a step leads to from `Awaiting`.
    #[inline]
    fn enter(&mut self, step: Step) -> Result<(), Error> {
        match step {
            Step::More | Step::Next | Step::Await => self.meter.begin_line(),
            Step::Send(request) => self.leave(State::Sending(request)),
            Step::SendThenUpgrade(request) => self.leave(State::Parting(request)),
            Step::Upgrade => self.leave(self.upgraded()),
            Step::Decline(reason) => self.leave(State::Ended(P::declined(reason)?)),
        }
        Ok(())
    }

    /// Leaves Awaiting, which holds nothing: the compiler does not know that there is nothing to drop.
    #[inline]
    fn leave(&mut self, next: State<P::Outcome>) {
        core::mem::forget(core::mem::replace(&mut self.state, next));
    }

    fn upgraded(&self) -> State<P::Outcome> {
        State::Ended(P::upgraded(Upgrade::new(self.dialogue.tls())))
    }

    #[cold]
    fn fail(&mut self, error: Error) -> Error {
        self.meter.close();
        self.state = State::Failed(error.clone());
        error
    }
}
