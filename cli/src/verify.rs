//! The verification of a certificate, whose failure does not stop the handshake: it is kept for the report.

use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use crate::failure::ResultType;

/// Verifies as `inner` does, but says yes to every certificate and keeps what is wrong with it.
///
/// That the server holds the certificate's key is still verified in the handshake.
#[derive(Debug)]
pub struct Recorder {
    inner: Arc<WebPkiServerVerifier>,
    error: OnceLock<Error>,
}

impl Recorder {
    pub fn new(inner: Arc<WebPkiServerVerifier>) -> Self {
        Self { inner, error: OnceLock::new() }
    }

    /// What is wrong with the certificate.
    pub fn error(&self) -> Option<&Error> {
        self.error.get()
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Err(error) = self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // One connection has one handshake, so this is the first.
            let _ = self.error.set(error);
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// What is wrong with a certificate, or went wrong in TLS, for someone who does not know rustls.
pub fn words(error: &Error) -> String {
    match error {
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
            "the certificate names a trusted authority, which has not signed it: there are two of one name".to_owned()
        }
        Error::InvalidCertificate(error) if is_authority(error) => {
            "the certificate is that of an authority, which no server may use; most likely it is self-signed".to_owned()
        }
        Error::InvalidCertificate(error) => format!("the certificate is invalid: {error}"),
        Error::AlertReceived(alert) => format!("the server ended the TLS handshake with the alert {alert:?}"),
        Error::InvalidMessage(error) => format!("what the server sent is not TLS ({error:?})"),
        error => error.to_string(),
    }
}

/// The result type of RFC 8460 for it.
pub fn result_type(error: &Error) -> ResultType {
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

/// What openssl makes by default when it is asked for a self-signed certificate fails for this reason first.
fn is_authority(error: &CertificateError) -> bool {
    matches!(error, CertificateError::Other(other)
        if matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity)))
}
