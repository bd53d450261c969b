//! Many upgrades at once, all in one thread, and the memory that they take.
//!
//! ```text
//! cargo run --release -p starttls-smol --example load -- 10000
//! ```
//!
//! A server in a process of its own takes all connections before it answers any. Then each goes through SMTP's dialogue
//! and the TLS handshake, and stays open until the last is done. The same is done once more with TLS from the first byte,
//! by futures-rustls: what rustls, the executor and a socket take without this crate.
//!
//! Each process needs a descriptor for each connection, and some more. The soft limit is raised to the hard one; should
//! that be too low, raise it with `ulimit -Hn 20000` as root, `LimitNOFILE=` in a systemd unit, or in
//! `/etc/security/limits.conf`.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_rustls::{TlsAcceptor, TlsConnector};
use rustix::process::{Resource, getrlimit, setrlimit};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use smol::io::{AsyncBufReadExt, AsyncWriteExt};
use smol::net::{TcpListener, TcpStream};
use smol::process::Command;
use smol::{LocalExecutor, future};
use starttls::Negotiation;
use starttls::protocol::Smtp;
use starttls_replay::{Authority, Flaw};
use starttls_smol::Upgrader;

/// How many connections a listener's queue holds. One more than that, and the kernel may lose it when it is pressed.
const QUEUE: usize = 128;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match &arguments[..] {
        [connections] => serve(connections, "implicit").and_then(|()| serve(connections, "starttls")),
        [way, connections] => serve(connections, way),
        [way, connections, ports, authority] => connect(connections, way, ports, authority),
        _ => Err("usage: load CONNECTIONS".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs this program once more, in a process of its own.
async fn again(arguments: &[&str]) -> Result<()> {
    let status = Command::new(std::env::current_exe()?).args(arguments).status().await?;
    if status.success() { Ok(()) } else { Err(status.to_string().into()) }
}

fn descriptors(connections: usize) -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    let needed = connections + connections.div_ceil(QUEUE) + 20;
    match limit.maximum {
        Some(most) if most < needed as u64 => {
            Err(format!("{needed} descriptors are needed, and {most} allowed").into())
        }
        _ => Ok(()),
    }
}

/// Starts the client, and serves its connections.
fn serve(connections: &str, way: &str) -> Result<()> {
    let count = connections.parse()?;
    descriptors(count)?;
    let authority = Authority::default();
    let acceptor = TlsAcceptor::from(authority.server_config(Flaw::None));
    let executor = LocalExecutor::new();
    smol::block_on(executor.run(async {
        let mut listeners = Vec::new();
        let mut ports = String::new();
        for _ in 0..count.div_ceil(QUEUE) {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            ports += &format!("{} ", listener.local_addr()?.port());
            listeners.push(listener);
        }
        let serve = async |socket| {
            let socket = if way == "starttls" { smtp(socket).await? } else { socket };
            let mut tls = acceptor.accept(socket).await?;
            // Until the client hangs up, which it does when it has all of them.
            smol::io::copy(&mut tls, &mut smol::io::sink()).await
        };
        let all = async {
            let mut sockets = Vec::new();
            for number in 0..count {
                sockets.push(listeners[number / QUEUE].accept().await?.0);
            }
            sockets.into_iter().for_each(|socket| executor.spawn(serve(socket)).detach());
            future::pending().await
        };
        // The client tells how it went, and ends.
        future::or(all, again(&[way, connections, &ports, &authority.pem()])).await
    }))
}

async fn smtp(socket: TcpStream) -> io::Result<TcpStream> {
    let mut lines = smol::io::BufReader::new(socket);
    for reply in ["220 mail.example\r\n", "250-mail.example\r\n250 STARTTLS\r\n"] {
        lines.get_mut().write_all(reply.as_bytes()).await?;
        lines.read_line(&mut String::new()).await?;
    }
    lines.get_mut().write_all(b"220 go\r\n").await?;
    Ok(lines.into_inner())
}

/// Makes the connections, and says what they took.
fn connect(connections: &str, way: &str, ports: &str, authority: &str) -> Result<()> {
    let count = connections.parse()?;
    descriptors(count)?;
    let ports: Vec<u16> = ports.split_whitespace().map(str::parse).collect::<std::result::Result<_, _>>()?;
    let address = |number: usize| SocketAddr::from((Ipv4Addr::LOCALHOST, ports[number / QUEUE]));
    let config = trusting(authority)?;
    let name = ServerName::try_from("localhost")?;
    let before = memory("VmRSS")?;
    let start = Instant::now();
    let open = match way {
        "starttls" => at_once(count, async |number| {
            let upgrader = Upgrader::new(config.clone(), name.clone(), Duration::from_secs(300));
            let socket = upgrader.connect_to(&[address(number)]).await?;
            Ok(upgrader.upgrade(socket, Negotiation::required(Smtp::new("client.example")?)).await?)
        })?,
        _ => at_once(count, async |number| {
            let socket = TcpStream::connect(address(number)).await?;
            socket.set_nodelay(true)?;
            Ok(TlsConnector::from(config.clone()).connect(name.clone(), socket).await?)
        })?,
    };
    let each = (memory("VmHWM")? - before) / open as u64;
    println!(
        "{way:<9} {open} open at once after {:.1} s, {each} bytes each at the peak",
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Makes so many connections, and closes none until all are made. Returns how many that is.
fn at_once<S>(count: usize, make: impl AsyncFn(usize) -> Result<S>) -> Result<usize> {
    let executor = LocalExecutor::new();
    let tasks: Vec<_> = (0..count).map(|number| executor.spawn(make(number))).collect();
    smol::block_on(executor.run(async {
        let mut open = Vec::new();
        for task in tasks {
            open.push(task.await?);
        }
        Ok(open.len())
    }))
}

fn trusting(pem: &str) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// What the kernel has under this name, in bytes.
fn memory(name: &str) -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(name)).ok_or("the kernel does not say")?;
    let kibibytes: u64 = line.split_whitespace().nth(1).ok_or("the kernel does not say")?.parse()?;
    Ok(kibibytes * 1024)
}
