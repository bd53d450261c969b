//! A private certification authority, made anew for each use.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PublicKeyData,
    date_time_ymd,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// A private certification authority.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing is: it is for `localhost` and 127.0.0.1.
    None,
    /// It expired in 2021.
    Expired,
    /// It is for `other.example`.
    WrongName,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new("Private CA")
    }
}

impl Authority {
    /// An authority of this name. Give two that are to be told apart two names.
    pub fn new(name: &str) -> Self {
        let params = authority_params(name);
        let key = KeyPair::generate().expect("a P-256 key");
        Self { issuer: CertifiedIssuer::self_signed(params, key).expect("a self-signed certificate") }
    }

    /// An authority of this name that this one has certified.
    pub fn under(&self, name: &str) -> Self {
        let params = authority_params(name);
        let key = KeyPair::generate().expect("a P-256 key");
        Self { issuer: CertifiedIssuer::signed_by(params, key, &self.issuer).expect("a signed certificate") }
    }

    /// The certificate of the authority.
    pub fn der(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// The certificate of the authority, in PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A client that trusts this authority alone.
    pub fn client_config(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("a CA certificate");
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }

    /// A server whose certificate this authority has signed.
    pub fn server_config(&self, flaw: Flaw) -> Arc<ServerConfig> {
        let (certificate, key) = self.issue(flaw);
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a PKCS #8 key");
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a certificate that fits its key");
        Arc::new(config)
    }

    /// A certificate that this authority has signed, and its key.
    pub fn issue(&self, flaw: Flaw) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a P-256 key");
        (self.sign(Self::params(flaw), &key), key)
    }

    /// A certificate for any key.
    pub fn sign(&self, params: CertificateParams, key: &impl PublicKeyData) -> Certificate {
        params.signed_by(key, &self.issuer).expect("a signed certificate")
    }

    /// What is in a certificate of this authority's, but for the key.
    pub fn params(flaw: Flaw) -> CertificateParams {
        let names = match flaw {
            Flaw::WrongName => vec!["other.example".to_owned()],
            Flaw::None | Flaw::Expired => vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
        };
        let mut params = CertificateParams::new(names).expect("valid names");
        params.distinguished_name.push(DnType::CommonName, "starttls test server");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(if flaw == Flaw::Expired { 2021 } else { 2099 }, 1, 1);
        params
    }
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
