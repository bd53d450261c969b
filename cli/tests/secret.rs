//! `starttls check --auth`: what is shown of the replies of a server that knows the password.

mod support;

use std::io::Write;
use std::net::TcpStream;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use rustls::{ServerConnection, StreamOwned};
use serde_json::{Value, json};
use starttls::Protocol;
use starttls_replay::{Authority, Flaw, Transcript, play_then};
use support::{Run, arguments, line, serve, tool};

const USER: &str = "alice";
/// A password that is spelled in another way in either alphabet of base64, with the digits of a status in it.
const SECRET: &str = "Sesame?>?>~571 314.159";

/// How a server may spell it.
fn spellings() -> Vec<String> {
    let plain = format!("\0{USER}\0{SECRET}");
    let bytes = |format: fn(u8) -> String| SECRET.bytes().map(format).collect::<String>();
    let mut spellings = [SECRET, &plain].map(|text| BASE64.encode(text.as_bytes())).to_vec();
    spellings.extend([SECRET, &plain].map(|text| BASE64URL_NOPAD.encode(text.as_bytes())));
    spellings.extend([SECRET.to_owned(), SECRET.to_uppercase(), SECRET.chars().rev().collect()]);
    spellings.extend([bytes(|byte| format!("{byte:02x}")), bytes(|byte| format!("%{byte:02X}"))]);
    spellings.extend([bytes(|byte| format!("&#{byte};")), bytes(|byte| format!("{} ", byte as char))]);
    spellings
}

#[test]
fn of_what_a_server_says_behind_a_secret_only_the_status_is_shown() {
    let authority = Authority::default();
    const SMTP: &str = "250-a\r\n250 AUTH PLAIN\r\n";
    const IMAP: &str = "* CAPABILITY IMAP4rev1\r\nS1 OK\r\n";
    const SASL: &str = "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nS1 OK\r\n";
    const POP3: &str = "+OK\r\nUSER\r\n.\r\n";
    // Behind the capabilities, what the server answers to each request. ECHO stands for all spellings.
    let rows: &[(Protocol, &str, &[&str], bool, &str)] = &[
        (Protocol::Smtp, SMTP, &["535-5.7.8 ECHO\r\n535 5.7.8 ECHO\r\nECHO\r\n"], false, "535 5.7.8"),
        (Protocol::Smtp, SMTP, &["535-Sesame?\r\n535->?>~571\r\n535 314.159\r\n"], false, "535"),
        (Protocol::Smtp, SMTP, &["535 5.7.139 ECHO\r\n"], false, "535 5.7.139"),
        // No status of those that there are, but more digits of the password.
        (Protocol::Smtp, SMTP, &["535 5.314.159 ECHO\r\n"], false, "535"),
        (Protocol::Smtp, SMTP, &["535 5.7.8.314159\r\n"], false, "535"),
        (Protocol::Smtp, SMTP, &["314 159\r\n"], false, "an unknown status"),
        (Protocol::Smtp, SMTP, &["OK ECHO\r\n"], false, "an unknown status"),
        (Protocol::Smtp, SMTP, &["334 ECHO\r\n"], false, "334"),
        (Protocol::Smtp, SMTP, &["235 2.7.0 ECHO\r\nECHO\r\n"], true, "235 2.7.0"),
        (Protocol::Smtp, SMTP, &["535 ECHO"], false, "the server closed the connection"),
        (Protocol::Imap, IMAP, &["* NO [ALERT] ECHO\r\nS2 NO [ALERT] ECHO\r\nECHO\r\n"], false, "NO [ALERT]"),
        (Protocol::Imap, IMAP, &["S2 no [authenticationfailed] ECHO\r\n"], false, "NO [AUTHENTICATIONFAILED]"),
        (Protocol::Imap, IMAP, &["S2 NO [SESAME?>?>~571] ECHO\r\n"], false, "NO"),
        (Protocol::Imap, IMAP, &["S2 BAD [ALERT ECHO] ECHO\r\n"], false, "BAD"),
        (Protocol::Imap, IMAP, &["S2 Sesame?>?>~571 ECHO\r\n"], false, "an unknown status"),
        (Protocol::Imap, IMAP, &["OK ECHO\r\n"], false, "an unknown status"),
        (Protocol::Imap, IMAP, &["S2 OKAY ECHO\r\n"], false, "an unknown status"),
        (Protocol::Imap, IMAP, &["S2 OK [CAPABILITY ECHO] ECHO\r\nECHO\r\n"], true, "OK"),
        (Protocol::Imap, SASL, &["+ ECHO\r\n", "S2 NO [EXPIRED] ECHO\r\n"], false, "NO [EXPIRED]"),
        (Protocol::Imap, SASL, &["+ ECHO\r\n", "+ ECHO\r\n"], false, "+"),
        (Protocol::Pop3, POP3, &["+OK ECHO\r\n", "-ERR [SYS/TEMP] ECHO\r\nECHO\r\n"], false, "-ERR [SYS/TEMP]"),
        (Protocol::Pop3, POP3, &["-ERR [alice] ECHO\r\n"], false, "-ERR"),
        (Protocol::Pop3, POP3, &["+OK ECHO\r\n", "+OK ECHO\r\nECHO\r\n"], true, "+OK"),
    ];
    let spellings = spellings();
    // None of these stands in a report by itself; what is split over lines is there in its parts.
    let parts = ["ECHO", "Sesame", "SESAME", "emase", ">?>", "314.", ".159", "[alice]"].map(str::to_owned);
    let secret: Vec<_> = parts.into_iter().chain(spellings.clone()).collect();
    for &(protocol, capabilities, answers, accepted, reply) in rows {
        let echo = |answer: &str| answer.replace("ECHO", &format!("ECHO {}", spellings.join(" ECHO ")));
        let answers: Vec<_> = answers.iter().map(|answer| echo(answer)).collect();
        let config = authority.server_config(Flaw::None);
        let server = serve(move |stream| {
            let then = |tls: &mut StreamOwned<ServerConnection, TcpStream>| {
                line(tls)?;
                tls.write_all(capabilities.as_bytes())?;
                for answer in &answers {
                    line(tls)?;
                    tls.write_all(answer.as_bytes())?;
                }
                Ok(())
            };
            if protocol == Protocol::Imap {
                return support::imap_then(stream, config.clone(), then);
            }
            play_then(stream, &Transcript::usual(protocol), config.clone(), then)
        });
        // The self-test asks for the capabilities before TLS, which these servers have an answer to in SMTP.
        let active = (protocol == Protocol::Smtp).then_some(&["--active"][..]);
        for format in [&["--json"][..], &[], &["--brief"], &["--prometheus"]].into_iter().chain(active) {
            let mut command = tool();
            command.args(arguments(protocol.name(), &server, &authority)).args(["--auth", USER]).args(format);
            let Run { code, stdout, stderr } =
                command.env("STARTTLS_PASSWORD", SECRET).output().expect("the tool starts").into();
            for secret in &secret {
                assert!(!stdout.contains(secret) && !stderr.contains(secret), "{secret}: {stdout}{stderr}");
            }
            assert_eq!(code, if accepted { 0 } else { 2 }, "{stdout}");
            if format == ["--json"] {
                let report: Value = serde_json::from_str(&stdout).expect("JSON");
                let login = &report["session"]["login"];
                assert_eq!((&login["accepted"], &login["reply"]), (&json!(accepted), &json!(reply)), "{report}");
                let findings = report["findings"].as_array().expect("an array");
                let messages: Vec<_> = findings.iter().map(|finding| finding["message"].clone()).collect();
                let refused = format!("the server did not accept the login: {reply}");
                assert_eq!(messages, if accepted { vec![] } else { vec![json!(refused)] }, "{report}");
            }
        }
    }
}
