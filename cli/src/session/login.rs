//! A login over TLS. The password is sent to a server whose certificate is verified, and shown to nobody.

use std::env;
use std::fmt::{self, Display, Formatter};

use data_encoding::BASE64;
use serde::Serialize;
use starttls::{Escaped, Protocol};
use zeroize::Zeroizing;

use super::capabilities::{lists, offers};
use super::conversation::{self, Conversation};
use super::prompt;
use crate::failure::Error;
use crate::socket::Socket;

/// Where the password is looked for first.
const VARIABLE: &str = "STARTTLS_PASSWORD";

/// Who logs in. The password is wiped from memory in the end.
pub struct Credentials {
    user: String,
    password: Zeroizing<String>,
}

/// What came of a login.
#[derive(Debug, Serialize)]
pub struct Login {
    /// As the protocol spells it.
    pub mechanism: &'static str,
    pub accepted: bool,
    /// The last line of the server's, or why there is none. What it repeats of the password is left out.
    pub reply: String,
}

/// A request, and how a reply begins that lets the login go on.
type Step = (Zeroizing<String>, &'static str);

impl Credentials {
    /// This user, with the password of the environment, or else of who sits at the terminal.
    pub fn of(user: &str) -> Result<Self, Error> {
        let password = match env::var(VARIABLE) {
            Ok(password) => Zeroizing::new(password),
            Err(env::VarError::NotUnicode(_)) => {
                return Err(Error::Config(format!("the password in {VARIABLE} is not UTF-8")));
            }
            Err(env::VarError::NotPresent) => prompt::password(user).map_err(|error| {
                Error::Config(format!("there is no password: {error}; it is also taken from {VARIABLE}"))
            })?,
        };
        // Neither may end the line that it stands in, nor the field of RFC 4616.
        if [user, &*password].iter().any(|word| word.is_empty() || word.contains(['\0', '\r', '\n'])) {
            return Err(Error::Config("neither user nor password may be empty or hold NUL, CR or LF".to_owned()));
        }
        Ok(Self { user: user.to_owned(), password })
    }

    /// Whether the tool knows how to log in.
    pub fn fit(protocol: Option<Protocol>) -> bool {
        matches!(protocol, Some(Protocol::Smtp | Protocol::Imap | Protocol::Pop3))
    }

    /// What to say, and how that is called; or why nothing can be said.
    fn steps(&self, protocol: Protocol, offered: &[String]) -> Result<(&'static str, Vec<Step>), &'static str> {
        let Self { user, password } = self;
        let secret = |text: String| Zeroizing::new(text);
        let plain = self.plain();
        match protocol {
            // RFC 4954 §4
            Protocol::Smtp if offers(offered, "PLAIN") => {
                Ok(("AUTH PLAIN", vec![(secret(format!("AUTH PLAIN {}\r\n", *plain)), "235")]))
            }
            Protocol::Smtp => Err("the server does not offer AUTH PLAIN"),
            // RFC 9051 §6.2.2
            Protocol::Imap if offers(offered, "PLAIN") => {
                let command = secret("S2 AUTHENTICATE PLAIN\r\n".to_owned());
                Ok(("AUTHENTICATE PLAIN", vec![(command, "+"), (secret(format!("{}\r\n", *plain)), "S2 OK")]))
            }
            Protocol::Imap if lists(offered, "LOGINDISABLED") => Err("the server offers no login with a password"),
            // RFC 9051 §6.2.3: strings in quotes hold ASCII.
            Protocol::Imap if user.is_ascii() && password.is_ascii() => {
                let [user, password] = [user, &**password].map(|word| secret(quoted(word)));
                Ok(("LOGIN", vec![(secret(format!("S2 LOGIN {} {}\r\n", *user, *password)), "S2 OK")]))
            }
            Protocol::Imap => Err("the server offers LOGIN alone, in which user and password have to be ASCII"),
            // RFC 1939 §7
            Protocol::Pop3 if lists(offered, "USER") => {
                let steps = ["USER", "PASS"].into_iter().zip([user.as_str(), password]);
                Ok(("USER", steps.map(|(verb, word)| (secret(format!("{verb} {word}\r\n")), "+OK")).collect()))
            }
            _ => Err("the server does not offer USER and PASS"),
        }
    }

    /// The message of RFC 4616 §2, in base64.
    fn plain(&self) -> Zeroizing<String> {
        let message = Zeroizing::new(format!("\0{}\0{}", self.user, *self.password));
        Zeroizing::new(BASE64.encode(message.as_bytes()))
    }

    /// Logs in; or says why not.
    pub async fn log_in<S: Socket>(
        &self,
        protocol: Protocol,
        offered: &[String],
        conversation: &mut Conversation<'_, S>,
    ) -> Result<Login, &'static str> {
        let (mechanism, steps) = self.steps(protocol, offered)?;
        let mut login = Login { mechanism, accepted: false, reply: String::new() };
        for (request, yes) in steps {
            match conversation.ask(request.as_bytes()).await {
                Ok(reply) => {
                    login.accepted = reply.starts_with(yes.as_bytes());
                    login.reply = self.shown(&reply);
                }
                Err(error) => {
                    login = Login { mechanism, accepted: false, reply: conversation::words(&error) };
                }
            }
            if !login.accepted {
                break;
            }
        }
        Ok(login)
    }

    /// A reply, in which a server may repeat what it was told.
    fn shown(&self, reply: &[u8]) -> String {
        let plain = self.plain();
        let secrets = [&*plain, &*self.password].map(|secret| Zeroizing::new(Escaped(secret.as_bytes()).to_string()));
        let reply = Zeroizing::new(Escaped(reply.trim_ascii()).to_string());
        secrets.iter().fold((*reply).clone(), |reply, secret| reply.replace(&**secret, "(the password)"))
    }
}

/// A string in quotes (RFC 9051 §4.3).
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

impl Display for Login {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let verdict = if self.accepted { "accepted" } else { "REFUSED" };
        writeln!(f, "  Login by {}: {verdict}, {}", self.mechanism, self.reply)
    }
}
