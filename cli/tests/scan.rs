//! `starttls scan`: every option, and how it ends.

mod support;

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use starttls_replay::{Authority, Flaw, Server};
use support::{Run, ca_file, good_server, run, serve, tool, wait};

fn file(text: &[u8]) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("scan-{}-{number}", std::process::id()));
    fs::write(&path, text).expect("a writable directory");
    path
}

/// A scan by a client that knows its name, for the name `localhost`.
fn scan(authority: &Authority) -> Command {
    let mut command = tool();
    command.args(["scan", "--name", "client.example", "--server-name", "localhost", "--ca-file"]);
    command.arg(ca_file(authority));
    command
}

fn output(command: &mut Command) -> Run {
    command.output().expect("the tool starts").into()
}

/// The results, in the order of their targets.
fn results(run: &Run) -> Vec<Value> {
    assert_eq!(run.code, 0, "{}", run.stderr);
    let mut results: Vec<Value> = run.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    results.sort_by_key(|result| result["target"].to_string());
    results
}

/// The target of each.
fn targets(results: &[Value]) -> Vec<&str> {
    results.iter().map(|result| result["target"].as_str().expect("a target")).collect()
}

/// A server on every address of this machine that does `handler`, each connection in a thread of its own.
fn everywhere(handler: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let handler = Arc::new(handler);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let handler = handler.clone();
            std::thread::spawn(move || stream.and_then(|stream| handler(stream)));
        }
    });
    port
}

/// Ends the session as soon as it has begun.
fn decline(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(b"421 busy\r\n")
}

fn silent() -> Server {
    serve(|mut stream| wait(&mut stream))
}

#[test]
fn a_result_is_what_check_says_of_it() {
    let authority = Authority::default();
    let good = good_server("smtp", &authority, Flaw::None);
    let expired = good_server("pop3", &authority, Flaw::Expired);
    let [good, expired] =
        [("smtp", &good), ("pop3", &expired)].map(|(name, server)| format!("{name}://{}", server.address()));
    let run = output(scan(&authority).args([&good, &expired]));
    let results = results(&run);
    assert_eq!(targets(&results), [&expired, &good]);
    for result in &results {
        let mut check = tool();
        check.args(["check", "--json", "--name", "client.example", "--server-name", "localhost", "--ca-file"]);
        let check = output(check.arg(ca_file(&authority)).arg(result["target"].as_str().expect("a target")));
        let (mut result, mut check) = (result.clone(), check.report());
        for report in [&mut result, &mut check] {
            report["seconds"] = Value::Null;
        }
        // A scan does not greet again.
        assert_eq!(result["session"], Value::Null);
        assert_ne!(check["session"].take(), Value::Null);
        assert_eq!(result.to_string(), check.to_string());
    }
    let words = [" in ", "/s: verified 1, unverified 1, plaintext 0, failed 0\n"];
    assert!(run.complaint().starts_with("starttls: 2 checked"), "{}", run.stderr);
    assert!(words.iter().all(|words| run.stderr.contains(words)), "{}", run.stderr);
}

#[test]
fn targets_come_from_arguments_and_a_file_or_stdin() {
    let authority = Authority::default();
    let silent = silent();
    let address = silent.address();
    let lines = format!(
        "\n  # a comment\r\n smtp://{address} \r\n\npop3://{address}\ngopher://{address}\n\u{1b}[2J\nimap://{address}"
    );
    let kinds = ["config", "config", "timeout", "timeout", "timeout", "timeout"];
    let expected = ["\\x1b[2J", "gopher://A", "imap://A", "nntp://A", "pop3://A", "smtp://A"];
    let expected = expected.map(|target| target.replace('A', &address.to_string()));
    let assert = |run: &Run| {
        let results = results(run);
        assert_eq!(targets(&results), expected);
        assert!(results.iter().map(|result| &result["failure"]["kind"]).eq(&kinds), "{}", run.stdout);
        assert!(run.stderr.ends_with(", failed 6 (timeout 4, config 2)\n"), "{}", run.stderr);
    };
    let argument = format!("nntp://{address}");
    let arguments = [argument.as_str(), "--timeout", "0.2", "--file"];
    assert(&output(scan(&authority).args(arguments).arg(file(lines.as_bytes()))));
    // Results come while there is more to be read.
    let mut child = scan(&authority)
        .args(arguments)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tool starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let (first, second) = lines.split_at(lines.find("gopher").expect("a line"));
    let mut printed = String::new();
    stdin.write_all(first.as_bytes()).expect("the tool reads");
    for _ in 0..3 {
        stdout.read_line(&mut printed).expect("the tool prints");
    }
    stdin.write_all(second.as_bytes()).expect("the tool reads");
    drop(stdin);
    stdout.read_to_string(&mut printed).expect("the tool prints");
    let mut run = Run::from(child.wait_with_output().expect("the tool ends"));
    run.stdout = printed;
    assert(&run);
}

#[test]
fn a_record_has_an_address_or_a_network_and_a_name_and_a_tag() {
    let authority = Authority::default();
    let accepted = Arc::new(Mutex::new(Vec::new()));
    let config = authority.server_config(Flaw::None);
    let transcript = starttls_replay::Transcript::usual(starttls::Protocol::Pop3);
    let addresses = accepted.clone();
    let port = everywhere(move |stream| {
        addresses.lock().expect("not poisoned").push(stream.local_addr()?.ip());
        starttls_replay::play(stream, &transcript, config.clone())
    });
    let lines = format!(
        "127.1.0.9/30, localhost, blue, {port}\n127.2.0.1,wrong.example,,{port}\n,localhost,\u{1b}[2J,{port}\n"
    );
    let mut scan = tool();
    scan.args(["scan", "--starttls", "pop3", "--ca-file"])
        .arg(ca_file(&authority))
        .arg("--file")
        .arg(file(lines.as_bytes()));
    let run = output(&mut scan);
    let results = results(&run);
    let expected = [
        format!(",localhost,\\x1b[2J,{port}"),
        format!("127.1.0.10,localhost,blue,{port}"),
        format!("127.1.0.11,localhost,blue,{port}"),
        format!("127.1.0.8,localhost,blue,{port}"),
        format!("127.1.0.9,localhost,blue,{port}"),
        format!("127.2.0.1,wrong.example,,{port}"),
    ];
    assert_eq!(targets(&results), expected);
    for (result, tag) in results.iter().zip(["\\x1b[2J", "blue", "blue", "blue", "blue"]) {
        assert_eq!(result["tag"], tag);
    }
    assert!(results[5].get("tag").is_none());
    assert_eq!(results[5]["failure"]["tlsrpt"], "certificate-host-mismatch");
    assert!(run.stderr.contains("verified 5, unverified 1,"), "{}", run.stderr);
    let mut accepted = accepted.lock().expect("not poisoned").clone();
    accepted.sort();
    let expected = [[127, 0, 0, 1], [127, 1, 0, 8], [127, 1, 0, 9], [127, 1, 0, 10], [127, 1, 0, 11], [127, 2, 0, 1]];
    assert_eq!(accepted, expected.map(IpAddr::from));
}

/// How many were inside at once, at most.
#[derive(Default)]
struct Inside {
    now: AtomicU32,
    most: AtomicU32,
}

impl Inside {
    fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let done = work();
        self.now.fetch_sub(1, Ordering::SeqCst);
        done
    }
}

#[test]
fn so_many_jobs_are_at_work_at_once_and_no_more() {
    let authority = Authority::default();
    let (inside, three) = (Arc::new(Inside::default()), Barrier::new(3));
    let counted = inside.clone();
    let server = serve(move |mut stream| {
        // Nobody gets on before three are there.
        counted.during(|| three.wait());
        decline(&mut stream)
    });
    let targets = vec![format!("smtp://{}", server.address()); 12];
    let run = output(scan(&authority).args(["--jobs", "3"]).args(targets));
    assert!(run.stderr.contains("plaintext 0, failed 12 (refused 12)"), "{}", run.stderr);
    assert_eq!(inside.most.load(Ordering::SeqCst), 3);
}

#[test]
fn so_many_are_with_one_host_while_others_are_with_another() {
    let authority = Authority::default();
    let inside: Arc<[Inside; 2]> = Arc::default();
    let counted = inside.clone();
    let four = Barrier::new(4);
    let port = everywhere(move |mut stream| {
        let IpAddr::V4(address) = stream.local_addr()?.ip() else { panic!("an IPv4 address") };
        // Nobody gets on before two are with each host.
        counted[usize::from(address.octets()[3] - 1)].during(|| four.wait());
        decline(&mut stream)
    });
    // The second host's targets stand behind those of the first.
    let targets = [1, 2].map(|host| vec![format!("smtp://127.0.0.{host}:{port}"); 6]).concat();
    let run = output(scan(&authority).args(["--jobs", "4", "--per-host", "2"]).args(targets));
    assert!(run.stderr.contains("failed 12 (refused 12)"), "{}", run.stderr);
    assert_eq!([&inside[0], &inside[1]].map(|inside| inside.most.load(Ordering::SeqCst)), [2, 2]);
}

#[test]
fn so_many_begin_in_a_second() {
    let authority = Authority::default();
    let begun = Arc::new(Mutex::new(Vec::new()));
    let times = begun.clone();
    let server = serve(move |mut stream| {
        times.lock().expect("not poisoned").push(Instant::now());
        decline(&mut stream)
    });
    let targets = vec![format!("smtp://{}", server.address()); 11];
    let run = output(scan(&authority).args(["--rate", "50"]).args(targets));
    assert!(run.stderr.contains("failed 11 (refused 11)"), "{}", run.stderr);
    let begun = begun.lock().expect("not poisoned");
    let spread = begun.iter().max().expect("connections").duration_since(*begun.iter().min().expect("connections"));
    // Ten times 20 ms, but for what the server was late to see the first.
    assert!(spread > Duration::from_millis(150), "{spread:?}");
}

#[test]
fn the_shards_have_every_target_once_and_each_the_same_for_ever() {
    // Nobody listens there.
    let mut all: Vec<_> = (0..20).map(|host| format!("smtp://127.0.0.{host}:1")).collect();
    let list = file(all.join("\n").as_bytes());
    let authority = Authority::default();
    let shards = ["1/3", "2/3", "3/3"]
        .map(|shard| results(&output(scan(&authority).args(["--shard", shard, "--file"]).arg(&list))));
    // As Python has it: int.from_bytes(sha256(target).digest()[:8]) % 3.
    assert_eq!(shards.each_ref().map(Vec::len), [5, 9, 6]);
    let mut found = shards.each_ref().map(|results| targets(results)).concat();
    found.sort_unstable();
    all.sort_unstable();
    assert_eq!(found, all);
}

#[test]
fn the_layout_of_zgrab2_has_what_rustls_tells() {
    let authority = Authority::default();
    let good = good_server("smtp", &authority, Flaw::Expired);
    let refuses = serve(|mut stream| {
        stream.write_all(b"220 mail.example\r\n")?;
        stream.read_exact(&mut [0; 21])?;
        stream.write_all(b"250-mail.example\r\n250 STARTTLS\r\n")?;
        stream.read_exact(&mut [0; 10])?;
        stream.write_all(b"454 \x1b[2J\r\n")
    });
    let lacks = serve(|mut stream| {
        stream.write_all(b"220 mail.example\r\n")?;
        stream.read_exact(&mut [0; 21])?;
        stream.write_all(b"250 mail.example\r\n")
    });
    let injects = serve(|mut stream| stream.write_all(b"220 mail.example\r\n250 too early\r\n"));
    let silent = silent();
    let dead = (Ipv4Addr::LOCALHOST, 1).into();
    let servers = [good.address(), refuses.address(), lacks.address(), injects.address(), silent.address(), dead];
    let targets = servers.map(|server| format!("{},localhost,tag,{}\n", server.ip(), server.port())).concat();
    let targets = file(format!("{targets}gopher://x\n").as_bytes());
    let run =
        output(scan(&authority).args(["--starttls", "smtp", "--zgrab2", "--timeout", "2", "--file"]).arg(&targets));
    let grabs: Vec<Value> = run.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let grab = |port: u16| grabs.iter().find(|grab| grab["data"]["smtp"]["port"] == port).expect("a result");
    let statuses = servers.map(|server| grab(server.port())["data"]["smtp"]["status"].clone());
    let expected =
        ["success", "starttls-refused", "starttls-not-offered", "injected-data", "io-timeout", "connection-refused"];
    assert_eq!(statuses, expected);
    let bad = grabs.iter().find(|grab| grab["target"] == "gopher://x").expect("a result");
    assert_eq!(bad["data"]["starttls"]["status"], "invalid-inputs");

    let keys = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    let grab = grab(good.address().port());
    assert_eq!(keys(grab), ["ip", "domain", "target", "tag", "data"]);
    assert_eq!((&grab["ip"], &grab["domain"], &grab["tag"]), (&json!("127.0.0.1"), &json!("localhost"), &json!("tag")));
    let smtp = &grab["data"]["smtp"];
    assert_eq!(keys(smtp), ["status", "protocol", "port", "result", "timestamp", "error"]);
    let timestamp = smtp["timestamp"].as_str().expect("a time");
    assert!(timestamp.len() == 20 && timestamp.starts_with("20") && timestamp.ends_with('Z'), "{timestamp}");
    let result = &smtp["result"];
    assert_eq!(keys(result), ["banner", "ehlo", "starttls", "tls"]);
    for (field, words) in [("banner", "220 "), ("ehlo", "250-"), ("starttls", "220 2.0.0 Ready")] {
        assert!(result[field].as_str().expect("text").starts_with(words), "{result}");
    }
    let log = &result["tls"]["handshake_log"];
    assert_eq!(log["server_hello"]["version"], json!({"name": "TLSv1.3", "value": 772}));
    let suite = json!({"hex": "0x1302", "name": "TLS_AES_256_GCM_SHA384", "value": 0x1302});
    assert_eq!(log["server_hello"]["cipher_suite"], suite);
    let certificates = &log["server_certificates"];
    let parsed = &certificates["certificate"]["parsed"];
    assert_eq!(parsed["validity"], json!({"start": "2020-01-01T00:00:00Z", "end": "2021-01-01T00:00:00Z"}));
    assert_eq!(
        (&parsed["subject_dn"], &parsed["issuer_dn"]),
        (&json!("CN=starttls test server"), &json!("CN=Private CA"))
    );
    assert_eq!((&parsed["names"], &certificates["chain"]), (&json!(["localhost", "127.0.0.1"]), &json!([])));
    assert_eq!(parsed["fingerprint_sha256"].as_str().expect("a hash").len(), 64);
    assert_eq!(certificates["validation"]["browser_trusted"], false);
    assert!(certificates["validation"]["browser_error"].as_str().expect("words").contains("expired"));
}

#[test]
fn bad_arguments_and_files_end_it_before_it_begins() {
    let cases: &[(&[&str], &str)] = &[
        (&["scan"], "<TARGET"),
        (&["scan", "--file", "/nonexistent/\x07"], r"cannot read /nonexistent/\x07: "),
        (&["scan", "--file", "/", "localhost:25"], "cannot read /: is a directory"),
        (&["scan", "--jobs", "0", "localhost:25"], "--jobs"),
        (&["scan", "--rate", "0", "localhost:25"], "--rate"),
        (&["scan", "--rate", "NaN", "localhost:25"], "--rate"),
        (&["scan", "--per-host", "0", "localhost:25"], "--per-host"),
        (&["scan", "--shard", "4/3", "localhost:25"], "K/N"),
        (&["scan", "--resume", "/", "localhost:25"], "cannot resume /: it is not a regular file"),
        (&["scan", "--starttls", "smpt\x07", "localhost"], r"unknown protocol smpt\x07: the known ones are smtp,"),
        (&["scan", "--ca-file", "/nonexistent", "localhost:25"], "CA file"),
    ];
    for (arguments, words) in cases {
        let run = run(arguments);
        assert!(run.complaint().contains(words), "{arguments:?}: {}", run.stderr);
        assert_eq!((run.code, run.stdout.as_str()), (3, ""), "{arguments:?}");
    }
    // This can be opened, and not be read.
    let run = output(scan(&Authority::default()).args(["--file", "/proc/self/mem", "smtp://127.0.0.1:1"]));
    assert!(run.stderr.starts_with("starttls: cannot read /proc/self/mem: "), "{}", run.stderr);
    assert!(run.stderr.contains("starttls: 1 checked in "), "{}", run.stderr);
    assert_eq!((run.code, run.stdout.lines().count()), (3, 1));
}

#[test]
fn who_has_read_enough_ends_the_scan_in_silence() {
    let authority = Authority::default();
    let port = everywhere(|mut stream| decline(&mut stream));
    let network = format!("127.0.0.0/8,,,{port}");
    let mut child = scan(&authority)
        .args(["--starttls", "smtp", &network])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tool starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a result");
    let run = Run::from(child.wait_with_output().expect("the tool ends"));
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
}
