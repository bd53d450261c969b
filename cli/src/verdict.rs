//! The verdict on a check, and what to do about it.

use anstyle::{AnsiColor, Style};

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

    /// What to do about the failure. A wrong name is a finding, which has its own.
    pub fn advice(&self) -> Option<String> {
        let failure = self.failure.as_ref()?;
        let protocol = self.protocol.unwrap_or("the protocol");
        let advice = match failure.kind {
            // Their messages say what to change.
            Kind::Connect | Kind::Config => return None,
            Kind::NotAdvertised => {
                "check that TLS is configured on the server, and that no middlebox on the path removes STARTTLS"
            }
            Kind::Refused => {
                "look into the server's log: often it cannot read its certificate or key, or it limits its clients"
            }
            Kind::Injection => {
                "check again from another network: what stays comes from the server, what goes away from the path"
            }
            Kind::Preauth => "connect in a way that leaves the login to the client: a session is upgraded before it",
            Kind::Protocol | Kind::Limit => {
                return Some(format!("check that this port speaks {protocol}; --starttls names another protocol"));
            }
            Kind::Timeout => {
                return Some(format!(
                    "check that this port speaks {protocol}, and not TLS from the first byte; or a longer --timeout"
                ));
            }
            Kind::Closed => "look into the server's log: it may refuse this address, or expect TLS from the first byte",
            Kind::Tls => "check that the server has TLS 1.2 or 1.3, and look into its log",
            Kind::Certificate => match failure.tlsrpt {
                Some(ResultType::Expired) => "renew the certificate and reload the server",
                Some(ResultType::HostMismatch) => return None,
                Some(ResultType::NotTrusted) => {
                    "let the server send its whole chain; a private authority is trusted with --ca-file"
                }
                _ => "replace the certificate",
            },
        };
        Some(advice.to_owned())
    }
}

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
