//! FTP (RFC 959, RFC 2228, RFC 4217).

use bytes::Bytes;

use super::{Options, Start, code, is_text, last_line, lines, reply_status, word};
use crate::{Code, Dialogue, Error, Frame, Part, Reason, Reply, Step, Text};

/// The dialogue of an FTP client.
///
/// Refusals of AUTH: 4xx is temporary (431: a resource is lacking), 5xx is permanent (500, 502: unknown; 504: not this
/// mechanism; 534: against the policy). Any 4xx or 5xx in place of the greeting ends the session ([`Error::Closing`]); a
/// greeting of 230 is [`Reason::Preauthenticated`]. A server that will not answer FEAT is sent AUTH all the same.
///
/// # The dialogue
///
/// ```text
/// S: 220 ftp.example ready          (behind a reply of 120, if it takes a while)
/// C: FEAT                           (only when asked to ask)
/// S: 211-Features:
/// S:  AUTH TLS
/// S: 211 End
/// C: AUTH TLS
/// S: 234 Proceed with negotiation
/// ```
///
/// Only 234 is yes. A 334 is none: it says that more security data has to be exchanged first (RFC 2228 §5), of which TLS
/// has none.
///
/// Replies of several lines go by RFC 959 §4.2: behind `234-` a line may hold anything, and the first that begins with the same
/// code and a space is the last. So is one that begins with a 4xx or 5xx and a space: some servers greet with `220-`, and turn the
/// client away with `421` in the next line. A 421 may come at any time, and ends the session.
///
/// The reply to FEAT lists the features, each behind a space (RFC 2389 §3.2). If it is of another form, or has AUTH without a
/// mechanism (RFC 4217 §6), AUTH TLS is sent all the same.
///
/// # After TLS
///
/// The client speaks first, and there is no second greeting. Before the first transfer it says `PBSZ 0` and
/// `PROT P` (RFC 4217 §9): until then the control connection alone is protected, and files and listings go in the clear.
/// The data connection has a TLS handshake of its own, for the same name, with the client as TLS client whoever opened
/// it; some servers (vsftpd, by default) refuse it unless it resumes the session of the control connection. USER and PASS
/// are said after TLS, not before.
///
/// # Example
///
/// ```
/// use starttls::{Negotiation, protocol::Ftp};
///
/// let mut negotiation = Negotiation::required(Ftp::new());
/// negotiation.handle_input(b"220 (vsFTPd 3.0.3)\r\n")?;
/// assert_eq!(negotiation.poll_transmit().unwrap(), b"AUTH TLS\r\n"[..]);
/// negotiation.handle_input(b"234 Proceed with negotiation.\r\n")?;
/// let upgrade: starttls::Upgrade = negotiation.finish()?;
/// # let _ = upgrade;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Ftp {
    options: Options,
    ssl: bool,
    awaiting: Awaiting,
    advertised: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Awaiting {
    Greeting,
    Feat,
    AuthTls,
    AuthSsl,
}

impl Ftp {
    /// A client: nothing has to be known about it.
    pub fn new() -> Self {
        Self { options: Options::default(), ssl: false, awaiting: Awaiting::Greeting, advertised: None }
    }

    /// Sets where to start, whether to ask for the features, and whether to insist.
    #[must_use]
    pub fn options(self, options: Options) -> Self {
        Self { options, ..self }
    }

    /// Allows `AUTH SSL` when the server does not know `AUTH TLS` (500, 502, 504), as servers before RFC 4217 do not.
    ///
    /// What follows is TLS all the same. Such servers may take `PROT P` as said, and protect the data connection at once.
    #[must_use]
    pub fn or_ssl(self) -> Self {
        Self { ssl: true, ..self }
    }

    fn send_feat(&mut self) -> Step {
        self.awaiting = Awaiting::Feat;
        Step::Send(Bytes::from_static(b"FEAT\r\n"))
    }

    fn send_auth_tls(&mut self) -> Step {
        self.awaiting = Awaiting::AuthTls;
        Step::Send(Bytes::from_static(b"AUTH TLS\r\n"))
    }

    fn send_auth_ssl(&mut self) -> Step {
        self.awaiting = Awaiting::AuthSsl;
        Step::Send(Bytes::from_static(b"AUTH SSL\r\n"))
    }
}

impl Default for Ftp {
    fn default() -> Self {
        Self::new()
    }
}

impl Dialogue for Ftp {
    fn open(&mut self) -> Step {
        match self.options.start {
            Start::Greeting => Step::More,
            Start::AfterGreeting if self.options.ask => self.send_feat(),
            Start::AfterGreeting | Start::Command => self.send_auth_tls(),
        }
    }

    fn frame(&self, reply: &[u8], last: Part<'_>) -> Frame {
        match (code(reply), last) {
            (Some((first, [b'-', ..])), Part::Line(line)) => match code(line) {
                Some((code, [b' ', ..])) if code == first || matches!(code, 400..=599) => Frame::Whole,
                _ => Frame::Line,
            },
            _ => Frame::line(last),
        }
    }

    fn receive(&mut self, reply: &[u8]) -> Result<Step, Error> {
        let (code, text) = reply_status(reply).unwrap_or_default();
        match (self.awaiting, code) {
            (Awaiting::Greeting, 120) => Ok(Step::Await),
            (Awaiting::Greeting, 220) if self.options.ask => Ok(self.send_feat()),
            (Awaiting::Greeting, 220) => Ok(self.send_auth_tls()),
            (Awaiting::Greeting, 230) => Ok(Step::Decline(Reason::Preauthenticated(Text::new(text)))),
            (_, 421) | (Awaiting::Greeting, 400..=599) => Err(Error::Closing(refusal(code, text))),
            (Awaiting::Feat, 211) => {
                self.advertised = lists_auth_tls(reply);
                let declines = self.advertised == Some(false) && !self.options.insist;
                Ok(if declines { Step::Decline(Reason::NotAdvertised) } else { self.send_auth_tls() })
            }
            (Awaiting::Feat, 400..=599) => Ok(self.send_auth_tls()),
            (Awaiting::AuthTls | Awaiting::AuthSsl, 234) if is_text(reply) => Ok(Step::Upgrade),
            (Awaiting::AuthTls, 500 | 502 | 504) if self.ssl => Ok(self.send_auth_ssl()),
            (Awaiting::AuthTls | Awaiting::AuthSsl, 400..=599) => {
                Ok(Step::Decline(Reason::Refused(refusal(code, text))))
            }
            _ => Err(Error::unexpected(reply)),
        }
    }

    fn awaiting(&self) -> &'static str {
        match self.awaiting {
            Awaiting::Greeting => "greeting",
            Awaiting::Feat => "FEAT",
            Awaiting::AuthTls => "AUTH TLS",
            Awaiting::AuthSsl => "AUTH SSL",
        }
    }

    fn advertised(&self) -> Option<bool> {
        self.advertised
    }
}

/// Whether the reply to FEAT has ` AUTH TLS`, or TLS in a list: ` AUTH SSL;TLS;` (RFC 2389 §3.2, RFC 4217 §6). `None` if it has not,
/// but is not understood as a whole.
fn lists_auth_tls(reply: &[u8]) -> Option<bool> {
    let mut listed = Some(false);
    for line in lines(reply).skip(1).take_while(|line| *line != last_line(reply)) {
        match line.strip_prefix(b" ").map(word) {
            Some((feature, mechanisms)) if feature.eq_ignore_ascii_case(b"AUTH") => {
                let is_tls = |mechanism: &[u8]| mechanism.eq_ignore_ascii_case(b"TLS");
                if mechanisms.split(|&byte| byte == b';' || byte == b' ').any(is_tls) {
                    return Some(true);
                }
                listed = listed.filter(|_| !mechanisms.is_empty());
            }
            Some((feature @ [_, ..], _)) if feature.iter().all(u8::is_ascii_graphic) => {}
            _ => listed = None,
        }
    }
    listed
}

fn refusal(code: u16, text: &[u8]) -> Reply {
    Reply { code: Code::Number(code), text: Text::new(text.trim_ascii_end()), temporary: code < 500 }
}
