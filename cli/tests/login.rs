//! `starttls check --auth`: a login over TLS, and what nobody may see.

mod support;

use std::io::{self, Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use data_encoding::BASE64;
use serde_json::{Value, json};
use starttls::Protocol;
use starttls_replay::{Authority, Flaw, Server, Transcript, play_then, relay};
use support::{Run, answer_lines, arguments, good_server, line, replay, replay_then, serve, tool};

const USER: &str = "alice";
const PASSWORD: &str = "open \"sesame\\";

fn plain() -> String {
    BASE64.encode(format!("\0{USER}\0{PASSWORD}").as_bytes())
}

/// A check of `server` that logs in.
fn command(protocol: &str, server: &Server, authority: &Authority) -> Command {
    let mut command = tool();
    command.args(arguments(protocol, server, authority)).args(["--auth", USER]).env("STARTTLS_PASSWORD", PASSWORD);
    command
}

/// Runs it in JSON and for a person: neither shows the password.
fn log_in(protocol: &str, server: &Server, authority: &Authority) -> Run {
    let [run, human] = [Some("--json"), None].map(|json| {
        let run = Run::from(command(protocol, server, authority).args(json).output().expect("the tool starts"));
        for secret in [PASSWORD, "open", "sesame", &plain()] {
            assert!(!run.stdout.contains(secret) && !run.stderr.contains(secret), "{}{}", run.stdout, run.stderr);
        }
        run
    });
    assert_eq!(run.code, human.code);
    run
}

/// What the client has to say within TLS, and the answer to it.
type Script = &'static [(&'static str, &'static str)];

/// A server of `protocol` that plays this within TLS.
fn server(protocol: Protocol, authority: &Authority, script: Script) -> Server {
    let config = authority.server_config(Flaw::None);
    serve(move |stream| {
        let then = |tls: &mut _| {
            for (expected, answer) in script {
                let expected = expected.replace("{plain}", &plain());
                if line(tls)? != expected {
                    return Err(io::Error::other("the client left the script"));
                }
                Write::write_all(tls, answer.as_bytes())?;
            }
            answer_lines(tls, |_| "")
        };
        if protocol == Protocol::Imap {
            return support::imap_then(stream, config.clone(), then);
        }
        play_then(stream, &Transcript::usual(protocol), config.clone(), then)
    })
}

#[test]
fn every_mechanism_is_spelled_as_its_protocol_has_it() {
    let authority = Authority::default();
    let rows: [(Protocol, Script, Value); 9] = [
        (
            Protocol::Smtp,
            &[("EHLO client.example", "250-a\r\n250 AUTH PLAIN LOGIN\r\n"), ("AUTH PLAIN {plain}", "235 2.7.0 ok\r\n")],
            json!({"mechanism": "AUTH PLAIN", "accepted": true, "reply": "235 2.7.0"}),
        ),
        (
            Protocol::Smtp,
            &[("EHLO client.example", "250-a\r\n250 AUTH PLAIN\r\n"), ("AUTH PLAIN {plain}", "535-no\r\n535 no\r\n")],
            json!({"mechanism": "AUTH PLAIN", "accepted": false, "reply": "535"}),
        ),
        (
            Protocol::Smtp,
            // What is asked for next is no yes.
            &[("EHLO client.example", "250-a\r\n250 AUTH PLAIN\r\n"), ("AUTH PLAIN {plain}", "334 \r\n")],
            json!({"mechanism": "AUTH PLAIN", "accepted": false, "reply": "334"}),
        ),
        (
            Protocol::Imap,
            &[
                ("S1 CAPABILITY", "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nS1 OK\r\n"),
                ("S2 AUTHENTICATE PLAIN", "+ \r\n"),
                ("{plain}", "* CAPABILITY IMAP4rev1\r\nS2 OK logged in\r\n"),
            ],
            json!({"mechanism": "AUTHENTICATE PLAIN", "accepted": true, "reply": "OK"}),
        ),
        (
            Protocol::Imap,
            &[
                ("S1 CAPABILITY", "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nS1 OK\r\n"),
                ("S2 AUTHENTICATE PLAIN", "S2 NO not this\r\n"),
            ],
            json!({"mechanism": "AUTHENTICATE PLAIN", "accepted": false, "reply": "NO"}),
        ),
        (
            Protocol::Imap,
            &[
                ("S1 CAPABILITY", "* CAPABILITY IMAP4rev1\r\nS1 OK\r\n"),
                (r#"S2 LOGIN "alice" "open \"sesame\\""#, "S2 OK hello\r\n"),
            ],
            json!({"mechanism": "LOGIN", "accepted": true, "reply": "OK"}),
        ),
        (
            Protocol::Pop3,
            &[("CAPA", "+OK\r\nUSER\r\n.\r\n"), ("USER alice", "+OK\r\n"), ("PASS open \"sesame\\", "+OK in\r\n")],
            json!({"mechanism": "USER", "accepted": true, "reply": "+OK"}),
        ),
        (
            Protocol::Pop3,
            // Who does not know the user is not told the password: the next line would break the script.
            &[("CAPA", "+OK\r\nUSER\r\n.\r\n"), ("USER alice", "-ERR who?\r\n")],
            json!({"mechanism": "USER", "accepted": false, "reply": "-ERR"}),
        ),
        (
            Protocol::Pop3,
            &[
                ("CAPA", "+OK\r\nUSER\r\n.\r\n"),
                ("USER alice", "+OK\r\n"),
                ("PASS open \"sesame\\", "-ERR [AUTH] no\r\n"),
            ],
            json!({"mechanism": "USER", "accepted": false, "reply": "-ERR [AUTH]"}),
        ),
    ];
    for (protocol, script, expected) in rows {
        let run = log_in(protocol.name(), &server(protocol, &authority, script), &authority);
        let report = run.report();
        assert_eq!(report["session"]["login"], expected, "{report}");
        let accepted = expected["accepted"] == true;
        assert_eq!(run.code, if accepted { 0 } else { 2 }, "{report}");
        assert_eq!(report["findings"].as_array().expect("an array").len(), usize::from(!accepted), "{report}");
    }
}

#[test]
fn no_password_is_sent_where_it_may_not() {
    let authority = Authority::default();
    let heard = Arc::new(Mutex::new(String::new()));
    let listening = |capabilities: &'static str, flaw| {
        let (heard, config) = (heard.clone(), authority.server_config(flaw));
        serve(move |stream| {
            play_then(stream, &Transcript::usual(Protocol::Smtp), config.clone(), |tls| {
                line(tls)?;
                tls.write_all(capabilities.as_bytes())?;
                let mut rest = Vec::new();
                let end = tls.read_to_end(&mut rest);
                heard.lock().expect("not poisoned").push_str(&String::from_utf8_lossy(&rest));
                end.map(drop)
            })
        })
    };
    let offer = "250-a\r\n250 AUTH PLAIN\r\n";
    for (capabilities, flaw, words) in [
        (offer, Flaw::Expired, "the certificate is not verified"),
        (offer, Flaw::WrongName, "the certificate is not verified"),
        ("250-a\r\n250 AUTH SCRAM-SHA-256\r\n", Flaw::None, "does not offer AUTH PLAIN"),
        ("500 what?\r\n", Flaw::None, "does not list what it offers"),
    ] {
        let run = log_in("smtp", &listening(capabilities, flaw), &authority);
        let report = run.report();
        let finding = report["findings"].as_array().expect("an array").last().expect("a finding");
        assert_eq!((&finding["id"], &finding["severity"]), (&json!("login-not-tried"), &json!("critical")), "{report}");
        assert!(finding["message"].as_str().expect("a message").contains(words), "{report}");
        assert_eq!((&report["session"]["login"], run.code), (&Value::Null, 2), "{report}");
    }
    assert_eq!(*heard.lock().expect("not poisoned"), "");
}

#[test]
fn a_server_that_never_answers_a_login_is_left_in_time() {
    let authority = Authority::default();
    let server = replay("smtp/postfix.txt", authority.server_config(Flaw::None));
    let mut command = command("smtp", &server, &authority);
    let run = Run::from(command.args(["--json", "--timeout", "5"]).output().expect("the tool starts"));
    let report = run.report();
    assert_eq!(report["session"]["login"]["reply"], "no whole answer within the time allowed", "{report}");
    assert_eq!((report["findings"][0]["id"].as_str(), run.code), (Some("login-refused"), 2), "{report}");
}

#[test]
fn nobody_on_the_wire_sees_a_password() {
    let authority = Authority::default();
    let config = || authority.server_config(Flaw::None);
    // One that takes it, one without TLS, one that refuses TLS, one that injects.
    for (protocol, server, code) in [
        ("smtp", good_server("smtp", &authority, Flaw::None), 2),
        ("smtp", replay("smtp/postfix-not-offered.txt", config()), 2),
        ("smtp", replay("smtp/postfix-broken-key.txt", config()), 2),
        ("smtp", replay("hostile/smtp/injected-line.txt", config()), 2),
        ("pop3", replay("pop3/dovecot-not-offered.txt", config()), 2),
        ("imap", replay("imap/dovecot-preauth.txt", config()), 2),
    ] {
        let (relay, seen) = relay(server.address()).expect("a free port");
        let mut command = command(protocol, &relay, &authority);
        let run = Run::from(command.args(["--json", "--timeout", "8"]).output().expect("the tool starts"));
        assert_eq!(run.code, code, "{}", run.stdout);
        let seen = String::from_utf8_lossy(&seen.lock().expect("not poisoned")).into_owned();
        assert!(protocol != "smtp" || seen.starts_with("EHLO client.example\r\n"), "{seen}");
        // Whatever stands around it, one of these is in the base64 of a text with `sesame` in it.
        let base64 = ["", "x", "xx"].map(|before| BASE64.encode(format!("{before}sesame").as_bytes())[4..8].to_owned());
        for secret in [PASSWORD, "sesame", &plain()].into_iter().chain(base64.iter().map(String::as_str)) {
            assert!(!seen.contains(secret), "{secret}: {seen}");
        }
    }
}

#[test]
fn a_login_that_cannot_be_is_bad_input() {
    let authority = Authority::default();
    let server = replay_then("nntp/inn2.txt", authority.server_config(Flaw::None), |_| "");
    for (protocol, user, password, words) in [
        ("nntp", USER, PASSWORD, "smtp, imap and pop3 alone"),
        ("smtp", "", PASSWORD, "neither user nor password"),
        ("smtp", "a\r\nRSET", PASSWORD, "neither user nor password"),
        ("pop3", USER, "a\nDELE 1", "neither user nor password"),
        ("smtp", USER, "", "neither user nor password"),
    ] {
        let arguments = arguments(protocol, &server, &authority);
        let mut command = tool();
        command.args(arguments).args(["--auth", user]).env("STARTTLS_PASSWORD", password);
        let run = Run::from(command.output().expect("the tool starts"));
        assert!(run.complaint().contains(words), "{}", run.stderr);
        assert_eq!((run.code, run.stdout.as_str()), (3, ""));
    }
    // Without a terminal there is nobody to ask.
    let mut command = Command::new("setsid");
    command.arg("--wait").arg(env!("CARGO_BIN_EXE_starttls")).args(arguments("smtp", &server, &authority));
    command.args(["--auth", USER]).env_remove("STARTTLS_PASSWORD").stdin(Stdio::null());
    let run = Run::from(command.output().expect("setsid"));
    assert!(run.complaint().contains("it is also taken from STARTTLS_PASSWORD"), "{}", run.stderr);
    assert_eq!(run.code, 3);
}

/// Runs the tool in a terminal of its own, types `answer` when it asks for the password, and shows what was to be seen.
fn type_at_terminal(server: &Server, authority: &Authority, answer: &str) -> String {
    let words = arguments("smtp", server, authority).join(" ");
    let line = format!("{} {words} --auth {USER}; echo exit code $?; stty -a", env!("CARGO_BIN_EXE_starttls"));
    let mut command = Command::new("script");
    command.args(["--quiet", "--command", &line, "/dev/null"]).env_remove("STARTTLS_PASSWORD");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script");
    let (mut stdin, mut stdout) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    let mut seen = Vec::new();
    while !seen.ends_with(b"Password for alice: ") {
        let mut byte = [0];
        stdout.read_exact(&mut byte).expect("a question");
        seen.extend(byte);
    }
    stdin.write_all(answer.as_bytes()).expect("a terminal");
    stdout.read_to_end(&mut seen).expect("an end");
    child.wait().expect("an end");
    String::from_utf8_lossy(&seen).into_owned()
}

#[cfg(target_os = "linux")]
#[test]
fn the_terminal_is_asked_and_shows_nothing() {
    let authority = Authority::default();
    let script: Script =
        &[("EHLO client.example", "250-a\r\n250 AUTH PLAIN\r\n"), ("AUTH PLAIN {plain}", "235 2.7.0 ok\r\n")];
    let server = server(Protocol::Smtp, &authority, script);
    for (answer, words, code) in [
        (format!("{PASSWORD}\n"), "Login by AUTH PLAIN: accepted, 235 2.7.0\r\n", 0),
        ("\x04".to_owned(), "there is no password: none was typed; it is also taken from STARTTLS_PASSWORD", 3),
    ] {
        let seen = type_at_terminal(&server, &authority, &answer);
        assert!(seen.contains(words), "{seen}");
        assert!(!seen.contains("open") && !seen.contains("sesame"), "{seen}");
        assert!(seen.contains(&format!("exit code {code}\r\n")), "{seen}");
        // Nothing stays behind of what was changed.
        assert!(seen.contains("\nisig icanon iexten echo ") && seen.contains("eol = <undef>"), "{seen}");
    }
}
