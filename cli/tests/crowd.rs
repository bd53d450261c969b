//! `starttls scan` against as many servers as 127.0.0.0/8 has addresses for: tallies, memory, a kill in between.
//!
//! `STARTTLS_SCAN` says how many; the figures are printed.

#![cfg(unix)]

mod support;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use futures_rustls::TlsAcceptor;
use rustix::net::{AddressFamily, SocketType};
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::Value;
use smol::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy, sink};
use smol::lock::Barrier;
use smol::net::{TcpListener, TcpStream};
use smol::{LocalExecutor, Timer};
use starttls_replay::{Authority, Flaw};
use support::ca_file;

/// What a server does, and what the scan has to make of it: the outcome, the kind of failure.
const WAYS: [(&str, &str, &str); 10] = [
    ("upgrades", "upgraded", ""),
    ("upgrades", "upgraded", ""),
    ("upgrades", "upgraded", ""),
    ("upgrades", "upgraded", ""),
    ("expired", "upgraded", "certificate"),
    ("refuses", "plaintext", "refused"),
    ("lacks", "plaintext", "not-advertised"),
    ("silent", "failed", "timeout"),
    ("drips", "failed", "timeout"),
    ("dead", "failed", "connect"),
];
const TIMEOUT: &str = "5";

/// Servers, one port a way, on every address of this machine.
struct Crowd {
    ports: BTreeMap<&'static str, u16>,
    ca_file: PathBuf,
    accepted: Arc<AtomicUsize>,
}

impl Crowd {
    /// `late` is how many servers greet only when they all have been called.
    fn start(late: usize) -> Self {
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        setrlimit(Resource::Nofile, limit).expect("the limit is allowed");
        let authority = Authority::default();
        let ca_file = ca_file(&authority);
        let accepted = Arc::new(AtomicUsize::new(0));
        let (sender, ports) = mpsc::channel();
        let count = accepted.clone();
        thread::spawn(move || serve(&authority, late, &count, &sender));
        Self { ports: ports.recv().expect("free ports"), ca_file, accepted }
    }

    fn target(&self, number: usize, way: &str) -> String {
        let [_, high, middle, low] = (number as u32).to_be_bytes();
        format!("smtp://127.{}.{middle}.{low}:{}", high + 1, self.ports[way])
    }

    /// So many targets, of every way, and the file that has them.
    fn targets(&self, count: usize) -> (Vec<(String, &'static str, &'static str)>, PathBuf) {
        let targets: Vec<_> = (0..count)
            .map(|number| {
                let (way, outcome, kind) = WAYS[number % WAYS.len()];
                (self.target(number, way), outcome, kind)
            })
            .collect();
        let file = file();
        fs::write(&file, targets.iter().map(|(target, _, _)| format!("{target}\n")).collect::<String>()).expect("disk");
        (targets, file)
    }

    fn scan(&self, command: &mut Command, targets: &Path, jobs: usize) {
        command.args(["scan", "--server-name", "localhost", "--name", "client.example", "--timeout", TIMEOUT]);
        command.arg("--ca-file").arg(&self.ca_file).arg("--file").arg(targets).args(["--jobs", &jobs.to_string()]);
    }

    /// Scans under measurement: the results, the summary, and the most memory.
    fn measured(&self, targets: &Path, jobs: usize) -> (String, String, u64) {
        let mut measure = std::env::current_exe().expect("a program");
        measure.pop();
        let mut command = Command::new(measure.join("../examples/measure"));
        command.arg(env!("CARGO_BIN_EXE_starttls"));
        self.scan(&mut command, targets, jobs);
        let support::Run { code, stdout, stderr } = command.output().expect("the tool starts").into();
        assert_eq!(code, 0, "{stderr}");
        let (results, memory) = stdout.trim_end().rsplit_once('\n').expect("a line of its own");
        (results.to_owned(), stderr, memory.parse().expect("a number"))
    }
}

fn file() -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("crowd-{}-{number}", std::process::id()))
}

fn serve(
    authority: &Authority,
    late: usize,
    accepted: &AtomicUsize,
    ports: &mpsc::Sender<BTreeMap<&'static str, u16>>,
) {
    let acceptor = |flaw| TlsAcceptor::from(authority.server_config(flaw));
    let (good, expired) = (acceptor(Flaw::None), acceptor(Flaw::Expired));
    let called = Barrier::new(late.max(1));
    // Its tasks borrow it, and it never ends.
    let executor: &LocalExecutor = Box::leak(Box::default());
    smol::block_on(executor.run(async {
        let mut bound = BTreeMap::new();
        // A port that nobody listens at, nor gets as long as this has it.
        let dead = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        rustix::net::bind(&dead, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
        let address = SocketAddrV4::try_from(rustix::net::getsockname(&dead).expect("an address")).expect("IPv4");
        bound.insert("dead", address.port());
        for way in ["upgrades", "expired", "refuses", "lacks", "silent", "drips", "late"] {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.expect("a free port");
            // Longer than std has it, so that nobody has to call twice.
            rustix::net::listen(&listener, 4096).expect("it listens");
            bound.insert(way, listener.local_addr().expect("an address").port());
            let (good, expired, called) = (&good, &expired, &called);
            executor
                .spawn(async move {
                    loop {
                        let (socket, _) = listener.accept().await.expect("a connection");
                        accepted.fetch_add(1, Ordering::Relaxed);
                        let served = async move {
                            match way {
                                "upgrades" => upgrade(socket, good).await,
                                "expired" => upgrade(socket, expired).await,
                                "refuses" => {
                                    dialogue(socket, "250 STARTTLS\r\n", "454 4.7.0 not now\r\n").await.map(drop)
                                }
                                "lacks" => dialogue(socket, "250 PIPELINING\r\n", "").await.map(drop),
                                "drips" => drip(socket).await,
                                "late" => {
                                    called.wait().await;
                                    upgrade(socket, good).await
                                }
                                _ => copy(socket, &mut sink()).await.map(drop),
                            }
                        };
                        executor.spawn(served).detach();
                    }
                })
                .detach();
        }
        ports.send(bound).expect("the test waits");
        std::future::pending::<()>().await;
    }));
}

async fn dialogue(socket: TcpStream, capability: &str, answer: &str) -> io::Result<TcpStream> {
    let mut lines = BufReader::new(socket);
    for reply in ["220 mail.example\r\n", &format!("250-mail.example\r\n{capability}"), answer] {
        lines.get_mut().write_all(reply.as_bytes()).await?;
        if reply != "220 go\r\n" && lines.read_line(&mut String::new()).await? == 0 {
            break;
        }
    }
    Ok(lines.into_inner())
}

async fn upgrade(socket: TcpStream, acceptor: &TlsAcceptor) -> io::Result<()> {
    let socket = dialogue(socket, "250 STARTTLS\r\n", "220 go\r\n").await?;
    let mut tls = acceptor.accept(socket).await?;
    copy(&mut tls, &mut sink()).await.map(drop)
}

/// A greeting that comes, but never to its end.
async fn drip(mut socket: TcpStream) -> io::Result<()> {
    socket.write_all(b"220 ").await?;
    loop {
        socket.write_all(b"x").await?;
        Timer::after(Duration::from_millis(500)).await;
    }
}

fn count() -> usize {
    std::env::var("STARTTLS_SCAN").map_or(500, |count| count.parse().expect("a number"))
}

/// Checks that each target has its one result, and the right one.
fn assert_results(results: &str, targets: &[(String, &str, &str)]) {
    let mut wanted: BTreeMap<&str, (&str, &str)> =
        targets.iter().map(|(target, outcome, kind)| (target.as_str(), (*outcome, *kind))).collect();
    for line in results.lines() {
        let result: Value = serde_json::from_str(line).expect(line);
        let target = result["target"].as_str().expect("a target");
        let (outcome, kind) =
            wanted.remove(target).unwrap_or_else(|| panic!("{target} is there twice, or was not asked for"));
        assert_eq!(result["outcome"], outcome, "{line}");
        assert_eq!(result["failure"]["kind"].as_str().unwrap_or_default(), kind, "{line}");
    }
    assert!(wanted.is_empty(), "{} are missing, as {:?}", wanted.len(), wanted.first_key_value());
}

#[test]
fn every_target_gets_its_result_in_memory_that_does_not_grow() {
    let crowd = Crowd::start(0);
    let jobs = (count() / 10).min(500);
    let mut most = Vec::new();
    for count in [count() / 10, count()] {
        let (targets, file) = crowd.targets(count);
        let (results, summary, memory) = crowd.measured(&file, jobs);
        print!("{jobs} at once, {memory} bytes at most: {summary}");
        assert_results(&results, &targets);
        let tenth = count / 10;
        let (some, more) = (4 * tenth, 2 * tenth);
        let tally = format!(
            "verified {some}, unverified {tenth}, plaintext {more} (not-advertised {tenth}, refused {tenth}), failed {} \
             (timeout {more}, connect {tenth})\n",
            more + tenth
        );
        assert!(summary.starts_with(&format!("starttls: {count} checked in ")), "{summary}");
        assert!(summary.ends_with(&tally), "{summary}");
        most.push(memory);
    }
    assert!(most[1] < most[0] + (4 << 20), "{most:?} bytes");
}

#[test]
fn a_killed_scan_goes_on_where_it_was() {
    let crowd = Crowd::start(0);
    let jobs = (count() / 10).min(500);
    let (targets, file) = crowd.targets(count());
    let results = self::file();
    // A process before this one may have had its number.
    fs::write(&results, "").expect("disk");
    let scan = || {
        let mut command = support::tool();
        crowd.scan(&mut command, &file, jobs);
        command.arg("--resume").arg(&results).stderr(Stdio::piped());
        command
    };
    let lines = || fs::read_to_string(&results).unwrap_or_default().matches('\n').count();
    let mut killed = scan().spawn().expect("the tool starts");
    let start = Instant::now();
    while lines() < count() / 3 {
        assert!(start.elapsed() < Duration::from_secs(60), "{} results", lines());
        thread::yield_now();
    }
    killed.kill().expect("it runs");
    killed.wait().expect("it ends");
    let done = lines();
    let called = crowd.accepted.load(Ordering::Relaxed);
    assert!(done < count(), "it was killed too late");
    // A line that was cut off by the kill is there in one of some runs only.
    let torn = fs::read_to_string(&results).expect("results");
    let torn = format!("{torn}{}", if torn.ends_with('\n') { r#"{"target":"smtp://127."# } else { "" });
    fs::write(&results, torn).expect("disk");

    let support::Run { code, stdout, stderr } = scan().output().expect("the tool starts").into();
    assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");
    assert_results(&fs::read_to_string(&results).expect("results"), &targets);
    let left = format!("starttls: {} checked in ", count() - done);
    assert!(stderr.starts_with(&left) && stderr.contains(&format!(", {done} before: ")), "{stderr}");
    // All servers but the dead ones are called, and a second time only those that were being called.
    let twice = crowd.accepted.load(Ordering::Relaxed) - count() / 10 * 9;
    println!("killed with {done} of {} done and {called} called; {twice} called again: {stderr}", count());
    assert!(twice <= jobs + 64, "{twice}");
}

#[test]
fn a_thousand_wait_at_once_in_little_memory() {
    let late = (count() / 10).max(100);
    let crowd = Crowd::start(late);
    let targets: HashSet<_> = (0..late).map(|number| crowd.target(number, "late")).collect();
    let file = file();
    fs::write(&file, targets.iter().map(|target| format!("{target}\n")).collect::<String>()).expect("disk");
    let (results, summary, memory) = crowd.measured(&file, late);
    println!("{late} open at once, {memory} bytes at most: {summary}");
    assert_eq!(results.matches(r#""outcome":"upgraded","failure":null"#).count(), late);
    assert!(memory < 64 << 20, "{memory} bytes");
}
