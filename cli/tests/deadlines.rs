//! Servers that always have something to say, and names that nobody answers for: every command ends in time, its other
//! targets are not delayed, and signals are heard at once.

#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use starttls::Protocol;
use starttls_replay::{Authority, Flaw, Server, Transcript};
use starttls_suite::{Flood, LATE};
use support::{Run, arguments, ca_file, file, good_server, player, serve, tool, wait};

const TIMEOUT: Duration = Duration::from_secs(2);

/// Agrees to TLS over POP3, and floods the session. What is sent behind STLS in the same segment is ignored.
fn flooded(flood: Flood, authority: &Arc<Authority>) -> Server {
    let authority = authority.clone();
    serve(move |mut stream| {
        stream.write_all(b"+OK\r\n")?;
        let mut request = [0; 64];
        while stream.read(&mut request)? > 0 && !request.starts_with(b"STLS\r\n") {
            stream.write_all(b"+OK\r\nSTLS\r\n.\r\n")?;
        }
        stream.write_all(b"+OK\r\n")?;
        flood.serve(stream, &authority)
    })
}

/// Agrees to TLS over TDS, and sends frames that hold nothing.
fn empty_frames(mut stream: TcpStream) -> io::Result<()> {
    stream.read_exact(&mut [0; 26])?;
    stream.write_all(&Transcript::usual(Protocol::Mssql).server().flatten().copied().collect::<Vec<_>>())?;
    stream.read_exact(&mut [0; 9])?; // the header and the first byte of the ClientHello
    loop {
        stream.write_all(&b"\x12\x00\x00\x08\x00\x00\x01\x00".repeat(8192))?;
    }
}

/// Servers that never stop, as targets.
fn floods(authority: &Arc<Authority>) -> Vec<(&'static str, Server)> {
    let mut floods = vec![("mssql", serve(empty_frames))];
    floods.extend(Flood::ALL.map(|flood| ("pop3", flooded(flood, authority))));
    floods
}

/// Runs it, and tells how long that took beyond what the tool takes to start and to load the authorities.
fn timed(mut command: Command) -> (Run, Duration) {
    let start = Instant::now();
    let run = Run::from(command.output().expect("the tool starts"));
    let elapsed = start.elapsed();
    let start = Instant::now();
    assert_eq!(tool().args(["check", "smtp://127.0.0.1:1"]).output().expect("the tool starts").status.code(), Some(3));
    (run, elapsed.saturating_sub(start.elapsed()))
}

fn scan(authority: &Authority) -> Command {
    let mut command = tool();
    command.args(["scan", "--name", "client.example", "--server-name", "localhost", "--ca-file"]);
    command.arg(ca_file(authority));
    command
}

#[test]
fn a_check_of_a_flood_ends_in_time() {
    let authority = Arc::new(Authority::default());
    for (protocol, server) in floods(&authority) {
        for more in [&["--json"][..], &["--json", "--active"]] {
            let mut command = tool();
            command.args(arguments(protocol, &server, &authority)).args(more).args(["--timeout", "2"]);
            let (run, elapsed) = timed(command);
            println!("{protocol} {more:?}: {elapsed:?}");
            assert!(elapsed < TIMEOUT + LATE, "{protocol} {more:?}: {elapsed:?}");
            assert_eq!(run.code, if protocol == "mssql" { 2 } else { 1 }, "{}", run.stdout);
        }
    }
}

#[test]
fn a_scan_of_floods_and_its_other_targets_are_in_time() {
    let authority = Arc::new(Authority::default());
    let (floods, good) = (floods(&authority), good_server("smtp", &authority, Flaw::None));
    let mut command = scan(&authority);
    command.args(["--timeout", "2"]).args(floods.iter().map(|(name, server)| format!("{name}://{}", server.address())));
    command.args(vec![format!("smtp://{}", good.address()); 10]);
    let (run, elapsed) = timed(command);
    println!("{elapsed:?}: {}", run.stderr);
    assert!(elapsed < TIMEOUT + LATE, "{elapsed:?}");
    let reports = run.reports();
    assert_eq!(reports.len(), floods.len() + 10);
    let neighbours: Vec<_> = reports.iter().filter(|report| report["protocol"] == "smtp").collect();
    assert_eq!(neighbours.len(), 10);
    for report in neighbours {
        assert_eq!((&report["failure"], &report["session"]["error"]), (&Value::Null, &Value::Null), "{report}");
    }
}

#[test]
fn a_sweep_of_floods_and_other_ports_is_in_time() {
    let host = Ipv4Addr::new(127, 83, 22, 1);
    let at = |port, handler: Box<dyn Fn(TcpStream) -> io::Result<()> + Send + Sync>| {
        Server::start_at((host, port).into(), handler).unwrap_or_else(|error| panic!("{host}:{port}: {error}"))
    };
    let authority = Arc::new(Authority::default());
    let issuer = authority.clone();
    let sieve = move |mut stream: TcpStream| {
        stream.write_all(b"\"IMPLEMENTATION\" \"flood\"\r\n\"SIEVE\" \"\"\r\n\"STARTTLS\"\r\nOK\r\n")?;
        stream.read_exact(&mut [0; 10])?;
        stream.write_all(b"OK\r\n")?;
        Flood::Tickets.serve(stream, &issuer)
    };
    let config = authority.server_config(Flaw::None);
    let _servers = [
        at(1433, Box::new(empty_frames)),
        at(4190, Box::new(sieve)),
        at(5432, Box::new(player("postgres/postgresql.txt", config))),
    ];
    let mut command = tool();
    command.args(["check", "--name", "client.example", "--server-name", "localhost", "--ca-file"]);
    command.arg(ca_file(&authority)).args([&host.to_string(), "--timeout", "2", "--json"]);
    let (run, elapsed) = timed(command);
    println!("{elapsed:?}");
    assert!(elapsed < TIMEOUT + LATE, "{elapsed:?}");
    let reports = run.reports();
    let port = |port| reports.iter().find(|report| report["target"] == format!("{host}:{port}")).expect("a port");
    assert_eq!(port(5432)["failure"], Value::Null);
    assert_eq!(port(4190)["session"]["error"], "no whole answer within the time allowed");
    assert_eq!(port(1433)["failure"]["kind"], "limit");
}

/// Sends the signal, and tells how long the tool goes on.
fn end(child: &mut Child, signal: Signal) -> (Option<i32>, Duration) {
    use std::os::unix::process::ExitStatusExt;

    let start = Instant::now();
    let id = Pid::from_raw(child.id().try_into().expect("a process"));
    kill_process(id.expect("a process"), signal).expect("it runs");
    let status = child.wait().expect("it ends");
    (status.code().or(status.signal().map(|number| 128 + number)), start.elapsed())
}

#[test]
fn signals_are_heard_during_floods() {
    let authority = Arc::new(Authority::default());
    let (floods, good) = (floods(&authority), good_server("smtp", &authority, Flaw::None));
    let silent = serve(|mut stream| wait(&mut stream));
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut command = scan(&authority);
        command.args(["--timeout", "60"]).args([&good, &silent].map(|server| format!("smtp://{}", server.address())));
        command.args(floods.iter().map(|(name, server)| format!("{name}://{}", server.address())));
        let mut scan = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the tool starts");
        BufReader::new(scan.stdout.take().expect("a pipe")).read_line(&mut String::new()).expect("a result");
        let (ended, elapsed) = end(&mut scan, signal);
        println!("scan: {elapsed:?}");
        assert_eq!(ended, Some(code));
        assert!(elapsed < LATE, "{elapsed:?}");

        let (_, tickets) = &floods[1];
        let mut command = tool();
        command.args(["connect", "--name", "client.example", "--server-name", "localhost", "--ca-file"]);
        command.arg(ca_file(&authority)).arg(format!("pop3://{}", tickets.address()));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut connect = command.spawn().expect("the tool starts");
        BufReader::new(connect.stderr.take().expect("a pipe")).read_line(&mut String::new()).expect("a report");
        let (ended, elapsed) = end(&mut connect, signal);
        println!("connect: {elapsed:?}");
        assert_eq!(ended, Some(code));
        assert!(elapsed < LATE, "{elapsed:?}");
    }
}

#[test]
fn a_dns_server_that_floods_does_not_delay() {
    let dns = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = dns.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        let (_, client) = dns.recv_from(&mut [0; 512])?;
        // Answers to other questions, until the client is gone.
        while dns.send_to(&[0; 12], client).is_ok() {}
        Ok::<_, io::Error>(())
    });
    let authority = Authority::default();
    let good = good_server("smtp", &authority, Flaw::None);
    let mut command = scan(&authority);
    command.args(["--timeout", "2", "--resolver", &address, "smtp://flooded.example"]);
    command.args(vec![format!("smtp://{}", good.address()); 10]);
    let (run, elapsed) = timed(command);
    println!("{elapsed:?}");
    assert!(elapsed < TIMEOUT + LATE, "{elapsed:?}");
    let upgraded = run.reports().iter().filter(|report| report["failure"] == Value::Null).count();
    assert_eq!(upgraded, 10, "{}", run.stdout);
}

/// In a network of its own, where the system's DNS server is one of ours.
#[test]
fn names_that_nobody_answers_for_do_not_keep_others_waiting() {
    let resolv_conf = file("resolv.conf", "nameserver 127.0.0.1\n");
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--net", "--mount", "sh", "-c"]);
    command.arg("ip link set lo up && mount --bind \"$1\" /etc/resolv.conf && shift && exec \"$@\"").arg("sh");
    command.arg(resolv_conf).arg(std::env::current_exe().expect("a program"));
    command.args(["--exact", "scan_unanswered_names", "--ignored", "--nocapture"]);
    let Ok(output) = command.output() else { panic!("util-linux has unshare") };
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    if !stdout.contains("running 1 test") {
        println!("1 case skipped: there are no namespaces here: {stderr}");
        return;
    }
    print!("{stdout}");
    assert!(output.status.success(), "{stdout}{stderr}");
}

#[test]
#[ignore = "for a network of its own, which the test above makes"]
fn scan_unanswered_names() {
    const SILENT: usize = 1200;
    const GOOD: usize = 200;
    let dns = UdpSocket::bind((Ipv4Addr::LOCALHOST, 53)).expect("nobody else listens there");
    std::thread::spawn(move || {
        let mut query = [0; 512];
        loop {
            let (length, client) = dns.recv_from(&mut query)?;
            let query = &query[..length];
            // The first letter of the name tells. An answer holds the question, and for A (1) an address.
            if query[13] == b'g' {
                let a = query[length - 3] == 1;
                let counts = [0, 1, 0, u8::from(a), 0, 0, 0, 0];
                let record = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x7f\0\0\x01";
                let answer = [&query[..2], b"\x81\x80", &counts, &query[12..], if a { record } else { b"" }];
                dns.send_to(&answer.concat(), client)?;
            }
        }
        #[expect(unreachable_code, reason = "it names the error's type")]
        Ok::<_, io::Error>(())
    });
    let authority = Authority::default();
    let good = good_server("smtp", &authority, Flaw::None);
    let silent = (0..SILENT).map(|number| format!("smtp://silent{number}.example\n"));
    let answered = (0..GOOD).map(|number| format!("smtp://good{number}.example:{}\n", good.address().port()));
    let targets = file("targets", &silent.chain(answered).collect::<String>());
    let mut command = scan(&authority);
    command.args(["--timeout", "1", "--jobs", "150", "--file"]).arg(&targets);
    let (run, elapsed) = timed(command);
    fs::remove_file(targets).expect("it is there");
    let reports = run.reports();
    let (silent, answered): (Vec<_>, Vec<_>) =
        reports.iter().partition(|report| report["target"].as_str().is_some_and(|target| target.contains("silent")));
    assert_eq!((silent.len(), answered.len()), (SILENT, GOOD));
    let late = |report: &Value| report["seconds"].as_f64().expect("a number") - 1.0;
    let latest = silent.iter().map(|report| late(report)).fold(0.0, f64::max);
    println!(
        "{SILENT} names without an answer, the latest {latest:.3} s late; {GOOD} others right; {elapsed:?} in all"
    );
    assert!(latest < LATE.as_secs_f64(), "{latest}");
    for report in silent {
        let failure = &report["failure"];
        assert_eq!((&failure["kind"], &failure["stage"]), (&"connect".into(), &"resolve".into()), "{report}");
    }
    for report in answered {
        assert_eq!(report["failure"], Value::Null, "{report}");
    }
}
