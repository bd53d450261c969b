//! A check of MySQL ends with a login that fails, which the server does not count as a connect error.

mod support;

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;
use starttls::Protocol;
use starttls_replay::{Authority, Flaw, Server, Transcript, Turn, play_then};
use support::{Run, ca_file, check, serve, tool};

const DENIED: &[u8] = b"\xff\x15\x04#28000Access denied for user";
const OK: &[u8] = b"\0\0\0\x02\0\0\0";
/// How long to wait for a login, which has been sent if there is one.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the server says, and what the client has to answer; and so on.
type Script = &'static [(&'static [u8], Option<&'static [u8]>)];

/// A server that hears a login within TLS, or in the clear if it has none, and goes on as the script says.
fn server(tls: Option<Arc<ServerConfig>>, script: Script) -> (Server, Receiver<Vec<u8>>) {
    let (sender, heard) = mpsc::channel();
    let server = serve(move |stream| {
        let sender = sender.clone();
        begin(stream, tls.clone(), move |stream, number| {
            let login = packet(stream, number)?;
            let mut number = number;
            for (said, answer) in script {
                send(stream, number + 1, said)?;
                if let Some(expected) = answer {
                    number = if *said == OK { 0 } else { number + 2 };
                    let answered = packet(stream, number)?;
                    assert_eq!(&answered, expected, "to {said:?}");
                }
            }
            assert_eq!(stream.read_to_end(&mut Vec::new())?, 0);
            sender.send(login).map_err(io::Error::other)
        })
    });
    (server, heard)
}

/// Greets, upgrades if there is TLS, and goes on with the number of the packet that has to come.
fn begin(
    mut stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    then: impl FnOnce(&mut dyn Stream, u8) -> io::Result<()>,
) -> io::Result<()> {
    let all = Transcript::all(Protocol::Mysql);
    let name = if tls.is_some() { "mysql/mariadb.txt" } else { "mysql/mariadb-not-offered.txt" };
    let transcript = all.into_iter().find(|transcript| transcript.name == name).expect(name);
    match tls {
        Some(config) => {
            play_then(stream, &transcript, config, |tls: &mut StreamOwned<ServerConnection, TcpStream>| then(tls, 2))
        }
        None => {
            let [Turn::Server(greeting)] = &transcript.turns[..] else { panic!("{:?}", transcript.turns) };
            stream.write_all(greeting)?;
            then(&mut stream, 1)
        }
    }
}

trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

fn packet(stream: &mut dyn Stream, expected: u8) -> io::Result<Vec<u8>> {
    let mut header = [0; 4];
    stream.read_exact(&mut header)?;
    let [low, middle, high, number] = header;
    assert_eq!(number, expected);
    let mut payload = vec![0; u32::from_le_bytes([low, middle, high, 0]) as usize];
    stream.read_exact(&mut payload)?;
    Ok(payload)
}

fn send(stream: &mut (impl Write + ?Sized), number: u8, payload: &[u8]) -> io::Result<()> {
    let [low, middle, high, _] = (payload.len() as u32).to_le_bytes();
    stream.write_all(&[&[low, middle, high, number], payload].concat())
}

#[test]
fn it_ends_with_a_login_that_fails_whatever_the_server_says() {
    let authority = Authority::default();
    let scripts: [Script; 7] = [
        &[(DENIED, None)],
        &[(b"\xfeclient_ed25519\0AAAABBBBCCCCDDDDEEEEFFFFGGGGHHHH", Some(&[0; 64])), (DENIED, None)],
        &[(b"\xfecaching_sha2_password\0abcdefghijklmnopqrst\0", Some(b"")), (DENIED, None)],
        &[(b"\xfedialog\0", Some(b"")), (b"\x04Password: ", Some(b"")), (DENIED, None)],
        // mysql_old_password has no name here.
        &[(b"\xfe", Some(b"")), (DENIED, None)],
        &[(b"", Some(b"")), (DENIED, None)],
        // Anybody may log in: COM_QUIT.
        &[(OK, Some(b"\x01"))],
    ];
    for (flaw, code) in [(Some(Flaw::None), 0), (Some(Flaw::Expired), 2), (None, 2)] {
        for script in scripts {
            let (server, heard) = server(flaw.map(|flaw| authority.server_config(flaw)), script);
            let run = check("mysql", &server, &authority);
            assert_eq!(run.code, code, "{}", run.stdout);
            let login = heard.recv_timeout(PATIENCE).expect("a login, and the end");
            let (capabilities, rest) = login.split_at(4);
            // With TLS, those of the request for it.
            assert_eq!(capabilities, if flaw.is_some() { [0x01, 0x8a, 8, 0] } else { [0x01, 0x82, 8, 0] });
            let (user, rest) = rest[28..].split_at(20);
            assert!(user.starts_with(b"starttls-check-") && user.ends_with(b"\0"), "{user:?}");
            assert_eq!(rest, b"\0mysql_native_password\0");
        }
    }
}

#[test]
fn a_scan_ends_each_of_its_checks_so() {
    let authority = Authority::default();
    let (server, heard) = server(Some(authority.server_config(Flaw::None)), &[(DENIED, None)]);
    let target = format!("mysql://{}", server.address());
    let mut command = tool();
    command.args(["scan", "--server-name", "localhost", &target, &target, &target, "--ca-file"]);
    let run = Run::from(command.arg(ca_file(&authority)).output().expect("the tool starts"));
    assert!(run.stderr.contains("verified 3,"), "{}", run.stderr);
    for _ in 0..3 {
        heard.recv_timeout(PATIENCE).expect("a login, and the end");
    }
}

#[test]
fn a_server_that_does_not_end_is_left_and_changes_nothing() {
    let authority = Authority::default();
    let [endless, empty] = [&[1; 60][..], b""].map(|payload| {
        let mut packets = Vec::new();
        (0..2000).try_for_each(|_| send(&mut packets, 3, payload)).expect("memory");
        packets
    });
    for tls in [Some(authority.server_config(Flaw::None)), None] {
        for (said, timeout) in [
            (&b""[..], "1"),
            (b"", "60"),
            (b"\xff", "60"),
            (b"\xff\xff\xff\x03\x01", "60"),
            (&endless, "60"),
            (&empty, "60"),
        ] {
            let (said, config) = (said.to_vec(), tls.clone());
            let server = serve(move |stream| {
                begin(stream, config.clone(), |stream, number| {
                    packet(stream, number)?;
                    stream.write_all(&said)?;
                    io::copy(stream, &mut io::sink()).map(drop)
                })
            });
            let mut command = tool();
            command.args(["check", "--json", "--timeout", timeout, "--server-name", "localhost", "--ca-file"]);
            command.arg(ca_file(&authority)).arg(format!("mysql://{}", server.address()));
            let started = Instant::now();
            let run = Run::from(command.output().expect("the tool starts"));
            assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
            let report = run.report();
            let expected = if tls.is_some() { ("upgraded", 0) } else { ("plaintext", 2) };
            assert_eq!((&report["outcome"], run.code), (&json!(expected.0), expected.1), "{report}");
        }
    }
}
