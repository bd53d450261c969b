//! `starttls scan` beside the tools that people use, on the same loopback servers in the same run.
//!
//! ```text
//! cargo run --profile tool --manifest-path benches/Cargo.toml --bin scan            1,000 targets, as root, since nmap wants a port that SMTP has
//! cargo run --profile tool --manifest-path benches/Cargo.toml --bin scan -- 200
//! SSLYZE=/somewhere/bin/sslyze cargo run --profile tool --manifest-path benches/Cargo.toml --bin scan
//! ```

use std::error::Error;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufRead};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use futures_rustls::{TlsAcceptor, TlsConnector};
use rustix::process::{Resource, getrlimit, setrlimit};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use smol::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy, sink};
use smol::lock::Barrier;
use smol::net::{TcpListener, TcpStream};
use smol::{LocalExecutor, channel, future};
use starttls_benches::process::{Cost, build, run};
use starttls_benches::{client_config, readme};
use starttls_replay::{Authority, Flaw};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Submission: nmap's script takes it for SMTP without asking what is there.
const PORT: u16 = 587;
/// How many times each tool runs, one after the other. The least CPU time counts: neighbours only add to it.
const ROUNDS: usize = 5;
/// How many connections at once: what `starttls scan` has by default.
const JOBS: usize = 500;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // The most that is allowed: a thousand connections are more than the usual limit.
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => measure(1000),
        [count] => measure(count.parse()?),
        ["serve", late, ca_file] => serve(late.parse()?, ca_file),
        ["bare", targets, authority] => bare(targets, authority),
        _ => Err("usage: scan [TARGETS]".into()),
    }
}

/// A tool, and how to tell from what it printed that it got a certificate.
struct Tool {
    name: &'static str,
    command: Vec<String>,
    certificate: &'static str,
}

fn measure(count: usize) -> Result<()> {
    let tool = build("..", "starttls", "release")?;
    let folder = std::env::temp_dir().join(format!("starttls-scan-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let file = |name: &str| folder.join(name).display().to_string();
    let ca_file = file("ca.pem");
    let (mut server, late) = start(count, &ca_file)?;
    let list = |name: &str, line: &dyn Fn(Ipv4Addr) -> String| -> io::Result<String> {
        fs::write(file(name), (0..count).map(|number| line(target(number)) + "\n").collect::<String>())?;
        Ok(file(name))
    };
    let hosts = list("hosts", &|host| host.to_string())?;
    let targets = list("targets", &|host| format!("{host}:{PORT}"))?;
    let waiting = list("waiting", &|host| format!("smtp://{host}:{late}"))?;

    let sslyze = std::env::var("SSLYZE").unwrap_or_else(|_| "sslyze".to_owned());
    let itself = std::env::current_exe()?.display().to_string();
    let scan = |targets: &str| format!("{tool} scan --server-name localhost --ca-file {ca_file} --file {targets}");
    let commands = [
        ("starttls scan", scan(&targets), r#""verified":true"#),
        ("smol and rustls, no report", format!("{itself} bare {targets} {ca_file}"), "certificate of "),
        (
            "nmap --script ssl-cert",
            format!("nmap -Pn -n -sT -T5 --max-retries 0 --min-hostgroup 1024 -p {PORT} --script ssl-cert -iL {hosts}"),
            "ssl-cert: Subject: ",
        ),
        (
            "sslyze --certinfo",
            format!("{sslyze} --certinfo --starttls=smtp --targets_in={targets}"),
            "* Certificates Information:",
        ),
        (
            "xargs -P 2 openssl s_client",
            format!("xargs -a {targets} -P 2 -n 1 openssl s_client -starttls smtp -CAfile {ca_file} -connect"),
            "-----BEGIN CERTIFICATE-----",
        ),
    ];
    let tools = commands.map(|(name, command, certificate)| Tool {
        name,
        command: command.split(' ').map(str::to_owned).collect(),
        certificate,
    });

    let mut missing = String::new();
    let mut runs = Vec::new();
    for tool in &tools {
        if let Err(error) =
            Command::new(&tool.command[0]).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status()
        {
            writeln!(missing, "Not measured: {} ({error}).", tool.name)?;
        } else {
            runs.push((tool, Vec::new()));
        }
    }
    for _ in 0..ROUNDS {
        for (tool, results) in &mut runs {
            let result = once(&tool.command, Path::new(&file("output")), tool.certificate)?;
            eprintln!("{}: {result:?}", tool.name);
            results.push(result);
        }
    }
    let held: Vec<String> = format!("{} --jobs {count}", scan(&waiting)).split(' ').map(str::to_owned).collect();
    let (held, together) = once(&held, Path::new(&file("output")), r#""verified":true"#)?;
    drop(server.stdin.take());
    server.wait()?;
    fs::remove_dir_all(&folder)?;

    let mut rows = Vec::new();
    for (tool, mut results) in runs {
        results.sort_by_key(|(cost, _)| cost.cpu);
        let (cost, _) = results[0];
        let certificates = results.iter().map(|(_, certificates)| *certificates).min().unwrap_or_default();
        rows.push((tool.name, cost, certificates));
    }
    let per_second = |cost: &Cost, certificates| certificates as f64 / cost.cpu.as_secs_f64();
    let nmap = rows.iter().find(|(name, ..)| name.starts_with("nmap"));
    let mut body = format!(
        "## A scan of many\n\n    cargo run --profile tool --manifest-path benches/Cargo.toml --bin scan\n\n{count} targets on loopback, {ROUNDS} rounds, of which the one with the least CPU time. Each has a \
         certificate of its own, below an intermediate authority that all have in common: its signature is verified once, the others each time.\n\n\
         | | certificates | targets per CPU-second | to nmap | CPU, s | wall, s | memory, MiB |\n|---|--:|--:|--:|--:|--:|--:|\n"
    );
    for (name, cost, certificates) in &rows {
        let speed = per_second(cost, *certificates);
        let ratio = nmap.map_or("".to_owned(), |(_, nmap, got)| format!("{:.2}", speed / per_second(nmap, *got)));
        let (cpu, wall) = (cost.cpu.as_secs_f64(), cost.wall.as_secs_f64());
        let memory = cost.memory as f64 / f64::from(1 << 20);
        writeln!(body, "| {name} | {certificates} | {speed:.0} | {ratio} | {cpu:.2} | {wall:.2} | {memory:.0} |")?;
    }
    writeln!(
        body,
        "\n{missing}Held open at once by servers that greet when they all have been called: {together} of {count}, in {:.1} MiB.",
        held.memory as f64 / f64::from(1 << 20)
    )?;
    println!("{body}");
    readme::replace("scan", &body)?;
    Ok(())
}

/// 127.1.0.1 and those behind it: one host each.
fn target(number: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 1).to_bits() + number as u32)
}

/// One run, and how many certificates it got.
fn once(command: &[String], output: &Path, certificate: &str) -> Result<(Cost, usize)> {
    let mut tool = Command::new(&command[0]);
    tool.args(&command[1..]).stdin(Stdio::null()).stdout(File::create(output)?).stderr(Stdio::null());
    let cost = run(&mut tool)?;
    let printed = fs::read(output)?;
    Ok((cost, String::from_utf8_lossy(&printed).matches(certificate).count()))
}

/// Starts the servers in a process of their own, which ends with its standard input; and where those are that greet late.
fn start(late: usize, ca_file: &str) -> Result<(Child, u16)> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["serve", &late.to_string(), ca_file]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut server = command.spawn()?;
    let mut port = String::new();
    io::BufReader::new(server.stdout.take().ok_or("no pipe")?).read_line(&mut port)?;
    let port = port.trim().parse().map_err(|_| "the servers do not start: see above")?;
    Ok((server, port))
}

fn serve(late: usize, ca_file: &str) -> Result<()> {
    let authority = Authority::default();
    fs::write(ca_file, authority.pem())?;
    let intermediate = authority.under("Intermediate CA");
    let called = &Barrier::new(late);
    let executor = &LocalExecutor::new();
    let accept = async |listener: TcpListener, acceptor: TlsAcceptor, late: bool| -> Result<()> {
        loop {
            let (socket, _) = listener.accept().await?;
            let acceptor = acceptor.clone();
            let served = async move {
                if late {
                    called.wait().await;
                }
                // Who hangs up has what it wanted.
                upgrade(socket, &acceptor).await
            };
            executor.spawn(served).detach();
        }
    };
    let accept = &accept;
    let listening = &LocalExecutor::new();
    smol::block_on(executor.run(listening.run(async {
        let mut accepting = Vec::new();
        // The late ones all have the port that was free for the first.
        let mut port = 0;
        for host in (0..late).map(target) {
            let acceptor = TlsAcceptor::from(server_config(&intermediate)?);
            accepting.push(listening.spawn(accept(listen(host, PORT).await?, acceptor.clone(), false)));
            let later = listen(host, port).await?;
            port = later.local_addr()?.port();
            accepting.push(listening.spawn(accept(later, acceptor, true)));
        }
        println!("{port}");
        let failed = async {
            for one in accepting {
                one.await?;
            }
            Ok(())
        };
        let end = async { Ok(copy(smol::Unblock::new(io::stdin()), &mut sink()).await.map(drop)?) };
        future::or(failed, end).await
    })))
}

/// A server with a certificate of its own, below the intermediate authority that all have in common: so it is with mail servers.
fn server_config(intermediate: &Authority) -> Result<Arc<ServerConfig>> {
    let (certificate, key) = intermediate.issue(Flaw::None);
    let chain = vec![certificate.der().clone(), intermediate.der()];
    let key = PrivateKeyDer::try_from(key.serialize_der())?;
    let config =
        ServerConfig::builder_with_provider(default_provider().into()).with_safe_default_protocol_versions()?;
    Ok(Arc::new(config.with_no_client_auth().with_single_cert(chain, key)?))
}

async fn listen(host: Ipv4Addr, port: u16) -> Result<TcpListener> {
    let bound = TcpListener::bind((host, port)).await;
    let listener = bound.map_err(|error| format!("{host}:{port}: {error}"))?;
    // Longer than std has it, so that nobody has to call twice.
    rustix::net::listen(&listener, 4096)?;
    Ok(listener)
}

async fn upgrade(socket: TcpStream, acceptor: &TlsAcceptor) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut lines = BufReader::new(socket);
    for reply in ["220 mail.example ESMTP\r\n", "250-mail.example\r\n250 STARTTLS\r\n"] {
        lines.get_mut().write_all(reply.as_bytes()).await?;
        if lines.read_line(&mut String::new()).await? == 0 {
            return Ok(());
        }
    }
    lines.get_mut().write_all(b"220 go\r\n").await?;
    let mut tls = acceptor.accept(lines.into_inner()).await?;
    copy(&mut tls, &mut sink()).await.map(drop)
}

/// The floor of a scan in one thread: smol and rustls, replies that nobody parses, and no more than a line for each.
fn bare(targets: &str, ca_file: &str) -> Result<()> {
    let (connector, name) = (&TlsConnector::from(client_config(ca_file)?), &ServerName::try_from("localhost")?);
    let targets = fs::read_to_string(targets)?;
    let (sender, receiver) = &channel::unbounded();
    for target in targets.lines() {
        sender.try_send(target.parse::<SocketAddr>()?)?;
    }
    sender.close();
    let executor = LocalExecutor::new();
    let workers: Vec<_> = (0..JOBS)
        .map(|_| {
            executor.spawn(async move {
                while let Ok(target) = receiver.recv().await {
                    match certificate(target, connector, name).await {
                        Ok(length) => println!("{target}: certificate of {length} bytes"),
                        Err(error) => println!("{target}: {error}"),
                    }
                }
            })
        })
        .collect();
    smol::block_on(executor.run(async {
        for worker in workers {
            worker.await;
        }
    }));
    Ok(())
}

async fn certificate(target: SocketAddr, connector: &TlsConnector, name: &ServerName<'static>) -> io::Result<usize> {
    let mut socket = TcpStream::connect(target).await?;
    socket.set_nodelay(true)?;
    let mut buffer = [0; 2048];
    for request in ["EHLO client.example\r\n", "STARTTLS\r\n"] {
        socket.read(&mut buffer).await?;
        socket.write_all(request.as_bytes()).await?;
    }
    socket.read(&mut buffer).await?;
    let mut tls = connector.connect(name.clone(), socket).await?;
    tls.close().await?;
    let chain = tls.get_ref().1.peer_certificates().unwrap_or_default();
    Ok(chain.first().map_or(0, |own| own.len()))
}
