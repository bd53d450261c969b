//! What an upgrade costs: the parts that the measurements have in common.

pub mod allocator;
pub mod cost;
pub mod process;
pub mod readme;
pub mod server;
pub mod table;
pub mod talk;
pub mod way;
pub mod ways;

use std::error::Error;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// A client that trusts the authority in `ca_file`, and offers what the tool does: the hybrid key exchange first.
///
/// # Errors
/// There is no certificate in the file.
pub fn client_config(ca_file: &str) -> Result<Arc<ClientConfig>, Box<dyn Error>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca_file)?)?;
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];
    let config = ClientConfig::builder_with_provider(provider.into()).with_safe_default_protocol_versions()?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}
