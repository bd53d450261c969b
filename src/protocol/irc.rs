//! IRC (RFC 1459; IRCv3 `tls` and capability negotiation).
//!
//! ```text
//! C: CAP LS 302                     (only when asked to ask)
//! S: :irc.example CAP * LS * :multi-prefix tls
//! S: :irc.example CAP * LS :sasl=PLAIN
//! C: STARTTLS
//! S: :irc.example NOTICE * :*** Looking up your hostname
//! S: :irc.example 670 * :STARTTLS successful, go ahead with TLS handshake
//! ```
//!
//! The client speaks first, before NICK and USER. Until its answer comes the server may say, and it is passed over:
//! `NOTICE`, `PING`, `CAP` (which may withdraw capabilities, or add some), and the numerics 020 and 439, with which
//! servers ask for patience. A `PING` is not answered: before NICK none can be meant to decide anything, and a PONG would
//! be one more command ahead of TLS. `ERROR` ends the session, and so does 465, which announces it.
//!
//! After TLS the client speaks first: NICK and USER, and `CAP LS` again, what was listed before being void. If it was
//! asked before TLS, registration waits for `CAP END`. A server that does not know STARTTLS may answer nothing at all
//! before NICK and USER: keep a deadline. When asked to ask, a notice right behind the list is out of turn.
//!
//! The specification is deprecated in favour of TLS on port 6697.

use bytes::Bytes;

use super::{Knobs, Start, code, ended};
use crate::wire::{Excerpt, Line};
use crate::{Code, Dialogue, Error, Reason, Reply, Step, Text};

/// The dialogue of an IRC client.
///
/// 691, and any other numeric of 400 to 599, is a refusal: 421 if the server does not know the command, 451 if it wants
/// NICK first. A server that refuses `CAP` is sent STARTTLS all the same: it cannot say whether it offers it.
#[derive(Debug)]
pub struct Irc {
    knobs: Knobs,
    awaiting: Awaiting,
    line: Line,
    listing: Listing,
    word: Excerpt<8>,
    /// Whether the line says that the list goes on with another.
    goes_on: bool,
    advertised: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Awaiting {
    CapLs,
    StartTls,
}

/// Which word of the line is next, on the way to `:prefix CAP target LS * :tls …`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Listing {
    Start,
    Command,
    Target,
    Subcommand,
    First,
    Capability,
    Elsewhere,
}

impl Irc {
    /// A client: nothing has to be known about it.
    pub fn new() -> Self {
        Self {
            knobs: Knobs::default(),
            awaiting: Awaiting::StartTls,
            line: Line::default(),
            listing: Listing::Start,
            word: Excerpt::new(),
            goes_on: false,
            advertised: None,
        }
    }

    /// Sets whether to ask for the capabilities, and whether to insist. There is no greeting.
    #[must_use]
    pub fn knobs(self, knobs: Knobs) -> Self {
        Self { knobs, ..self }
    }

    fn send_cap_ls(&mut self) -> Bytes {
        self.awaiting = Awaiting::CapLs;
        Bytes::from_static(b"CAP LS 302\r\n")
    }

    fn send_starttls(&mut self) -> Bytes {
        self.awaiting = Awaiting::StartTls;
        Bytes::from_static(b"STARTTLS\r\n")
    }

    /// Takes a whole line.
    fn line(&mut self) -> Result<Step, Error> {
        let listed = core::mem::replace(&mut self.listing, Listing::Start);
        let goes_on = core::mem::take(&mut self.goes_on);
        let (command, parameters) = parse(self.line.head());
        let is = |known: &str| command.eq_ignore_ascii_case(known.as_bytes());
        let numeric = code(command).filter(|(_, rest)| rest.is_empty()).map(|(numeric, _)| numeric);
        match (self.awaiting, numeric) {
            (Awaiting::CapLs, None) if is("CAP") && listed == Listing::Capability => {
                let advertised = *self.advertised.get_or_insert(false);
                if goes_on {
                    Ok(Step::Next)
                } else if advertised || self.knobs.insist {
                    Ok(Step::Send(self.send_starttls()))
                } else {
                    Ok(Step::Decline(Reason::NotAdvertised))
                }
            }
            (Awaiting::StartTls, Some(670)) => Ok(Step::Upgrade),
            (_, Some(20 | 439)) => Ok(Step::Next),
            (_, None) if is("NOTICE") || is("PING") || is("CAP") => Ok(Step::Next),
            (_, None) if is("ERROR") => Err(Error::Closing(reply(Code::Word("ERROR"), parameters))),
            (_, Some(465)) => Err(Error::Closing(reply(Code::Number(465), parameters))),
            (Awaiting::CapLs, Some(400..=599)) => Ok(Step::Send(self.send_starttls())),
            (Awaiting::StartTls, Some(numeric @ (400..=599 | 691))) => {
                Ok(Step::Decline(Reason::Refused(reply(Code::Number(numeric), parameters))))
            }
            _ => Err(Error::Unexpected(Text::new(self.line.head()))),
        }
    }

    fn scan_capabilities(&mut self, byte: u8) {
        if !matches!(byte, b' ' | b'\n') {
            return self.word.push(byte);
        }
        let word = ended(self.word.as_bytes(), byte);
        if word.is_empty() {
            return self.word.clear();
        }
        let is = |known: &str| word.eq_ignore_ascii_case(known.as_bytes());
        let is_tls = |word: &[u8]| word == b"tls" || word.starts_with(b"tls=");
        self.listing = match self.listing {
            Listing::Start if word.starts_with(b":") => Listing::Command,
            Listing::Start | Listing::Command if is("CAP") => Listing::Target,
            Listing::Target => Listing::Subcommand,
            Listing::Subcommand if is("LS") => Listing::First,
            Listing::First if is("*") && !self.goes_on => {
                self.goes_on = true;
                Listing::First
            }
            Listing::First => {
                if is_tls(word.strip_prefix(b":").unwrap_or(word)) {
                    self.advertised = Some(true);
                }
                Listing::Capability
            }
            Listing::Capability => {
                if is_tls(word) {
                    self.advertised = Some(true);
                }
                Listing::Capability
            }
            _ => Listing::Elsewhere,
        };
        self.word.clear();
    }
}

impl Default for Irc {
    fn default() -> Self {
        Self::new()
    }
}

/// The command, with the prefix left out, and its parameters. More than one space may stand between (RFC 1459 §2.3.1).
fn parse(line: &[u8]) -> (&[u8], &[u8]) {
    match word(line) {
        ([b':', ..], rest) => word(rest),
        message => message,
    }
}

fn word(line: &[u8]) -> (&[u8], &[u8]) {
    let (word, mut rest) = super::word(line);
    while let [b' ', behind @ ..] = rest {
        rest = behind;
    }
    (word, rest)
}

fn reply(code: Code, parameters: &[u8]) -> Reply {
    let text = parameters.strip_prefix(b":").unwrap_or(parameters);
    Reply { code, text: Text::new(text), temporary: false }
}

impl Dialogue for Irc {
    fn open(&mut self) -> Step {
        match self.knobs.start {
            Start::Greeting | Start::AfterGreeting if self.knobs.ask => Step::Send(self.send_cap_ls()),
            Start::Greeting | Start::AfterGreeting | Start::Command => Step::Send(self.send_starttls()),
        }
    }

    fn receive(&mut self, byte: u8) -> Result<Step, Error> {
        if self.awaiting == Awaiting::CapLs {
            self.scan_capabilities(byte);
        }
        if self.line.push(byte) { self.line() } else { Ok(Step::More) }
    }

    fn skim(&mut self, input: &[u8]) -> usize {
        if self.awaiting == Awaiting::CapLs { 0 } else { self.line.skim(input) }
    }

    fn awaiting(&self) -> &'static str {
        match self.awaiting {
            Awaiting::CapLs => "CAP LS",
            Awaiting::StartTls => "STARTTLS",
        }
    }

    fn advertised(&self) -> Option<bool> {
        self.advertised
    }
}
