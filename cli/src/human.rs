//! The report for a person: what was said and disclosed, what TLS there is, what was found, and one verdict.

use std::fmt::{self, Display, Formatter};

use starttls::{Escaped, Side};

use crate::bounded::and_more;
use crate::certificate::Certificate;
use crate::exposure::Exposure;
use crate::finding::Finding;
use crate::ocsp::Staple;
use crate::report::{Cleartext, Report, Tls, word};
use crate::verdict::{style, styled};
use crate::verify::days;

const WIDTH: usize = 80;

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let about = match (self.protocol, self.address) {
            (Some(protocol), Some(address)) => format!(": {protocol} at {address}"),
            _ => String::new(),
        };
        writeln!(f, "{}\n", wrapped("", &format!("{}{about}", self.target)))?;
        dialogue(f, &self.cleartext)?;
        exposure(f, &self.exposure)?;
        if let Some(tls) = &self.tls {
            connection(f, tls)?;
        }
        if let Some(session) = &self.session {
            write!(f, "{session}")?;
        }
        if let Some(active) = &self.active {
            write!(f, "{active}")?;
        }
        findings(f, &self.findings)?;
        self.end(f)
    }
}

impl Report {
    fn end(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (head, rest) = self.verdict();
        let text = wrapped("", &format!("{head}{rest}"));
        writeln!(f, "{}", styled(&text, head, style(self.exit_code())))?;
        if let Some(advice) = self.advice() {
            writeln!(f, "{}", wrapped("Try: ", &advice))?;
        }
        if let Some(result) = self.failure.as_ref().and_then(|failure| failure.tlsrpt) {
            writeln!(f, "In a TLS report (RFC 8460): {}", word(result))?;
        }
        let milliseconds = self.seconds * 1000.0;
        writeln!(f, "Round trips before TLS: {}; in all: {milliseconds:.0} ms", self.cleartext.round_trips)
    }
}

fn dialogue(f: &mut Formatter<'_>, cleartext: &Cleartext) -> fmt::Result {
    writeln!(f, "Plaintext dialogue")?;
    for turn in &cleartext.dialogue {
        for line in turn.lines() {
            writeln!(f, "{}", wrapped(&format!("  {}: ", turn.speaker()), &Escaped(line).to_string()))?;
        }
    }
    if cleartext.dialogue.is_empty() {
        writeln!(f, "  (not a word)")?;
    }
    if cleartext.dialogue_omitted > 0 {
        writeln!(f, "  ({} more bytes are not shown)", cleartext.dialogue_omitted)?;
    }
    writeln!(f)
}

fn exposure(f: &mut Formatter<'_>, exposure: &[Exposure]) -> fmt::Result {
    if exposure.is_empty() {
        return Ok(());
    }
    writeln!(f, "Disclosed before encryption")?;
    for shown in exposure {
        let by = if shown.by == Side::Client { "client" } else { "server" };
        writeln!(f, "{}", wrapped(&format!("  {by:<8}{:<18}", shown.what), &shown.value))?;
    }
    writeln!(f)
}

fn connection(f: &mut Formatter<'_>, tls: &Tls) -> fmt::Result {
    let key_exchange = tls.key_exchange.as_ref().map(|group| match (tls.post_quantum, group.starts_with("MLKEM")) {
        (false, _) => group.clone(),
        (true, false) => format!("{group}, post-quantum hybrid"),
        (true, true) => format!("{group}, post-quantum"),
    });
    writeln!(f, "TLS")?;
    field(f, "Version", tls.version.as_deref())?;
    field(f, "Cipher suite", tls.cipher_suite.as_deref())?;
    field(f, "Key exchange", key_exchange.as_deref())?;
    field(f, "Signature", tls.signature_scheme.as_deref())?;
    field(f, "ALPN", Some(tls.alpn.as_deref().unwrap_or_default()))?;
    field(f, "OCSP staple", Some(&tls.ocsp.as_ref().map(staple).unwrap_or_default()))?;
    for (number, shown) in tls.certificates.iter().enumerate() {
        writeln!(f, "\nCertificate {} of {}", number + 1, tls.certificates.len() + tls.certificates_omitted)?;
        certificate(f, shown)?;
    }
    if tls.certificates_omitted > 0 {
        writeln!(f, "\n({} more certificates are not shown)", tls.certificates_omitted)?;
    }
    match &tls.verify_error {
        None => writeln!(f, "\nVerification: good\n"),
        Some(error) => writeln!(f, "\n{}\n", wrapped("Verification: ", &format!("FAILED, {error}"))),
    }
}

fn staple(staple: &Staple) -> String {
    let status = staple.status.map_or("says nothing of this certificate", |status| status.word());
    format!("{status} ({} bytes, signature not verified)", staple.bytes)
}

fn certificate(f: &mut Formatter<'_>, certificate: &Certificate) -> fmt::Result {
    let validity = certificate.not_before.as_ref().zip(certificate.not_after.as_ref());
    let time = days(certificate.left.unsigned_abs());
    let expires = if certificate.left < 0 { format!("{time} ago") } else { format!("in {time}") };
    let bits = certificate.key_bits.map(|bits| format!(", {bits} bits")).unwrap_or_default();
    field(f, "Subject", certificate.subject.as_deref())?;
    field(f, "Issuer", certificate.issuer.as_deref())?;
    field(f, "Serial", certificate.serial.as_deref())?;
    field(f, "Valid", validity.map(|(from, to)| format!("{from} to {to}")).as_deref())?;
    field(f, "Expires", validity.map(|_| expires).as_deref())?;
    let names = certificate.names.join(", ") + &and_more(certificate.names_omitted);
    field(f, "Names", Some(&names))?;
    field(f, "Key", certificate.key.as_ref().map(|key| format!("{key}{bits}")).as_deref())?;
    field(f, "Signature", certificate.signature.as_deref())?;
    field(f, "SHA-256", Some(&certificate.sha256))?;
    field(f, "SPKI SHA-256", certificate.spki_sha256.as_deref())
}

fn findings(f: &mut Formatter<'_>, findings: &[Finding]) -> fmt::Result {
    if findings.is_empty() {
        return Ok(());
    }
    writeln!(f, "Findings")?;
    for finding in findings {
        let word = finding.severity.word();
        let message = wrapped(&format!("  {word:<10}"), &finding.message);
        writeln!(f, "{}", styled(&message, word, finding.severity.style()))?;
        writeln!(f, "{}", wrapped("            Try: ", finding.advice))?;
    }
    writeln!(f)
}

fn field(f: &mut Formatter<'_>, name: &str, value: Option<&str>) -> fmt::Result {
    let value = match value {
        None => "(unreadable)",
        Some("") => "(none)",
        Some(value) => value,
    };
    writeln!(f, "{}", wrapped(&format!("  {name:<14}"), value))
}

/// `text` behind `label`, broken at spaces where that is possible, its further lines indented as far.
fn wrapped(label: &str, text: &str) -> String {
    let room = WIDTH - label.len();
    let mut lines = label.to_owned();
    let mut rest = text;
    while let Some((end, next)) = rest.char_indices().nth(room) {
        let space = rest[..end].rfind(' ').filter(|&space| space > 0 && next != ' ');
        let (line, behind) = rest.split_at(space.unwrap_or(end));
        lines += &format!("{line}\n{:1$}", "", label.len().max(2));
        rest = behind.strip_prefix(' ').unwrap_or(behind);
    }
    lines + rest
}
