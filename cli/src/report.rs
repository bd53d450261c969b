//! The report of one check. Names and order of the fields are those of its JSON, which is a contract.

use std::mem;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::{CipherSuite, ClientConnection, SignatureScheme};
use serde::{Serialize, Serializer};
use starttls::{Dialogue, Escaped, Negotiation, Protocol, Required, Side};

use crate::bounded::{self, DIALOGUE};
use crate::certificate::Certificate;
use crate::exposure::Exposure;
use crate::failure::{Error, Failure, Kind};
use crate::finding::{Finding, Severity};
use crate::ocsp::Staple;
use crate::session::Session;
use crate::session::active::Active;
use crate::verify::{self, Recorder};
use crate::{CRITICAL, UNKNOWN, WARNING};

/// All that was found out about one target. What the peer had a hand in is escaped, or gets so on its way out.
#[derive(Debug, Serialize)]
pub struct Report {
    /// As it was typed.
    pub target: String,
    /// `None` if the target does not tell.
    pub protocol: Option<&'static str>,
    pub address: Option<SocketAddr>,
    pub outcome: Outcome,
    pub failure: Option<Failure>,
    pub cleartext: Cleartext,
    pub tls: Option<Tls>,
    /// From the start of the name resolution to the end of the handshake.
    pub seconds: f64,
    pub findings: Vec<Finding>,
    /// Whether there was to be TLS from the first byte.
    pub implicit: bool,
    /// `None` without TLS, if it was not to go on, or if the protocol has no list of capabilities in text.
    pub session: Option<Session>,
    /// `None` unless the self-test was asked for, and there is one.
    pub active: Option<Active>,
    /// What either side disclosed before encryption.
    pub exposure: Vec<Exposure>,
    /// The name that the certificate was held against.
    #[serde(skip)]
    pub server_name: String,
    /// What the server showed in a handshake that failed, and how many certificates are left out.
    #[serde(skip)]
    pub refused: (Vec<Certificate>, usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The TLS handshake was completed, whatever the certificate.
    Upgraded,
    /// The server declined, and kept to its protocol.
    Plaintext,
    Failed,
}

#[derive(Debug, Default, Serialize)]
pub struct Cleartext {
    pub round_trips: u32,
    pub sent_bytes: usize,
    pub received_bytes: usize,
    /// `None` if the server has not listed its capabilities.
    pub advertised: Option<bool>,
    pub dialogue: Vec<Turn>,
    /// How many bytes of the dialogue are left out.
    pub dialogue_omitted: usize,
}

/// What one side said before the other answered.
#[derive(Debug, Serialize)]
pub struct Turn {
    #[serde(serialize_with = "side")]
    pub from: Side,
    #[serde(serialize_with = "escaped")]
    pub text: Vec<u8>,
}

#[derive(Debug, Serialize)]
pub struct Tls {
    pub version: Option<String>,
    pub cipher_suite: Option<String>,
    pub key_exchange: Option<String>,
    pub verified: bool,
    pub verify_error: Option<String>,
    /// As the server sent them, its own first.
    pub certificates: Vec<Certificate>,
    /// Whether the key exchange withstands a quantum computer.
    pub post_quantum: bool,
    /// What the server signed the handshake with.
    pub signature_scheme: Option<String>,
    pub alpn: Option<String>,
    pub ocsp: Option<Staple>,
    /// How many certificates are left out.
    pub certificates_omitted: usize,
}

impl Report {
    /// The report of a check that has not come to anything yet.
    pub fn new(target: &str, protocol: Option<Protocol>) -> Self {
        Self {
            target: Escaped(target.as_bytes()).to_string(),
            protocol: protocol.map(Protocol::name),
            address: None,
            outcome: Outcome::Failed,
            failure: None,
            cleartext: Cleartext::default(),
            tls: None,
            seconds: 0.0,
            findings: Vec::new(),
            implicit: false,
            session: None,
            active: None,
            exposure: Vec::new(),
            server_name: String::new(),
            refused: Default::default(),
        }
    }

    /// The report of a check that never began.
    pub fn failed(target: &str, protocol: Option<Protocol>, error: Error) -> Self {
        let mut report = Self::new(target, protocol);
        report.fail(error);
        report
    }

    /// Ends the check with this error.
    pub fn fail(&mut self, error: Error) {
        self.outcome = error.outcome();
        self.failure = Some(error.into());
    }

    /// What the server showed, its own first.
    pub fn certificates(&self) -> &[Certificate] {
        self.tls.as_ref().map_or(&self.refused.0, |tls| &tls.certificates)
    }

    /// How many certificates it showed beyond these.
    pub fn certificates_omitted(&self) -> usize {
        self.tls.as_ref().map_or(self.refused.1, |tls| tls.certificates_omitted)
    }

    pub fn exit_code(&self) -> u8 {
        match self.failure.as_ref().map(|failure| failure.kind) {
            Some(Kind::Connect | Kind::Config) => UNKNOWN,
            Some(_) => CRITICAL,
            None => match self.findings.iter().map(|finding| finding.severity).max() {
                None | Some(Severity::Info) => 0,
                Some(Severity::Warning) => WARNING,
                Some(Severity::Critical) => CRITICAL,
            },
        }
    }
}

/// The dialogue as it goes on: the beginning of it, whatever else is said.
#[derive(Debug, Default)]
pub struct Recording(Arc<Mutex<Cleartext>>);

impl Recording {
    /// What notes it.
    pub fn tap(&self) -> impl FnMut(Side, &[u8]) + Send + 'static {
        let recorded = self.0.clone();
        move |side, bytes| recorded.lock().unwrap_or_else(PoisonError::into_inner).add(side, bytes)
    }
}

impl Cleartext {
    /// What was recorded, once the negotiation is over.
    pub fn new<D: Dialogue>(negotiation: &Negotiation<D, Required>, recording: &Recording) -> Self {
        let recorded = mem::take(&mut *recording.0.lock().unwrap_or_else(PoisonError::into_inner));
        Self { round_trips: negotiation.round_trips(), advertised: negotiation.advertised(), ..recorded }
    }

    fn add(&mut self, from: Side, bytes: &[u8]) {
        let kept = &bytes[..bytes.len().min(DIALOGUE.saturating_sub(self.sent_bytes + self.received_bytes))];
        match from {
            Side::Client => self.sent_bytes += bytes.len(),
            Side::Server => self.received_bytes += bytes.len(),
        }
        self.dialogue_omitted += bytes.len() - kept.len();
        match self.dialogue.last_mut() {
            _ if kept.is_empty() => {}
            Some(turn) if turn.from == from => turn.text.extend(kept),
            _ => self.dialogue.push(Turn { from, text: kept.to_vec() }),
        }
    }
}

impl Tls {
    /// For a connection whose handshake is complete.
    pub fn new(connection: &ClientConnection, recorder: Option<&Recorder>) -> Self {
        // rustls writes TLSv1_3.
        let version = connection.protocol_version().map(|version| format!("{version:?}").replace('_', "."));
        let suite = connection.negotiated_cipher_suite().map(|suite| suite_name(suite.suite()));
        let group = connection.negotiated_key_exchange_group().map(|group| format!("{:?}", group.name()));
        let (certificates, certificates_omitted) = recorder.map(Recorder::certificates).unwrap_or_default();
        let serial = certificates.first().and_then(|own| own.serial.as_deref());
        let verify_error = recorder.and_then(Recorder::error).map(verify::words);
        Self {
            version,
            cipher_suite: suite,
            post_quantum: group.as_ref().is_some_and(|group| group.contains("MLKEM")),
            key_exchange: group,
            verified: verify_error.is_none(),
            verify_error,
            signature_scheme: recorder.and_then(Recorder::scheme).map(scheme),
            alpn: connection.alpn_protocol().map(bounded::text),
            ocsp: recorder.and_then(Recorder::staple).map(|staple| Staple::new(staple, serial)),
            certificates,
            certificates_omitted,
        }
    }
}

/// As the registry of IANA writes it: rustls writes `RSA_PSS_SHA256` and `ECDSA_NISTP256_SHA256`.
fn scheme(scheme: SignatureScheme) -> String {
    let name = format!("{scheme:?}").to_lowercase().replace("pss_", "pss_rsae_");
    ["256", "384", "521"]
        .iter()
        .fold(name, |name, bits| name.replace(&format!("nistp{bits}"), &format!("secp{bits}r1")))
}

/// As the registry of IANA has it: rustls writes TLS13_AES_128_GCM_SHA256.
pub fn suite_name(suite: CipherSuite) -> String {
    format!("{suite:?}").replacen("TLS13_", "TLS_", 1)
}

impl Turn {
    /// Its lines, without their ends.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.text.split_inclusive(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r\n").unwrap_or(line))
    }

    pub fn speaker(&self) -> &'static str {
        match self.from {
            Side::Client => "C",
            Side::Server => "S",
        }
    }
}

/// The word that JSON has for it.
pub fn word(value: impl Serialize) -> String {
    let json = serde_json::to_value(value).unwrap_or_default();
    json.as_str().unwrap_or_default().to_owned()
}

pub fn side<S: Serializer>(side: &Side, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match side {
        Side::Client => "client",
        Side::Server => "server",
    })
}

fn escaped<S: Serializer>(text: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Escaped(text))
}

#[cfg(test)]
mod tests {
    use starttls::protocol::Pop3;

    use super::*;

    #[test]
    fn of_a_dialogue_the_beginning_is_kept_however_it_comes() {
        for size in [1, 1000, 5 * DIALOGUE] {
            let recording = Recording::default();
            let mut tap = recording.tap();
            tap(Side::Client, b"STLS\r\n");
            vec![b'x'; 5 * DIALOGUE].chunks(size).for_each(|chunk| tap(Side::Server, chunk));
            tap(Side::Client, b"QUIT\r\n");
            let kept = Cleartext::new(&Negotiation::required(Pop3::new()), &recording);
            let lengths: Vec<_> = kept.dialogue.iter().map(|turn| (turn.from, turn.text.len())).collect();
            assert_eq!(lengths, [(Side::Client, 6), (Side::Server, DIALOGUE - 6)], "{size}");
            assert_eq!((kept.sent_bytes, kept.received_bytes), (12, 5 * DIALOGUE));
            assert_eq!(kept.dialogue_omitted, 12 + 4 * DIALOGUE);
        }
    }
}
