//! Whom to trust, and how to speak TLS: made once, and used for every connection.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::arguments::TlsArguments;
use crate::failure::Error;
use crate::verify::Recorder;

/// The roots, and what TLS is offered with.
pub struct Trust {
    provider: Arc<CryptoProvider>,
    verifier: Arc<WebPkiServerVerifier>,
    config: ClientConfig,
}

impl Trust {
    /// Reads the files that the arguments name, or the system's roots.
    pub fn new(arguments: &TlsArguments) -> Result<Self, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let roots = match &arguments.ca_file {
            Some(path) => roots_in(path)?,
            None => system_roots()?,
        };
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let verifier = verifier.build().map_err(config_error)?;
        let mut config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(config_error)?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone())
            .with_no_client_auth();
        // Each check is to see the certificate, so there is no use for sessions, nor memory for them.
        config.resumption = Resumption::disabled();
        Ok(Self { provider, verifier, config })
    }

    /// What verifies one certificate.
    pub fn recorder(&self) -> Recorder {
        Recorder::new(self.verifier.clone())
    }

    /// What one connection is made with.
    pub fn config(&self, recorder: Arc<Recorder>) -> Arc<ClientConfig> {
        let mut config = self.config.clone();
        config.dangerous().set_certificate_verifier(recorder);
        Arc::new(config)
    }

    /// A number that nobody can guess.
    pub fn random(&self) -> Result<u64, Error> {
        let mut number = [0; 8];
        let filled = self.provider.secure_random.fill(&mut number);
        filled.map_err(|_| Error::Config("the system has no random numbers".to_owned()))?;
        Ok(u64::from_ne_bytes(number))
    }
}

fn roots_in(path: &Path) -> Result<RootCertStore, Error> {
    let failed = |reason: &dyn Display| Error::Config(format!("cannot use the CA file {}: {reason}", path.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(&error))? {
        roots.add(certificate.map_err(|error| failed(&error))?).map_err(|error| failed(&error))?;
    }
    if roots.is_empty() { Err(failed(&"there is no certificate in it")) } else { Ok(roots) }
}

fn system_roots() -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(Error::Config("the system trusts no authority: name one with --ca-file".to_owned()));
    }
    Ok(roots)
}

fn config_error(error: impl Display) -> Error {
    Error::Config(error.to_string())
}
