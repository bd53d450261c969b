//! What is kept of servers that say far too much: the memory of a scan, and the length of every output.
//!
//! `STARTTLS_CHAINS` says how many servers a scan has at once; the figures are printed.

#![cfg(unix)]

mod support;

use std::io::{self, Read, Write};
use std::iter;
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, SanType};
use rustls::pki_types::CertificateDer;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};
use serde_json::Value;
use starttls_replay::{Authority, Flaw, Server};
use support::{Run, ca_file, check_with, line, server_config};

/// The most memory of a scan, and the longest line of JSON.
const MEMORY: u64 = 128 << 20;
const LINE: usize = 256 << 10;

/// What a server says in TLS of this version, in records of `record` bytes.
fn config(
    version: &'static SupportedProtocolVersion,
    shown: &ServerConfig,
    record: Option<usize>,
) -> Arc<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(shown.crypto_provider().clone())
        .with_protocol_versions(&[version])
        .expect("a version")
        .with_no_client_auth()
        .with_cert_resolver(shown.cert_resolver.clone());
    config.max_fragment_size = record;
    config.into()
}

/// A good certificate, and so many bytes of the smallest behind it; and how many they are.
fn crowded(
    version: &'static SupportedProtocolVersion,
    record: Option<usize>,
    authority: &Authority,
    bytes: usize,
) -> (Arc<ServerConfig>, usize) {
    let (own, key) = authority.issue(Flaw::None);
    // One byte, behind its length, and in TLS 1.3 ahead of no extensions.
    let count = bytes / if version == &TLS13 { 6 } else { 4 };
    let chain = iter::once(own.der().clone()).chain(iter::repeat_n(CertificateDer::from(vec![0x30]), count));
    (config(version, &server_config(chain.collect(), None, &key), record), 1 + count)
}

/// Agrees to TLS over POP3. If it `holds` the client, it never says the last byte of what it answers to the ClientHello.
fn agree(mut stream: TcpStream, config: Arc<ServerConfig>, holds: bool) -> io::Result<()> {
    stream.write_all(b"+OK\r\n")?;
    line(&mut stream)?;
    stream.write_all(b"+OK\r\n")?;
    let mut tls = ServerConnection::new(config).map_err(io::Error::other)?;
    if !holds {
        return StreamOwned::new(tls, stream).read(&mut [0]).map(drop);
    }
    let mut flight = Vec::new();
    while flight.is_empty() {
        tls.read_tls(&mut stream)?;
        tls.process_new_packets().map_err(io::Error::other)?;
        while tls.wants_write() {
            tls.write_tls(&mut flight)?;
        }
    }
    stream.write_all(&flight[..flight.len() - 1])?;
    support::wait(&mut stream)
}

fn serve(handler: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Server {
    Server::start_at((Ipv4Addr::UNSPECIFIED, 0).into(), handler).expect("a free port")
}

/// Scans all of these at once: the lines, and the most memory.
fn scan(targets: &[String], authority: &Authority, options: &[&str]) -> (Vec<String>, u64) {
    let mut measure = std::env::current_exe().expect("a program");
    measure.pop();
    let mut command = Command::new(measure.join("../examples/measure"));
    command.arg(env!("CARGO_BIN_EXE_starttls")).args([
        "scan",
        "--name",
        "client.example",
        "--server-name",
        "localhost",
        "--ca-file",
    ]);
    command.arg(ca_file(authority)).arg("--file").arg(support::file("targets", &targets.join("\n")));
    command.args(["--jobs", &targets.len().to_string()]).args(options);
    let Run { code, stdout, stderr } = command.output().expect("the tool starts").into();
    assert_eq!(code, 0, "{stderr}");
    let (lines, memory) = stdout.trim_end().rsplit_once('\n').expect("a line of its own");
    (lines.lines().map(str::to_owned).collect(), memory.parse().expect("a number"))
}

/// So many addresses of a POP3 server.
fn targets(server: &Server, count: usize) -> Vec<String> {
    let port = server.address().port();
    (0..count).map(|number| format!("pop3://127.0.{}.{}:{port}", 1 + number / 250, 1 + number % 250)).collect()
}

fn count() -> usize {
    std::env::var("STARTTLS_CHAINS").map_or(150, |count| count.parse().expect("a number"))
}

#[test]
fn chains_without_end_take_little_memory_and_short_lines() {
    let authority = Authority::default();
    for version in [&TLS12, &TLS13] {
        // rustls takes 65,535 bytes, with what its records add.
        let (config, certificates) = crowded(version, None, &authority, 64_000);
        let server = serve(move |stream| agree(stream, config.clone(), false));
        let (lines, memory) = scan(&targets(&server, count()), &authority, &["--timeout", "60"]);
        let longest = lines.iter().map(String::len).max().expect("lines");
        println!(
            "{:?}: {} of {certificates} certificates: {memory} bytes at most, lines of {longest}",
            version.version,
            count()
        );
        assert_eq!(lines.len(), count());
        for line in &lines {
            let report: Value = serde_json::from_str(line).expect("JSON");
            let tls = &report["tls"];
            assert_eq!((&report["failure"], &tls["verified"]), (&Value::Null, &true.into()), "{report}");
            assert_eq!(tls["certificates"].as_array().map(Vec::len), Some(16), "{report}");
            assert_eq!(tls["certificates_omitted"], certificates - 16, "{report}");
        }
        assert!(longest < LINE, "a line of {longest} bytes");
        assert!(memory < MEMORY, "{memory} bytes");
    }
}

#[test]
fn servers_that_stop_behind_their_chain_take_little_memory_and_hold_no_others_up() {
    let authority = Authority::default();
    for (version, bytes) in [(&TLS12, 60_000), (&TLS13, 51_000), (&TLS12, 10_000)] {
        // The last record is so short that there is nothing of the chain in it.
        let (config, certificates) = crowded(version, Some(128), &authority, bytes);
        let hostile = serve(move |stream| agree(stream, config.clone(), true));
        let config = authority.server_config(Flaw::None);
        let healthy = serve(move |stream| agree(stream, config.clone(), false));
        // Those that are well come last.
        let targets = [targets(&hostile, count()), targets(&healthy, 10)].concat();
        let (lines, memory) = scan(&targets, &authority, &["--timeout", "5"]);
        println!("{:?}: {} held behind {certificates} certificates: {memory} bytes at most", version.version, count());
        let with = |words: &str| lines.iter().filter(|line| line.contains(words)).count();
        assert_eq!(
            [with(r#""kind":"timeout","stage":"TLS""#), with(r#""verified":true"#)],
            [count(), 10],
            "{}",
            lines[0]
        );
        assert!(memory < MEMORY, "{memory} bytes");
    }
}

/// Text of which each byte is escaped, and the escape once more by JSON.
fn backslashes(count: usize) -> String {
    "\\".repeat(count)
}

/// Certificates with as much text as a handshake has room for, and more behind them.
fn wordy(authority: &Authority) -> (Vec<CertificateDer<'static>>, KeyPair) {
    let key = KeyPair::generate().expect("a key");
    let params = |name: &str, names: usize, length: usize| {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a valid name");
        params.distinguished_name.push(DnType::CommonName, backslashes(700));
        params.distinguished_name.push(DnType::OrganizationName, "\x1b".repeat(100));
        let name =
            |number: usize| SanType::DnsName(format!("{number}{}", backslashes(length)).try_into().expect("ASCII"));
        params.subject_alt_names.extend((0..names).map(name));
        params
    };
    let own = authority.sign(params("localhost", 400, 50), &key).der().clone();
    let other = authority.sign(params("other.example", 2, 50), &key).der().clone();
    let mut chain = vec![own];
    chain.extend(iter::repeat_n(other, 15));
    chain.extend(iter::repeat_n(CertificateDer::from(vec![0x30]), 1000));
    (chain, key)
}

/// Talks SMTP, as much of it as the limits allow, and as much again within TLS.
fn talk(mut stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<()> {
    let noise = "\x01".repeat(8000);
    let more = format!("250-{noise}\r\n");
    write!(stream, "220 {noise}\r\n")?;
    line(&mut stream)?;
    write!(stream, "250-mail.example\r\n{}250 STARTTLS\r\n", more.repeat(6))?;
    line(&mut stream)?;
    write!(stream, "220 go\r\n")?;
    let mut tls = StreamOwned::new(ServerConnection::new(config).map_err(io::Error::other)?, stream);
    line(&mut tls)?;
    let words = "a b \\\\ ".repeat(30);
    write!(tls, "250-mail.example\r\n{}250 {words}\r\n", format!("250-{words}\r\n").repeat(140))?;
    tls.read(&mut [0]).map(drop)
}

#[test]
fn every_output_is_short_and_says_what_it_leaves_out() {
    let authority = Authority::default();
    let (chain, key) = wordy(&authority);
    let omitted = chain.len() - 16;
    // The version that discloses the certificate as well.
    let config = config(&TLS12, &server_config(chain, None, &key), None);
    let server = serve(move |stream| talk(stream, config.clone()));
    let target = format!("smtp://127.0.0.1:{}", server.address().port());
    let checked = |options: &[&str]| {
        let options = [&["--server-name", "localhost", "--timeout", "30"], options].concat();
        let Run { code, stdout, stderr } = check_with(&target, &authority, &options);
        assert_eq!((code, stderr.as_str()), (1, ""), "{stdout}");
        println!("{options:?}: {} bytes", stdout.len());
        assert!(stdout.len() < LINE, "{options:?}: {} bytes", stdout.len());
        assert!(stdout.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)), "{options:?}");
        stdout
    };

    let json: Value = serde_json::from_str(&checked(&["--json"])).expect("JSON");
    let (tls, session) = (&json["tls"], &json["session"]);
    assert_eq!(tls["certificates"].as_array().map(Vec::len), Some(16));
    assert_eq!(tls["certificates_omitted"], omitted);
    let own = &tls["certificates"][0];
    let names = own["names"].as_array().map(Vec::len).expect("an array");
    assert_eq!(own["names_omitted"], 401 - names);
    assert!((100..401).contains(&names), "{names} names");
    assert!(own["subject"].as_str().is_some_and(|text| text.ends_with(" more characters)")), "{own}");
    let shown: usize = json["cleartext"]["dialogue"]
        .as_array()
        .expect("an array")
        .iter()
        .map(|turn| turn["text"].as_str().expect("text").replace(r"\x01", "?").replace(r"\r\n", "??").len())
        .sum();
    let bytes = |field: &str| json["cleartext"][field].as_u64().expect("a number") as usize;
    assert_eq!(bytes("dialogue_omitted"), bytes("sent_bytes") + bytes("received_bytes") - shown);
    assert!(bytes("received_bytes") > 50_000 && shown < 20_000, "{shown} bytes are shown");
    let after = session["capabilities_after"].as_array().map(Vec::len).expect("an array");
    assert_eq!(session["capabilities_omitted"], 141 - after, "{session}");
    assert!((10..141).contains(&after), "{after} capabilities");

    let human = checked(&["--show-certs"]);
    for words in
        ["more bytes are not shown", "more capabilities are not shown", "Certificate 16 of 1016", "more characters)"]
    {
        assert!(human.contains(words), "{words} is missing");
    }
    assert!(human.contains(&format!(" and {} more\n", 401 - names)), "{human}");
    assert_eq!(human.matches(&format!("({omitted} more certificates are not shown)")).count(), 2);
    assert_eq!(human.matches("-----BEGIN CERTIFICATE-----").count(), 16);
    let sends = "the server sends 1016 certificates, of which only the first 16 are looked at";
    assert!(checked(&["--brief"]).contains(&format!("WARNING: {sends}. Try: ")));
    let metrics = checked(&["--prometheus"]);
    assert!(metrics.contains(r#",id="long-chain",severity="warning"} 1"#), "{metrics}");
    assert_eq!(metrics.matches("starttls_certificate_not_after_seconds{").count(), 16);

    let (lines, _) = scan(std::slice::from_ref(&target), &authority, &["--zgrab2"]);
    println!("zgrab2: {} bytes", lines[0].len());
    assert!(lines[0].len() < LINE);
    let grab: Value = serde_json::from_str(&lines[0]).expect("JSON");
    let result = &grab["data"]["smtp"]["result"];
    let certificates = &result["tls"]["handshake_log"]["server_certificates"];
    assert_eq!(result["dialogue_omitted"], json["cleartext"]["dialogue_omitted"], "{grab}");
    assert_eq!(certificates["certificates_omitted"], omitted);
    assert_eq!(certificates["certificate"]["parsed"]["names_omitted"], own["names_omitted"]);
    let (lines, _) = scan(&[target], &authority, &[]);
    assert!(lines[0].len() < LINE && lines[0].contains(&format!("\"certificates_omitted\":{omitted}")));
}

#[test]
fn a_certificate_that_is_for_seven_thousand_purposes_or_names_is_told_in_short() {
    let authority = Authority::default();
    let key = KeyPair::generate().expect("a key");
    let mut purposes = Authority::params(Flaw::None);
    purposes.extended_key_usages = (0..7000).map(|number| ExtendedKeyUsagePurpose::Other(vec![1, 3, number])).collect();
    let mut names = Authority::params(Flaw::WrongName);
    let name = |number: u32| SanType::DnsName(format!("{number}.x").try_into().expect("ASCII"));
    names.subject_alt_names.extend((0..7000).map(name));
    for (params, words) in [
        (
            purposes,
            "the certificate is invalid: certificate does not allow extended key usage for server authentication",
        ),
        (
            names,
            "the certificate is not for localhost, but for other.example, 0.x, 1.x, 2.x, 3.x, 4.x, 5.x, 6.x, 7.x, 8.x and 6991 more.",
        ),
    ] {
        let chain = vec![authority.sign(params, &key).der().clone()];
        let config = server_config(chain, None, &key);
        let server = serve(move |stream| agree(stream, config.clone(), false));
        let target = format!("pop3://127.0.0.1:{}", server.address().port());
        let run = check_with(&target, &authority, &["--server-name", "localhost", "--brief"]);
        assert_eq!(run.code, 2);
        let longest = run.stdout.lines().map(str::len).max().expect("lines");
        println!("brief lines of {longest} at most");
        assert!(run.stdout.contains(words) && longest < 1024, "{}", run.stdout);
    }
}
