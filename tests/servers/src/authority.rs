//! The private authority, and the certificate of each offer.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;
use starttls_replay::Flaw;

use crate::Result;
use crate::case::Offer;

/// A directory of certificates: the authority's own, and one with its key for each offer.
pub struct Authority {
    dir: PathBuf,
    known: starttls_replay::Authority,
}

impl Authority {
    /// Makes the authorities, the one that clients know and the other, and issues the certificates.
    pub fn create(dir: &Path) -> Result<Self> {
        let authority = Self { dir: dir.join("certificates"), known: starttls_replay::Authority::default() };
        fs::create_dir(&authority.dir)?;
        fs::write(authority.ca(), authority.known.pem())?;
        let unknown = starttls_replay::Authority::new("Unknown CA");
        for offer in Offer::ALL {
            let (issuer, flaw) = match offer {
                Offer::Good | Offer::Nothing | Offer::BrokenKey => (&authority.known, Flaw::None),
                Offer::Expired => (&authority.known, Flaw::Expired),
                Offer::WrongName => (&authority.known, Flaw::WrongName),
                Offer::UnknownCa => (&unknown, Flaw::None),
            };
            let (certificate, key) = issuer.issue(flaw);
            let key = if offer == Offer::BrokenKey { "not a key\n".into() } else { key.serialize_pem() };
            fs::write(authority.certificate(offer), certificate.pem())?;
            fs::write(authority.key(offer), key)?;
        }
        Ok(authority)
    }

    /// A client that trusts the authority alone.
    pub fn client_config(&self) -> Arc<ClientConfig> {
        self.known.client_config()
    }

    /// The file of the authority that clients know, by the name that QEMU looks for.
    pub fn ca(&self) -> PathBuf {
        self.dir.join("ca-cert.pem")
    }

    /// The file of the certificate for this offer.
    pub fn certificate(&self, offer: Offer) -> PathBuf {
        self.dir.join(offer.name()).with_extension("crt")
    }

    /// The file of the key for this offer.
    pub fn key(&self, offer: Offer) -> PathBuf {
        self.dir.join(offer.name()).with_extension("key")
    }
}
