//! IRC (RFC 1459; IRCv3 `tls` and capability negotiation).

use bytes::Bytes;

use super::{Options, Start, code, is_text, no};
use crate::{Code, Dialogue, Error, Reason, Reply, Step, Text};

/// The dialogue of an IRC client.
///
/// 691, and any other numeric of 400 to 599, is a refusal: 421 if the server does not know the command, 451 if it wants
/// NICK first. A server that refuses `CAP`, or whose list is not understood, is sent STARTTLS all the same: nobody knows whether it
/// offers it.
///
/// # The dialogue
///
/// ```text
/// C: CAP LS 302                     (only when asked to ask)
/// S: :irc.example CAP * LS * :multi-prefix tls
/// S: :irc.example CAP * LS :sasl=PLAIN
/// C: STARTTLS
/// S: :irc.example NOTICE * :*** Looking up your hostname
/// S: :irc.example 670 * :STARTTLS successful, go ahead with TLS handshake
/// ```
///
/// The client speaks first, before NICK and USER. Until its answer comes the server may say, and it is passed over:
/// `NOTICE`, `PING`, `CAP` (which may withdraw capabilities, or add some), the numerics 020 and 439, with which servers
/// ask for patience, and empty lines (RFC 1459 §2.3.1). A `PING` is not answered: before NICK none can be meant to decide anything, and a PONG would
/// be one more command ahead of TLS. `ERROR` ends the session, and so does 465, which announces it.
///
/// The specification is deprecated in favour of TLS on port 6697.
///
/// # After TLS
///
/// The client speaks first: NICK and USER, and `CAP LS` again, what was listed before being void. If it was
/// asked before TLS, registration waits for `CAP END`. A server that does not know STARTTLS may answer nothing at all
/// before NICK and USER: keep a deadline.
///
/// # Example
///
/// ```
/// use starttls::{Negotiation, protocol::Irc};
///
/// let mut negotiation = Negotiation::required(Irc::new());
/// assert_eq!(negotiation.poll_transmit().unwrap(), b"STARTTLS\r\n"[..]);
/// negotiation.handle_input(b":mail.example 670 * :STARTTLS successful, go ahead with TLS handshake\r\n")?;
/// let upgrade: starttls::Upgrade = negotiation.finish()?;
/// # let _ = upgrade;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Irc {
    options: Options,
    awaiting: Awaiting,
    advertised: Option<bool>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Awaiting {
    CapLs,
    #[default]
    StartTls,
}

impl Irc {
    /// A client: nothing has to be known about it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether to ask for the capabilities, and whether to insist. There is no greeting.
    #[must_use]
    pub fn options(self, options: Options) -> Self {
        Self { options, ..self }
    }

    fn send_cap_ls(&mut self) -> Step {
        self.awaiting = Awaiting::CapLs;
        Step::Send(Bytes::from_static(b"CAP LS 302\r\n"))
    }

    fn send_starttls(&mut self) -> Step {
        self.awaiting = Awaiting::StartTls;
        Step::Send(Bytes::from_static(b"STARTTLS\r\n"))
    }

    /// Takes a line of the list of capabilities.
    fn listed(&mut self, tls: Option<bool>, goes_on: bool) -> Step {
        if self.advertised != Some(true) {
            self.advertised = tls;
        }
        match self.advertised == Some(false) && !self.options.insist {
            _ if goes_on => Step::Next,
            true => Step::Decline(Reason::NotAdvertised),
            false => self.send_starttls(),
        }
    }
}

impl Dialogue for Irc {
    fn open(&mut self) -> Step {
        match self.options.start {
            Start::Greeting | Start::AfterGreeting if self.options.ask => self.send_cap_ls(),
            Start::Greeting | Start::AfterGreeting | Start::Command => self.send_starttls(),
        }
    }

    fn receive(&mut self, line: &[u8]) -> Result<Step, Error> {
        let message = message(line);
        let (command, parameters) = word(message);
        let is = |known: &str| command.eq_ignore_ascii_case(known.as_bytes());
        let numeric = code(command).filter(|(_, rest)| rest.is_empty()).map(|(numeric, _)| numeric);
        let list = list(parameters).filter(|_| is("CAP"));
        match (self.awaiting, numeric, list) {
            (Awaiting::CapLs, None, Some((tls, goes_on))) => Ok(self.listed(tls, goes_on)),
            (Awaiting::StartTls, Some(670), _) if is_text(line) => Ok(Step::Upgrade),
            (_, Some(20 | 439), _) => Ok(Step::Unasked),
            (_, None, _) if line.is_empty() || is("NOTICE") || is("PING") || is("CAP") => Ok(Step::Unasked),
            (_, Some(465), _) => Err(Error::Closing(reply(Code::Number(465), parameters))),
            (Awaiting::CapLs, Some(400..=599), _) => Ok(self.send_starttls()),
            (Awaiting::StartTls, Some(numeric @ (400..=599 | 691)), _) => {
                Ok(Step::Decline(Reason::Refused(reply(Code::Number(numeric), parameters))))
            }
            _ => match no(message, b"ERROR") {
                Some(text) => Err(Error::Closing(reply(Code::Word("ERROR"), text.trim_ascii_start()))),
                None => Err(Error::unexpected(line)),
            },
        }
    }

    /// Notices, pings, changes of the capabilities, `ERROR` (RFC 1459 §4.6, RFC 2812 §3.7).
    fn speaks_unasked(&self) -> bool {
        true
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

/// A line with its prefix left out.
fn message(line: &[u8]) -> &[u8] {
    if line.starts_with(b":") { word(line).1 } else { line }
}

/// The first word, and what stands behind it. More than one space may stand between (RFC 1459 §2.3.1).
fn word(line: &[u8]) -> (&[u8], &[u8]) {
    let (word, mut rest) = super::word(line);
    while let [b' ', behind @ ..] = rest {
        rest = behind;
    }
    (word, rest)
}

/// Whether a list of capabilities has `tls` in it, and whether it goes on: `target LS * :tls=6697 …`. One without the target or
/// the list is not understood.
fn list(parameters: &[u8]) -> Option<(Option<bool>, bool)> {
    let (target, rest) = word(parameters);
    let (subcommand, rest) = word(rest);
    let (goes_on, list) = match word(rest) {
        (b"*", list) => (true, list),
        _ => (false, rest),
    };
    let is_tls = |capability: &[u8]| capability == b"tls" || capability.starts_with(b"tls=");
    let tls = list.strip_prefix(b":").unwrap_or(list).split(|&byte| byte == b' ').any(is_tls);
    match subcommand.eq_ignore_ascii_case(b"LS") {
        true if goes_on || !list.is_empty() => Some((Some(tls), goes_on)),
        is_ls => (is_ls || target.eq_ignore_ascii_case(b"LS")).then_some((None, false)),
    }
}

fn reply(code: Code, parameters: &[u8]) -> Reply {
    let text = parameters.strip_prefix(b":").unwrap_or(parameters);
    Reply { code, text: Text::new(text), temporary: false }
}
