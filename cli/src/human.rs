//! The report for a person: what was said, what TLS there is, and one verdict, with what to do about it.

use std::fmt::{self, Display, Formatter};

use starttls::Escaped;

use crate::certificate::Certificate;
use crate::failure::{Failure, Kind, ResultType};
use crate::report::{Cleartext, Report, Tls};
use crate::verify::days;

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.target)?;
        if let (Some(protocol), Some(address)) = (self.protocol, self.address) {
            write!(f, ": {protocol} at {address}")?;
        }
        writeln!(f, "\n")?;
        dialogue(f, &self.cleartext)?;
        if let Some(tls) = &self.tls {
            connection(f, tls)?;
        }
        if let Some(session) = &self.session {
            write!(f, "{session}")?;
        }
        if let Some(active) = &self.active {
            write!(f, "{active}")?;
        }
        self.verdict(f)
    }
}

/// The report in a line or two: the verdict, and what to try.
pub struct Verdict<'a>(pub &'a Report);

impl Display for Verdict<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.verdict(f)
    }
}

impl Report {
    fn verdict(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = &self.server_name;
        let cost = format!("({} round trips before TLS, {:.0} ms)", self.cleartext.round_trips, self.seconds * 1000.0);
        let Some(failure) = &self.failure else {
            return writeln!(f, "UPGRADED, certificate verified for {name} {cost}");
        };
        match &self.tls {
            Some(_) => writeln!(f, "UPGRADED, certificate NOT VERIFIED for {name}: {} {cost}", failure.message)?,
            None => writeln!(f, "NOT UPGRADED at {}: {}", failure.stage, failure.message)?,
        }
        match self.advice(failure) {
            Some(advice) => writeln!(f, "Try: {advice}"),
            None => Ok(()),
        }
    }

    fn advice(&self, failure: &Failure) -> Option<String> {
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
                Some(ResultType::HostMismatch) => return Some(self.names_to_try()),
                Some(ResultType::NotTrusted) => {
                    "let the server send its whole chain; a private authority is trusted with --ca-file"
                }
                _ => "replace the certificate",
            },
        };
        Some(advice.to_owned())
    }

    fn names_to_try(&self) -> String {
        let names = self.tls.as_ref().and_then(|tls| tls.certificates.first()).map(|own| own.names.join(", "));
        match names.as_deref() {
            None | Some("") => format!("get a certificate for {}: this one holds no name", self.server_name),
            Some(names) => format!("get a certificate for {}, or give --server-name one of: {names}", self.server_name),
        }
    }
}

fn dialogue(f: &mut Formatter<'_>, cleartext: &Cleartext) -> fmt::Result {
    writeln!(f, "Plaintext dialogue")?;
    for turn in &cleartext.dialogue {
        for line in turn.text.split_inclusive(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\r\n").unwrap_or(line);
            writeln!(f, "  {}: {}", turn.speaker(), Escaped(line))?;
        }
    }
    if cleartext.dialogue.is_empty() {
        writeln!(f, "  (not a word)")?;
    }
    writeln!(f)
}

fn connection(f: &mut Formatter<'_>, tls: &Tls) -> fmt::Result {
    writeln!(f, "TLS")?;
    field(f, "Version", tls.version.as_deref())?;
    field(f, "Cipher suite", tls.cipher_suite.as_deref())?;
    field(f, "Key exchange", tls.key_exchange.as_deref())?;
    for (number, shown) in tls.certificates.iter().enumerate() {
        writeln!(f, "\nCertificate {} of {}", number + 1, tls.certificates.len())?;
        certificate(f, shown)?;
    }
    match &tls.verify_error {
        None => writeln!(f, "\nVerification: good\n"),
        Some(error) => writeln!(f, "\nVerification: FAILED, {error}\n"),
    }
}

fn certificate(f: &mut Formatter<'_>, certificate: &Certificate) -> fmt::Result {
    let validity = certificate.not_before.as_ref().zip(certificate.not_after.as_ref());
    let time = days(certificate.left.unsigned_abs());
    let left = if certificate.left < 0 { format!("expired {time} ago") } else { format!("{time} left") };
    let bits = certificate.key_bits.map(|bits| format!(", {bits} bits")).unwrap_or_default();
    field(f, "Subject", certificate.subject.as_deref())?;
    field(f, "Issuer", certificate.issuer.as_deref())?;
    field(f, "Valid", validity.map(|(from, to)| format!("{from} to {to}, {left}")).as_deref())?;
    field(f, "Names", Some(&certificate.names.join(", ")))?;
    field(f, "Key", certificate.key.as_ref().map(|key| format!("{key}{bits}")).as_deref())?;
    field(f, "SHA-256", Some(&certificate.sha256))
}

fn field(f: &mut Formatter<'_>, name: &str, value: Option<&str>) -> fmt::Result {
    let value = match value {
        None => "(unreadable)",
        Some("") => "(none)",
        Some(value) => value,
    };
    writeln!(f, "  {name:<14}{value}")
}
