//! The verdict on a check, and what to do about it.

use anstyle::{AnsiColor, Style};

use crate::certificate::Certificate;
use crate::failure::{Kind, ResultType};
use crate::finding::{Finding, Severity};
use crate::report::Report;
use crate::{CRITICAL, WARNING};

impl Report {
    /// What counts, which has the colour of the exit code, and the rest of the sentence.
    pub fn verdict(&self) -> (&'static str, String) {
        let name = &self.server_name;
        match (&self.failure, &self.tls) {
            (None, _) => {
                let rest = format!(" for {name}{}", with(&self.findings));
                ("UPGRADED, certificate verified", rest)
            }
            (Some(failure), Some(_)) => {
                let rest = format!(" for {name}: {}", failure.message);
                ("UPGRADED, certificate NOT VERIFIED", rest)
            }
            (Some(failure), None) => ("NOT UPGRADED", format!(" at {}: {}", failure.stage, failure.message)),
        }
    }

    /// What to do about the failure, if something follows from what is known. A wrong name is a finding, which has its own.
    pub fn advice(&self) -> Option<String> {
        let failure = self.failure.as_ref()?;
        let protocol = self.protocol.unwrap_or("the protocol");
        // One that has answered as the protocol has it speaks it.
        let speaks = self.cleartext.round_trips > 0;
        let advice = match failure.kind {
            // Their messages say all that there is to say.
            Kind::Connect | Kind::Config | Kind::Limit => return None,
            Kind::NotAdvertised => "check that TLS is enabled on the server",
            Kind::Refused if self.cleartext.advertised == Some(true) => {
                "look into the server's log for why it offers TLS and then refuses it"
            }
            Kind::Refused => "look into the server's log for why it refuses",
            Kind::Injection => AGAIN,
            Kind::Preauth => {
                "use a connection on which the server does not log the client in by itself: TLS comes first"
            }
            Kind::Protocol if speaks => return None,
            Kind::Protocol => {
                return Some(format!("check that this port speaks {protocol}; --starttls names another protocol"));
            }
            Kind::Timeout if speaks || self.implicit => "try a longer --timeout, or look into the server's log",
            Kind::Timeout => {
                return Some(format!(
                    "check that this port speaks {protocol}, and not TLS from the first byte; or a longer --timeout"
                ));
            }
            Kind::Closed if self.cleartext.received_bytes > 0 || self.implicit => "look into the server's log",
            Kind::Closed => {
                return Some(format!(
                    "check that this port speaks {protocol}, and not TLS from the first byte; or look into the server's log"
                ));
            }
            Kind::Tls => "look into the server's log",
            Kind::Certificate => match failure.tlsrpt {
                Some(ResultType::Expired) => return self.expired(),
                Some(ResultType::HostMismatch) => return None,
                Some(ResultType::NotTrusted) => {
                    "let the server send all intermediates; a private authority is trusted with --ca-file"
                }
                _ => "replace the certificate",
            },
        };
        Some(advice.to_owned())
    }

    /// What to do about the first certificate that has expired. There is none if a trusted one has.
    fn expired(&self) -> Option<String> {
        let expired = |certificate: &Certificate| certificate.days_left.is_some_and(|_| certificate.left < 0);
        Some(match self.certificates().iter().position(expired)? {
            0 => "renew the certificate and reload the server".to_owned(),
            number => format!("replace certificate {} of the chain, which has expired, on the server", number + 1),
        })
    }
}

/// What to do to tell the server from the path to it.
pub const AGAIN: &str =
    "check again from another network: if it is still so, it comes from the server, and else from the path";

/// How many findings make the exit code what it is.
fn with(findings: &[Finding]) -> String {
    let worst = findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Info);
    let count = findings.iter().filter(|finding| finding.severity == worst).count();
    let what = match worst {
        Severity::Info => return String::new(),
        Severity::Warning => "warning",
        Severity::Critical => "critical finding",
    };
    format!(", with {count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The colour of an exit code, for light and dark backgrounds: yellow on white cannot be read, so it is the background.
pub fn style(code: u8) -> Style {
    match code {
        0 => AnsiColor::Green.on_default(),
        WARNING => AnsiColor::Black.on(AnsiColor::Yellow),
        _ => AnsiColor::Red.on_default(),
    }
}

/// `text` with the first `words` of it in this style.
pub fn styled(text: &str, words: &str, style: Style) -> String {
    text.replacen(words, &format!("{style}{words}{style:#}"), 1)
}

impl Severity {
    pub fn word(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "WARNING",
            Severity::Critical => "CRITICAL",
        }
    }

    pub fn style(self) -> Style {
        match self {
            Severity::Info => Style::new(),
            Severity::Warning => style(WARNING),
            Severity::Critical => style(CRITICAL),
        }
    }
}
