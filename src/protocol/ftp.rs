//! FTP (RFC 959, RFC 2228, RFC 4217).
//!
//! ```text
//! S: 220 ftp.example ready          (behind a reply of 120, if it takes a while)
//! C: FEAT                           (only when asked to ask)
//! S: 211-Features:
//! S:  AUTH TLS
//! S: 211 End
//! C: AUTH TLS
//! S: 234 Proceed with negotiation
//! ```
//!
//! Only 234 is yes. A 334 is none: it says that more security data has to be exchanged first (RFC 2228 §5), of which TLS
//! has none.
//!
//! Replies of several lines go by RFC 959 §4.2: behind `234-` a line may hold anything, a code too, and the first that
//! begins with the same code and a space is the last. A 421 may come at any time, and ends the session.
//!
//! After TLS the client speaks first, and there is no second greeting. Before the first transfer it says `PBSZ 0` and
//! `PROT P` (RFC 4217 §9): until then the control connection alone is protected, and files and listings go in the clear.
//! The data connection has a TLS handshake of its own, for the same name, with the client as TLS client whoever opened
//! it; some servers (vsftpd, by default) refuse it unless it resumes the session of the control connection. USER and PASS
//! are said after TLS, not before.

use bytes::Bytes;

use super::{Knobs, Start, code, word};
use crate::wire::Lines;
use crate::{Code, Dialogue, Error, Reason, Reply, Step, Text};

/// The dialogue of an FTP client.
///
/// Refusals of AUTH: 4xx is temporary (431: a resource is lacking), 5xx is permanent (500, 502: unknown; 504: not this
/// mechanism; 534: against the policy). Any 4xx or 5xx in place of the greeting ends the session ([`Error::Closing`]); a
/// greeting of 230 is [`Reason::Preauthenticated`]. A server that will not answer FEAT is sent AUTH all the same.
#[derive(Debug)]
pub struct Ftp {
    knobs: Knobs,
    ssl: bool,
    awaiting: Awaiting,
    lines: Lines,
    /// The code of the reply whose last line is still to come.
    code: Option<u16>,
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
        Self {
            knobs: Knobs::default(),
            ssl: false,
            awaiting: Awaiting::Greeting,
            lines: Lines::default(),
            code: None,
            advertised: None,
        }
    }

    /// Sets where to start, whether to ask for the features, and whether to insist.
    #[must_use]
    pub fn knobs(self, knobs: Knobs) -> Self {
        Self { knobs, ..self }
    }

    /// Allows `AUTH SSL` when the server does not know `AUTH TLS` (500, 502, 504), as servers before RFC 4217 do not.
    ///
    /// What follows is TLS all the same. Such servers may take `PROT P` as said, and protect the data connection at once.
    #[must_use]
    pub fn or_ssl(self) -> Self {
        Self { ssl: true, ..self }
    }

    fn send_feat(&mut self) -> Bytes {
        self.awaiting = Awaiting::Feat;
        Bytes::from_static(b"FEAT\r\n")
    }

    fn send_auth_tls(&mut self) -> Bytes {
        self.awaiting = Awaiting::AuthTls;
        Bytes::from_static(b"AUTH TLS\r\n")
    }

    fn send_auth_ssl(&mut self) -> Bytes {
        self.awaiting = Awaiting::AuthSsl;
        Bytes::from_static(b"AUTH SSL\r\n")
    }

    /// Takes a whole line (RFC 959 §4.2).
    fn line(&mut self) -> Result<Step, Error> {
        let code = match (self.code, code(self.lines.line())) {
            (Some(first), Some((code, [b' ', ..]))) if first == code => code,
            (Some(_), _) => {
                if self.awaiting == Awaiting::Feat && is_auth_tls(self.lines.line()) {
                    self.advertised = Some(true);
                }
                self.lines.next();
                return Ok(Step::Next);
            }
            (None, Some((code, b"" | [b' ', ..]))) => code,
            (None, Some((code, [b'-', ..]))) => {
                self.code = Some(code);
                self.lines.next();
                return Ok(Step::Next);
            }
            (None, _) => return Err(self.unexpected()),
        };
        let step = self.reply(code);
        self.code = None;
        self.lines.clear();
        step
    }

    /// Takes a whole reply.
    fn reply(&mut self, code: u16) -> Result<Step, Error> {
        match (self.awaiting, code) {
            (Awaiting::Greeting, 120) => Ok(Step::Await),
            (Awaiting::Greeting, 220) if self.knobs.ask => Ok(Step::Send(self.send_feat())),
            (Awaiting::Greeting, 220) => Ok(Step::Send(self.send_auth_tls())),
            (Awaiting::Greeting, 230) => Ok(Step::Decline(Reason::Preauthenticated(Text::new(self.text())))),
            (_, 421) | (Awaiting::Greeting, 400..=599) => Err(Error::Closing(self.refusal(code))),
            (Awaiting::Feat, 211) => {
                let advertised = *self.advertised.get_or_insert(false);
                if advertised || self.knobs.insist {
                    Ok(Step::Send(self.send_auth_tls()))
                } else {
                    Ok(Step::Decline(Reason::NotAdvertised))
                }
            }
            (Awaiting::Feat, 400..=599) => {
                self.advertised = None;
                Ok(Step::Send(self.send_auth_tls()))
            }
            (Awaiting::AuthTls | Awaiting::AuthSsl, 234) => Ok(Step::Upgrade),
            (Awaiting::AuthTls, 500 | 502 | 504) if self.ssl => Ok(Step::Send(self.send_auth_ssl())),
            (Awaiting::AuthTls | Awaiting::AuthSsl, 400..=599) => {
                Ok(Step::Decline(Reason::Refused(self.refusal(code))))
            }
            _ => Err(self.unexpected()),
        }
    }

    fn text(&self) -> &[u8] {
        self.lines.reply().get(4..).unwrap_or_default().trim_ascii_end()
    }

    fn refusal(&self, code: u16) -> Reply {
        Reply { code: Code::Number(code), text: Text::new(self.text()), temporary: code < 500 }
    }

    fn unexpected(&self) -> Error {
        Error::Unexpected(Text::new(self.lines.reply().trim_ascii_end()))
    }
}

impl Default for Ftp {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether a line of the reply to FEAT, in its first 64 bytes, is ` AUTH TLS`, or has TLS in a list: ` AUTH SSL;TLS;`
/// (RFC 2389 §3.2, RFC 4217 §6).
fn is_auth_tls(line: &[u8]) -> bool {
    let Some((feature, mechanisms)) = line.strip_prefix(b" ").map(word) else { return false };
    let is_tls = |mechanism: &[u8]| mechanism.eq_ignore_ascii_case(b"TLS");
    feature.eq_ignore_ascii_case(b"AUTH") && mechanisms.split(|&byte| byte == b';' || byte == b' ').any(is_tls)
}

impl Dialogue for Ftp {
    fn open(&mut self) -> Step {
        match self.knobs.start {
            Start::Greeting => Step::More,
            Start::AfterGreeting if self.knobs.ask => Step::Send(self.send_feat()),
            Start::AfterGreeting | Start::Command => Step::Send(self.send_auth_tls()),
        }
    }

    fn receive(&mut self, byte: u8) -> Result<Step, Error> {
        if self.lines.push(byte) { self.line() } else { Ok(Step::More) }
    }

    fn skim(&mut self, input: &[u8]) -> usize {
        self.lines.skim(input)
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
