//! The options of `starttls check`: where it connects, what it says, and how it speaks TLS.

mod support;

use std::sync::{Arc, Mutex, mpsc};

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use serde_json::{Value, json};
use starttls_replay::{Authority, Flaw, Server, Transcript};
use support::{Run, check_with, file, replay, server_config};

/// A server with the usual dialogue, and a certificate for these names.
fn named(protocol: starttls::Protocol, authority: &Authority, names: &[&str]) -> Server {
    let mut params = rcgen::CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
    let params = params.as_mut().expect("valid names");
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = authority.sign(params.clone(), &key);
    let config = server_config(vec![certificate.der().clone()], None, &key);
    replay(&Transcript::usual(protocol).name, config)
}

fn address(server: &Server) -> String {
    server.address().to_string()
}

fn smtp(server: &Server) -> String {
    format!("smtp://{}", server.address())
}

#[test]
fn the_connection_goes_elsewhere_and_asks_for_the_target() {
    let authority = Authority::default();
    let server = named(starttls::Protocol::Smtp, &authority, &["mail.example"]);
    let port = server.address().port();
    for (target, place) in
        [("smtp://mail.example", address(&server)), (&format!("smtp://mail.example:{port}"), "127.0.0.1".to_owned())]
    {
        let run = check_with(target, &authority, &["--json", "--connect", &place]);
        let report = run.report();
        assert_eq!((run.code, &report["target"], &report["address"]), (0, &json!(target), &json!(address(&server))));
    }
    let run = check_with("smtp://mail.example", &authority, &["--connect", "[::1"]);
    assert!(run.complaint().contains("closing bracket"), "{}", run.stderr);
}

#[test]
fn the_domain_is_the_target_whatever_the_certificate() {
    // The server hangs up on a client that asks for another domain than mail.example.
    let authority = Authority::default();
    let server = named(starttls::Protocol::Http, &authority, &["www.example"]);
    let place = address(&server);
    let options = ["--connect", &place, "--server-name", "www.example"];
    assert_eq!(check_with("http://mail.example", &authority, &options).code, 0);
    // An address is no domain.
    let server = named(starttls::Protocol::Http, &authority, &["mail.example"]);
    assert_eq!(
        check_with(&format!("http://{}", address(&server)), &authority, &["--server-name", "mail.example"]).code,
        0
    );
}

#[test]
fn the_family_of_addresses_can_be_chosen() {
    let authority = Authority::default();
    let server = replay("smtp/postfix.txt", authority.server_config(Flaw::None));
    let localhost = format!("smtp://localhost:{}", server.address().port());
    let run = check_with(&localhost, &authority, &["-4", "--json"]);
    assert_eq!((run.code, &run.report()["address"]), (0, &json!(address(&server))));
    for (target, option, words) in [
        (smtp(&server), "-6", "127.0.0.1: it has no IPv6 address"),
        (smtp(&server), "--ipv6", "127.0.0.1: it has no IPv6 address"),
        ("smtp://[::1]".to_owned(), "--ipv4", "::1: it has no IPv4 address"),
    ] {
        let run = check_with(&target, &authority, &[option]);
        assert!(run.complaint().contains(words), "{}", run.stderr);
        assert_eq!(run.code, 3);
    }
}

#[test]
fn a_server_that_does_not_list_the_command_can_be_asked_for_it() {
    let authority = Authority::default();
    let refusing = replay("smtp/postfix-not-offered-insist.txt", authority.server_config(Flaw::None));
    for (options, kind) in [(&["--json"][..], "not-advertised"), (&["--json", "--insist"], "refused")] {
        let run = check_with(&smtp(&refusing), &authority, options);
        assert_eq!((run.code, &run.report()["failure"]["kind"]), (2, &json!(kind)));
    }
}

/// What a server saw of its client in the handshake.
type Hello = (Option<String>, Vec<Vec<u8>>);

/// Shows one certificate, and tells of the clients.
#[derive(Debug)]
struct Witness {
    inner: Arc<dyn ResolvesServerCert>,
    hellos: Mutex<mpsc::Sender<Hello>>,
}

impl ResolvesServerCert for Witness {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let alpn = hello.alpn().into_iter().flatten().map(<[u8]>::to_vec).collect();
        let seen = (hello.server_name().map(str::to_owned), alpn);
        self.hellos.lock().expect("no panic").send(seen).expect("the test waits");
        self.inner.resolve(hello)
    }
}

/// Checks an SMTP server for `localhost` with these options, and tells what it saw.
fn hello(options: &[&str]) -> (Run, Hello) {
    let authority = Authority::default();
    let (sender, hellos) = mpsc::channel();
    let mut config = ServerConfig::clone(&authority.server_config(Flaw::None));
    config.cert_resolver = Arc::new(Witness { inner: config.cert_resolver.clone(), hellos: Mutex::new(sender) });
    config.alpn_protocols = vec![b"smtp".to_vec(), b"other".to_vec()];
    let server = replay("smtp/postfix.txt", Arc::new(config));
    let run = check_with(&smtp(&server), &authority, &[&["--json"], options].concat());
    let hello = hellos.try_recv().unwrap_or_else(|_| panic!("no handshake: {}{}", run.stdout, run.stderr));
    (run, hello)
}

#[test]
fn the_name_sent_and_the_name_verified_can_differ() {
    for (options, sni) in [
        // An address is verified, but cannot be sent.
        (&[][..], None),
        (&["--server-name", "localhost"], Some("localhost")),
        (&["--server-name", "localhost", "--sni", "front.example"], Some("front.example")),
        (&["--sni", "front.example"], Some("front.example")),
        (&["--server-name", "localhost", "--no-sni"], None),
    ] {
        let (run, (seen, _)) = hello(options);
        assert_eq!((run.code, seen.as_deref()), (0, sni), "{options:?}: {}", run.stdout);
        let exposure = run.report()["exposure"].as_array().expect("an array").clone();
        let exposed: Vec<_> =
            exposure.iter().filter(|shown| shown["what"] == "SNI").map(|shown| &shown["value"]).collect();
        assert_eq!(exposed, sni.map(|sni| json!(sni)).iter().collect::<Vec<_>>(), "{options:?}");
    }
    let (run, _) = hello(&["--server-name", "other.example", "--sni", "localhost"]);
    assert_eq!((run.code, &run.report()["failure"]["tlsrpt"]), (2, &json!("certificate-host-mismatch")));
}

#[test]
fn application_protocols_are_offered() {
    for (options, offered, agreed) in [
        (&[][..], &[][..], Value::Null),
        (&["--alpn", "smtp"], &["smtp"], json!("smtp")),
        (&["--alpn", "unheard,other"], &["unheard", "other"], json!("other")),
    ] {
        let (run, (_, seen)) = hello(options);
        let seen: Vec<_> = seen.iter().map(|name| String::from_utf8_lossy(name)).collect();
        assert_eq!((run.code, &seen[..]), (0, &offered.iter().map(|&name| name.into()).collect::<Vec<_>>()[..]));
        assert_eq!(run.report()["tls"]["alpn"], agreed);
    }
}

#[test]
fn one_version_alone_can_be_offered() {
    let authority = Authority::default();
    let config = |version| {
        ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .expect("a version")
            .with_no_client_auth()
            .with_cert_resolver(authority.server_config(Flaw::None).cert_resolver.clone())
    };
    let both = replay("smtp/postfix.txt", authority.server_config(Flaw::None));
    let old = replay("smtp/postfix.txt", Arc::new(config(&rustls::version::TLS12)));
    for (server, option, code, version) in [
        (&both, "--tls1.2", 0, json!("TLSv1.2")),
        (&both, "--tls1.3", 0, json!("TLSv1.3")),
        (&old, "--tls1.2", 0, json!("TLSv1.2")),
        (&old, "--tls1.3", 2, Value::Null),
    ] {
        let run = check_with(&smtp(server), &authority, &["--json", option]);
        assert_eq!((run.code, &run.report()["tls"]["version"]), (code, &version), "{option}: {}", run.stdout);
    }
    let run = check_with(&smtp(&both), &authority, &["--tls1.2", "--tls1.3"]);
    assert!(run.complaint().contains("cannot be used with"), "{}", run.stderr);
}

#[test]
fn a_client_certificate_is_shown_to_a_server_that_asks() {
    let authority = Authority::default();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.der()).expect("a CA certificate");
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().expect("roots");
    let config = ServerConfig::builder_with_provider(provider)
        // Only in TLS 1.2 does the handshake of the client wait for what the server says to it.
        .with_protocol_versions(&[&rustls::version::TLS12])
        .expect("TLS 1.2")
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(authority.server_config(Flaw::None).cert_resolver.clone());
    let server = replay("smtp/postfix.txt", Arc::new(config));

    let (certificate, key) = authority.issue(Flaw::None);
    let cert_file = file("cert.pem", &certificate.pem()).display().to_string();
    let key_file = file("key.pem", &key.serialize_pem()).display().to_string();
    let both = file("both.pem", &format!("{}{}", certificate.pem(), key.serialize_pem())).display().to_string();
    for (options, code) in [(&[][..], 2), (&["--cert", &cert_file, "--key", &key_file], 0), (&["--cert", &both], 0)] {
        let run = check_with(&smtp(&server), &authority, options);
        assert_eq!((run.code, run.stderr.as_str()), (code, ""), "{}", run.stdout);
    }
    let other = file("key.pem", &rcgen::KeyPair::generate().expect("a key").serialize_pem()).display().to_string();
    for (options, words) in [
        (&["--key", &key_file][..], "--cert"),
        (&["--cert", &cert_file], "cannot use the key"),
        (&["--cert", &key_file, "--key", &key_file], "no certificate"),
        (&["--cert", &cert_file, "--key", &other], "cannot use the key"),
        (&["--cert", "/nonexistent", "--key", &key_file], "/nonexistent"),
    ] {
        let run = check_with(&smtp(&server), &authority, options);
        assert!(run.complaint().contains(words), "{}", run.stderr);
        assert_eq!(run.code, 3);
    }
}

#[test]
fn authorities_come_from_a_directory_as_well() {
    let authority = Authority::default();
    let other = Authority::new("Other CA");
    let server = replay("smtp/postfix.txt", authority.server_config(Flaw::None));
    let directory = |name: &str, files: &[(&str, String)]| {
        let path = file(name, "").with_extension("d");
        std::fs::create_dir_all(&path).expect("a writable directory");
        for (name, text) in files {
            std::fs::write(path.join(name), text).expect("a writable directory");
        }
        path.display().to_string()
    };
    let good = directory("good", &[("README", "none".to_owned()), ("a.pem", other.pem()), ("b.crt", authority.pem())]);
    let bad = directory("bad", &[("README", "none".to_owned())]);
    // `check_with` gives --ca-file as well: both count.
    assert_eq!(check_with(&smtp(&server), &other, &["--ca-dir", &good]).code, 0);
    assert_eq!(check_with(&smtp(&server), &other, &[]).code, 2);
    let run = check_with(&smtp(&server), &authority, &["--ca-dir", &bad]);
    assert!(run.complaint().contains("there is no certificate in it"), "{}", run.stderr);
    let run = check_with(&smtp(&server), &authority, &["--ca-dir", "/nonexistent"]);
    assert!(run.complaint().contains("cannot use the CA directory /nonexistent"), "{}", run.stderr);
}
