//! `starttls check --active`: the self-test, against servers with the faults that it looks for, and without.

mod support;

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use starttls_replay::{Authority, Flaw, Server};
use support::{Run, arguments, replay, serve, tool};

/// What a server does with the bytes that came behind STARTTLS.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rest {
    /// Reads them as if they had come within TLS.
    Keep,
    Discard,
    /// Answers them before TLS.
    Answer,
    /// Refuses STARTTLS because of them.
    Refuse,
    /// Leaves them to the TLS handshake.
    LeaveToTls,
    /// Discards them, and never ends a session.
    Linger,
}

/// How a server of some protocol speaks. `{t}` stands for the tag of a command.
#[derive(Clone, Copy)]
struct Manner {
    protocol: &'static str,
    greeting: &'static str,
    /// What it says first within TLS.
    within: &'static str,
    /// What the client asks for capabilities with, and the answers before TLS and within.
    list: [&'static str; 3],
    /// The command for TLS, and the answers that agree and refuse.
    starttls: [&'static str; 3],
    /// The answer to anything else.
    other: &'static str,
    quit: [&'static str; 2],
}

const SMTP: Manner = Manner {
    protocol: "smtp",
    greeting: "220 a\r\n",
    within: "",
    list: ["EHLO", "250-a\r\n250 STARTTLS\r\n", "250 a\r\n"],
    starttls: ["STARTTLS", "220 go\r\n", "554 no\r\n"],
    other: "250 ok\r\n",
    quit: ["QUIT", "221-bye\r\n221 bye\r\n"],
};

const MANNERS: [Manner; 7] = [
    SMTP,
    Manner { protocol: "lmtp", list: ["LHLO", "250-a\r\n250 STARTTLS\r\n", "250 a\r\n"], ..SMTP },
    Manner {
        protocol: "imap",
        greeting: "* OK hi\r\n",
        within: "",
        list: [
            "CAPABILITY",
            "* CAPABILITY STARTTLS LOGINDISABLED\r\n{t} OK\r\n",
            "* CAPABILITY IMAP4rev1\r\n{t} OK\r\n",
        ],
        starttls: ["STARTTLS", "{t} OK go\r\n", "{t} BAD no\r\n"],
        other: "{t} OK done\r\n",
        quit: ["LOGOUT", "* BYE\r\n{t} OK bye\r\n"],
    },
    Manner {
        protocol: "pop3",
        greeting: "+OK hi\r\n",
        within: "",
        list: ["CAPA", "+OK\r\nSTLS\r\n.\r\n", "+OK\r\nUIDL\r\n.\r\n"],
        starttls: ["STLS", "+OK go\r\n", "-ERR no\r\n"],
        other: "-ERR not now\r\n",
        quit: ["QUIT", "+OK bye\r\n"],
    },
    Manner {
        protocol: "nntp",
        greeting: "200 hi\r\n",
        within: "",
        list: ["CAPABILITIES", "101 list\r\nSTARTTLS\r\n.\r\n", "101 list\r\nREADER\r\n.\r\n"],
        starttls: ["STARTTLS", "382 go\r\n", "502 no\r\n"],
        other: "111 20260101000000\r\n",
        quit: ["QUIT", "205 bye\r\n"],
    },
    Manner {
        protocol: "ftp",
        greeting: "220 hi\r\n",
        within: "",
        list: ["FEAT", "211-Features\r\n AUTH TLS\r\n211 End\r\n", "211-Features\r\n AUTH TLS\r\n211 End\r\n"],
        starttls: ["AUTH", "234 go\r\n", "534 no\r\n"],
        other: "200 ok\r\n",
        quit: ["QUIT", "221 bye\r\n"],
    },
    Manner {
        protocol: "sieve",
        greeting: "\"SASL\" \"\"\r\n\"STARTTLS\"\r\nOK\r\n",
        within: "\"SASL\" \"PLAIN\"\r\nOK \"hi\"\r\n",
        list: ["CAPABILITY", "OK\r\n", "OK\r\n"],
        starttls: ["STARTTLS", "OK \"go\"\r\n", "NO \"no\"\r\n"],
        other: "OK \"done\"\r\n",
        quit: ["LOGOUT", "OK \"bye\"\r\n"],
    },
];

impl Manner {
    /// The answer to a line, and whether the session goes on.
    fn answer(&self, line: &str, within: bool, twice: bool) -> (String, bool) {
        let (tag, verb) = if self.protocol == "imap" { line.split_once(' ').unwrap_or_default() } else { ("", line) };
        let [ask, before, after] = self.list;
        let [starttls, yes, no] = self.starttls;
        let [quit, bye] = self.quit;
        let answer = match verb.split(' ').next().unwrap_or_default() {
            verb if verb == ask => {
                if within {
                    after
                } else {
                    before
                }
            }
            verb if verb == starttls => {
                if !within || twice {
                    yes
                } else {
                    no
                }
            }
            verb if verb == quit => bye,
            _ => self.other,
        };
        (answer.replace("{t}", tag), verb != quit)
    }

    fn serve(self, config: Arc<ServerConfig>, rest: Rest, twice: bool) -> Server {
        serve(move |mut stream| {
            stream.set_nodelay(true)?;
            stream.write_all(self.greeting.as_bytes())?;
            let mut ahead = Vec::new();
            loop {
                let line = line(&mut stream, &mut ahead)?;
                let (answer, goes_on) = self.answer(&line, false, twice);
                if !line.contains(self.starttls[0]) {
                    stream.write_all(answer.as_bytes())?;
                } else if rest == Rest::Refuse && !ahead.is_empty() {
                    return stream.write_all(self.answer(&line, true, false).0.as_bytes());
                } else if rest == Rest::Answer && !ahead.is_empty() {
                    // In one segment with the go-ahead, so that it is there before TLS is.
                    let more = self.answer(std::str::from_utf8(&ahead).expect("ASCII").trim_end(), false, twice).0;
                    stream.write_all((answer + &more).as_bytes())?;
                    ahead.clear();
                    return self.within(stream, ahead, config.clone(), rest, twice);
                } else {
                    stream.write_all(answer.as_bytes())?;
                    return self.within(stream, ahead, config.clone(), rest, twice);
                }
                if !goes_on {
                    return Ok(());
                }
            }
        })
    }

    fn within(
        self,
        mut stream: TcpStream,
        mut ahead: Vec<u8>,
        config: Arc<ServerConfig>,
        rest: Rest,
        twice: bool,
    ) -> io::Result<()> {
        let mut connection = ServerConnection::new(config).map_err(io::Error::other)?;
        if rest == Rest::LeaveToTls {
            connection.read_tls(&mut &ahead[..])?;
        }
        connection.complete_io(&mut stream)?;
        let mut tls = StreamOwned::new(connection, stream);
        tls.write_all(self.within.as_bytes())?;
        if rest != Rest::Keep {
            ahead.clear();
        }
        loop {
            let line = line(&mut tls, &mut ahead)?;
            let (answer, goes_on) = self.answer(&line, true, twice);
            tls.write_all(answer.as_bytes())?;
            if !goes_on && rest != Rest::Linger {
                tls.conn.send_close_notify();
                return tls.flush();
            }
        }
    }
}

/// A line, of what has come before or comes now: a read takes all that there is.
fn line(stream: &mut impl Read, ahead: &mut Vec<u8>) -> io::Result<String> {
    loop {
        if let Some(end) = ahead.iter().position(|byte| *byte == b'\n') {
            let behind = ahead.split_off(end + 1);
            let line = std::mem::replace(ahead, behind);
            return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        let mut chunk = [0; 1024];
        match stream.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => ahead.extend(&chunk[..length]),
        }
    }
}

fn test(protocol: &str, server: &Server, authority: &Authority, more: &[&str]) -> (Value, Run) {
    let mut command = tool();
    command.args(arguments(protocol, server, authority)).args(["--json", "--active"]).args(more);
    let run = Run::from(command.output().expect("the tool starts"));
    (run.report(), run)
}

/// The ids of the findings.
fn ids(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().expect("an array").iter();
    findings.map(|finding| finding["id"].as_str().expect("a string")).collect()
}

#[test]
fn every_protocol_is_tested_for_injection() {
    let authority = Authority::default();
    for manner in MANNERS {
        for (rest, pipelined) in [
            (Rest::Keep, "executed"),
            (Rest::Discard, "discarded"),
            (Rest::Answer, "refused"),
            (Rest::Refuse, "refused"),
            (Rest::LeaveToTls, "refused"),
        ] {
            let server = manner.serve(authority.server_config(Flaw::None), rest, false);
            let (report, run) = test(manner.protocol, &server, &authority, &[]);
            let expected = json!({"pipelined": pipelined, "second_starttls": "refused"});
            assert_eq!(report["active"], expected, "{} {rest:?}: {report}", manner.protocol);
            let found = if rest == Rest::Keep { (vec!["command-injection"], 2) } else { (vec![], 0) };
            assert_eq!((ids(&report), run.code), found, "{} {rest:?}: {report}", manner.protocol);
        }
    }
}

#[test]
fn starttls_within_tls_is_tested() {
    let authority = Authority::default();
    for manner in MANNERS {
        let server = manner.serve(authority.server_config(Flaw::None), Rest::Discard, true);
        let (report, run) = test(manner.protocol, &server, &authority, &[]);
        let expected = json!({"pipelined": "discarded", "second_starttls": "accepted"});
        assert_eq!(report["active"], expected, "{}: {report}", manner.protocol);
        // FTP allows it.
        let found = if manner.protocol == "ftp" { (vec![], 0) } else { (vec!["second-starttls"], 1) };
        assert_eq!((ids(&report), run.code), found, "{}: {report}", manner.protocol);
    }
}

#[test]
fn no_end_of_a_session_is_no_result() {
    let authority = Authority::default();
    let server = SMTP.serve(authority.server_config(Flaw::None), Rest::Linger, false);
    let (report, run) = test("smtp", &server, &authority, &["--timeout", "6"]);
    let expected = json!({"pipelined": "unclear", "second_starttls": "refused"});
    assert_eq!((&report["active"], run.code), (&expected, 0), "{report}");
}

#[test]
fn it_is_off_by_default_and_not_for_every_protocol() {
    let authority = Authority::default();
    let server = SMTP.serve(authority.server_config(Flaw::None), Rest::Keep, true);
    let run = support::check("smtp", &server, &authority);
    assert_eq!((&run.report()["active"], run.code), (&Value::Null, 0), "{}", run.stdout);

    let server = replay("postgres/postgresql.txt", authority.server_config(Flaw::None));
    let (report, run) = test("postgres", &server, &authority, &[]);
    assert_eq!((&report["active"], ids(&report), run.code), (&Value::Null, vec!["not-tested"], 0), "{report}");
}

#[test]
fn a_person_is_shown_the_result() {
    let authority = Authority::default();
    let server = SMTP.serve(authority.server_config(Flaw::None), Rest::Keep, true);
    let run = Run::from(tool().args(arguments("smtp", &server, &authority)).arg("--active").output().expect("a run"));
    let shown = "\nSelf-test\n  A command behind STARTTLS: EXECUTED within TLS\n  STARTTLS within TLS: ACCEPTED\n";
    assert!(run.stdout.contains(shown), "{}", run.stdout);
    assert_eq!(run.code, 2);
}
