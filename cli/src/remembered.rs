//! What came of the signatures on certificates that have been verified before. The servers of a scan share their intermediate
//! authorities, and often a certificate; the same bytes and the same key verify alike. So do those that a hostile chain has
//! verified over and over, one for each way through it.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};

/// How many are remembered of each algorithm, before they are all forgotten.
const MOST: usize = 4096;

type Algorithms = Vec<&'static dyn SignatureVerificationAlgorithm>;

/// The algorithms of rustls, for the signatures on certificates. That of a handshake never comes again.
pub static ALGORITHMS: LazyLock<Algorithms> =
    LazyLock::new(|| remembering(default_provider().signature_verification_algorithms.all));

/// Each of these, remembering. rustls wants them for as long as the program runs.
pub fn remembering(all: &[&'static dyn SignatureVerificationAlgorithm]) -> Algorithms {
    let remembering = all.iter().map(|&inner| Remembering { inner, verified: Mutex::default() });
    remembering.map(|algorithm| &*Box::leak(Box::new(algorithm)) as _).collect()
}

/// Verifies as `inner` does, but the same only once.
#[derive(Debug)]
struct Remembering {
    inner: &'static dyn SignatureVerificationAlgorithm,
    /// Whether it is right, by the hash of key, message and signature.
    verified: Mutex<HashMap<[u8; 32], bool>>,
}

impl SignatureVerificationAlgorithm for Remembering {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let mut hash = Context::new(&SHA256);
        for part in [key, message, signature] {
            // With its length, so that no part can be taken for a piece of another.
            hash.update(&part.len().to_le_bytes());
            hash.update(part);
        }
        let hash = hash.finish().as_ref().try_into().map_err(|_| InvalidSignature)?;
        let verified = || self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        let known = verified().get(&hash).copied();
        let right = known.unwrap_or_else(|| {
            // Others may verify meanwhile.
            let right = self.inner.verify_signature(key, message, signature).is_ok();
            let mut verified = verified();
            if verified.len() == MOST {
                verified.clear();
            }
            verified.insert(hash, right);
            right
        });
        if right { Ok(()) } else { Err(InvalidSignature) }
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.inner.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.inner.signature_alg_id()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Takes a signature that ends in its message, and counts how often it is asked.
    #[derive(Debug, Default)]
    struct Counting(AtomicUsize);

    impl SignatureVerificationAlgorithm for Counting {
        fn verify_signature(&self, _key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
            self.0.fetch_add(1, Ordering::Relaxed);
            if signature.ends_with(message) { Ok(()) } else { Err(InvalidSignature) }
        }

        fn public_key_alg_id(&self) -> AlgorithmIdentifier {
            AlgorithmIdentifier::from_slice(b"key")
        }

        fn signature_alg_id(&self) -> AlgorithmIdentifier {
            AlgorithmIdentifier::from_slice(b"signature")
        }
    }

    fn remembering() -> (&'static Counting, Remembering) {
        let inner: &Counting = Box::leak(Box::default());
        (inner, Remembering { inner, verified: Mutex::default() })
    }

    #[test]
    fn what_is_right_or_wrong_is_verified_once() {
        let (inner, algorithm) = remembering();
        for _ in 0..3 {
            assert!(algorithm.verify_signature(b"key", b"message", b"by message").is_ok());
        }
        assert_eq!(inner.0.load(Ordering::Relaxed), 1);
        for _ in 0..3 {
            assert!(algorithm.verify_signature(b"key", b"message", b"by another").is_err());
        }
        assert_eq!(inner.0.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn no_part_stands_for_another() {
        let (inner, algorithm) = remembering();
        let parts: [[&[u8]; 3]; 5] = [
            [b"key", b"m", b"by m"],
            [b"keym", b"", b"by m"],
            [b"ke", b"ym", b"by ym"],
            [b"key", b"", b"mby m"],
            [b"yek", b"m", b"by m"],
        ];
        for (known, [key, message, signature]) in parts.into_iter().enumerate() {
            assert!(algorithm.verify_signature(key, message, signature).is_ok());
            assert_eq!(inner.0.load(Ordering::Relaxed), known + 1);
        }
    }

    #[test]
    fn there_is_an_end_to_what_is_remembered() {
        let (_, algorithm) = remembering();
        for number in 0..3 * MOST {
            assert!(algorithm.verify_signature(&number.to_le_bytes(), b"", b"").is_ok());
            assert!(algorithm.verified.lock().unwrap().len() <= MOST);
        }
    }

    /// With the algorithms of rustls, and signatures of the same key over something else.
    #[test]
    fn a_wrong_signature_is_refused_after_a_right_one() {
        let key = rcgen::KeyPair::generate().unwrap();
        let public = rcgen::PublicKeyData::der_bytes(&key);
        let signature = rcgen::SigningKey::sign(&key, b"message").unwrap();
        let wrong = rcgen::SigningKey::sign(&key, b"massage").unwrap();
        let other = rcgen::KeyPair::generate().unwrap();
        let algorithm = ALGORITHMS
            .iter()
            .find(|algorithm| algorithm.verify_signature(public, b"message", &signature).is_ok())
            .expect("ECDSA with P-256 and SHA-256");
        for _ in 0..2 {
            assert!(algorithm.verify_signature(public, b"message", &signature).is_ok());
            assert!(algorithm.verify_signature(public, b"message", &wrong).is_err());
            assert!(algorithm.verify_signature(public, b"massage", &signature).is_err());
            let other = rcgen::PublicKeyData::der_bytes(&other);
            assert!(algorithm.verify_signature(other, b"message", &signature).is_err());
        }
    }
}
