//! SMTP (RFC 5321, RFC 3207) and LMTP (RFC 2033).

use bytes::Bytes;

use super::{Options, Start, host, is_text, last_line, line, lines, lists, reply_status};
use crate::{Code, Dialogue, Error, Frame, InvalidName, Part, Reason, Reply, Step, Text};

/// The dialogue of an SMTP or LMTP client.
///
/// A server whose list of capabilities is not understood is sent STARTTLS all the same.
///
/// Refusals: 4xx is temporary, and the command may be repeated on the same connection, by a new negotiation with
/// [`Start::Command`]; 5xx is permanent. A greeting other than 220 and a 421 anywhere end the session
/// ([`Error::Closing`]).
///
/// # The dialogue
///
/// ```text
/// S: 220 mail.example ESMTP
/// C: EHLO client.example            (LHLO in LMTP)
/// S: 250-mail.example
/// S: 250-PIPELINING
/// S: 250 STARTTLS                   (in any line but the first)
/// C: STARTTLS
/// S: 220 2.0.0 Ready to start TLS
/// ```
///
/// A reply of several lines says *yes* if all of them have one code (RFC 5321 §4.2.1), and *no* if the last one does: some servers
/// greet with `220-`, and turn the client away with `521` in the next line.
///
/// EHLO and STARTTLS are not pipelined: both have to be the last command of a group (RFC 2920 §3.1).
///
/// # After TLS
///
/// The client speaks first: it says EHLO (LHLO) again, and drops all that the server said before (RFC 3207
/// §4.2). There is no second greeting.
///
/// # Example
///
/// ```
/// use starttls::{Negotiation, protocol::Smtp};
///
/// let mut negotiation = Negotiation::required(Smtp::new("client.example")?);
/// negotiation.handle_input(b"220 mail.example ESMTP Postfix (Debian/GNU)\r\n")?;
/// assert_eq!(negotiation.poll_transmit().unwrap(), b"EHLO client.example\r\n"[..]);
/// negotiation.handle_input(b"250-mail.example\r\n\
///     250-PIPELINING\r\n\
///     250-SIZE 10240000\r\n\
///     250-VRFY\r\n\
///     250-ETRN\r\n\
///     250-STARTTLS\r\n\
///     250-ENHANCEDSTATUSCODES\r\n\
///     250-8BITMIME\r\n\
///     250-DSN\r\n\
///     250-SMTPUTF8\r\n\
///     250 CHUNKING\r\n")?;
/// assert_eq!(negotiation.poll_transmit().unwrap(), b"STARTTLS\r\n"[..]);
/// negotiation.handle_input(b"220 2.0.0 Ready to start TLS\r\n")?;
/// let upgrade: starttls::Upgrade = negotiation.finish()?;
/// # let _ = upgrade;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Smtp {
    hello: Bytes,
    verb: &'static str,
    options: Options,
    awaiting: Awaiting,
    advertised: Option<bool>,
}

#[derive(Clone, Copy, Debug)]
enum Awaiting {
    Greeting,
    Hello,
    StartTls,
}

impl Smtp {
    /// SMTP (RFC 5321) for a client that calls itself `name` in EHLO: its domain name, or an address as `[192.0.2.1]`.
    ///
    /// # Errors
    /// [`InvalidName`] for a name with characters that neither has.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        Self::with_verb("EHLO", name)
    }

    /// LMTP (RFC 2033): the same dialogue, with LHLO for EHLO.
    ///
    /// # Errors
    /// [`InvalidName`], as for [`new`](Self::new).
    pub fn lmtp(name: &str) -> Result<Self, InvalidName> {
        Self::with_verb("LHLO", name)
    }

    fn with_verb(verb: &'static str, name: &str) -> Result<Self, InvalidName> {
        let hello = line(&[verb, " ", host("the name of an SMTP client", name)?]);
        Ok(Self { hello, verb, options: Options::default(), awaiting: Awaiting::Greeting, advertised: None })
    }

    /// Sets where to start, and whether to insist. EHLO asks for the capabilities anyway, so `ask` changes nothing.
    #[must_use]
    pub fn options(self, options: Options) -> Self {
        Self { options, ..self }
    }

    fn send_hello(&mut self) -> Step {
        self.awaiting = Awaiting::Hello;
        Step::Send(core::mem::take(&mut self.hello))
    }

    fn send_starttls(&mut self) -> Step {
        self.awaiting = Awaiting::StartTls;
        Step::Send(Bytes::from_static(b"STARTTLS\r\n"))
    }
}

impl Dialogue for Smtp {
    fn open(&mut self) -> Step {
        match self.options.start {
            Start::Greeting => Step::More,
            Start::AfterGreeting => self.send_hello(),
            Start::Command => self.send_starttls(),
        }
    }

    fn frame(&self, _: &[u8], last: Part<'_>) -> Frame {
        match last {
            Part::Nothing | Part::Line([b'2'..=b'5', b'0'..=b'9', b'0'..=b'9', b'-', ..]) => Frame::Line,
            _ => Frame::Whole,
        }
    }

    fn receive(&mut self, reply: &[u8]) -> Result<Step, Error> {
        let (code, text) = reply_status(reply).unwrap_or_default();
        match (self.awaiting, code) {
            (_, 421) | (Awaiting::Greeting, 400..=599) => Err(Error::Closing(refusal(code, text))),
            (_, 400..=599) => Ok(Step::Decline(Reason::Refused(refusal(code, text)))),
            _ if !is_text(reply) || !has_one_code(reply) => Err(Error::unexpected(reply)),
            (Awaiting::Greeting, 220) => Ok(self.send_hello()),
            (Awaiting::Hello, 250) => {
                // The first line is the server's name, which may be anything.
                let keywords = lines(reply).skip(1).map(|line| line.get(4..).unwrap_or_default());
                self.advertised = lists(keywords, b"STARTTLS");
                let declines = self.advertised == Some(false) && !self.options.insist;
                Ok(if declines { Step::Decline(Reason::NotAdvertised) } else { self.send_starttls() })
            }
            (Awaiting::StartTls, 220) => Ok(Step::Upgrade),
            _ => Err(Error::unexpected(reply)),
        }
    }

    fn awaiting(&self) -> &'static str {
        match self.awaiting {
            Awaiting::Greeting => "greeting",
            Awaiting::Hello => self.verb,
            Awaiting::StartTls => "STARTTLS",
        }
    }

    fn advertised(&self) -> Option<bool> {
        self.advertised
    }
}

/// Whether all lines of a reply have the code of the last.
fn has_one_code(reply: &[u8]) -> bool {
    let last = last_line(reply);
    lines(reply).all(|line| line.get(..3) == last.get(..3))
}

fn refusal(code: u16, text: &[u8]) -> Reply {
    Reply { code: Code::Number(code), text: Text::new(text.trim_ascii_end()), temporary: code < 500 }
}
