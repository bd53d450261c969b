//! After TLS the protocol goes on: the client greets again, compares, and may log in.

pub mod active;
pub mod capabilities;
mod conversation;
mod login;
pub mod mysql;
mod prompt;
mod status;

use std::fmt::{self, Display, Formatter};
use std::time::Instant;

use serde::Serialize;
use starttls_smol::TlsStream;

use crate::bounded::{self, List};
use crate::finding::{Finding, Severity};
use crate::report::{Report, Turn};
use crate::socket::Socket;
use capabilities::{Listing, Refused, Speech};
use conversation::{Conversation, half};
pub use login::{Credentials, Login};

/// How the session went on within TLS.
#[derive(Debug, Serialize)]
pub struct Session {
    /// What the server listed in the clear, where anybody could have changed it; `None` if it was not asked.
    pub capabilities_before: Option<Vec<String>>,
    /// What it lists within TLS; `None` if it does not answer.
    pub capabilities_after: Option<Vec<String>>,
    /// Why not.
    pub error: Option<String>,
    /// `None` if none was tried.
    pub login: Option<Login>,
    /// How many entries of the two lists are left out.
    pub capabilities_omitted: usize,
}

/// Greets again on `stream`, whose handshake is complete, maybe logs in, and notes in the report what comes of it.
pub async fn resume<S: Socket>(
    speech: &Speech,
    credentials: Option<&Credentials>,
    stream: &mut TlsStream<S>,
    deadline: Instant,
    report: &mut Report,
) {
    let mut conversation = Conversation::new(stream, half(deadline));
    let before = speech.before(&report.cleartext.dialogue);
    let greeted = greet(speech, &mut conversation, &report.cleartext.dialogue).await;
    let (after, error) = match greeted {
        Ok(after) => (Some(after), None),
        Err(error) => (None, Some(error)),
    };
    if let Some(error) = &error {
        report.findings.push(Finding {
            severity: Severity::Warning,
            id: "no-session",
            message: format!("the server does not go on after TLS: {error}"),
            advice: "look into the server's log",
        });
    }
    if let (Some(after), Some(upgrade)) = (&after, speech.upgrade)
        && capabilities::lists(&after.entries, upgrade)
    {
        report.findings.push(Finding {
            severity: Severity::Warning,
            id: "offered-within-tls",
            message: format!("the server goes on listing {upgrade} within TLS"),
            advice: "update the server: its protocol forbids that, and clients may try to upgrade again",
        });
    }
    if let (Some(_), Some(said)) = (&after, conversation.unasked()) {
        report.findings.push(Finding {
            severity: Severity::Warning,
            id: "unasked",
            message: format!("the server says within TLS what it was not asked: {said}"),
            advice: "check with --active whether it keeps commands that somebody put behind ours in the clear",
        });
    }
    let login = match credentials {
        Some(credentials) => {
            conversation.until(deadline);
            log_in(speech, credentials, after.as_ref().map(|after| &after.entries[..]), &mut conversation, report).await
        }
        None => None,
    };
    let capabilities_omitted = [&before, &after].into_iter().flatten().map(|list| list.omitted).sum();
    let [capabilities_before, capabilities_after] = [before, after].map(|list| list.map(|list| list.entries));
    report.session = Some(Session { capabilities_before, capabilities_after, error, login, capabilities_omitted });
}

/// Logs in, if there is nothing against it. `offered` is what the server lists within TLS.
async fn log_in<S: Socket>(
    speech: &Speech,
    credentials: &Credentials,
    offered: Option<&[String]>,
    conversation: &mut Conversation<'_, S>,
    report: &mut Report,
) -> Option<Login> {
    let tried = match offered {
        _ if report.failure.is_some() => Err("the certificate is not verified"),
        None => Err("the server does not list what it offers"),
        Some(offered) => credentials.log_in(speech.protocol, offered, conversation).await,
    };
    let (id, message, advice) = match &tried {
        Ok(Login { accepted: true, .. }) => return tried.ok(),
        Ok(Login { reply, .. }) => {
            let advice = "check the user and the password, and look into the server's log";
            ("login-refused", format!("the server did not accept the login: {reply}"), advice)
        }
        Err(reason) => {
            let advice = "fix this first; the password is never sent otherwise";
            ("login-not-tried", format!("the password was not sent: {reason}"), advice)
        }
    };
    report.findings.push(Finding { severity: Severity::Critical, id, message, advice });
    tried.ok()
}

/// Asks for the capabilities, or awaits them where they come unasked.
async fn greet<S: Socket>(
    speech: &Speech,
    conversation: &mut Conversation<'_, S>,
    dialogue: &[Turn],
) -> Result<List, String> {
    let failed = |error| conversation::words(&error);
    let request = speech.request(dialogue);
    if !request.is_empty() {
        conversation.say(request).await.map_err(failed)?;
    }
    let mut listing = Listing::new(speech);
    loop {
        let unit = conversation.hear(listing.end()).await.map_err(failed)?;
        match listing.push(&unit) {
            Ok(false) => {}
            Ok(true) => return Ok(listing.capabilities),
            Err(Refused) => return Err(format!("it says {}", bounded::text(unit.trim_ascii()))),
        }
    }
}

/// Notes what the server offered before TLS that it should not have. `own` tells whether it is on this machine.
pub fn look_at_offers(speech: &Speech, own: bool, report: &mut Report) {
    let Some(before) = speech.before(&report.cleartext.dialogue) else { return };
    let bare = capabilities::bare_logins(speech.protocol, &before.entries);
    // What forbids a login may stand in what is left out.
    if bare.is_empty() || before.omitted + report.cleartext.dialogue_omitted > 0 {
        return;
    }
    let (severity, advice) = if own {
        (Severity::Info, "check from another machine: servers often take connections from their own for safe")
    } else {
        (Severity::Warning, "let the server offer logins within TLS alone: a client may try one before")
    };
    let message = format!("before TLS, the server offers us a login that shows the password: {}", bare.join(", "));
    report.findings.push(Finding { severity, id: "cleartext-login", message, advice });
}

impl Display for Session {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "Within TLS")?;
        match (&self.capabilities_before, &self.capabilities_after) {
            (_, None) => writeln!(f, "  {}", self.error.as_deref().unwrap_or("no answer"))?,
            (None, Some(after)) => lines(f, ' ', after.iter())?,
            (Some(before), Some(after)) => {
                let [gone, new] = [(before, after), (after, before)]
                    .map(|(these, those)| these.iter().filter(|one| !those.contains(one)).collect::<Vec<_>>());
                writeln!(f, "  ({} as before)", after.len() - new.len())?;
                lines(f, '-', gone.into_iter())?;
                lines(f, '+', new.into_iter())?;
            }
        }
        if self.capabilities_omitted > 0 {
            writeln!(f, "  ({} more capabilities are not shown)", self.capabilities_omitted)?;
        }
        if let Some(login) = &self.login {
            write!(f, "{login}")?;
        }
        writeln!(f)
    }
}

fn lines<'a>(f: &mut Formatter<'_>, mark: char, capabilities: impl Iterator<Item = &'a String>) -> fmt::Result {
    for capability in capabilities {
        writeln!(f, "  {mark} {capability}")?;
    }
    Ok(())
}
