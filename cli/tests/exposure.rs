//! What `starttls check` says was disclosed before encryption.

mod support;

use std::io::Write;

use serde_json::Value;
use starttls::Protocol;
use starttls_replay::{Authority, Flaw, Transcript, play};
use support::{check_with, line, serve, wait};

/// Each exposure in words.
fn exposed(report: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let all = report["exposure"].as_array().expect("an array");
    all.iter()
        .map(|shown| format!("{} {}: {}", text(&shown["by"]), text(&shown["what"]), text(&shown["value"])))
        .collect()
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

#[test]
fn each_protocol_discloses_what_it_has() {
    let authority = Authority::default();
    let cases: &[(Protocol, &[&str])] = &[
        (
            Protocol::Smtp,
            &[
                "client name: client.example",
                "server host name: mail.example",
                "server software: ESMTP Postfix (Debian/GNU)",
            ],
        ),
        (
            Protocol::Lmtp,
            &[
                "client name: client.example",
                "server host name: mail.example",
                "server software: Dovecot (Debian) ready.",
            ],
        ),
        (Protocol::Pop3, &["server greeting: +OK Dovecot (Debian) ready."]),
        (Protocol::Xmpp, &["client domain: mail.example"]),
        (Protocol::XmppServer, &["client name: client.example", "client domain: mail.example"]),
        (Protocol::Http, &["client domain: mail.example", "server software: CUPS/2.4 IPP/2.1"]),
        (Protocol::Mysql, &["server software: 5.5.5-10.11.19-MariaDB-0+deb12u1"]),
        (
            Protocol::Nats,
            &[
                "server host name: NAR5ZNPYOAGHYWCNAIJB727Y7G7CMH3HOUGGWU622O4SXX2WUWIYTX4K",
                "server software: 2.9.10",
                "server client's address: 127.0.0.1",
            ],
        ),
        (Protocol::Nsq, &["server software: 1.2.1"]),
        (Protocol::Sieve, &["server software: \"Dovecot (Debian) Pigeonhole\""]),
        (Protocol::Nntp, &["server greeting: 200 mail.example InterNetNews NNRP server INN 2.7.1 ready (posting ok)"]),
        (Protocol::Ftp, &["server greeting: 220 (vsFTPd 3.0.3)"]),
        (Protocol::Munin, &["server greeting: # munin node at mail.example"]),
        (Protocol::Postgres, &["client ALPN: postgresql"]),
        (Protocol::Rdp, &[]),
    ];
    for (protocol, expected) in cases {
        let (transcript, config) = (Transcript::usual(*protocol), authority.server_config(Flaw::None));
        let server = serve(move |stream| play(stream, &transcript, config.clone()));
        let place = server.address().to_string();
        let options = ["--json", "--no-sni", "--connect", &place, "--server-name", "localhost"];
        let run = check_with(&format!("{protocol}://mail.example"), &authority, &options);
        // The server echoes what comes within TLS, which some clients take for no answer.
        let report = run.report();
        assert_eq!((report["outcome"].as_str(), exposed(&report)), (Some("upgraded"), owned(expected)), "{protocol}");
    }
}

#[test]
fn the_handshake_discloses_names_and_with_tls_1_2_the_certificate() {
    let authority = Authority::default();
    for (version, certificate) in
        [("--tls1.2", Some("server certificate: CN=starttls test server")), ("--tls1.3", None)]
    {
        let server = support::replay("pop3/dovecot.txt", authority.server_config(Flaw::None));
        let target = format!("pop3://{}", server.address());
        let options = ["--json", version, "--server-name", "localhost", "--alpn", "pop3,x"];
        let expected =
            ["server greeting: +OK Dovecot (Debian) ready.", "client SNI: localhost", "client ALPN: pop3, x"];
        let expected: Vec<_> = expected.into_iter().chain(certificate).collect();
        assert_eq!(exposed(&check_with(&target, &authority, &options).report()), expected);
    }
}

#[test]
fn what_a_server_echoes_is_told_whole_words_alone() {
    for (echo, told) in
        [("[127.0.0.1]", true), ("127.0.0.1, welcome", true), ("127.0.0.12", false), ("x127.0.0.1", false)]
    {
        let server = serve(move |mut stream| {
            stream.write_all(b"220 \x1b[2Jmail\r\n")?;
            line(&mut stream)?;
            stream.write_all(format!("550 no, {echo}\r\n").as_bytes())?;
            wait(&mut stream)
        });
        let run = check_with(&format!("smtp://{}", server.address()), &Authority::default(), &["--json"]);
        let mut expected = vec!["client name: client.example", r"server host name: \x1b[2Jmail"];
        expected.extend(told.then_some("server client's address: 127.0.0.1"));
        assert_eq!(exposed(&run.report()), expected, "{echo}");
    }
}
