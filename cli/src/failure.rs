//! What can go wrong in a check, and how the report tells it.

use std::fmt;
use std::io;
use std::iter;

use rustls::CertificateError;
use serde::Serialize;
use starttls::{Reason, transport};

use crate::bounded;
use crate::report::Outcome;
use crate::verify;

/// What rustls says of the handshake's signature. Of a certificate it says the same, but that is for the recorder.
const NOT_ITS_KEY: rustls::Error = rustls::Error::InvalidCertificate(CertificateError::BadSignature);

/// Why a check did not end in verified TLS.
#[derive(Debug)]
pub enum Error {
    /// The arguments make no check possible. In the words that the user is to read.
    Config(String),
    /// There is no TLS.
    Upgrade(transport::Error),
    /// There is TLS, but the certificate does not hold.
    Verification(rustls::Error),
}

/// An [`Error`] as the report has it.
#[derive(Debug, Serialize)]
pub struct Failure {
    pub kind: Kind,
    /// `arguments`, `resolve`, `connect`, the reply that was awaited, or `TLS`.
    pub stage: &'static str,
    pub message: String,
    /// What the server said, if that was the reason.
    pub reply: Option<String>,
    pub tlsrpt: Option<ResultType>,
    /// What the operating system said of the last address, if none of them answered.
    #[serde(skip)]
    pub unconnected: Option<io::ErrorKind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    NotAdvertised,
    Refused,
    Injection,
    Preauth,
    Protocol,
    Limit,
    Timeout,
    Closed,
    Connect,
    Certificate,
    Tls,
    Config,
}

/// The result types of SMTP TLS reporting (RFC 8460 §4.3) that a single connection can tell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum ResultType {
    #[serde(rename = "starttls-not-supported")]
    NotSupported,
    #[serde(rename = "certificate-expired")]
    Expired,
    #[serde(rename = "certificate-host-mismatch")]
    HostMismatch,
    #[serde(rename = "certificate-not-trusted")]
    NotTrusted,
    #[serde(rename = "validation-failure")]
    ValidationFailure,
}

/// As in JSON.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl From<transport::Error> for Error {
    fn from(error: transport::Error) -> Self {
        Self::Upgrade(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = error.kind();
        Self {
            kind,
            stage: error.stage(),
            message: error.message(),
            reply: error.reply(),
            tlsrpt: error.tlsrpt(kind),
            unconnected: error.unconnected(),
        }
    }
}

impl Error {
    pub fn outcome(&self) -> Outcome {
        match self {
            Error::Verification(_) => Outcome::Upgraded,
            Error::Upgrade(transport::Error::Negotiation { source: starttls::Error::Declined(_), .. }) => {
                Outcome::Plaintext
            }
            _ => Outcome::Failed,
        }
    }

    fn kind(&self) -> Kind {
        use transport::Error as Upgrade;
        match self {
            Error::Config(_) => Kind::Config,
            Error::Verification(_) => Kind::Certificate,
            Error::Upgrade(error) => match error {
                Upgrade::Negotiation { source, .. } => kind(source),
                Upgrade::Tls(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
                    Kind::Certificate
                }
                Upgrade::Tls(_) => Kind::Tls,
                _ if matches!(error.stage(), "resolve" | "connect") => Kind::Connect,
                Upgrade::Timeout { .. } => Kind::Timeout,
                _ => Kind::Closed,
            },
        }
    }

    fn stage(&self) -> &'static str {
        match self {
            Error::Config(_) => "arguments",
            Error::Upgrade(error) => error.stage(),
            Error::Verification(_) => "TLS",
        }
    }

    pub fn message(&self) -> String {
        use transport::Error as Upgrade;
        let message = match self {
            // The server's words in it are escaped already.
            Error::Upgrade(Upgrade::Negotiation { source, .. }) => return source.to_string(),
            Error::Config(message) => message.clone(),
            Error::Upgrade(Upgrade::Tls(error)) if *error == NOT_ITS_KEY => {
                "the server does not hold the key of its certificate".to_owned()
            }
            Error::Verification(error) | Error::Upgrade(Upgrade::Tls(error)) => return verify::words(error),
            Error::Upgrade(Upgrade::Timeout { stage: stage @ ("resolve" | "connect") }) => {
                format!("cannot {stage} within the time allowed")
            }
            Error::Upgrade(Upgrade::Timeout { .. }) => "no whole answer within the time allowed".to_owned(),
            Error::Upgrade(Upgrade::Io { source, .. }) if source.kind() == io::ErrorKind::UnexpectedEof => {
                "the server closed the connection".to_owned()
            }
            Error::Upgrade(Upgrade::Io { source, .. }) => format!("the connection broke: {source}"),
            Error::Upgrade(error) => chain(error),
        };
        bounded::text(message.as_bytes())
    }

    fn reply(&self) -> Option<String> {
        let Error::Upgrade(transport::Error::Negotiation { source, .. }) = self else { return None };
        match source {
            starttls::Error::Declined(Reason::Refused(reply)) | starttls::Error::Closing(reply) => {
                Some(reply.to_string())
            }
            starttls::Error::Declined(Reason::Preauthenticated(text)) | starttls::Error::Unexpected(text) => {
                Some(text.to_string())
            }
            _ => None,
        }
    }

    fn unconnected(&self) -> Option<io::ErrorKind> {
        match self {
            Error::Upgrade(transport::Error::Connect { failures }) => failures.last().map(|(_, error)| error.kind()),
            Error::Upgrade(transport::Error::Timeout { stage: "connect" }) => Some(io::ErrorKind::TimedOut),
            _ => None,
        }
    }

    fn tlsrpt(&self, kind: Kind) -> Option<ResultType> {
        match (kind, self) {
            // The session ended before STARTTLS was the matter, or for another reason.
            (_, Error::Upgrade(transport::Error::Negotiation { source: starttls::Error::Closing(_), .. })) => None,
            (Kind::NotAdvertised | Kind::Refused, _) => Some(ResultType::NotSupported),
            (_, Error::Upgrade(transport::Error::Tls(error))) if *error == NOT_ITS_KEY => {
                Some(ResultType::ValidationFailure)
            }
            (_, Error::Verification(error) | Error::Upgrade(transport::Error::Tls(error))) => {
                Some(verify::result_type(error))
            }
            _ => None,
        }
    }
}

/// What failed, and why.
pub fn chain(error: &dyn std::error::Error) -> String {
    let errors = iter::successors(Some(error), |error| error.source());
    errors.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn kind(error: &starttls::Error) -> Kind {
    match error {
        starttls::Error::Declined(Reason::NotAdvertised) => Kind::NotAdvertised,
        starttls::Error::Declined(Reason::Preauthenticated(_)) => Kind::Preauth,
        starttls::Error::Declined(_) | starttls::Error::Closing(_) => Kind::Refused,
        starttls::Error::Injected => Kind::Injection,
        starttls::Error::Limit(_) => Kind::Limit,
        starttls::Error::Closed => Kind::Closed,
        _ => Kind::Protocol,
    }
}
