//! Whom to trust, and how to speak TLS: made once, and used for every connection.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, DEFAULT_VERSIONS, RootCertStore};

use crate::arguments::TlsArguments;
use crate::failure::Error;
use crate::remembered;
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
        let mut provider = aws_lc_rs::default_provider();
        provider.signature_verification_algorithms.all = &remembered::ALGORITHMS;
        let provider = Arc::new(provider);
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots(arguments)?), provider.clone());
        let verifier = verifier.build().map_err(config_error)?;
        let versions = match arguments {
            TlsArguments { tls12: true, .. } => &[&TLS12],
            TlsArguments { tls13: true, .. } => &[&TLS13],
            _ => DEFAULT_VERSIONS,
        };
        let config = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .map_err(config_error)?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone());
        let mut config = match &arguments.cert {
            Some(path) => {
                let key = arguments.key.as_ref().unwrap_or(path);
                let parsed = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable("key", key, error))?;
                let chain = certificates("client certificate", path)?;
                config.with_client_auth_cert(chain, parsed).map_err(|error| unusable("key", key, error))?
            }
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = arguments.alpn.iter().map(|name| name.clone().into_bytes()).collect();
        config.enable_sni = !arguments.no_sni;
        // Each check is to see the certificate, so there is no use for sessions, nor memory for them.
        config.resumption = Resumption::disabled();
        Ok(Self { provider, verifier, config })
    }

    /// What verifies one certificate, for this name.
    pub fn recorder(&self, server_name: ServerName<'static>) -> Recorder {
        Recorder::new(self.verifier.clone(), server_name)
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

fn roots(arguments: &TlsArguments) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &arguments.ca_file {
        for certificate in certificates("CA file", path)? {
            roots.add(certificate).map_err(|error| unusable("CA file", path, error))?;
        }
    }
    if let Some(path) = &arguments.ca_dir {
        let files = files(path).map_err(|error| unusable("CA directory", path, error))?;
        // There is more in such a directory than certificates, and more certificates than authorities.
        let readable = files.iter().filter_map(|file| CertificateDer::pem_file_iter(file).ok());
        if roots.add_parsable_certificates(readable.flatten().flatten()).0 == 0 {
            return Err(unusable("CA directory", path, "there is no certificate in it"));
        }
    }
    if arguments.ca_file.is_none() && arguments.ca_dir.is_none() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if roots.is_empty() {
        return Err(Error::Config("the system trusts no authority: name one with --ca-file".to_owned()));
    }
    Ok(roots)
}

fn files(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    std::fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect()
}

fn certificates(what: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if certificates.is_empty() => Err(unusable(what, path, "there is no certificate in it")),
        read => read.map_err(|error| unusable(what, path, error)),
    }
}

fn unusable(what: &str, path: &Path, reason: impl Display) -> Error {
    Error::Config(format!("cannot use the {what} {}: {reason}", path.display()))
}

fn config_error(error: impl Display) -> Error {
    Error::Config(error.to_string())
}
