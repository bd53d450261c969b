//! What is found in a finished check, beside its outcome. Each finding is one function, in the order of the report.

use starttls::Side;

use crate::arguments::TlsArguments;
use crate::bounded::{and_more, text};
use crate::certificate::Certificate;
use crate::failure::ResultType;
use crate::finding::{Finding, Severity};
use crate::ocsp::Status;
use crate::report::{Outcome, Report};
use crate::verdict::AGAIN;
use crate::verify::days;

/// How many names of a certificate a message has.
const NAMES: usize = 10;

/// What a server is held to.
pub struct Expected {
    warn_days: u32,
    crit_days: u32,
    /// Whether TLS 1.3 was offered.
    tls13: bool,
}

impl Expected {
    pub fn new(arguments: &TlsArguments) -> Self {
        Self { warn_days: arguments.warn_days, crit_days: arguments.crit_days, tls13: !arguments.tls12 }
    }
}

/// All that is found in this report.
pub fn of(report: &Report, expected: &Expected) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(stripping(report));
    findings.extend(tls12_only(report, expected));
    findings.extend(name_mismatch(report));
    findings.extend(revoked(report));
    findings.extend(near_expiry(report.certificates(), expected));
    for (number, certificate) in (1..).zip(report.certificates()) {
        findings.extend(weak_key(number, certificate));
        findings.extend(weak_signature(number, certificate));
    }
    findings.extend(chain_order(report.certificates()));
    match report.certificates_omitted() {
        0 => findings.extend(root_sent(report.certificates())),
        omitted => findings.push(long_chain(report.certificates().len(), omitted)),
    }
    findings
}

/// That STARTTLS is not offered proves nothing. These are signs that somebody has removed it.
fn stripping(report: &Report) -> Option<Finding> {
    let failure = report.failure.as_ref();
    let smtp = matches!(report.protocol, Some("smtp" | "lmtp"));
    let said = |sign: fn(&[u8]) -> bool| {
        let mut turns = report.cleartext.dialogue.iter().filter(|turn| turn.from == Side::Server);
        turns.any(|turn| turn.lines().any(sign))
    };
    let unlisted = report.cleartext.advertised == Some(false);
    // Other codes say that EHLO is known: RFC 5321 §4.2.4.
    let unknown = |reply: &&str| reply.starts_with("500") || reply.starts_with("502");
    let ehlo = failure.filter(|failure| failure.stage == "EHLO").and_then(|failure| failure.reply.as_deref());
    let (severity, message) = if smtp && report.outcome == Outcome::Plaintext && said(masked) {
        let message =
            "words of the server's replies are replaced by X or *, as middleboxes do: one may have been STARTTLS";
        (Severity::Critical, message)
    } else if unlisted && report.outcome == Outcome::Upgraded {
        (
            Severity::Warning,
            "the server upgrades, but does not list that it does: the entry may have been removed on the path",
        )
    } else if unlisted && said(leaves_no_login) {
        (
            Severity::Warning,
            "the server allows no login without TLS, and does not offer TLS: the offer may have been removed",
        )
    } else if ehlo.filter(unknown).is_some() && said(|line| has(line, b"ESMTP")) {
        (Severity::Warning, "the greeting says ESMTP, but EHLO is not known: a middlebox may have changed either")
    } else {
        return None;
    };
    Some(Finding { severity, id: "stripping", message: message.to_owned(), advice: AGAIN })
}

/// Whether a list of IMAP capabilities forbids LOGIN, and has no other way in.
fn leaves_no_login(line: &[u8]) -> bool {
    has(line, b"LOGINDISABLED") && !has(line, b" AUTH=")
}

/// Cisco's inspection of SMTP puts `250-XXXXXXXA` for a capability that it does not know, and for the greeting asterisks
/// that leave each 2 and 0 standing, which a frame of asterisks has none of.
fn masked(line: &[u8]) -> bool {
    let Some((code, text)) = line.split_at_checked(4) else { return false };
    let keyword = text.split(|&byte| byte == b' ').next().unwrap_or_default();
    let crossed_out = |word: &[u8]| word.len() >= 3 && word.iter().all(|&byte| byte == b'X');
    let starred = || text.iter().all(|byte| b"*20 ".contains(byte)) && has(text, b"***") && text.contains(&b'2');
    match code {
        [b'2', b'5', b'0', _] => keyword.split_last().is_some_and(|(_, word)| crossed_out(word)),
        b"220 " => starred(),
        _ => false,
    }
}

fn has(line: &[u8], word: &[u8]) -> bool {
    line.windows(word.len()).any(|window| window == word)
}

/// No more than information, since TLS 1.2 as rustls speaks it is not broken (RFC 9325 §3.1.1).
fn tls12_only(report: &Report, expected: &Expected) -> Option<Finding> {
    let version = report.tls.as_ref()?.version.as_deref()?;
    (version == "TLSv1.2" && expected.tls13).then(|| Finding {
        severity: Severity::Info,
        id: "tls1.2",
        message: "the server was offered TLS 1.3, and took 1.2: its certificate is sent in the clear".to_owned(),
        advice: "let the server speak TLS 1.3 as well",
    })
}

fn name_mismatch(report: &Report) -> Option<Finding> {
    let own = report.certificates().first()?;
    (report.failure.as_ref()?.tlsrpt == Some(ResultType::HostMismatch)).then(|| Finding {
        severity: Severity::Critical,
        id: "name-mismatch",
        message: match &own.names[..] {
            [] => format!("the certificate holds no name, so not {} either", report.server_name),
            names => {
                let shown = &names[..names.len().min(NAMES)];
                let more = and_more(names.len() - shown.len() + own.names_omitted);
                let (name, names) = (text(report.server_name.as_bytes()), shown.join(", "));
                format!("the certificate is not for {name}, but for {names}{more}")
            }
        },
        advice: "get a certificate that holds the name, or give --server-name one that it holds",
    })
}

/// The signature of the staple is not verified, but no server would make such a one up.
fn revoked(report: &Report) -> Option<Finding> {
    let staple = report.tls.as_ref()?.ocsp.as_ref()?;
    (staple.status == Some(Status::Revoked)).then(|| Finding {
        severity: Severity::Critical,
        id: "revoked",
        message: "the server staples the word that its own certificate is revoked".to_owned(),
        advice: "replace the certificate, and its key if that may be known",
    })
}

/// The certificate that expires next. One that has expired already has failed, or is not needed.
fn near_expiry(chain: &[Certificate], expected: &Expected) -> Option<Finding> {
    let numbered = (1..).zip(chain).filter_map(|(number, certificate)| Some((certificate.days_left?, number)));
    let (left, number) = numbered.filter(|(left, _)| *left >= 0).min()?;
    let severity = match left {
        left if left < expected.crit_days.into() => Severity::Critical,
        left if left < expected.warn_days.into() => Severity::Warning,
        _ => return None,
    };
    let left = days(left.unsigned_abs() * 86400);
    let message = format!("certificate {number} expires in {left}");
    Some(Finding { severity, id: "near-expiry", message, advice: "renew it, and reload the server" })
}

fn weak_key(number: u32, certificate: &Certificate) -> Option<Finding> {
    let key = certificate.weak_key()?;
    Some(Finding {
        severity: Severity::Critical,
        id: "weak-key",
        message: format!("the key of certificate {number} is weak: {key}"),
        advice: "replace it by one for a new key: ECDSA P-256, or RSA of 2048 bits and more",
    })
}

/// Nobody relies on the signature of a root.
fn weak_signature(number: u32, certificate: &Certificate) -> Option<Finding> {
    let signature = certificate.signature.as_ref().filter(|_| !certificate.self_issued())?;
    let name = signature.to_lowercase();
    ["md2", "md5", "sha1"].iter().any(|hash| name.contains(hash)).then(|| Finding {
        severity: Severity::Critical,
        id: "weak-signature",
        message: format!("the signature on certificate {number} can be forged: {signature}"),
        advice: "replace it by one that is signed with SHA-256 or better",
    })
}

/// Each certificate has to certify the one before it (RFC 5246 §7.4.2); that clients cope is a courtesy (RFC 8446 §4.4.2).
fn chain_order(chain: &[Certificate]) -> Option<Finding> {
    let number = chain.windows(2).position(|pair| pair[0].issuer != pair[1].subject)? + 2;
    Some(Finding {
        severity: Severity::Warning,
        id: "chain-order",
        message: format!("certificate {number} is not that of the issuer of the one before it"),
        advice: "send the server's own certificate first, and behind each that of its issuer",
    })
}

/// There is more than anybody needs.
fn long_chain(kept: usize, omitted: usize) -> Finding {
    Finding {
        severity: Severity::Warning,
        id: "long-chain",
        message: format!(
            "the server sends {} certificates, of which only the first {kept} are looked at",
            kept + omitted
        ),
        advice: "send the server's own certificate and its intermediates, and nothing else",
    }
}

fn root_sent(chain: &[Certificate]) -> Option<Finding> {
    let [_, .., last] = chain else { return None };
    last.self_issued().then(|| Finding {
        severity: Severity::Info,
        id: "root-sent",
        message: "the chain ends in its root, which a client has, or does not trust".to_owned(),
        advice: "leave the root out of the file of the chain",
    })
}
