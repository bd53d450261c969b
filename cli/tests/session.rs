//! What goes on within TLS: `starttls check` greets again, and compares.

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use starttls_replay::{Authority, Flaw, Transcript, play_then};
use support::{Run, arguments, check, check_human, line, replay, replay_then, serve, tool};

/// The ids and severities of the findings.
fn findings(report: &Value) -> Vec<(&str, &str)> {
    let findings = report["findings"].as_array().expect("an array").iter();
    findings.map(|finding| (text(&finding["id"]), text(&finding["severity"]))).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

#[test]
fn what_came_and_what_went_is_shown() {
    let authority = Authority::default();
    let server = replay("smtp/postfix.txt", authority.server_config(Flaw::None));
    let run = check("smtp", &server, &authority);
    let report = run.report();
    let session = &report["session"];
    assert_eq!(session["capabilities_after"], json!(["PIPELINING", "AUTH PLAIN"]));
    assert_eq!(session["capabilities_before"].as_array().expect("an array").len(), 10);
    assert_eq!((&session["error"], findings(&report), run.code), (&Value::Null, vec![], 0));

    let run = check_human("smtp", &server, &authority);
    let shown = "\nWithin TLS\n  (1 as before)\n  - SIZE 10240000\n";
    assert!(run.stdout.contains(shown), "{}", run.stdout);
    assert!(run.stdout.contains("\n  - STARTTLS\n") && run.stdout.contains("\n  + AUTH PLAIN\n"), "{}", run.stdout);
}

#[test]
fn a_server_that_is_odd_within_tls_is_told_how() {
    let authority = Authority::default();
    type Answer = fn(&str) -> &'static str;
    let rows: [(&str, Answer, &str, &str); 6] = [
        ("offered-within-tls", |_| "250-mail.example\r\n250 STARTTLS\r\n", "listing STARTTLS", ""),
        ("no-session", |_| "500 \x1b[2J what?\r\n", r"it says 500 \x1b[2J what?", ""),
        ("no-session", |_| "hello\r\n", "it says hello", ""),
        ("no-session", |_| "250-mail.example\r\n251 SIZE\r\n", "it says 251 SIZE", ""),
        ("unasked", |_| "250 mail.example\r\n250 2.0.0 Ok\r\n", r"not asked: 250 2.0.0 Ok\r\n", ""),
        ("no-session", |_| "", "no whole answer", "6"),
    ];
    for (id, answer, words, timeout) in rows {
        let server = replay_then("smtp/postfix.txt", authority.server_config(Flaw::None), answer);
        let started = Instant::now();
        let mut command = tool();
        command.args(arguments("smtp", &server, &authority)).arg("--json");
        if !timeout.is_empty() {
            command.args(["--timeout", timeout]);
        }
        let run = Run::from(command.output().expect("the tool starts"));
        let report = run.report();
        assert_eq!((findings(&report), run.code), (vec![(id, "warning")], 1), "{report}");
        assert_eq!((&report["outcome"], &report["failure"]), (&json!("upgraded"), &Value::Null), "{report}");
        assert!(text(&report["findings"][0]["message"]).contains(words), "{report}");
        assert_eq!(id == "no-session", report["session"]["capabilities_after"].is_null(), "{report}");
        assert!(timeout.is_empty() || started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    }
}

#[test]
fn a_server_that_says_no_end_of_it_within_tls_is_left() {
    let authority = Authority::default();
    let limit = "the answer is too long";
    for (endless, error) in [
        (&b"250-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n"[..], limit),
        (b"250-\r\n", limit),
        (b"2", limit),
        (b"\n", "it says "),
    ] {
        let config = authority.server_config(Flaw::None);
        let transcript = Transcript::usual(starttls::Protocol::Smtp);
        let server = serve(move |stream| {
            play_then(stream, &transcript, config.clone(), |tls| {
                loop {
                    tls.write_all(&endless.repeat(100))?;
                }
            })
        });
        let run = check("smtp", &server, &authority);
        let report = run.report();
        assert_eq!((findings(&report), run.code), (vec![("no-session", "warning")], 1), "{report}");
        assert_eq!(report["session"]["error"], error);
        assert!(run.stdout.len() < 100_000, "{}", run.stdout.len());
    }
}

#[test]
fn every_protocol_greets_again_in_its_way() {
    let authority = Authority::default();
    let stream = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'><stream:features>\
                  <mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>\
                  </stream:features>";
    // What the client asks, or nothing if the server speaks first; the answer; what is read in it.
    for (protocol, transcript, asked, answer, expected) in [
        ("lmtp", "lmtp/dovecot.txt", "LHLO client.example\r\n", "250 mail\r\n", &[][..]),
        ("pop3", "pop3/dovecot.txt", "CAPA\r\n", "+OK\r\nUSER\r\n.\r\n", &["USER"]),
        ("nntp", "nntp/inn2.txt", "CAPABILITIES\r\n", "101 list\r\nVERSION 2\r\n.\r\n", &["VERSION 2"]),
        ("ftp", "ftp/vsftpd.txt", "FEAT\r\n", "211-Features\r\n AUTH TLS\r\n211 End\r\n", &["AUTH TLS"]),
        ("irc", "irc/inspircd.txt", "CAP LS 302\r\n", ":a CAP * LS :sasl=PLAIN\r\n", &["sasl=PLAIN"]),
        ("sieve", "sieve/dovecot.txt", "", "\"SASL\" \"PLAIN\"\r\nOK\r\n", &["\"SASL\" \"PLAIN\""]),
        ("xmpp", "xmpp/prosody.txt", "<?xml version='1.0'?>", stream, &["mechanisms", "mechanism PLAIN"]),
    ] {
        let config = authority.server_config(Flaw::None);
        let all = Transcript::all(protocol.parse().expect("a protocol"));
        let transcript = all.into_iter().find(|one| one.name == transcript).expect(transcript);
        let server = serve(move |stream| {
            play_then(stream, &transcript, config.clone(), |tls| {
                let mut said = vec![0; asked.len()];
                tls.read_exact(&mut said)?;
                tls.write_all(if said == asked.as_bytes() { answer.as_bytes() } else { b"BYE\r\n" })?;
                std::io::copy(tls, &mut std::io::sink()).map(drop)
            })
        });
        let mut arguments = arguments(protocol, &server, &authority);
        if protocol == "xmpp" {
            // Its transcripts are for this domain, and the certificate is not.
            arguments = arguments.into_iter().map(|word| word.replace("localhost", "mail.example")).collect();
        }
        let mut command = tool();
        command.args(arguments).arg("--json");
        let report = Run::from(command.output().expect("the tool starts")).report();
        assert_eq!(report["session"]["capabilities_after"], json!(expected), "{report}");
    }
}

#[test]
fn a_protocol_without_a_list_is_asked_nothing() {
    let authority = Authority::default();
    let server = replay_then("postgres/postgresql.txt", authority.server_config(Flaw::None), |_| "");
    let run = check("postgres", &server, &authority);
    let report = run.report();
    assert_eq!((&report["session"], findings(&report), run.code), (&Value::Null, vec![], 0), "{report}");
}

#[test]
fn capabilities_are_asked_before_the_upgrade_on_demand() {
    let authority = Authority::default();
    let server = replay_then("pop3/dovecot-ask.txt", authority.server_config(Flaw::None), support::list_again);
    let mut command = tool();
    command.args(arguments("pop3", &server, &authority)).args(["--json", "--ask"]);
    let run = Run::from(command.output().expect("the tool starts"));
    let report = run.report();
    assert_eq!(report["cleartext"]["advertised"], true);
    assert_eq!(report["session"]["capabilities_before"].as_array().expect("an array").len(), 9);
    assert_eq!((findings(&report), run.code), (vec![("cleartext-login", "info")], 0), "{report}");
}

/// An IMAP server that lists its capabilities in the greeting, and then refuses TLS.
fn greeting(address: Ipv4Addr, greeting: &'static [u8]) -> TcpListener {
    let listener = TcpListener::bind((address, 0)).expect("a free port");
    let accepting = listener.try_clone().expect("a socket");
    std::thread::spawn(move || {
        let (mut stream, _) = accepting.accept()?;
        stream.write_all(greeting)?;
        let said = line(&mut stream)?;
        stream.write_all(said.replace("STARTTLS", "NO not now\r\n").as_bytes())?;
        support::wait(&mut stream)
    });
    listener
}

#[test]
fn a_login_offered_in_the_clear_is_worse_from_afar() {
    // Connections to 127.0.0.2 come from 127.0.0.1.
    for (address, capabilities, expected) in [
        (
            [127, 0, 0, 1],
            &b"* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN] hi\r\n"[..],
            vec![("cleartext-login", "info")],
        ),
        ([127, 0, 0, 2], b"* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n", vec![("cleartext-login", "warning")]),
        ([127, 0, 0, 2], b"* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] hi\r\n", vec![]),
        ([127, 0, 0, 2], b"* OK hi\r\n", vec![]),
    ] {
        let listener = greeting(address.into(), capabilities);
        let target = format!("imap://{}", listener.local_addr().expect("an address"));
        let run = support::run(&["check", "--json", &target]);
        assert_eq!(findings(&run.report()), expected, "{}", run.stdout);
    }
}
