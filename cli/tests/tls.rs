//! What the report has of TLS beside the names: the contract of its JSON is in `check.rs`.

mod support;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use rcgen::{KeyPair, PublicKeyData};
use serde_json::{Value, json};
use starttls_replay::{Authority, Flaw};
use support::{Run, check_with, replay, server_config};

fn check(config: std::sync::Arc<rustls::ServerConfig>, authority: &Authority, options: &[&str]) -> Run {
    let server = replay("smtp/postfix.txt", config);
    check_with(&format!("smtp://{}", server.address()), authority, &[&["--json"], options].concat())
}

#[test]
fn the_fields_that_came_later_stand_behind_the_others() {
    let authority = Authority::default();
    let key = KeyPair::generate().expect("a key");
    let mut params = Authority::params(Flaw::None);
    params.serial_number = Some(vec![0xca, 0xfe].into());
    let certificate = authority.sign(params, &key);
    let report = check(server_config(vec![certificate.der().clone()], None, &key), &authority, &[]).report();
    let tls = &report["tls"];
    let last =
        |object: &Value| object.as_object().expect("an object").keys().rev().take(4).cloned().collect::<Vec<_>>();
    assert_eq!(last(tls), ["certificates_omitted", "ocsp", "alpn", "signature_scheme"]);
    assert_eq!((&tls["post_quantum"], &tls["signature_scheme"]), (&json!(true), &json!("ecdsa_secp256r1_sha256")));
    assert_eq!((&tls["alpn"], &tls["ocsp"]), (&Value::Null, &Value::Null));
    let shown = &tls["certificates"][0];
    assert_eq!(last(shown), ["names_omitted", "days_left", "spki_sha256", "signature"]);
    // DER keeps it positive.
    assert_eq!((&shown["serial"], &shown["signature"]), (&json!("00cafe"), &json!("ecdsa-with-SHA256")));
    let pin = HEXLOWER.encode(digest(&SHA256, &key.subject_public_key_info()).as_ref());
    assert_eq!(shown["spki_sha256"], pin);
    assert!(shown["days_left"].as_i64().is_some_and(|days| days > 20_000), "{shown}");
}

#[test]
fn the_scheme_is_named_as_the_registry_names_it() {
    let authority = Authority::default();
    for (algorithm, options, scheme) in [
        (&rcgen::PKCS_ECDSA_P384_SHA384, &[][..], "ecdsa_secp384r1_sha384"),
        (&rcgen::PKCS_ED25519, &[], "ed25519"),
        (&rcgen::PKCS_RSA_SHA256, &[], "rsa_pss_rsae_sha512"),
        (&rcgen::PKCS_RSA_SHA256, &["--tls1.2"], "rsa_pss_rsae_sha512"),
    ] {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let certificate = authority.sign(Authority::params(Flaw::None), &key);
        let run = check(server_config(vec![certificate.der().clone()], None, &key), &authority, options);
        assert_eq!((run.code, &run.report()["tls"]["signature_scheme"]), (0, &json!(scheme)), "{}", run.stdout);
    }
}

#[test]
fn an_exchange_of_the_old_kind_is_not_called_post_quantum() {
    let authority = Authority::default();
    let report = check(authority.server_config(Flaw::None), &authority, &["--tls1.2"]).report();
    assert_eq!((&report["tls"]["post_quantum"], &report["tls"]["key_exchange"]), (&json!(false), &json!("X25519")));
}

#[test]
fn a_staple_tells_of_the_certificate() {
    let authority = Authority::default();
    let key = KeyPair::generate().expect("a key");
    let mut params = Authority::params(Flaw::None);
    params.serial_number = Some(vec![0xca, 0xfe].into());
    let certificate = authority.sign(params, &key);
    // Made with `openssl ocsp`: for this serial number, and for another.
    let (good, other) = (&include_bytes!("ocsp/good.der")[..], &include_bytes!("ocsp/revoked.der")[..]);
    for (response, status) in [(good, json!("good")), (other, json!(null)), (b"no response", json!(null))] {
        for options in [&["--tls1.2"][..], &["--tls1.3"]] {
            let config = server_config(vec![certificate.der().clone()], Some(response.to_vec()), &key);
            let run = check(config, &authority, options);
            let expected = json!({"bytes": response.len(), "status": status});
            assert_eq!((run.code, &run.report()["tls"]["ocsp"]), (0, &expected), "{options:?}");
        }
    }
}
