//! A result in zgrab2's layout, as far as rustls tells what stands in it. What it does not tell is left out.
//!
//! The names of a status are zgrab2's, and three more: `starttls-not-offered`, `starttls-refused`, `injected-data`.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES;
use serde::Serialize;
use starttls::{Escaped, Side};
use x509_parser::prelude::ASN1Time;

use super::input::Entry;
use crate::certificate::{self, rfc3339};
use crate::failure::{Failure, Kind};
use crate::report::{self, Report, Turn, suite_name};

#[derive(Serialize)]
pub struct Grab<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<&'a str>,
    /// Not zgrab2's: which target it is, for `--resume`.
    target: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<&'a str>,
    /// By protocol.
    data: BTreeMap<&'static str, Scan<'a>>,
}

#[derive(Serialize)]
struct Scan<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Dialogue<'a>>,
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// What the server said, and to what.
#[derive(Serialize)]
struct Dialogue<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    banner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ehlo: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    starttls: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_tls: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<Tls<'a>>,
    /// Not zgrab2's: how many bytes of the dialogue are left out.
    #[serde(skip_serializing_if = "is_zero")]
    dialogue_omitted: usize,
}

#[derive(Serialize)]
struct Tls<'a> {
    handshake_completed_successfully: bool,
    handshake_log: HandshakeLog<'a>,
}

#[derive(Serialize)]
struct HandshakeLog<'a> {
    server_hello: ServerHello<'a>,
    server_certificates: Certificates<'a>,
}

#[derive(Serialize)]
struct ServerHello<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<Named<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cipher_suite: Option<Named<'a>>,
}

#[derive(Serialize)]
struct Named<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
    name: &'a str,
    value: u16,
}

#[derive(Serialize)]
struct Certificates<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<Certificate<'a>>,
    chain: Vec<Certificate<'a>>,
    /// Not zgrab2's: how many are left out.
    #[serde(skip_serializing_if = "is_zero")]
    certificates_omitted: usize,
    validation: Validation<'a>,
}

#[derive(Serialize)]
struct Certificate<'a> {
    parsed: Parsed<'a>,
}

#[derive(Serialize)]
struct Parsed<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer_dn: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    validity: Option<Validity<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject_dn: Option<&'a str>,
    fingerprint_sha256: &'a str,
    names: &'a [String],
    /// Not zgrab2's: how many are left out.
    #[serde(skip_serializing_if = "is_zero")]
    names_omitted: usize,
}

#[derive(Serialize)]
struct Validity<'a> {
    start: &'a str,
    end: &'a str,
}

#[derive(Serialize)]
struct Validation<'a> {
    browser_trusted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    browser_error: Option<&'a str>,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl<'a> Grab<'a> {
    /// For a check that has just ended.
    pub fn new(entry: &'a Entry, report: &'a Report) -> Self {
        let target = entry.target.as_ref().ok();
        let host = target.map(|target| target.host.as_str());
        let typed: Option<IpAddr> = host.and_then(|host| host.parse().ok());
        let name = target.and_then(|target| target.server_name.as_deref());
        let scan = Scan {
            // zgrab2 counts the handshake, and leaves the certificate to `validation`.
            status: report.failure.as_ref().filter(|_| report.tls.is_none()).map_or("success", status),
            protocol: report.protocol,
            port: target.map(|target| target.port),
            result: (!report.cleartext.dialogue.is_empty()).then(|| Dialogue::new(report)),
            timestamp: began(report.seconds),
            error: report.failure.as_ref().map(|failure| failure.message.as_str()),
        };
        Self {
            ip: report.address.map(|address| address.ip()).or(typed),
            domain: name.or(host.filter(|_| typed.is_none())),
            target: &entry.text,
            tag: entry.tag.as_deref(),
            data: BTreeMap::from([(report.protocol.unwrap_or("starttls"), scan)]),
        }
    }
}

fn status(failure: &Failure) -> &'static str {
    match failure.kind {
        Kind::NotAdvertised => "starttls-not-offered",
        Kind::Refused => "starttls-refused",
        Kind::Injection => "injected-data",
        Kind::Preauth => "application-error",
        Kind::Protocol | Kind::Limit => "protocol-error",
        Kind::Timeout => "io-timeout",
        Kind::Closed => "connection-closed",
        Kind::Connect => match failure.unconnected {
            Some(io::ErrorKind::ConnectionRefused) => "connection-refused",
            Some(io::ErrorKind::TimedOut) => "connection-timeout",
            _ => "unknown-error",
        },
        Kind::Certificate | Kind::Tls => "handshake-error",
        Kind::Config => "invalid-inputs",
    }
}

/// When a check began that took so long.
fn began(seconds: f64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    ASN1Time::from_timestamp((now - seconds) as i64).map(rfc3339).unwrap_or_default()
}

impl<'a> Dialogue<'a> {
    fn new(report: &'a Report) -> Self {
        let turns = &report.cleartext.dialogue;
        let text = |turn: &Turn| Escaped(&turn.text).to_string();
        // What is no line is no banner.
        let greeting = turns.first().filter(|turn| turn.from == Side::Server && turn.text.ends_with(b"\n"));
        let reply_to = |command: &[u8]| {
            let asked = |turn: &Turn| {
                turn.from == Side::Client && turn.text.windows(command.len()).any(|window| window == command)
            };
            turns.windows(2).find(|turns| asked(&turns[0])).map(|turns| text(&turns[1]))
        };
        Self {
            banner: greeting.map(text),
            ehlo: reply_to(b"EHLO ").or_else(|| reply_to(b"LHLO ")),
            starttls: reply_to(b"STARTTLS\r\n").or_else(|| reply_to(b"STLS\r\n")),
            auth_tls: reply_to(b"AUTH TLS\r\n"),
            tls: report.tls.as_ref().map(Tls::new),
            dialogue_omitted: report.cleartext.dialogue_omitted,
        }
    }
}

impl<'a> Tls<'a> {
    fn new(tls: &'a report::Tls) -> Self {
        let mut certificates = tls.certificates.iter().map(Certificate::new);
        let suite = tls.cipher_suite.as_deref().and_then(|name| Some(Named::new(name, suite_number(name)?)));
        Self {
            handshake_completed_successfully: true,
            handshake_log: HandshakeLog {
                server_hello: ServerHello {
                    version: tls.version.as_deref().and_then(|name| Some(Named::new(name, version_number(name)?))),
                    cipher_suite: suite.map(|suite| Named { hex: Some(format!("{:#06X}", suite.value)), ..suite }),
                },
                server_certificates: Certificates {
                    certificate: certificates.next(),
                    chain: certificates.collect(),
                    certificates_omitted: tls.certificates_omitted,
                    validation: Validation {
                        browser_trusted: tls.verified,
                        browser_error: tls.verify_error.as_deref(),
                    },
                },
            },
        }
    }
}

impl<'a> Named<'a> {
    fn new(name: &'a str, value: u16) -> Self {
        Self { hex: None, name, value }
    }
}

fn version_number(name: &str) -> Option<u16> {
    match name {
        "TLSv1.2" => Some(0x0303),
        "TLSv1.3" => Some(0x0304),
        _ => None,
    }
}

fn suite_number(name: &str) -> Option<u16> {
    let mut suites = ALL_CIPHER_SUITES.iter().map(|suite| suite.suite());
    suites.find(|suite| suite_name(*suite) == name).map(u16::from)
}

impl<'a> Certificate<'a> {
    fn new(certificate: &'a certificate::Certificate) -> Self {
        let validity = certificate.not_before.as_deref().zip(certificate.not_after.as_deref());
        Self {
            parsed: Parsed {
                issuer_dn: certificate.issuer.as_deref(),
                validity: validity.map(|(start, end)| Validity { start, end }),
                subject_dn: certificate.subject.as_deref(),
                fingerprint_sha256: &certificate.sha256,
                names: &certificate.names,
                names_omitted: certificate.names_omitted,
            },
        }
    }
}
