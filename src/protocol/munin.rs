//! Munin, from the master to a node (the source of Munin: `Munin::Node::Server`, `Munin::Common::TLSServer`).

use bytes::Bytes;

use super::{Options, Start};
use crate::{Code, Dialogue, Error, Reason, Reply, Step, Text};

/// The dialogue of a Munin master.
///
/// A line that begins with `#` is a refusal, such as `# Unknown command`; `TLS MAYBE` is the end of the session
/// ([`Error::Closing`]), since there is no way back to plaintext. A node that lacks the library for TLS says nothing at
/// all: keep a deadline.
///
/// # The dialogue
///
/// ```text
/// S: # munin node at node.example
/// C: STARTTLS
/// S: TLS OK
/// ```
///
/// Lines end in LF. There is no list that would name STARTTLS.
///
/// `TLS MAYBE` is no yes: the node has no key. It has left plaintext all the same, and begins a TLS handshake as its
/// client, with the master as its server.
///
/// # After TLS
///
/// The client speaks first, there is no second banner, and `cap` is said again.
///
/// # Example
///
/// ```
/// use starttls::{Negotiation, protocol::Munin};
///
/// let mut negotiation = Negotiation::required(Munin::new());
/// negotiation.handle_input(b"# munin node at mail.example\n")?;
/// assert_eq!(negotiation.poll_transmit().unwrap(), b"STARTTLS\n"[..]);
/// negotiation.handle_input(b"TLS OK\n")?;
/// let upgrade: starttls::Upgrade = negotiation.finish()?;
/// # let _ = upgrade;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Munin {
    options: Options,
    awaiting: Awaiting,
}

#[derive(Clone, Copy, Debug, Default)]
enum Awaiting {
    #[default]
    Banner,
    StartTls,
}

impl Munin {
    /// A client: nothing has to be known about it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets where to start. There is nothing to ask, and nothing to insist on.
    #[must_use]
    pub fn options(self, options: Options) -> Self {
        Self { options, ..self }
    }

    fn send_starttls(&mut self) -> Step {
        self.awaiting = Awaiting::StartTls;
        Step::Send(Bytes::from_static(b"STARTTLS\n"))
    }
}

fn reply(code: &'static str, text: &[u8]) -> Reply {
    Reply { code: Code::Word(code), text: Text::new(text.trim_ascii_start()), temporary: false }
}

impl Dialogue for Munin {
    fn open(&mut self) -> Step {
        match self.options.start {
            Start::Greeting => Step::More,
            Start::AfterGreeting | Start::Command => self.send_starttls(),
        }
    }

    fn receive(&mut self, line: &[u8]) -> Result<Step, Error> {
        match (self.awaiting, line) {
            (Awaiting::Banner, [b'#', b' ', banner @ ..]) if banner.starts_with(b"munin node at ") => {
                Ok(self.send_starttls())
            }
            (Awaiting::Banner, [b'#', text @ ..]) => Err(Error::Closing(reply("#", text))),
            (Awaiting::StartTls, b"TLS OK") => Ok(Step::Upgrade),
            (Awaiting::StartTls, line) if line.eq_ignore_ascii_case(b"TLS MAYBE") => {
                Err(Error::Closing(reply("TLS MAYBE", b"")))
            }
            (Awaiting::StartTls, [b'#', text @ ..]) => Ok(Step::Decline(Reason::Refused(reply("#", text)))),
            _ => Err(Error::unexpected(line)),
        }
    }

    fn awaiting(&self) -> &'static str {
        match self.awaiting {
            Awaiting::Banner => "greeting",
            Awaiting::StartTls => "STARTTLS",
        }
    }
}
