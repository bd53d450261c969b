//! The verification of a certificate, whose failure does not stop the handshake: it is kept for the report.

use std::fmt::{self, Display, Formatter};
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};

use crate::bounded;
use crate::certificate::Certificate;
use crate::chain::Chain;
use crate::failure::ResultType;

/// Verifies as `inner` does, but says yes to every certificate and keeps what is wrong with it.
///
/// That the server holds the certificate's key is still verified in the handshake. One connection has one handshake, so
/// what is kept is set once.
#[derive(Debug)]
pub struct Recorder {
    inner: Arc<WebPkiServerVerifier>,
    /// The name to verify, which need not be the one that is sent as SNI.
    server_name: ServerName<'static>,
    error: OnceLock<Error>,
    chain: OnceLock<Chain>,
    staple: OnceLock<Vec<u8>>,
    scheme: OnceLock<SignatureScheme>,
}

impl Recorder {
    pub fn new(inner: Arc<WebPkiServerVerifier>, server_name: ServerName<'static>) -> Self {
        let (error, chain, staple, scheme) = Default::default();
        Self { inner, server_name, error, chain, staple, scheme }
    }

    /// What is wrong with the certificate.
    pub fn error(&self) -> Option<&Error> {
        self.error.get()
    }

    /// The certificates as the server sent them, whatever came of the handshake, and how many are left out.
    pub fn certificates(&self) -> (Vec<Certificate>, usize) {
        self.chain.get().map(|chain| (Certificate::chain(&chain.certificates), chain.omitted)).unwrap_or_default()
    }

    /// The OCSP response that was stapled to the certificate.
    pub fn staple(&self) -> Option<&[u8]> {
        self.staple.get().map(Vec::as_slice)
    }

    /// What the server signed the handshake with.
    pub fn scheme(&self) -> Option<SignatureScheme> {
        self.scheme.get().copied()
    }

    /// Notes the scheme, and what else an error means than that the server does not hold the key.
    fn signed<T>(
        &self,
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
        verified: Result<T, Error>,
    ) -> Result<T, Error> {
        let _ = self.scheme.set(signature.scheme);
        verified.map_err(|error| match Certificate::new(certificate).weak_key() {
            Some(key) => Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(WeakKey(key))))),
            None => error,
        })
    }
}

/// A key too short for its signature to be verified.
#[derive(Debug)]
struct WeakKey(String);

impl Display for WeakKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "its key is too weak for TLS: {}", self.0)
    }
}

impl std::error::Error for WeakKey {}

/// What is wrong with a chain of which not every certificate was considered.
#[derive(Debug)]
struct Partly {
    error: Error,
    sent: usize,
    left_out: usize,
}

impl Display for Partly {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { error, sent, left_out } = self;
        let considered = sent - left_out;
        write!(f, "{}; the chain has {sent} certificates, of which only {considered} were considered", words(error))
    }
}

impl std::error::Error for Partly {}

impl From<Partly> for Error {
    fn from(partly: Partly) -> Self {
        Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(partly))))
    }
}

impl Partly {
    fn of(error: &Error) -> Option<&Self> {
        match error {
            Error::InvalidCertificate(CertificateError::Other(other)) => other.0.downcast_ref(),
            _ => None,
        }
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _sni: &ServerName<'_>,
        staple: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = self.chain.get_or_init(|| Chain::new(end_entity, intermediates));
        let (considered, left_out) = chain.considered();
        if !staple.is_empty() {
            let _ = self.staple.set(staple.to_vec());
        }
        if let Err(error) = self.inner.verify_server_cert(end_entity, &considered, &self.server_name, staple, now) {
            // The name is that of the server's own certificate.
            let partly = left_out > 0 && result_type(&error) != ResultType::HostMismatch;
            let sent = chain.sent();
            let _ = self.error.set(if partly { Partly { error, sent, left_out }.into() } else { error });
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verified = self.inner.verify_tls12_signature(message, certificate, signature);
        self.signed(certificate, signature, verified)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verified = self.inner.verify_tls13_signature(message, certificate, signature);
        self.signed(certificate, signature, verified)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// What is wrong with a certificate, or went wrong in TLS, for someone who does not know rustls.
pub fn words(error: &Error) -> String {
    if let Some(partly) = Partly::of(error) {
        return partly.to_string();
    }
    let words = match error {
        Error::InvalidCertificate(CertificateError::ExpiredContext { time, not_after }) => {
            let ago = days(time.as_secs().saturating_sub(not_after.as_secs()));
            format!("a certificate of the chain expired {ago} ago")
        }
        Error::InvalidCertificate(CertificateError::NotValidYetContext { time, not_before }) => {
            let ahead = days(not_before.as_secs().saturating_sub(time.as_secs()));
            format!("a certificate of the chain is not valid yet, but in {ahead}")
        }
        Error::InvalidCertificate(CertificateError::NotValidForNameContext { expected, .. }) => {
            format!("the certificate is not for {}", expected.to_str())
        }
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "no trusted authority has signed the certificate".to_owned()
        }
        Error::InvalidCertificate(CertificateError::BadSignature) => {
            "the certificate names a trusted authority that has not signed it: there may be two of the same name"
                .to_owned()
        }
        Error::InvalidCertificate(error) if is_authority(error) => {
            "the certificate is that of a certificate authority, which no server may use".to_owned()
        }
        Error::InvalidCertificate(CertificateError::Other(other)) if is_too_much(other) => {
            "the chain is too long or too entangled to be verified".to_owned()
        }
        Error::InvalidCertificate(CertificateError::Other(other)) if other.0.is::<WeakKey>() => {
            format!("the server's certificate cannot be used: {}", other.0)
        }
        Error::InvalidCertificate(error) => format!("the certificate is invalid: {error}"),
        Error::AlertReceived(alert) => format!("the server ended the TLS handshake with the alert {alert:?}"),
        Error::InvalidMessage(error) => format!("what the server sent is not TLS ({error:?})"),
        error => error.to_string(),
    };
    bounded::text(words.as_bytes())
}

/// The result type of RFC 8460 for it.
pub fn result_type(error: &Error) -> ResultType {
    if let Some(partly) = Partly::of(error) {
        return result_type(&partly.error);
    }
    match error {
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            ResultType::Expired
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => ResultType::HostMismatch,
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            ResultType::NotTrusted
        }
        Error::InvalidCertificate(error) if is_authority(error) => ResultType::NotTrusted,
        _ => ResultType::ValidationFailure,
    }
}

/// Whole days, in words.
pub fn days(seconds: u64) -> String {
    match seconds / 86400 {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

/// Whether webpki gave up.
fn is_too_much(error: &OtherError) -> bool {
    use webpki::Error::{
        MaximumNameConstraintComparisonsExceeded, MaximumPathBuildCallsExceeded, MaximumPathDepthExceeded,
        MaximumSignatureChecksExceeded,
    };
    matches!(
        error.0.downcast_ref(),
        Some(
            MaximumNameConstraintComparisonsExceeded
                | MaximumPathBuildCallsExceeded
                | MaximumPathDepthExceeded
                | MaximumSignatureChecksExceeded
        )
    )
}

/// What openssl makes by default when it is asked for a self-signed certificate fails for this reason first.
fn is_authority(error: &CertificateError) -> bool {
    matches!(error, CertificateError::Other(other)
        if matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity)))
}
