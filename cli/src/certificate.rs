//! What is in a certificate.

use std::net::IpAddr;

use aws_lc_rs::digest;
use data_encoding::{BASE64, HEXLOWER};
use rustls::pki_types::CertificateDer;
use serde::Serialize;
use starttls::Escaped;
use x509_parser::asn1_rs::{Oid, oid};
use x509_parser::objects::{oid_registry, oid2abbrev, oid2sn};
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_PKCS1_RSAENCRYPTION,
    OID_PKCS1_SHA256WITHRSA, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384, OID_SIG_ED448, OID_SIG_ED25519,
    OidRegistry,
};
use x509_parser::prelude::{ASN1Time, FromDer, GeneralName, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::{SubjectPublicKeyInfo, X509Name};

use crate::bounded::{self, List, cut};

/// Characters of the names of all certificates of a chain.
const NAMES: usize = 16 << 10;

/// A certificate as the report has it. What cannot be read is `None`.
#[derive(Debug, Default, Serialize)]
pub struct Certificate {
    pub subject: Option<String>,
    pub issuer: Option<String>,
    pub not_before: Option<String>,
    pub not_after: Option<String>,
    pub names: Vec<String>,
    pub key: Option<String>,
    pub key_bits: Option<usize>,
    pub sha256: String,
    pub serial: Option<String>,
    /// What it is signed with.
    pub signature: Option<String>,
    /// What a TLSA record of type 3 1 1 holds (RFC 6698), in its form.
    pub spki_sha256: Option<String>,
    /// Whole days until it expires; negative since it has.
    pub days_left: Option<i64>,
    /// How many names are left out.
    pub names_omitted: usize,
    /// The same in seconds.
    #[serde(skip)]
    pub left: i64,
    /// When it expires, in seconds since 1970.
    #[serde(skip)]
    pub expires: i64,
    #[serde(skip)]
    pub der: Vec<u8>,
}

impl Certificate {
    /// The certificates of a chain, with the first names of all of them.
    pub fn chain(chain: &[CertificateDer<'_>]) -> Vec<Self> {
        let mut room = NAMES;
        chain.iter().map(|der| Self::with_names(der, &mut room)).collect()
    }

    pub fn new(der: &CertificateDer<'_>) -> Self {
        Self::with_names(der, &mut { NAMES })
    }

    /// `room` is for how many characters of names there is room.
    fn with_names(der: &CertificateDer<'_>, room: &mut usize) -> Self {
        let unreadable = Self { sha256: sha256(der), der: der.to_vec(), ..Self::default() };
        let Ok((_, certificate)) = X509Certificate::from_der(der) else { return unreadable };
        let (key, key_bits) = key(certificate.public_key());
        let not_after = certificate.validity().not_after;
        let left = not_after.timestamp() - ASN1Time::now().timestamp();
        let names = names(&certificate, *room);
        *room = names.room;
        Self {
            subject: Some(distinguished(certificate.subject())),
            issuer: Some(distinguished(certificate.issuer())),
            not_before: Some(rfc3339(certificate.validity().not_before)),
            not_after: Some(rfc3339(not_after)),
            names: names.entries,
            names_omitted: names.omitted,
            key: Some(cut(&key)),
            key_bits,
            serial: Some(cut(&HEXLOWER.encode(certificate.raw_serial()))),
            signature: Some(cut(&algorithm(&certificate.signature_algorithm.algorithm))),
            spki_sha256: Some(sha256(certificate.public_key().raw)),
            days_left: Some(left.div_euclid(86400)),
            left,
            expires: not_after.timestamp(),
            ..unreadable
        }
    }

    /// What its key is, if it is too short: RSA below 2,048 bits (RFC 9325 §4.5), or a curve below 256.
    pub fn weak_key(&self) -> Option<String> {
        let (key, bits) = (self.key.as_deref()?, self.key_bits?);
        let least = if key == "RSA" { 2048 } else { 256 };
        (bits < least).then(|| format!("{key}, {bits} bits"))
    }

    /// Whether it names itself as its issuer.
    pub fn self_issued(&self) -> bool {
        self.subject.is_some() && self.subject == self.issuer
    }

    /// As a file of certificates has it (RFC 7468).
    pub fn pem(&self) -> String {
        let text = BASE64.encode(&self.der);
        // Base64 is ASCII.
        let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
    }
}

fn sha256(bytes: &[u8]) -> String {
    HEXLOWER.encode(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// Its name, if it has one. The usual ones are not looked up: the registry is made when it is asked first.
fn algorithm(oid: &Oid<'_>) -> String {
    match oid {
        oid if *oid == OID_SIG_ECDSA_WITH_SHA256 => "ecdsa-with-SHA256".to_owned(),
        oid if *oid == OID_SIG_ECDSA_WITH_SHA384 => "ecdsa-with-SHA384".to_owned(),
        oid if *oid == OID_PKCS1_SHA256WITHRSA => "sha256WithRSAEncryption".to_owned(),
        oid => oid2sn(oid, oid_registry()).map_or_else(|_| oid.to_string(), str::to_owned),
    }
}

/// The attributes that have an abbreviation need no registry, which is made when it is asked first.
fn distinguished(name: &X509Name<'_>) -> String {
    let none = OidRegistry::default();
    let short = name.iter_attributes().all(|attribute| oid2abbrev(attribute.attr_type(), &none).is_ok());
    let text = if short { name.to_string_with_registry(&none).ok() } else { None };
    bounded::text(text.unwrap_or_else(|| name.to_string()).as_bytes())
}

/// A time as RFC 3339 has it.
pub fn rfc3339(time: ASN1Time) -> String {
    let time = time.to_datetime();
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.to_hms();
    format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z", u8::from(month))
}

/// The names that a client compares with: DNS names and addresses.
fn names(certificate: &X509Certificate<'_>, room: usize) -> List {
    let mut names = List::new(room);
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return names };
    for name in &extension.value.general_names {
        match *name {
            GeneralName::DNSName(name) => names.push(&Escaped(name.as_bytes()).to_string()),
            GeneralName::IPAddress(bytes) => {
                let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
                let address = v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
                address.into_iter().for_each(|address| names.push(&address.to_string()));
            }
            _ => {}
        }
    }
    names
}

fn key(key: &SubjectPublicKeyInfo<'_>) -> (String, Option<usize>) {
    let algorithm = &key.algorithm;
    let curve = || algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    let (name, bits) = match &algorithm.algorithm {
        oid if *oid == OID_PKCS1_RSAENCRYPTION => ("RSA", rsa_bits(key)),
        oid if *oid == OID_SIG_ED25519 => ("Ed25519", Some(256)),
        oid if *oid == OID_SIG_ED448 => ("Ed448", Some(456)),
        oid if *oid == OID_KEY_TYPE_EC_PUBLIC_KEY => match curve() {
            Some(curve) if curve == OID_EC_P256 => ("ECDSA P-256", Some(256)),
            Some(curve) if curve == OID_NIST_EC_P384 => ("ECDSA P-384", Some(384)),
            Some(curve) if curve == OID_NIST_EC_P521 => ("ECDSA P-521", Some(521)),
            Some(curve) if curve == oid!(1.3.132.0.33) => ("ECDSA P-224", Some(224)),
            Some(curve) if curve == oid!(1.2.840.10045.3.1.1) => ("ECDSA P-192", Some(192)),
            Some(curve) => return (format!("ECDSA {curve}"), None),
            None => ("ECDSA", None),
        },
        oid => return (oid.to_string(), None),
    };
    (name.to_owned(), bits)
}

fn rsa_bits(key: &SubjectPublicKeyInfo<'_>) -> Option<usize> {
    let Ok(PublicKey::RSA(key)) = key.parsed() else { return None };
    let significant = key.modulus.iter().skip_while(|&&byte| byte == 0);
    let first = significant.clone().next()?;
    Some(8 * significant.count() - first.leading_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_reported_by_its_hash() {
        let certificate = Certificate::new(&CertificateDer::from(&b"abc"[..]));
        assert_eq!(certificate.subject, None);
        assert_eq!(certificate.key_bits, None);
        // FIPS 180-4's example.
        assert_eq!(certificate.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn a_certificate_cannot_write_to_the_terminal() {
        let mut params = rcgen::CertificateParams::new(vec!["*.mail.example".to_owned(), "::1".to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, "\x1b[2J\u{202e}mail");
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let certificate = Certificate::new(params.self_signed(&key).unwrap().der());
        assert_eq!(certificate.subject.as_deref(), Some("CN=\\x1b[2J\\xe2\\x80\\xaemail"));
        assert_eq!(certificate.issuer, certificate.subject);
        assert_eq!(certificate.names, ["*.mail.example", "::1"]);
        assert_eq!((certificate.key.as_deref(), certificate.key_bits), (Some("ECDSA P-384"), Some(384)));
    }

    #[test]
    fn keys_are_named_and_measured() {
        for (algorithm, name, bits) in [
            (&rcgen::PKCS_ECDSA_P256_SHA256, "ECDSA P-256", 256),
            (&rcgen::PKCS_ED25519, "Ed25519", 256),
            (&rcgen::PKCS_ECDSA_P521_SHA512, "ECDSA P-521", 521),
            (&rcgen::PKCS_RSA_SHA256, "RSA", 2048),
        ] {
            let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
            let params = rcgen::CertificateParams::new(vec!["mail.example".to_owned()]).unwrap();
            let certificate = Certificate::new(params.self_signed(&key).unwrap().der());
            assert_eq!((certificate.key.as_deref(), certificate.key_bits), (Some(name), Some(bits)));
        }
    }
}
