//! `starttls check` as a person sees it.

mod support;

use std::io::{self, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::sync::{Mutex, mpsc};

use starttls_replay::{Authority, Flaw};
use support::{Run, arguments, check_human, good_server, line, replay, serve, tool, wait};

/// What stands in the last lines: the verdict, and what to try.
fn verdict(run: &Run) -> Vec<&str> {
    let lines: Vec<_> = run.stdout.lines().collect();
    let blank = lines.iter().rposition(|line| line.is_empty()).expect("a blank line");
    lines[blank + 1..].to_vec()
}

#[test]
fn a_verified_upgrade_is_shown_whole() {
    let authority = Authority::default();
    let server = good_server("pop3", &authority, Flaw::None);
    let run = check_human("pop3", &server, &authority);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    let start = format!(
        "pop3://{address}: pop3 at {address}

Plaintext dialogue
  S: +OK Dovecot (Debian) ready.
  C: STLS
  S: +OK Begin TLS negotiation now.

TLS
  Version       TLSv1.3
  Cipher suite  TLS_AES_256_GCM_SHA384
  Key exchange  X25519MLKEM768

Certificate 1 of 1
  Subject       CN=starttls test server
  Issuer        CN=Private CA
  Valid         2020-01-01T00:00:00Z to 2099-01-01T00:00:00Z, ",
        address = server.address()
    );
    let rest = run.stdout.strip_prefix(&start).unwrap_or_else(|| panic!("{}", run.stdout));
    let (days, rest) = rest.split_once(" days left\n").expect("days");
    assert!(days.parse::<u32>().is_ok_and(|days| days > 1000), "{days}");
    let rest = rest
        .strip_prefix("  Names         localhost, 127.0.0.1\n  Key           ECDSA P-256, 256 bits\n  SHA-256       ")
        .unwrap_or_else(|| panic!("{}", run.stdout));
    let (sha256, rest) = rest.split_once('\n').expect("a line");
    assert_eq!(sha256.len(), 64);
    let end = "\nVerification: good\n\nWithin TLS\n    USER\n    SASL PLAIN\n\nUPGRADED, certificate verified for localhost (2 round trips before TLS, ";
    let milliseconds = rest.strip_prefix(end).and_then(|rest| rest.strip_suffix(" ms)\n"));
    assert!(milliseconds.is_some_and(|number| number.parse::<u32>().is_ok()), "{rest}");
}

#[test]
fn a_flawed_certificate_is_shown_with_what_to_try() {
    let authority = Authority::default();
    for (flaw, trusted, verdict_start, advice) in [
        (Flaw::Expired, &authority, "a certificate of the chain expired ", "Try: renew the certificate"),
        (
            Flaw::WrongName,
            &authority,
            "the certificate is not for localhost (3 round",
            "Try: get a certificate for localhost, or give --server-name one of: other.example",
        ),
        (Flaw::None, &Authority::default(), "the certificate names a trusted", "Try: let the server send its whole"),
    ] {
        let run = check_human("smtp", &good_server("smtp", &authority, flaw), trusted);
        assert_eq!((run.code, run.stderr.as_str()), (2, ""));
        assert!(run.stdout.contains("\nVerification: FAILED, "), "{}", run.stdout);
        assert_eq!(run.stdout.contains(" days ago\n  Names"), flaw == Flaw::Expired, "{}", run.stdout);
        let [verdict, hint] = verdict(&run)[..] else { panic!("{}", run.stdout) };
        let start = format!("UPGRADED, certificate NOT VERIFIED for localhost: {verdict_start}");
        assert!(verdict.starts_with(&start), "{verdict}");
        assert!(hint.starts_with(advice), "{hint}");
    }
}

#[test]
fn a_refusal_is_the_last_word_but_for_the_advice() {
    let authority = Authority::default();
    for (transcript, expected, advice) in [
        (
            "smtp/postfix-broken-key.txt",
            "NOT UPGRADED at STARTTLS: the server refused for now: 454 4.7.0 TLS not available due to local problem",
            "Try: look into the server's log",
        ),
        ("smtp/postfix-not-offered.txt", "NOT UPGRADED at EHLO: the server does not offer TLS", "Try: check that TLS"),
        (
            "hostile/smtp/injected-line.txt",
            "NOT UPGRADED at STARTTLS: bytes arrived out of turn",
            "Try: check again from",
        ),
        (
            "hostile/smtp/not-a-greeting.txt",
            "NOT UPGRADED at greeting: not a reply",
            "Try: check that this port speaks smtp",
        ),
    ] {
        let run = check_human("smtp", &replay(transcript, authority.server_config(Flaw::None)), &authority);
        assert_eq!((run.code, run.stderr.as_str()), (2, ""), "{transcript}");
        let [verdict, hint] = verdict(&run)[..] else { panic!("{}", run.stdout) };
        assert!(verdict.starts_with(expected), "{verdict}");
        assert!(hint.starts_with(advice), "{hint}");
        assert!(!run.stdout.contains("\nTLS\n"), "{}", run.stdout);
    }
}

#[test]
fn the_server_cannot_write_to_the_terminal() {
    let authority = Authority::default();
    let server = serve(|mut stream| {
        stream.write_all(b"220 \x1b]0;owned\x07\xe2\x80\xaemail \\r\\n\rSPOOF\r\n")?;
        line(&mut stream)?;
        stream.write_all(b"550 \x9b2J\tno\n")?;
        wait(&mut stream)
    });
    let run = check_human("smtp", &server, &authority);
    assert_eq!(run.code, 2);
    assert!(run.stdout.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)), "{:?}", run.stdout);
    let greeting = r"  S: 220 \x1b]0;owned\x07\xe2\x80\xaemail \\r\\n\rSPOOF";
    assert!(run.stdout.lines().any(|line| line == greeting), "{}", run.stdout);
    assert!(run.stdout.lines().any(|line| line == r"  S: 550 \x9b2J\tno\n"), "{}", run.stdout);
    assert!(run.stdout.contains(r"NOT UPGRADED at EHLO: the server refused: 550 \x9b2J\tno"), "{}", run.stdout);
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
