//! `starttls check` in JSON: what it says of servers that upgrade and of servers that do not.

mod support;

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use serde_json::{Value, json};
use starttls_replay::{Authority, Flaw};
use support::{Run, arguments, check, good_server, line, replay, run, serve, server_config, tool, wait};

/// Checks the fields of an object, in their order. The contract lets others be added, behind them.
fn assert_keys(object: &Value, keys: &[&str]) {
    let all: Vec<_> = object.as_object().expect("an object").keys().collect();
    assert_eq!(all[..keys.len()], *keys);
}

fn assert_failure(run: &Run, outcome: &str, kind: &str, stage: &str, tlsrpt: Value) {
    let report = run.report();
    let failure = &report["failure"];
    assert_keys(failure, &["kind", "stage", "message", "reply", "tlsrpt"]);
    assert_eq!(
        (&report["outcome"], &failure["kind"], &failure["stage"], &failure["tlsrpt"]),
        (&json!(outcome), &json!(kind), &json!(stage), &tlsrpt),
        "{report}"
    );
    assert!(!failure["message"].as_str().expect("a message").is_empty());
    assert_eq!((run.code, run.stderr.as_str()), (2, ""), "{report}");
}

#[test]
fn every_protocol_is_upgraded_and_verified() {
    for (protocol, round_trips, advertised) in
        [("smtp", 3, json!(true)), ("lmtp", 3, json!(true)), ("imap", 2, json!(null)), ("pop3", 2, json!(null))]
    {
        let authority = Authority::default();
        let server = good_server(protocol, &authority, Flaw::None);
        let run = check(protocol, &server, &authority);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{}", run.stdout);

        let report = run.report();
        let keys = [
            "target",
            "protocol",
            "address",
            "outcome",
            "failure",
            "cleartext",
            "tls",
            "seconds",
            "findings",
            "implicit",
            "session",
            "active",
        ];
        assert_keys(&report, &keys);
        assert_eq!(report["target"], format!("{protocol}://{}", server.address()));
        assert_eq!(report["protocol"], protocol);
        assert_eq!(report["address"], server.address().to_string());
        assert_eq!(report["outcome"], "upgraded");
        assert_eq!(report["failure"], Value::Null);
        let seconds = report["seconds"].as_f64().expect("a number");
        assert!(0.0 < seconds && seconds < 15.0, "{seconds}");

        let cleartext = &report["cleartext"];
        assert_keys(cleartext, &["round_trips", "sent_bytes", "received_bytes", "advertised", "dialogue"]);
        assert_eq!(cleartext["round_trips"], round_trips);
        assert_eq!(cleartext["advertised"], advertised, "{protocol}");
        let dialogue = cleartext["dialogue"].as_array().expect("an array");
        // The server speaks first and last.
        assert_eq!(dialogue.len(), 2 * round_trips - 1);
        for (number, turn) in dialogue.iter().enumerate() {
            assert_keys(turn, &["from", "text"]);
            assert_eq!(turn["from"], ["server", "client"][number % 2]);
            assert!(turn["text"].as_str().expect("text").ends_with(r"\r\n"), "{turn}");
        }
        for (field, side) in [("sent_bytes", "client"), ("received_bytes", "server")] {
            let texts = dialogue.iter().filter(|turn| turn["from"] == side).filter_map(|turn| turn["text"].as_str());
            // Nothing else is escaped in these.
            let bytes: usize = texts.map(|text| text.replace(r"\r\n", "\r\n").len()).sum();
            assert_eq!(cleartext[field], bytes);
        }

        let tls = &report["tls"];
        let keys = ["version", "cipher_suite", "key_exchange", "verified", "verify_error", "certificates"];
        assert_keys(tls, &keys);
        assert_eq!(tls["version"], "TLSv1.3");
        assert_eq!(tls["cipher_suite"], "TLS_AES_256_GCM_SHA384");
        assert_eq!(tls["key_exchange"], "X25519MLKEM768");
        assert_eq!(tls["verified"], true);
        assert_eq!(tls["verify_error"], Value::Null);
        let [certificate] = &tls["certificates"].as_array().expect("an array")[..] else { panic!("{tls}") };
        let keys = ["subject", "issuer", "not_before", "not_after", "names", "key", "key_bits", "sha256"];
        assert_keys(certificate, &keys);
        assert_eq!(certificate["subject"], "CN=starttls test server");
        assert_eq!(certificate["issuer"], "CN=Private CA");
        assert_eq!(certificate["not_before"], "2020-01-01T00:00:00Z");
        assert_eq!(certificate["not_after"], "2099-01-01T00:00:00Z");
        assert_eq!(certificate["names"], json!(["localhost", "127.0.0.1"]));
        assert_eq!(certificate["key"], "ECDSA P-256");
        assert_eq!(certificate["key_bits"], 256);
        let sha256 = certificate["sha256"].as_str().expect("a string");
        assert!(sha256.len() == 64 && sha256.bytes().all(|byte| b"0123456789abcdef".contains(&byte)), "{sha256}");
    }
}

#[test]
fn tls_1_2_is_named_as_the_registry_names_it() {
    let authority = Authority::default();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .expect("TLS 1.2")
        .with_no_client_auth()
        .with_cert_resolver(authority.server_config(Flaw::None).cert_resolver.clone());
    let run = check("smtp", &replay("smtp/postfix.txt", Arc::new(config)), &authority);
    let tls = &run.report()["tls"];
    assert_eq!(tls["version"], "TLSv1.2");
    assert_eq!(tls["cipher_suite"], "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384");
    assert_eq!(run.code, 0);
}

#[test]
fn a_certificate_that_does_not_hold_is_reported_with_its_flaw() {
    let authority = Authority::default();
    for (flaw, trusted, tlsrpt, words) in [
        (Flaw::Expired, &authority, "certificate-expired", "expired"),
        (Flaw::WrongName, &authority, "certificate-host-mismatch", "not for localhost"),
        // The other authority has the same name.
        (Flaw::None, &Authority::default(), "certificate-not-trusted", "two of the same name"),
    ] {
        let run = check("smtp", &good_server("smtp", &authority, flaw), trusted);
        assert_failure(&run, "upgraded", "certificate", "TLS", json!(tlsrpt));
        let report = run.report();
        assert_eq!(report["tls"]["verified"], false);
        assert_eq!(report["tls"]["verify_error"], report["failure"]["message"]);
        assert!(report["failure"]["message"].as_str().expect("a message").contains(words), "{report}");
        assert_eq!(report["tls"]["certificates"][0]["issuer"], "CN=Private CA");
        assert_eq!(report["cleartext"]["round_trips"], 3);
    }
}

#[test]
fn a_self_signed_certificate_is_not_trusted() {
    // Whether it is an authority is the choice of who makes it: `openssl req -x509` says yes by default.
    for (is_ca, words) in [
        (rcgen::IsCa::NoCa, "no trusted authority has signed"),
        (rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained), "is that of a certificate authority"),
    ] {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("valid names");
        params.is_ca = is_ca;
        let key = rcgen::KeyPair::generate().expect("a key");
        let config = server_config(vec![params.self_signed(&key).expect("a certificate").der().clone()], None, &key);
        let authority = Authority::default();
        let run = check("smtp", &replay("smtp/postfix.txt", config), &authority);
        assert_failure(&run, "upgraded", "certificate", "TLS", json!("certificate-not-trusted"));
        assert!(run.report()["tls"]["verify_error"].as_str().expect("an error").contains(words), "{}", run.stdout);
    }
}

#[test]
fn a_server_without_the_key_of_its_certificate_gets_no_tls() {
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("valid names");
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    let other_key = rcgen::KeyPair::generate().expect("a key");
    let server = replay("smtp/postfix.txt", server_config(vec![certificate.der().clone()], None, &other_key));
    let run = check("smtp", &server, &Authority::default());
    assert_failure(&run, "failed", "certificate", "TLS", json!("validation-failure"));
    let report = run.report();
    assert_eq!(report["failure"]["message"], "the server does not hold the key of its certificate");
    assert_eq!(report["tls"], Value::Null);
}

#[test]
fn a_server_that_declines_is_told_from_one_that_breaks_its_protocol() {
    let unsupported = || json!("starttls-not-supported");
    let authority = Authority::default();
    for (transcript, outcome, kind, stage, tlsrpt, reply, advertised) in [
        ("smtp/postfix-not-offered.txt", "plaintext", "not-advertised", "EHLO", unsupported(), None, json!(false)),
        (
            "smtp/postfix-broken-key.txt",
            "plaintext",
            "refused",
            "STARTTLS",
            unsupported(),
            Some("454 4.7.0"),
            json!(true),
        ),
        ("pop3/dovecot-not-offered.txt", "plaintext", "refused", "STLS", unsupported(), Some("-ERR"), json!(null)),
        ("imap/dovecot-preauth.txt", "plaintext", "preauth", "greeting", json!(null), Some("[CAPABILITY"), json!(null)),
        ("hostile/smtp/closing-greeting.txt", "failed", "refused", "greeting", json!(null), Some("554"), json!(null)),
        ("hostile/smtp/250-to-starttls.txt", "failed", "protocol", "STARTTLS", json!(null), Some("250"), json!(true)),
        ("hostile/smtp/injected-line.txt", "failed", "injection", "STARTTLS", json!(null), None, json!(true)),
        ("hostile/lmtp/injected-tls.txt", "failed", "injection", "STARTTLS", json!(null), None, json!(true)),
        (
            "hostile/smtp/terminal-escape.txt",
            "plaintext",
            "refused",
            "STARTTLS",
            unsupported(),
            Some(r"554 \x1b[2J"),
            json!(true),
        ),
    ] {
        let protocol = transcript.trim_start_matches("hostile/").split('/').next().expect("a protocol");
        let server = replay(transcript, authority.server_config(Flaw::None));
        let run = check(protocol, &server, &authority);
        assert_failure(&run, outcome, kind, stage, tlsrpt);
        let report = run.report();
        match (reply, report["failure"]["reply"].as_str()) {
            (Some(start), Some(reply)) => assert!(reply.starts_with(start), "{transcript}: {reply}"),
            (expected, reply) => assert_eq!(expected, reply, "{transcript}"),
        }
        assert_eq!(report["cleartext"]["advertised"], advertised, "{transcript}");
        assert_eq!(report["tls"], Value::Null);
        assert_eq!(report["address"], server.address().to_string());
    }
}

#[test]
fn an_endless_greeting_meets_a_limit() {
    let server = serve(|mut stream| {
        loop {
            stream.write_all(&[b'2'; 4096])?;
        }
    });
    let run = check("smtp", &server, &Authority::default());
    assert_failure(&run, "failed", "limit", "greeting", json!(null));
}

#[test]
fn silence_ends_in_time() {
    let silent = serve(|mut stream| wait(&mut stream));
    let silent_after_the_go_ahead = serve(|mut stream| {
        stream.write_all(b"+OK\r\n")?;
        line(&mut stream)?;
        stream.write_all(b"+OK\r\n")?;
        wait(&mut stream)
    });
    for (server, stage) in [(silent, "greeting"), (silent_after_the_go_ahead, "TLS")] {
        let started = Instant::now();
        let mut command = tool();
        command.args(arguments("pop3", &server, &Authority::default())).args(["--json", "--timeout", "0.5"]);
        let run = Run::from(command.output().expect("the tool starts"));
        let elapsed = started.elapsed();
        assert_failure(&run, "failed", "timeout", stage, json!(null));
        assert!(elapsed >= Duration::from_millis(500), "it gave up early: {elapsed:?}");
        assert!(elapsed < Duration::from_secs(10), "it gave up late: {elapsed:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_check_that_is_stopped_goes_on() {
    use std::{process::Stdio, sync::Barrier};

    use rustix::process::{Pid, Signal, kill_process};

    let authority = Authority::default();
    let (accepted, play) =
        (Arc::new(Barrier::new(2)), support::player("pop3/dovecot.txt", authority.server_config(Flaw::None)));
    let barrier = accepted.clone();
    let server = serve(move |stream| {
        barrier.wait();
        barrier.wait();
        play(stream)
    });
    let mut command = tool();
    command.args(arguments("pop3", &server, &authority)).stdout(Stdio::piped());
    let child = command.spawn().expect("the tool starts");
    accepted.wait();
    let id = Pid::from_raw(child.id().try_into().expect("a process")).expect("a process");
    // The states of proc(5): it waits for the greeting, and it is stopped.
    let until = |state| {
        let stat = || std::fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("it runs");
        while !stat().contains(state) {
            assert!(!stat().contains(") Z "), "it has ended");
            std::thread::yield_now();
        }
    };
    until(") S ");
    kill_process(id, Signal::STOP).expect("it runs");
    until(") T ");
    kill_process(id, Signal::CONT).expect("it runs");
    until(") S ");
    accepted.wait();
    let run = Run::from(child.wait_with_output().expect("it ends"));
    assert_eq!(run.code, 0, "{}", run.stdout);
}

#[test]
fn plaintext_for_tls_is_a_failure_of_tls() {
    let server = serve(|mut stream| {
        stream.write_all(b"+OK\r\n")?;
        line(&mut stream)?;
        stream.write_all(b"+OK\r\n")?;
        // Only when the client has begun TLS.
        stream.read_exact(&mut [0])?;
        stream.write_all(b"-ERR \x1b[2Jwhat do you mean?\r\n")?;
        wait(&mut stream)
    });
    let run = check("pop3", &server, &Authority::default());
    assert_failure(&run, "failed", "tls", "TLS", json!("validation-failure"));
    assert!(run.report()["failure"]["message"].as_str().expect("a message").contains("not TLS"), "{}", run.stdout);
}

#[test]
fn a_server_that_hangs_up_is_told_where() {
    let at_once = serve(|_| Ok(()));
    let after_the_go_ahead = serve(|mut stream| {
        stream.write_all(b"+OK\r\n")?;
        line(&mut stream)?;
        stream.write_all(b"+OK\r\n")
    });
    for (server, stage) in [(at_once, "greeting"), (after_the_go_ahead, "TLS")] {
        let run = check("pop3", &server, &Authority::default());
        assert_failure(&run, "failed", "closed", stage, json!(null));
    }
}

#[test]
fn a_client_without_a_name_gives_its_address() {
    let server = serve(|mut stream| {
        stream.write_all(b"220 mail.example\r\n")?;
        let hello = line(&mut stream)?;
        stream.write_all(format!("550 I do not greet {hello}\r\n").as_bytes())?;
        wait(&mut stream)
    });
    let target = server.address().to_string();
    let run = run(&["check", "--starttls", "submission", "--json", &target]);
    assert_failure(&run, "plaintext", "refused", "EHLO", json!("starttls-not-supported"));
    let report = run.report();
    assert_eq!(report["failure"]["reply"], "550 I do not greet EHLO [127.0.0.1]");
    assert_eq!((&report["target"], &report["protocol"]), (&json!(target), &json!("smtp")));
}
