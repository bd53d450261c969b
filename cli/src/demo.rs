//! Upgrades to one server of each protocol on this machine: replies from the transcripts, over real TCP and TLS.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::time::{Duration, Instant};

use starttls::{Negotiation, Protocol};
use starttls_replay::{Authority, Flaw, Server, Transcript, play};
use starttls_std::Upgrader;

use crate::failure::chain;
use crate::report::{Cleartext, Recording, Tls};
use crate::table::{Layout, table, terminal};

/// With its longest names the table stays within 120 columns.
const HEADER: [&str; 9] = [
    "Protocol",
    "Server",
    "Round\ntrips",
    "Bytes\nsent",
    "Bytes\nreceived",
    "TLS",
    "Cipher suite",
    "Key exchange",
    "Time",
];
/// Numbers stand on the right; at 80 columns it goes without cipher suite, bytes and key exchange.
const LAYOUT: Layout = Layout { right: &[2, 3, 4, 8], spare: &[6, 3, 4, 7] };

/// How the upgrades went.
#[derive(Default)]
pub struct Demo {
    upgrades: Vec<[String; HEADER.len()]>,
    pub failures: Vec<String>,
}

/// Upgrades to one server of each protocol, one after the other.
pub fn run() -> Demo {
    let mut demo = Demo::default();
    for protocol in Protocol::all() {
        match upgrade(protocol, Transcript::usual(protocol)) {
            Ok(row) => demo.upgrades.push(row),
            Err(error) => demo.failures.push(format!("{protocol}: {}", chain(&*error))),
        }
    }
    demo
}

/// One upgrade, as a row of the table.
fn upgrade(protocol: Protocol, transcript: Transcript) -> Result<[String; HEADER.len()], Box<dyn Error>> {
    let identity = transcript.identity();
    let name = transcript.server.clone().unwrap_or_default();
    let authority = Authority::default();
    let server_config = authority.server_config(Flaw::None);
    let server = Server::start(move |stream| play(stream, &transcript, server_config.clone()))?;

    let started = Instant::now();
    let recording = Recording::default();
    let upgrader = Upgrader::new(authority.client_config(), "localhost".try_into()?, Duration::from_secs(10));
    let mut upgrader = upgrader.tap(recording.tap());
    let mut stream = upgrader.connect(&server.address().ip().to_string(), server.address().port())?;
    let mut negotiation = Negotiation::required(protocol.dialogue(&identity)?);
    upgrader.negotiate(&mut stream, &mut negotiation)?;
    let cleartext = Cleartext::new(&negotiation, &recording);
    let stream = upgrader.handshake(stream, negotiation.finish()?)?;
    let time = started.elapsed();

    let tls = Tls::new(&stream.conn, None);
    Ok([
        protocol.to_string(),
        name,
        cleartext.round_trips.to_string(),
        cleartext.sent_bytes.to_string(),
        cleartext.received_bytes.to_string(),
        tls.version.unwrap_or_default().replace("TLSv", ""),
        tls.cipher_suite.unwrap_or_default(),
        tls.key_exchange.unwrap_or_default(),
        milliseconds(time),
    ])
}

/// As wide as its column, whatever the machine has to do besides.
fn milliseconds(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1000.0;
    if milliseconds < 100.0 { format!("{milliseconds:.1} ms") } else { format!("{milliseconds:.0} ms") }
}

impl Display for Demo {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", table(HEADER, &self.upgrades, &LAYOUT, terminal()))?;
        for failure in &self.failures {
            writeln!(f, "FAILED {failure}")?;
        }
        let (upgraded, all) = (self.upgrades.len(), self.upgrades.len() + self.failures.len());
        let shown = "on loopback and verified for localhost";
        writeln!(
            f,
            "{upgraded} of {all} upgraded {shown}.\nThe replies are those of the server named, or (of the specification)."
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_upgrade_is_told_with_its_reason() {
        let refusal = include_str!("../../tests/transcripts/smtp/postfix-broken-key.txt");
        let error = chain(&*upgrade(Protocol::Smtp, refusal.parse().unwrap()).unwrap_err());
        assert!(error.contains("STARTTLS: the server refused for now: 454"), "{error}");

        let demo = Demo { upgrades: Vec::new(), failures: vec![format!("smtp: {error}")] };
        let shown = demo.to_string();
        assert!(shown.contains("FAILED smtp: the negotiation failed at STARTTLS: the server refused"), "{shown}");
        assert!(shown.contains("0 of 1 upgraded"), "{shown}");
    }
}
