//! `starttls check` as a person sees it.

mod support;

use std::io::{self, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::sync::{Mutex, mpsc};

use starttls_replay::{Authority, Flaw};
use support::snapshot::assert_snapshot;
use support::{Run, arguments, check_human, check_with, good_server, line, replay, serve, server_config, tool, wait};

/// The report, in which only "SOME" and its like stand for what differs between runs.
fn assert_report(name: &str, code: i32, run: &Run) {
    assert_eq!((run.code, run.stderr.as_str()), (code, ""), "{}", run.stdout);
    assert!(run.stdout.lines().all(|line| line.len() <= 80), "{}", run.stdout);
    assert_snapshot(name, &run.stdout);
}

#[test]
fn a_verified_upgrade_is_shown_whole() {
    let authority = Authority::default();
    assert_report("verified", 0, &check_human("smtp", &good_server("smtp", &authority, Flaw::None), &authority));
}

#[test]
fn a_certificate_that_does_not_hold_is_shown_with_what_to_try() {
    let authority = Authority::default();
    let expired = check_human("smtp", &good_server("smtp", &authority, Flaw::Expired), &authority);
    let verdict = "\nUPGRADED, certificate NOT VERIFIED for localhost: a certificate of the chain\n  expired ";
    assert!(expired.stdout.contains(verdict), "{}", expired.stdout);
    assert!(expired.stdout.contains("\nTry: renew the certificate"), "{}", expired.stdout);
    assert!(expired.stdout.contains(" days ago\n  Names"), "{}", expired.stdout);
    let wrong_name = check_human("pop3", &good_server("pop3", &authority, Flaw::WrongName), &authority);
    assert_report("wrong-name", 2, &wrong_name);
    // The other authority has the same name.
    let untrusted = check_human("pop3", &good_server("pop3", &authority, Flaw::None), &Authority::default());
    assert_report("untrusted", 2, &untrusted);
}

#[test]
fn a_chain_with_its_findings_is_shown() {
    let root = Authority::default();
    let intermediate = root.under("Intermediate CA");
    let (own, key) = intermediate.issue(Flaw::None);
    let config = server_config(vec![own.der().clone(), root.der(), intermediate.der()], None, &key);
    let server = replay("nats/nats-server.txt", config);
    let mut arguments = arguments("nats", &server, &root);
    // Long lines, and all that can be disclosed.
    let place = server.address().to_string();
    let target = arguments.last_mut().expect("the target");
    *target = "nats://mail.example".to_owned();
    let command = tool().args(arguments).args(["--connect", &place, "--alpn", "nats", "--tls1.2"]).output();
    assert_report("findings", 1, &command.expect("the tool starts").into());
}

#[test]
fn a_refusal_is_the_last_word_but_for_the_advice() {
    let authority = Authority::default();
    for (transcript, name) in [
        ("smtp/postfix-broken-key.txt", "refused"),
        ("smtp/postfix-not-offered.txt", "not-offered"),
        ("hostile/smtp/injected-line.txt", "injected"),
        ("hostile/smtp/not-a-greeting.txt", "not-a-greeting"),
    ] {
        let run = check_human("smtp", &replay(transcript, authority.server_config(Flaw::None)), &authority);
        assert!(!run.stdout.contains("\nTLS\n"), "{}", run.stdout);
        assert_report(name, 2, &run);
    }
}

#[test]
fn the_server_cannot_write_to_the_terminal() {
    let authority = Authority::default();
    let server = serve(|mut stream| {
        stream.write_all(b"220 \x1b]0;owned\x07\xe2\x80\xaemail \\r\\n\r\n")?;
        line(&mut stream)?;
        stream.write_all(b"550 \x9b2J\tno\rSPOOF\n")?;
        wait(&mut stream)
    });
    let run = check_human("smtp", &server, &authority);
    assert_eq!(run.code, 2);
    assert!(run.stdout.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)), "{:?}", run.stdout);
    let greeting = r"  S: 220 \x1b]0;owned\x07\xe2\x80\xaemail \\r\\n";
    assert!(run.stdout.lines().any(|line| line == greeting), "{}", run.stdout);
    assert!(run.stdout.lines().any(|line| line == r"  S: 550 \x9b2J\tno\rSPOOF\n"), "{}", run.stdout);
    assert!(run.stdout.contains(r"NOT UPGRADED at EHLO: the server refused: 550 \x9b2J\tno\rSPOOF"), "{}", run.stdout);
    for format in ["--brief", "--prometheus"] {
        let run = check_with(&format!("smtp://{}", server.address()), &authority, &[format]);
        assert!(run.stdout.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)), "{:?}", run.stdout);
    }
}

/// Starts a check that gets to its end only after `ready` was told so.
fn held_back(ready: mpsc::Receiver<()>) -> starttls_replay::Server {
    let ready = Mutex::new(ready);
    serve(move |mut stream: TcpStream| {
        ready.lock().map_err(|_| io::ErrorKind::Other)?.recv().map_err(io::Error::other)?;
        stream.write_all(b"-ERR no\r\n")?;
        wait(&mut stream)
    })
}

#[test]
fn a_reader_that_has_read_enough_is_no_failure() {
    for json in [false, true] {
        let (tell, ready) = mpsc::channel();
        let server = held_back(ready);
        let mut command = tool();
        command.args(arguments("pop3", &server, &Authority::default())).args(json.then_some("--json"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the tool starts");
        drop(child.stdout.take());
        tell.send(()).expect("the server waits");
        let run = Run::from(child.wait_with_output().expect("it ends"));
        assert_eq!((run.code, run.stderr.as_str()), (2, ""));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_report_that_cannot_be_written_tells_nothing() {
    let full = std::fs::File::options().write(true).open("/dev/full").expect("/dev/full");
    let authority = Authority::default();
    let server = good_server("pop3", &authority, Flaw::None);
    let mut command = tool();
    command.args(arguments("pop3", &server, &authority)).stdout(full);
    let run = Run::from(command.output().expect("the tool starts"));
    assert!(run.complaint().contains("cannot write"), "{}", run.stderr);
    assert_eq!(run.code, 3);
}
