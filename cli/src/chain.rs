//! What is kept of the chain that a server sends, and what of that a path to an authority is looked for in.

use std::collections::HashMap;

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

/// Certificates that are kept, the server's own included. Real chains have up to six.
pub const CERTIFICATES: usize = 16;
/// Bytes that are kept of the certificates behind the server's own.
const BYTES: usize = 32 << 10;
/// How many certificates of one subject are considered: one that was signed twice has two. All of their combinations are
/// tried, so that each more than two would cost several times as much.
const OF_ONE_SUBJECT: usize = 2;

/// The beginning of a chain.
#[derive(Debug)]
pub struct Chain {
    /// The server's own first.
    pub certificates: Vec<CertificateDer<'static>>,
    /// How many more the server sent.
    pub omitted: usize,
}

impl Chain {
    pub fn new(own: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> Self {
        let mut room = BYTES;
        let fits = |der: &&CertificateDer<'_>| {
            let left = room.checked_sub(der.len());
            room = left.unwrap_or_default();
            left.is_some()
        };
        let kept = others.iter().take(CERTIFICATES - 1).take_while(fits);
        let certificates: Vec<_> = [own].into_iter().chain(kept).map(|der| der.clone().into_owned()).collect();
        let omitted = 1 + others.len() - certificates.len();
        Self { certificates, omitted }
    }

    /// How many certificates the server sent.
    pub fn sent(&self) -> usize {
        self.certificates.len() + self.omitted
    }

    /// The certificates behind the server's own in which a path is looked for, and how many are not among them. One that
    /// is there twice counts once.
    pub fn considered(&self) -> (Vec<CertificateDer<'_>>, usize) {
        let mut considered: Vec<CertificateDer<'_>> = Vec::new();
        let mut subjects: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut left_out = self.omitted;
        for der in self.certificates.iter().skip(1).map(|der| CertificateDer::from(&**der)) {
            if considered.contains(&der) {
                continue;
            }
            // One that cannot be read leads nowhere, but may be what is wrong.
            let subject = EndEntityCert::try_from(&der).map(|certificate| certificate.subject().to_vec());
            let alike = subject.map_or(0, |subject| {
                let count = subjects.entry(subject).or_default();
                *count += 1;
                *count
            });
            if alike > OF_ONE_SUBJECT {
                left_out += 1;
            } else {
                considered.push(der);
            }
        }
        (considered, left_out)
    }
}

#[cfg(test)]
mod tests {
    use std::iter;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;

    use rcgen::{
        BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    };
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::crypto::aws_lc_rs::default_provider;
    use rustls::pki_types::{
        AlgorithmIdentifier, InvalidSignature, ServerName, SignatureVerificationAlgorithm, UnixTime,
    };
    use rustls::{Error, RootCertStore};

    use super::*;
    use crate::remembered::remembering;
    use crate::verify::{Recorder, words};

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    }

    fn authority(name: &str) -> CertificateParams {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    /// A certificate with the key of `own`, signed by `key` in this name.
    fn signed(params: CertificateParams, own: &KeyPair, issuer: &str, key: &KeyPair) -> CertificateDer<'static> {
        params.signed_by(own, &Issuer::new(authority(issuer), key)).unwrap().der().clone()
    }

    /// The same in words.
    fn wrong(chain: &[CertificateDer<'static>], trusted: &[(&str, &KeyPair)]) -> Option<String> {
        verified(chain, trusted).0.as_ref().map(words)
    }

    #[derive(Debug)]
    struct Counting {
        inner: &'static dyn SignatureVerificationAlgorithm,
        count: Arc<AtomicUsize>,
    }

    impl SignatureVerificationAlgorithm for Counting {
        fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
            self.count.fetch_add(1, Ordering::Relaxed);
            self.inner.verify_signature(key, message, signature)
        }

        fn public_key_alg_id(&self) -> AlgorithmIdentifier {
            self.inner.public_key_alg_id()
        }

        fn signature_alg_id(&self) -> AlgorithmIdentifier {
            self.inner.signature_alg_id()
        }
    }

    /// What is wrong with a chain, if anything is, and how many signatures were verified to tell.
    fn verified(chain: &[CertificateDer<'static>], trusted: &[(&str, &KeyPair)]) -> (Option<Error>, usize) {
        let mut roots = RootCertStore::empty();
        for (name, key) in trusted {
            roots.add(authority(name).self_signed(*key).unwrap().der().clone()).unwrap();
        }
        let count = Arc::new(AtomicUsize::new(0));
        let mut provider = default_provider();
        let counting = provider.signature_verification_algorithms.all.iter();
        let counting = counting.map(|&inner| Counting { inner, count: count.clone() });
        let counting: Vec<_> = counting.map(|algorithm| &*Box::leak(Box::new(algorithm)) as _).collect();
        provider.signature_verification_algorithms.all = Box::leak(remembering(&counting).into());
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.into()).build().unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let recorder = Recorder::new(verifier, name.clone());
        recorder.verify_server_cert(&chain[0], &chain[1..], &name, &[], UnixTime::now()).unwrap();
        (recorder.error().cloned(), count.load(Ordering::Relaxed))
    }

    fn keys<const N: usize>() -> [KeyPair; N] {
        std::array::from_fn(|_| KeyPair::generate().unwrap())
    }

    #[test]
    fn a_path_is_found_among_what_is_kept_and_one_that_is_left_out_is_told_so() {
        let [root, middle, own] = keys();
        let leaf = signed(params("leaf"), &own, "Middle", &middle);
        let middle = signed(authority("Middle"), &middle, "Root", &root);
        let stray = |number: usize| signed(authority(&format!("Stray {number}")), &own, "Nobody", &own);
        // The server's own, strays, and the one that matters in this place; and then strays again.
        let at = |place: usize| -> Vec<_> {
            let all = (1..40).map(|number| if number == place { middle.clone() } else { stray(number) });
            iter::once(leaf.clone()).chain(all).collect()
        };
        let trusted = [("Root", &root)];
        for place in [1, CERTIFICATES - 1] {
            assert_eq!(wrong(&at(place), &trusted), None, "{place}");
        }
        let words = "no trusted authority has signed the certificate; the chain has 40 certificates, of which only 16 were \
                     considered";
        assert_eq!(wrong(&at(CERTIFICATES), &trusted).as_deref(), Some(words));
        // A chain that is just not trusted, and a wrong name, are told as ever.
        let untrusted = wrong(&[leaf.clone(), middle.clone()], &[("Other", &own)]);
        assert_eq!(untrusted.as_deref(), Some("no trusted authority has signed the certificate"));
        let mut other = params("leaf");
        other.subject_alt_names.clear();
        let mut chain = at(1);
        chain[0] = signed(other, &own, "Root", &root);
        assert_eq!(wrong(&chain, &trusted).as_deref(), Some("the certificate is not for localhost"));
    }

    #[test]
    fn of_one_subject_two_are_considered_and_of_the_same_certificate_one() {
        let [root, cross, middle, own] = keys();
        let leaf = signed(params("leaf"), &own, "Middle", &middle);
        let good = signed(authority("Middle"), &middle, "Root", &root);
        let other = |name: &str| signed(authority("Middle"), &middle, name, &cross);
        let (one, two) = (other("Cross"), other("Old"));
        let trusted = [("Root", &root)];
        assert_eq!(wrong(&[leaf.clone(), one.clone(), one.clone(), one.clone(), good.clone()], &trusted), None);
        let words = "no trusted authority has signed the certificate; the chain has 4 certificates, of which only 3 were \
                     considered";
        assert_eq!(wrong(&[leaf, one, two, good], &trusted).as_deref(), Some(words));
    }

    #[test]
    fn what_is_kept_is_bounded_in_bytes_as_well() {
        let der = |length: usize| CertificateDer::from(vec![0x30; length]);
        let chain = Chain::new(&der(60_000), &[der(BYTES - 10), der(10), der(1), der(1)]);
        assert_eq!((chain.certificates.len(), chain.omitted, chain.sent()), (3, 2, 5));
        let chain = Chain::new(&der(1), &[der(BYTES + 1), der(1)]);
        assert_eq!((chain.certificates.len(), chain.omitted), (1, 2));
        let chain = Chain::new(&der(1), &vec![der(1); 15_999]);
        assert_eq!((chain.certificates.len(), chain.omitted), (CERTIFICATES, 16_000 - CERTIFICATES));
    }

    /// A chain of authorities that could all have issued each other, a name of them as often as `each` says.
    fn tangle(names: usize, each: usize, own: &KeyPair) -> Vec<CertificateDer<'static>> {
        let name = |number: usize| format!("Authority {}", number % names);
        let tangled = (0..names * each).map(|number| {
            let mut params = authority(&name(number / each));
            // Long ones, for each of them is read on each way: the last allows what is asked for.
            let others = (0..90).map(|number| ExtendedKeyUsagePurpose::Other(vec![1, 3, number]));
            params.extended_key_usages = others.chain([ExtendedKeyUsagePurpose::ServerAuth]).collect();
            signed(params, &KeyPair::generate().unwrap(), &name(number / each + 1), own)
        });
        iter::once(signed(params("leaf"), own, &name(0), own)).chain(tangled).collect()
    }

    #[test]
    fn verification_comes_to_an_end_before_webpki_gives_up() {
        let [own, root] = keys();
        // webpki gives up behind 200,000 steps.
        for (names, each) in [(1, 200), (1, 15), (7, 2), (5, 3), (15, 1)] {
            let chain = tangle(names, each, &own);
            let start = Instant::now();
            let (error, signatures) = verified(&chain, &[("Root", &root)]);
            println!("{names} names, {each} of each: {:?}, {signatures} signatures: {error:?}", start.elapsed());
            let error = format!("{:?}", error.unwrap());
            assert!(!error.contains("MaximumPathBuildCallsExceeded"), "{error}");
        }
    }

    #[test]
    fn no_signature_is_verified_twice_whatever_the_number_of_ways() {
        let [own, root] = keys();
        let names: Vec<_> = (0..7).map(|number| format!("Authority {number}")).collect();
        let trusted: Vec<_> = names.iter().map(|name| (name.as_str(), &root)).collect();
        let (error, signatures) = verified(&tangle(7, 2, &own), &trusted);
        println!("{signatures} signatures: {error:?}");
        assert!((1..=CERTIFICATES).contains(&signatures), "{signatures} signatures");
    }
}
