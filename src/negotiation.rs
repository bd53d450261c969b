//! The state machine that every caller drives.
//!
//! | state | on | next state |
//! |---|---|---|
//! | new | the dialogue's opening | as for a step while awaiting |
//! | Awaiting | `More`, `Next`, `Unasked`, `Await` | Awaiting |
//! | Awaiting | `Send` | Sending |
//! | Awaiting | `SendThenUpgrade`, `SendThenEnd` | Parting |
//! | Awaiting | `Upgrade` | Ended |
//! | Awaiting | `Decline` | Ended if opportunistic, Failed if required |
//! | Awaiting | the dialogue's error, a limit | Failed |
//! | Sending | `poll_transmit` | Awaiting |
//! | Parting | `poll_transmit` | Ended, Failed |
//! | Sending, of a server | a byte | as while Awaiting, and what is to be sent adds up |
//! | Sending, of a client | a byte | Failed, unless its server speaks unasked: then as below |
//! | any, with a unit that began while Sending | `Unasked` | unchanged |
//! | the same | any other end of the unit | Failed |
//! | Parting, Ended | a byte | Failed: behind a refusal, by that refusal |
//! | any | the end of the stream | Failed |
//! | Failed | anything | Failed |

use alloc::boxed::Box;

use bytes::Bytes;

use crate::role::{Role, Server};
use crate::units::Units;
use crate::{Accepting, Dialogue, Error, Frame, Limits, Opportunistic, Part, Policy, Required, Step};

/// The plaintext phase of one connection: bytes in, bytes out, and at its end an [`Upgrade`](crate::Upgrade).
///
/// It holds no socket or clock, and of what the peer says no more than one unit of the protocol that has not arrived as a
/// whole: nothing is allocated while reads return whole replies. A deadline is the caller's to keep: dropping the negotiation
/// is always safe.
///
/// - Outputs: [`poll_transmit`](Self::poll_transmit), [`finish`](Self::finish).
/// - Inputs: [`handle_input`](Self::handle_input), [`handle_eof`](Self::handle_eof).
/// - Getters: [`wants_read`](Self::wants_read), [`awaiting`](Self::awaiting), [`advertised`](Self::advertised),
///   [`round_trips`](Self::round_trips), [`dialogue`](Self::dialogue).
///
/// The dialogue may be borrowed: `Negotiation::required(&mut dialogue)` leaves it with the caller, who can ask it for its
/// [`findings`](Dialogue::findings) when the negotiation has ended, or TLS is up.
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
    units: Units,
    /// Whether what is arriving began to arrive before the request was sent.
    is_early: bool,
}

#[derive(Debug)]
enum State<O> {
    /// This is to be sent.
    Sending(Bytes),
    /// A reply is outstanding.
    Awaiting,
    /// This is to be sent, behind which TLS is to start, or the session has failed.
    Parting(Bytes, Option<Box<Error>>),
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

impl<D: Dialogue<Server>> Negotiation<D, Accepting> {
    /// Starts a server's part of a negotiation, which ends in TLS or in an error.
    pub fn accepting(dialogue: D) -> Self {
        Self::new(dialogue)
    }
}

impl<D: Dialogue<P::Role>, P: Policy> Negotiation<D, P> {
    fn new(mut dialogue: D) -> Self {
        let opening = dialogue.open();
        let mut negotiation =
            Self { dialogue, state: State::Awaiting, units: Units::new(Limits::default()), is_early: false };
        // What comes ahead of the first reply is none.
        if let Err(error) = negotiation.enter(opening) {
            negotiation.state = State::Failed(error);
        }
        negotiation
    }

    /// Sets how much the peer may say. For use before the first input; the default is [`Limits::default`].
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { units: Units::new(limits), ..self }
    }

    /// What is to be sent, if there is something: send all of it, then read.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        let (request, next) = match core::mem::replace(&mut self.state, State::Awaiting) {
            State::Sending(request) => return Some(request),
            State::Parting(request, None) => (Some(request), self.upgraded()),
            State::Parting(request, Some(error)) => (Some(request), State::Failed(*error)),
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
    /// The peer broke the protocol, a limit, or the order of turns; it closed the session; or it declined and TLS is
    /// [`Required`]. The negotiation then stays failed: every later call answers the same error.
    pub fn handle_input(&mut self, mut input: &[u8]) -> Result<(), Error> {
        loop {
            match &self.state {
                State::Failed(error) => return Err(error.clone()),
                State::Awaiting if !self.is_early || self.dialogue.speaks_unasked() => {}
                _ if input.is_empty() => return Ok(()),
                State::Sending(_) if !P::Role::LOCKSTEP => {}
                State::Sending(_) if self.dialogue.speaks_unasked() => self.is_early = true,
                State::Sending(_) | State::Awaiting => return self.refuse_early(input),
                State::Ended(outcome) => {
                    let error = P::followed(outcome);
                    return Err(self.fail(error));
                }
                State::Parting(..) => return Err(self.fail(Error::Injected)),
            }
            let heard = match self.units.next(&mut input, |begun, last| self.dialogue.frame(begun, last)) {
                Ok(Some(unit)) => self.dialogue.receive(unit),
                Ok(None) => return Ok(()),
                Err(error) => Err(error),
            };
            let heard = match heard {
                // An empty line is no attack.
                Err(Error::Unexpected(said)) if self.is_early && !said.as_bytes().is_empty() => Err(Error::Injected),
                heard => heard,
            };
            heard.and_then(|step| self.step(step)).map_err(|error| self.fail(error))?;
        }
    }

    /// Notes that the peer closed the connection. It has no right to, before TLS: this always fails.
    ///
    /// # Errors
    /// [`Error::Closed`], or the earlier error of a failed negotiation.
    pub fn handle_eof(&mut self) -> Result<(), Error> {
        match &self.state {
            State::Failed(error) => Err(error.clone()),
            _ => Err(self.fail(Error::Closed)),
        }
    }

    /// Ends the negotiation: an [`Upgrade`](crate::Upgrade), or, if opportunistic, an [`Outcome`](crate::Outcome).
    ///
    /// # Errors
    /// The error that the negotiation failed with, or [`Error::Unfinished`].
    pub fn finish(self) -> Result<P::Outcome, Error> {
        match self.state {
            State::Ended(outcome) => Ok(outcome),
            State::Failed(error) => Err(error),
            State::Sending(_) | State::Awaiting | State::Parting(..) => Err(Error::Unfinished),
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
        self.units.meter.replies()
    }

    /// The dialogue, for what its protocol alone knows: the subtype that [`Vnc`](crate::protocol::Vnc) chose, for example.
    pub fn dialogue(&self) -> &D {
        &self.dialogue
    }

    /// Refuses what came before the request was sent, from a server that does not speak unasked. An empty line is no attack:
    /// it is called what it is.
    fn refuse_early(&mut self, input: &[u8]) -> Result<(), Error> {
        let is_line = self.dialogue.frame(&[], Part::Nothing) == Frame::Line;
        // The CR may have come before.
        let input = if self.is_early { input } else { input.strip_prefix(b"\r").unwrap_or(input) };
        match input {
            [b'\n', ..] if is_line => Err(self.fail(Error::unexpected(b""))),
            [] if is_line => {
                self.is_early = true;
                Ok(())
            }
            _ => Err(self.fail(Error::Injected)),
        }
    }

    /// Counts what a unit was, and goes where its step leads.
    fn step(&mut self, step: Step) -> Result<(), Error> {
        match step {
            Step::More => Ok(()),
            Step::Unasked => {
                self.is_early = false;
                Ok(self.units.meter.line()?)
            }
            _ if self.is_early => Err(Error::Injected),
            Step::Next => Ok(self.units.meter.line()?),
            step => {
                self.units.clear();
                self.units.meter.reply()?;
                self.enter(step)
            }
        }
    }

    fn enter(&mut self, step: Step) -> Result<(), Error> {
        self.state = match step {
            Step::More | Step::Next | Step::Unasked | Step::Await => return Ok(()),
            Step::Send(request) => State::Sending(self.behind(request)),
            Step::SendThenUpgrade(request) => State::Parting(self.behind(request), None),
            Step::SendThenEnd(request, error) => State::Parting(self.behind(request), Some(Box::new(error))),
            Step::Upgrade => self.upgraded(),
            Step::Decline(reason) => State::Ended(P::declined(reason)?),
        };
        Ok(())
    }

    fn upgraded(&self) -> State<P::Outcome> {
        State::Ended(P::upgraded(self.dialogue.tls()))
    }

    /// These bytes, behind those that are to be sent already.
    fn behind(&self, request: Bytes) -> Bytes {
        match &self.state {
            State::Sending(pending) => Bytes::from([&pending[..], &request].concat()),
            _ => request,
        }
    }

    #[cold]
    fn fail(&mut self, error: Error) -> Error {
        self.units.clear();
        self.state = State::Failed(error.clone());
        error
    }
}
