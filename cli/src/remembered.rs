//! Signatures on certificates that have been found right before. The servers of a scan share their intermediate authorities,
//! and often a certificate; the same bytes, signed by the same key, verify alike.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};

/// How many are remembered of each algorithm, before they are all forgotten.
const MOST: usize = 4096;

/// The algorithms of rustls, for the signatures on certificates. That of a handshake never comes again.
pub static ALGORITHMS: LazyLock<Vec<&'static dyn SignatureVerificationAlgorithm>> =
    LazyLock::new(|| ALL.iter().map(|algorithm| algorithm as _).collect());

static ALL: LazyLock<Vec<Remembering>> = LazyLock::new(|| {
    let all = default_provider().signature_verification_algorithms.all;
    all.iter().map(|&inner| Remembering { inner, right: Mutex::default() }).collect()
});

/// Verifies as `inner` does, but what was right once only once.
#[derive(Debug)]
struct Remembering {
    inner: &'static dyn SignatureVerificationAlgorithm,
    /// Hashes of keys, messages and signatures.
    right: Mutex<HashSet<[u8; 32]>>,
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
        let right = || self.right.lock().unwrap_or_else(PoisonError::into_inner);
        if right().contains(&hash) {
            return Ok(());
        }
        self.inner.verify_signature(key, message, signature)?;
        let mut right = right();
        if right.len() == MOST {
            right.clear();
        }
        right.insert(hash);
        Ok(())
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
        (inner, Remembering { inner, right: Mutex::default() })
    }

    #[test]
    fn what_is_right_is_verified_once_and_what_is_wrong_each_time() {
        let (inner, algorithm) = remembering();
        for _ in 0..3 {
            assert!(algorithm.verify_signature(b"key", b"message", b"by message").is_ok());
        }
        assert_eq!(inner.0.load(Ordering::Relaxed), 1);
        for count in 2..5 {
            assert!(algorithm.verify_signature(b"key", b"message", b"by another").is_err());
            assert_eq!(inner.0.load(Ordering::Relaxed), count);
        }
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
            assert!(algorithm.right.lock().unwrap().len() <= MOST);
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
