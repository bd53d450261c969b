//! The tool against every hostile server: it tells what happened, in time, in little memory, and prints nothing raw.

mod support;

use std::io::{self, Read, Write};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use starttls::Protocol;
use starttls::protocol::Start;
use starttls_replay::{Authority, Flaw, Server, Transcript, Turn, play, play_then};
use support::{arguments, good_server, serve, tool};

const DEADLINE: Duration = Duration::from_secs(10);

/// What a run of the tool came to.
struct Run {
    code: i32,
    output: String,
    elapsed: Duration,
    /// The most memory that it had, in bytes.
    memory: u64,
}

fn check(protocol: Protocol, server: &Server, authority: &Authority, options: &[&str]) -> Run {
    let start = Instant::now();
    let mut measure = std::env::current_exe().expect("a program");
    measure.pop();
    let mut command = Command::new(measure.join("../examples/measure"));
    command.arg(env!("CARGO_BIN_EXE_starttls")).args(arguments(protocol.name(), server, authority));
    command.args(["--timeout", "10"]).args(options);
    let support::Run { code, stdout, stderr } = command.output().expect("the tool starts").into();
    let (output, memory) = stdout.trim_end().rsplit_once('\n').expect("a line of its own");
    let output = format!("{output}\n{stderr}");
    Run { code, output, elapsed: start.elapsed(), memory: memory.parse().expect("a number") }
}

/// Plays a transcript to a client whose names and tags are its own: each of its requests is one write, and one read.
fn hostile(transcript: &Transcript) -> Server {
    let turns = transcript.turns.clone();
    serve(move |mut stream| {
        stream.set_nodelay(true)?;
        let mut heard = Vec::new();
        for turn in &turns {
            match turn {
                Turn::Client(_) => {
                    let mut request = [0; 4096];
                    let length = stream.read(&mut request)?;
                    heard = request[..length].to_vec();
                }
                Turn::Server(said) => stream.write_all(&under_tag(said, &heard))?,
            }
        }
        io::copy(&mut stream, &mut io::sink()).map(drop)
    })
}

/// What a server says, with the client's own tag or xid in place of the transcript's.
fn under_tag(said: &[u8], request: &[u8]) -> Vec<u8> {
    match request {
        [0x80, 0, 0, _, xid @ ..] if xid.len() > 30 => replace(said, b"\0\0\xa7\xf3", &xid[..4]),
        _ => {
            let tag = request.split(|byte| *byte == b' ').next().unwrap_or_default();
            match request {
                _ if request.ends_with(b" STARTTLS\r\n") => replace(said, b"A7F3", tag),
                _ if request.ends_with(b" CAPABILITY\r\n") => {
                    replace(said, b"A7F3", tag.strip_suffix(b"C").unwrap_or_default())
                }
                _ => said.to_vec(),
            }
        }
    }
}

fn replace(said: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut result = Vec::new();
    let mut rest = said;
    while let Some((first, behind)) = rest.split_first() {
        match rest.strip_prefix(old) {
            Some(behind) => {
                result.extend(new);
                rest = behind;
            }
            None => {
                result.push(*first);
                rest = behind;
            }
        }
    }
    result
}

/// The kind of failure that the last line of a transcript is, in the terms of the JSON.
fn kind(outcome: &str) -> &'static str {
    match outcome.split(':').next().unwrap_or_default() {
        "the server does not offer TLS" => "not-advertised",
        "the server refused" | "the server refused for now" | "the server ended the session" => "refused",
        "the session is authenticated already, so it cannot be upgraded" => "preauth",
        "bytes arrived out of turn" => "injection",
        "not a reply that the protocol allows here" => "protocol",
        "the server said more than the limits allow" => "limit",
        other => panic!("{other}"),
    }
}

#[test]
fn every_hostile_server_is_seen_through() {
    let authority = Authority::default();
    let plain = check(Protocol::Smtp, &good_server("smtp", &authority, Flaw::None), &authority, &["--json"]);
    assert_eq!(plain.code, 0, "{}", plain.output);

    let rows: Vec<(Protocol, Transcript)> = Protocol::all()
        .flat_map(|protocol| Transcript::hostile(protocol).into_iter().map(move |transcript| (protocol, transcript)))
        .collect();
    // The tool starts at the greeting, and has a tag of its own length.
    let usual = |transcript: &Transcript| {
        transcript.options.start == Start::Greeting && transcript.name != "hostile/imap/literal.txt"
    };
    let (rows, skipped): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(_, transcript)| usual(transcript));
    assert!(rows.iter().all(|(_, transcript)| !transcript.options.insist), "no row insists");
    let next = AtomicUsize::new(0);
    let runs = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((protocol, transcript)) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    for json in [true, false] {
                        let server = hostile(transcript);
                        let options = [json.then_some("--json"), transcript.options.ask.then_some("--ask")];
                        let options: Vec<_> = options.into_iter().flatten().collect();
                        let run = check(*protocol, &server, &authority, &options);
                        runs.lock().expect("not poisoned").push((transcript, json, run));
                    }
                }
            });
        }
    });
    let runs = runs.into_inner().expect("not poisoned");
    let mut wrong = 0;
    for (transcript, json, run) in &runs {
        let raw = run.output.chars().any(|character| character != '\n' && !(' '..='~').contains(&character));
        let told = if *json {
            let report: Value = serde_json::from_str(&run.output).unwrap_or_default();
            transcript.outcome == "upgraded" || report["failure"]["kind"] == kind(&transcript.outcome)
        } else {
            true
        };
        // Somebody on the path is named only where bytes show that there may be one.
        let suspects = ["middlebox", "on the path", "from the path"].iter().any(|words| run.output.contains(words));
        let alarm = suspects && !transcript.outcome.starts_with("bytes arrived out of turn");
        let code = if transcript.outcome == "upgraded" { [0, 2].contains(&run.code) } else { run.code == 2 };
        if raw || alarm || !told || !code || run.elapsed >= DEADLINE {
            println!("{}: {:?} after {:?}: {}", transcript.name, run.code, run.elapsed, run.output);
            wrong += 1;
        }
    }
    let memory = runs.iter().map(|(_, _, run)| run.memory).max().expect("runs");
    let slowest = runs.iter().map(|(_, _, run)| run.elapsed).max().expect("runs");
    println!("{} rows, each in JSON and for a person; {} rows for other clients skipped", rows.len(), skipped.len());
    println!("slowest {slowest:?}; most memory {memory} bytes, {} for a plain success", plain.memory);
    assert!(rows.len() > 500, "rows are missing");
    assert_eq!(wrong, 0, "rows that end otherwise");
    assert!(memory <= plain.memory + (2 << 20), "{memory} bytes, and {} for a plain success", plain.memory);
}

#[test]
fn what_comes_in_place_of_tls_is_told_apart() {
    let authority = Authority::default();
    let behind = |said: &'static [u8]| {
        serve(move |mut stream| {
            stream.write_all(b"+OK\r\n")?;
            stream.read_exact(&mut [0; 6])?;
            stream.write_all(b"+OK go\r\n")?;
            stream.read_exact(&mut [0; 5])?; // the ClientHello is there, so this cannot share a segment with the go-ahead
            stream.write_all(said)?;
            io::copy(&mut stream, &mut io::sink()).map(drop)
        })
    };
    let other = Authority::new("Other CA");
    let usual = Transcript::usual(Protocol::Pop3);
    let with = |flaw, authority: &Authority| {
        let (transcript, config) = (usual.clone(), authority.server_config(flaw));
        serve(move |stream| play(stream, &transcript, config.clone()))
    };
    let rows = [
        ("plaintext", behind(b"-ERR TLS initialization failed.\r\n"), "tls"),
        ("HTTP", behind(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "tls"),
        ("an alert", behind(b"\x15\x03\x03\x00\x02\x02\x28"), "tls"),
        ("SSL 3.0", behind(b"\x16\x03\x00\x00\x2a\x02\x00\x00\x26\x03\x00"), "timeout"),
        ("a terminal escape", behind(b"\x1b[2J\x1b]0;owned\x07\xe2\x80\xae"), "tls"),
        ("an expired certificate", with(Flaw::Expired, &authority), "certificate"),
        ("another name", with(Flaw::WrongName, &authority), "certificate"),
        ("an unknown authority", with(Flaw::None, &other), "certificate"),
    ];
    for (name, server, kind) in rows {
        let run = check(Protocol::Pop3, &server, &authority, &["--json"]);
        let report: Value = serde_json::from_str(&run.output).expect("JSON");
        assert_eq!((&report["failure"]["kind"], run.code), (&kind.into(), 2), "{name}: {report}");
        assert!(run.output.bytes().all(|byte| (b' '..=b'~').contains(&byte) || byte == b'\n'), "{name}");
    }
}

/// Says a byte every few milliseconds, for longer than any deadline here.
fn drip(stream: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    for byte in bytes.iter().cycle().take(1000) {
        stream.write_all(&[*byte])?;
        stream.flush()?;
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

#[test]
fn a_drip_does_not_stretch_the_deadline() {
    let authority = Authority::default();
    let usual = Transcript::usual(Protocol::Pop3);
    let config = authority.server_config(Flaw::None);
    let greeting = serve(|mut stream| drip(&mut stream, b"+"));
    let tls = serve(|mut stream| {
        stream.write_all(b"+OK\r\n")?;
        stream.read_exact(&mut [0; 6])?;
        stream.write_all(b"+OK go\r\n")?;
        stream.read_exact(&mut [0; 5])?; // as above
        drip(&mut stream, b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb")
    });
    let within = serve(move |stream| play_then(stream, &usual, config.clone(), |tls| drip(tls, b"+")));
    // The session within TLS has half of the time.
    for (name, server, seconds, most) in
        [("greeting", greeting, "1", 1), ("TLS", tls, "1", 1), ("session", within, "4", 2)]
    {
        let start = Instant::now();
        let mut command = tool();
        command.args(arguments("pop3", &server, &authority)).args(["--json", "--timeout", seconds]);
        let report = support::Run::from(command.output().expect("the tool starts")).report();
        let late = start.elapsed().checked_sub(Duration::from_secs(most)).expect("it waits");
        assert!(late < Duration::from_secs(1), "{name}: {late:?} late");
        if name == "session" {
            assert_eq!(report["session"]["error"], "no whole answer within the time allowed", "{report}");
        } else {
            let failure = &report["failure"];
            assert_eq!((&failure["kind"], &failure["stage"]), (&"timeout".into(), &name.into()), "{report}");
        }
    }
}
