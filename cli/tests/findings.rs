//! What `starttls check` finds beside the outcome, and what it makes of the exit code.

mod support;

use std::io::Write;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, KeyPair, PublicKeyData, SignatureAlgorithm, date_time_ymd};
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use starttls_replay::{Authority, Flaw, Server, Transcript, Turn, play};
use support::{Run, check_with, line, replay, serve, server_config};

/// Checks an SMTP server that shows `chain`, for `localhost`.
fn check(chain: Vec<CertificateDer<'static>>, key: &KeyPair, authority: &Authority, options: &[&str]) -> Run {
    let server = replay("smtp/postfix.txt", server_config(chain, None, key));
    check_server(&server, authority, options)
}

fn check_server(server: &Server, authority: &Authority, options: &[&str]) -> Run {
    let options = [&["--json", "--server-name", "localhost"], options].concat();
    check_with(&format!("smtp://{}", server.address()), authority, &options)
}

/// The findings, each with its severity, and the message of the first.
fn findings(run: &Run) -> (Vec<(String, String)>, String) {
    let report = run.report();
    let all = report["findings"].as_array().expect("an array");
    let text = |finding: &Value, field: &str| finding[field].as_str().expect("text").to_owned();
    for finding in all {
        assert!(!text(finding, "advice").is_empty());
    }
    let message = all.first().map(|first| text(first, "message")).unwrap_or_default();
    (all.iter().map(|finding| (text(finding, "id"), text(finding, "severity"))).collect(), message)
}

fn assert_finding(run: &Run, code: i32, id: &str, severity: &str, words: &str) {
    let (found, message) = findings(run);
    assert_eq!(found, [(id.to_owned(), severity.to_owned())], "{}", run.stdout);
    assert!(message.contains(words), "{message}");
    assert_eq!((run.code, run.stderr.as_str()), (code, ""));
}

/// A certificate of `authority` that has so many days left, and an hour.
fn with_days(authority: &Authority, days: u64) -> (CertificateDer<'static>, KeyPair) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let mut params = Authority::params(Flaw::None);
    params.not_after = date_time_ymd(1970, 1, 1) + now + Duration::from_secs(days * 86400 + 3600);
    let key = KeyPair::generate().expect("a key");
    (authority.sign(params, &key).der().clone(), key)
}

#[test]
fn a_certificate_near_its_end_is_found_in_time() {
    let authority = Authority::default();
    for (days, options, expected) in [
        (14, &[][..], None),
        (13, &[], Some((1, "warning", "certificate 1 expires in 13 days"))),
        (3, &[], Some((1, "warning", "in 3 days"))),
        (2, &[], Some((2, "critical", "in 2 days"))),
        (0, &[], Some((2, "critical", "in less than a day"))),
        (13, &["--warn-days", "13"], None),
        (20, &["--warn-days", "21"], Some((1, "warning", "in 20 days"))),
        (20, &["--crit-days", "21"], Some((2, "critical", "in 20 days"))),
        (0, &["--crit-days", "0", "--warn-days", "0"], None),
    ] {
        let (certificate, key) = with_days(&authority, days);
        let run = check(vec![certificate], &key, &authority, options);
        match expected {
            Some((code, severity, words)) => assert_finding(&run, code, "near-expiry", severity, words),
            None => assert_eq!((run.code, findings(&run).0), (0, Vec::new()), "{days} {options:?}"),
        }
        assert_eq!(run.report()["tls"]["certificates"][0]["days_left"], days);
        // The upgrade is none the worse.
        assert_eq!((&run.report()["failure"], &run.report()["tls"]["verified"]), (&Value::Null, &json!(true)));
    }
}

#[test]
fn the_chain_is_to_be_in_order_and_without_its_root() {
    let root = Authority::default();
    let intermediate = root.under("Intermediate CA");
    let (own, key) = intermediate.issue(Flaw::None);
    let run = check(vec![own.der().clone(), intermediate.der()], &key, &root, &[]);
    assert_eq!((run.code, findings(&run).0), (0, Vec::new()));
    let run = check(vec![own.der().clone(), intermediate.der(), root.der()], &key, &root, &[]);
    assert_finding(&run, 0, "root-sent", "info", "root");
    // A root alone is no chain.
    let key = KeyPair::generate().expect("a key");
    let alone = Authority::params(Flaw::None).self_signed(&key).expect("a certificate");
    assert_eq!(findings(&check(vec![alone.der().clone()], &key, &root, &[])).0, []);
    let (own, key) = intermediate.issue(Flaw::None);
    let stray = Authority::new("Stray CA").under("Stray intermediate").der();
    let run = check(vec![own.der().clone(), stray, intermediate.der()], &key, &root, &[]);
    assert_finding(&run, 1, "chain-order", "warning", "certificate 2 is not that of the issuer of the one before it");
}

/// An RSA key of 1,024 bits, as far as a certificate shows it.
struct ShortKey(Vec<u8>);

impl ShortKey {
    fn new() -> Self {
        let modulus = [&[0x02, 0x81, 0x81, 0x00][..], &[0xc5; 128]].concat();
        Self([&[0x30, 0x81, 0x89][..], &modulus, &[0x02, 0x03, 0x01, 0x00, 0x01]].concat())
    }
}

impl PublicKeyData for ShortKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_RSA_SHA256
    }
}

#[test]
fn a_weak_key_is_found_although_there_is_no_tls_with_it() {
    let authority = Authority::default();
    let certificate = authority.sign(Authority::params(Flaw::None), &ShortKey::new());
    let key = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("a key");
    let run = check(vec![certificate.der().clone()], &key, &authority, &[]);
    assert_finding(&run, 2, "weak-key", "critical", "the key of certificate 1 is weak: RSA, 1024 bits");
    let failure = &run.report()["failure"];
    assert_eq!((&failure["kind"], &failure["tlsrpt"]), (&json!("certificate"), &json!("validation-failure")));
    let message = "the server's certificate cannot be used: its key is too weak for TLS: RSA, 1024 bits";
    assert_eq!(failure["message"], message);
}

#[test]
fn a_server_that_staples_its_own_revocation_is_told_so() {
    let authority = Authority::default();
    let mut params = Authority::params(Flaw::None);
    params.serial_number = Some(vec![0xbe, 0xef].into());
    let key = KeyPair::generate().expect("a key");
    let (certificate, staple) = (authority.sign(params, &key), include_bytes!("ocsp/revoked.der").to_vec());
    let server = replay("smtp/postfix.txt", server_config(vec![certificate.der().clone()], Some(staple), &key));
    assert_finding(&check_server(&server, &authority, &[]), 2, "revoked", "critical", "its own certificate is revoked");
}

#[test]
fn a_signature_that_can_be_forged_is_found() {
    let authority = Authority::default();
    let key = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("a key");
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("valid names");
    params.distinguished_name.push(rcgen::DnType::CommonName, "issuer");
    let issuer = rcgen::Issuer::new(params, &key);
    let certificate = Authority::params(Flaw::None).signed_by(&key, &issuer).expect("a certificate");
    // sha256WithRSAEncryption becomes sha1WithRSAEncryption in both places, whatever that makes of the signature.
    let (sha256, sha1) = (*b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", *b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05");
    let mut der = certificate.der().to_vec();
    for at in 0..der.len() - sha256.len() {
        if der[at..].starts_with(&sha256) {
            der[at..at + sha1.len()].copy_from_slice(&sha1);
        }
    }
    let run = check(vec![der.into()], &key, &authority, &[]);
    assert_finding(&run, 2, "weak-signature", "critical", "on certificate 1 can be forged: sha1WithRSAEncryption");
}

#[test]
fn a_server_that_takes_tls_1_2_is_told_so() {
    let authority = Authority::default();
    let config = rustls::ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .expect("TLS 1.2")
        .with_no_client_auth()
        .with_cert_resolver(authority.server_config(Flaw::None).cert_resolver.clone());
    let server = replay("smtp/postfix.txt", config.into());
    assert_finding(&check_server(&server, &authority, &[]), 0, "tls1.2", "info", "was offered TLS 1.3, and took 1.2");
    // It was not offered more.
    let run = check_server(&server, &authority, &["--tls1.2"]);
    assert_eq!(findings(&run).0, []);
}

#[test]
fn the_names_that_would_match_are_named() {
    let authority = Authority::default();
    let server = replay("smtp/postfix.txt", authority.server_config(Flaw::WrongName));
    let run = check_server(&server, &authority, &[]);
    assert_finding(&run, 2, "name-mismatch", "critical", "is not for localhost, but for other.example");
    let nameless = CertificateParams::new(Vec::new()).expect("no names");
    let key = KeyPair::generate().expect("a key");
    let run = check(vec![authority.sign(nameless, &key).der().clone()], &key, &authority, &[]);
    assert_finding(&run, 2, "name-mismatch", "critical", "holds no name, so not localhost either");
}

/// Checks a server of `protocol` that plays this transcript.
fn check_transcript(protocol: &str, text: &str, options: &[&str]) -> Run {
    let authority = Authority::default();
    let (transcript, config): (Transcript, _) =
        (text.parse().expect("a transcript"), authority.server_config(Flaw::None));
    let server = serve(move |stream| play(stream, &transcript, config.clone()));
    check_with(&format!("{protocol}://{}", server.address()), &authority, &[&["--json"], options].concat())
}

#[test]
fn signs_of_stripping_are_told_from_its_absence() {
    let ehlo = "C: EHLO client.example";
    for (protocol, transcript, options, expected) in [
        // What proves nothing.
        ("smtp", format!("S: 220 mail.example ESMTP\n{ehlo}\nS: 250 mail.example\n= declined"), &[][..], None),
        ("smtp", format!("S: 220 mail.example ESMTP\n{ehlo}\nS: 250-mail.example\nS: 250 XX\n= declined"), &[], None),
        (
            "smtp",
            format!(
                "S: 220 mail.example ESMTP\n{ehlo}\nS: 250-mail.example\nS: 250-SIZE 10\nS: 250 XXXXXXXA\n= declined"
            ),
            &[],
            Some((2, "critical", "replaced by X or *")),
        ),
        (
            "lmtp",
            "S: 220 *****************0*2\nC: LHLO client.example\nS: 250 mail.example\n= declined".to_owned(),
            &[],
            Some((2, "critical", "replaced by X or *")),
        ),
        (
            "smtp",
            format!("S: 220-*****\nS: 220-* Hi *\nS: 220 *****\n{ehlo}\nS: 250 mail.example\n= declined"),
            &[],
            None,
        ),
        (
            "smtp",
            format!("S: 220 mail.example ESMTP\n{ehlo}\nS: 502 what?\n= declined"),
            &[],
            Some((2, "warning", "says ESMTP, but EHLO is not known")),
        ),
        ("smtp", format!("S: 220 mail.example\n{ehlo}\nS: 502 what?\n= declined"), &[], None),
        // Servers that know EHLO say these.
        ("smtp", format!("S: 220 mail.example ESMTP\n{ehlo}\nS: 501 bad name\n= declined"), &[], None),
        ("smtp", format!("S: 220 mail.example ESMTP\n{ehlo}\nS: 504 no such name\n= declined"), &[], None),
        ("smtp", format!("S: 220 mail.example ESMTP\n{ehlo}\nS: 550 go away\n= declined"), &[], None),
        (
            "imap",
            "S: * OK [CAPABILITY IMAP4rev1 LOGINDISABLED] ready\n= declined".to_owned(),
            &[],
            Some((2, "warning", "allows no login without TLS")),
        ),
        ("imap", "S: * OK [CAPABILITY IMAP4rev1 AUTH=LOGIN] ready\n= declined".to_owned(), &[], None),
        // There is another way in.
        ("imap", "S: * OK [CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=GSSAPI] ready\n= declined".to_owned(), &[], None),
        (
            "smtp",
            format!("S: 220 mail.example\n{ehlo}\nS: 250 mail.example\nC: STARTTLS\nS: 220 go\n= upgraded"),
            &["--insist", "--server-name", "localhost"],
            Some((1, "warning", "upgrades, but does not list")),
        ),
    ] {
        let run = check_transcript(protocol, &transcript, options);
        // What else is found is about what comes after TLS, and logins.
        let found = findings(&run).0.into_iter().find(|(id, _)| id == "stripping");
        let Some((code, severity, words)) = expected else {
            assert_eq!((run.code, found), (2, None), "{transcript}");
            continue;
        };
        assert_eq!((run.code, found), (code, Some(("stripping".to_owned(), severity.to_owned()))), "{}", run.stdout);
        assert!(run.stdout.contains(words), "{}", run.stdout);
    }
}

#[test]
fn advice_follows_from_what_is_known() {
    let greeting = "S: 220 mail.example ESMTP\nC: EHLO client.example";
    let long = format!("S: INFO {{\"x\":\"{}\"}}\n= limit", "x".repeat(17_000));
    for (protocol, transcript, advice) in [
        ("nats", &*long, None),
        ("smtp", "S: 554 mail.example\n= closing", Some("look into the server's log for why it refuses")),
        (
            "smtp",
            &format!("{greeting}\nS: 250-mail.example\nS: 250 STARTTLS\nC: STARTTLS\nS: 454 not now\n= declined"),
            Some("look into the server's log for why it offers TLS and then refuses it"),
        ),
        (
            "smtp",
            &format!("{greeting}\nS: 250 mail.example\n= declined"),
            Some("check that TLS is enabled on the server"),
        ),
        (
            "smtp",
            "S: SSH-2.0-x\n= unexpected",
            Some("check that this port speaks smtp; --starttls names another protocol"),
        ),
        ("smtp", &format!("{greeting}\nS: what?\n= unexpected"), None),
        ("smtp", &format!("{greeting}\n= closed"), Some("look into the server's log")),
        (
            "smtp",
            "= closed",
            Some("check that this port speaks smtp, and not TLS from the first byte; or look into the server's log"),
        ),
        (
            "smtp",
            "S: 220 mail.example\nS: 250 mail.example\n= injected",
            Some(
                "check again from another network: if it is still so, it comes from the server, and else from the path",
            ),
        ),
    ] {
        let (authority, transcript) = (Authority::default(), transcript.parse::<Transcript>().expect("a transcript"));
        let config = authority.server_config(Flaw::None);
        let server = serve(move |mut stream| {
            if transcript.outcome != "closed" {
                return play(stream, &transcript, config.clone());
            }
            for turn in &transcript.turns {
                match turn {
                    Turn::Server(said) => stream.write_all(said)?,
                    Turn::Client(_) => drop(line(&mut stream)?),
                }
            }
            Ok(())
        });
        let run = check_with(&format!("{protocol}://{}", server.address()), &authority, &["--brief"]);
        let told = run.stdout.lines().find_map(|line| line.strip_prefix("Try: "));
        assert_eq!((run.code, told), (2, advice), "{}", run.stdout);
    }
}

#[test]
fn the_certificate_that_has_expired_is_the_one_to_renew() {
    let root = Authority::default();
    let [middle, own] = [(); 2].map(|()| KeyPair::generate().expect("a key"));
    let params = |year| {
        let mut params = CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "Intermediate CA");
        params.not_after = date_time_ymd(year, 1, 1);
        params
    };
    for (flaw, year, advice) in [
        (Flaw::Expired, 2099, "renew the certificate and reload the server"),
        (Flaw::None, 2021, "replace certificate 2 of the chain, which has expired, on the server"),
    ] {
        let issuer = rcgen::Issuer::new(params(year), &middle);
        let leaf = Authority::params(flaw).signed_by(&own, &issuer).expect("a certificate");
        let chain = vec![leaf.der().clone(), root.sign(params(year), &middle).der().clone()];
        let server = replay("smtp/postfix.txt", server_config(chain, None, &own));
        let options = ["--brief", "--server-name", "localhost"];
        let run = check_with(&format!("smtp://{}", server.address()), &root, &options);
        assert!(run.stdout.contains(&format!("\nTry: {advice}\n")), "{}", run.stdout);
    }
}
