//! A login over TLS. The password is sent only to a server whose certificate is verified. Nothing that the server says once
//! it knows the user or the password is shown, but the [`Status`] of its replies.

use std::env;
use std::fmt::{self, Display, Formatter};

use data_encoding::BASE64;
use serde::Serialize;
use starttls::Protocol;
use zeroize::Zeroizing;

use super::capabilities::{lists, offers};
use super::conversation::Conversation;
use super::prompt;
use super::status::Status;
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
    /// To the last request.
    pub reply: Status,
}

/// A request, and the status of the reply that lets the login go on.
type Step = (Zeroizing<String>, &'static str);

/// The tag of the request, where there are tags.
const TAG: &str = "S2";

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
                let command = secret(format!("{TAG} AUTHENTICATE PLAIN\r\n"));
                Ok(("AUTHENTICATE PLAIN", vec![(command, "+"), (secret(format!("{}\r\n", *plain)), "OK")]))
            }
            Protocol::Imap if lists(offered, "LOGINDISABLED") => Err("the server offers no login with a password"),
            // RFC 9051 §6.2.3: strings in quotes hold ASCII.
            Protocol::Imap if user.is_ascii() && password.is_ascii() => {
                let [user, password] = [user, &**password].map(|word| secret(quoted(word)));
                Ok(("LOGIN", vec![(secret(format!("{TAG} LOGIN {} {}\r\n", *user, *password)), "OK")]))
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
        let mut login = Login { mechanism, accepted: false, reply: Status::default() };
        for (request, yes) in steps {
            login.reply = match conversation.ask(request.as_bytes()).await {
                Ok(reply) => Status::of(protocol, TAG, &reply),
                Err(error) => Status::missing(&error),
            };
            login.accepted = login.reply.is(yes);
            if !login.accepted {
                break;
            }
        }
        Ok(login)
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
