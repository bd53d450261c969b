//! Telnet START_TLS (draft-altman-telnet-starttls-02; RFC 854, RFC 855).

use bytes::Bytes;

use super::{Options, Start};
use crate::wire::Excerpt;
use crate::{Code, Dialogue, Error, Frame, Part, Reason, Reply, Step};

const IAC: u8 = 255;
const DONT: u8 = 254;
const DO: u8 = 253;
const WONT: u8 = 252;
const WILL: u8 = 251;
const SB: u8 = 250;
const GO_AHEAD: u8 = 249;
const DATA_MARK: u8 = 242;
const NOP: u8 = 241;
const SE: u8 = 240;
const START_TLS: u8 = 46;
const FOLLOWS: u8 = 1;

/// The dialogue of a Telnet client.
///
/// `DONT START_TLS` and `WONT START_TLS` are refusals. A server that does not know the option says nothing at all of it.
///
/// # The dialogue
///
/// ```text
/// S: IAC DO START_TLS
/// C: IAC WILL START_TLS  IAC SB START_TLS FOLLOWS IAC SE
/// S: IAC SB START_TLS FOLLOWS IAC SE
/// ```
///
/// Before its offer and before its go-ahead the server may negotiate other options, and send NOP, data marks and
/// go-aheads of RFC 854. They are passed over without an answer: TLS resets every option, so that none could outlast it.
/// Right behind its offer the server waits. Data are not allowed: a server that sends its banner in the clear has begun
/// the session without TLS.
///
/// # After TLS
///
/// Both sides negotiate their options from the start, and the server usually begins. Nothing else was said
/// before.
///
/// # Example
///
/// ```
/// use starttls::{Negotiation, protocol::Telnet};
///
/// let mut negotiation = Negotiation::required(Telnet::new());
/// negotiation.handle_input(b"\xff\xfd.")?;
/// assert_eq!(negotiation.poll_transmit().unwrap(), b"\xff\xfb.\xff\xfa.\x01\xff\xf0"[..]);
/// negotiation.handle_input(b"\xff\xfa.\x01\xff\xf0")?;
/// let upgrade: starttls::Upgrade = negotiation.finish()?;
/// # let _ = upgrade;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Telnet {
    options: Options,
    awaiting: Awaiting,
    /// The command as it came, its parameters with it.
    command: Excerpt<16>,
    within: Within,
    advertised: Option<bool>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Awaiting {
    #[default]
    Offer,
    Follows,
}

/// How far a command has been read (RFC 854, RFC 855).
#[derive(Clone, Copy, Debug, Default)]
enum Within {
    #[default]
    Nothing,
    Command,
    Option,
    Parameters,
    /// An IAC among the parameters: their end, or a byte of 255.
    Escape,
}

impl Telnet {
    /// A client: nothing has to be known about it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets where to start. With [`Start::AfterGreeting`] or [`Start::Command`] the caller has read the server's offer.
    #[must_use]
    pub fn options(self, options: Options) -> Self {
        Self { options, ..self }
    }

    fn send_will(&mut self) -> Step {
        self.awaiting = Awaiting::Follows;
        Step::Send(Bytes::from_static(&[IAC, WILL, START_TLS, IAC, SB, START_TLS, FOLLOWS, IAC, SE]))
    }

    /// Takes a whole command.
    fn command(&mut self) -> Result<Step, Error> {
        match (self.awaiting, self.command.as_bytes()) {
            (Awaiting::Offer, [IAC, DO, START_TLS]) => {
                self.advertised = Some(true);
                Ok(self.send_will())
            }
            (Awaiting::Follows, [IAC, DO, START_TLS]) => Ok(Step::Unasked),
            (Awaiting::Follows, [IAC, SB, START_TLS, FOLLOWS, IAC, SE]) => Ok(Step::Upgrade),
            (_, [IAC, DONT, START_TLS]) => Ok(Step::Decline(Reason::Refused(refusal("DONT")))),
            (_, [IAC, WONT, START_TLS]) => Ok(Step::Decline(Reason::Refused(refusal("WONT")))),
            (_, [IAC, _, START_TLS, ..]) => Err(self.unexpected()),
            (_, [IAC, DO | DONT | WILL | WONT | SB, ..] | [IAC, NOP | DATA_MARK | GO_AHEAD]) => Ok(Step::Unasked),
            _ => Err(self.unexpected()),
        }
    }

    fn unexpected(&self) -> Error {
        Error::unexpected(self.command.as_bytes())
    }
}

fn refusal(verb: &'static str) -> Reply {
    Reply { code: Code::Word(verb), text: crate::Text::new(b"START_TLS"), temporary: false }
}

impl Dialogue for Telnet {
    fn open(&mut self) -> Step {
        match self.options.start {
            Start::Greeting => Step::More,
            Start::AfterGreeting | Start::Command => self.send_will(),
        }
    }

    fn frame(&self, _: &[u8], last: Part<'_>) -> Frame {
        Frame::byte(last)
    }

    fn receive(&mut self, unit: &[u8]) -> Result<Step, Error> {
        let byte = unit[0];
        if let Within::Nothing = self.within {
            self.command.clear();
        }
        self.command.push(byte);
        self.within = match (self.within, byte) {
            (Within::Nothing, IAC) => Within::Command,
            (Within::Command, DO | DONT | WILL | WONT) => Within::Option,
            (Within::Command, SB) | (Within::Escape, IAC) => Within::Parameters,
            (Within::Parameters, IAC) => Within::Escape,
            (Within::Parameters, _) => Within::Parameters,
            (Within::Command | Within::Option, _) | (Within::Escape, SE) => Within::Nothing,
            // Data, and a command within the parameters of another.
            (Within::Nothing | Within::Escape, _) => return Err(self.unexpected()),
        };
        if let Within::Nothing = self.within { self.command() } else { Ok(Step::More) }
    }

    /// The negotiation of other options, and the commands of RFC 854 that are passed over.
    fn speaks_unasked(&self) -> bool {
        true
    }

    fn awaiting(&self) -> &'static str {
        match self.awaiting {
            Awaiting::Offer => "DO START_TLS",
            Awaiting::Follows => "WILL START_TLS",
        }
    }

    fn advertised(&self) -> Option<bool> {
        self.advertised
    }
}
