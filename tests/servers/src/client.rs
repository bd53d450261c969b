//! What is tried against the servers.

use std::io::{Read, Write};
use std::process::Command;
use std::time::Duration;

use rustls::CertificateError;
use rustls::pki_types::ServerName;
use serde_json::Value;
use starttls::protocol::{Client, Options};
use starttls::{Escaped, Negotiation, Protocol, Reason};
use starttls_replay::client;
use starttls_std::{Error, Upgrader};

use crate::case::{Case, Offer, Outcome, Verdict};
use crate::{Result, Setting};

/// A report of the tool's, and what is in it.
pub struct Report {
    /// As it was printed.
    pub json: Value,
    /// What it means.
    pub verdict: Verdict,
}

/// Runs the tool, and reads the report that it prints.
pub fn tool(case: &Case, setting: &Setting) -> Result<Verdict> {
    Ok(report(&mut command(case.protocol, case.port, setting))?.verdict)
}

/// What has a self-test.
const TESTED: [&str; 7] = ["smtp", "lmtp", "imap", "pop3", "nntp", "ftp", "sieve"];

/// Has the tool test a server for faults that none of these has; nothing for other cases than those in which all is well.
pub fn self_test(case: &Case, setting: &Setting) -> Option<Result<Verdict>> {
    let tested = || {
        let Report { json, verdict } = report(command(case.protocol, case.port, setting).arg("--active"))?;
        let [pipelined, second] = ["pipelined", "second_starttls"].map(|field| json["active"][field].as_str());
        match (pipelined, second) {
            // It asks for the capabilities, which takes a round trip more.
            (Some("discarded" | "refused"), Some("refused")) => Ok(Verdict { round_trips: None, ..verdict }),
            _ => Err(format!("{pipelined:?}, {second:?}: {json}").into()),
        }
    };
    (case.offer == Offer::Good && TESTED.contains(&case.protocol)).then(tested)
}

/// A check of the server at this port.
pub fn command(protocol: &str, port: u16, setting: &Setting) -> Command {
    // Its own deadline is ten seconds; should it fail to keep that, the suite goes on.
    let mut command = Command::new("timeout");
    command
        .arg("30")
        .arg(&setting.tool)
        .args(["check", "--json", "--name", "client.example", "--server-name", "localhost", "--timeout", "10"])
        .arg("--ca-file")
        .arg(setting.authority.ca())
        .arg(format!("{protocol}://127.0.0.1:{port}"));
    command
}

/// Runs a check.
pub fn report(command: &mut Command) -> Result<Report> {
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let unreadable =
        || format!("{}, unexpected report: {text}{}", output.status, String::from_utf8_lossy(&output.stderr));
    let json: Value = serde_json::from_str(&text).map_err(|_| unreadable())?;
    let failure = &json["failure"];
    let outcome = match (json["outcome"].as_str(), failure["kind"].as_str(), json["tls"]["verified"].as_bool()) {
        (Some("upgraded"), None, Some(true)) => Outcome::Verified,
        (Some("upgraded"), Some("certificate"), Some(false)) => {
            Outcome::Unverified(failure["tlsrpt"].as_str().ok_or_else(unreadable)?.into())
        }
        (Some("failed" | "plaintext"), Some(kind), None) => Outcome::Failed(kind.into()),
        _ => return Err(unreadable().into()),
    };
    let round_trips = json["cleartext"]["round_trips"].as_i64();
    let exit = output.status.code().map(Into::into);
    Ok(Report { json, verdict: Verdict { outcome, round_trips, exit } })
}

/// Upgrades with the blocking transport, and says a word over TLS.
pub fn library(case: &Case, setting: &Setting) -> Result<Verdict> {
    let protocol: Protocol = case.protocol.parse()?;
    let client = Client { domain: "localhost", ..client(Options::default()) };
    let mut negotiation = Negotiation::required(protocol.dialogue(&client)?);
    let config = setting.authority.client_config();
    let mut upgrader = Upgrader::new(config, ServerName::try_from("localhost")?, Duration::from_secs(10));
    let mut stream = upgrader.connect("127.0.0.1", case.port)?;
    let negotiated = upgrader.negotiate(&mut stream, &mut negotiation);
    let round_trips = Some(negotiation.round_trips().into());
    let outcome = match negotiated {
        Err(Error::Negotiation { source: starttls::Error::Declined(Reason::NotAdvertised), .. }) => {
            Outcome::Failed("not-advertised".into())
        }
        Err(Error::Negotiation { source: starttls::Error::Declined(Reason::Refused(_)), .. }) => {
            Outcome::Failed("refused".into())
        }
        Err(Error::Negotiation { source: starttls::Error::Closing(_), .. }) => Outcome::Failed("refused".into()),
        Err(error) => return Err(error.into()),
        Ok(()) => match upgrader.handshake(stream, negotiation.finish()?) {
            Ok(mut tls) => {
                let [word, answer] = case.word();
                tls.write_all(word.as_bytes())?;
                let mut said = vec![0; answer.len()];
                tls.read_exact(&mut said)?;
                if said != answer.as_bytes() {
                    return Err(format!("over TLS it said {}", Escaped(&said)).into());
                }
                Outcome::Verified
            }
            Err(Error::Tls(rustls::Error::InvalidCertificate(error))) => Outcome::Unverified(
                match error {
                    CertificateError::ExpiredContext { .. } => "certificate-expired",
                    CertificateError::NotValidForNameContext { .. } => "certificate-host-mismatch",
                    CertificateError::UnknownIssuer => "certificate-not-trusted",
                    _ => return Err(error.to_string().into()),
                }
                .into(),
            ),
            Err(error) => return Err(error.into()),
        },
    };
    Ok(Verdict { outcome, round_trips, exit: None })
}
