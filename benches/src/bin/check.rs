//! `starttls check` as a process, beside the floor: a process that makes a TLS connection, and no more (`floor.rs`).
//!
//! ```text
//! cargo run --profile tool --manifest-path benches/Cargo.toml --bin check
//! ```

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use starttls_benches::process::{build, quiet, run};
use starttls_benches::readme;
use starttls_replay::{Authority, Flaw, Server};

/// How often each runs, one after the other.
const RUNS: usize = 500;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let (tool, floor) = (build("..", "starttls", "release")?, build(".", "floor", "tool")?);
    let authority = Authority::default();
    let ca_file = std::env::temp_dir().join(format!("starttls-check-{}.pem", std::process::id())).display().to_string();
    fs::write(&ca_file, authority.pem())?;
    let config = authority.server_config(Flaw::None);
    let implicit = config.clone();
    let smtp = Server::start(move |socket| tls(dialogue(socket)?, config.clone()))?;
    let implicit = Server::start(move |socket| tls(socket, implicit.clone()))?;
    let (starttls, address) = (format!("smtp://{}", smtp.address()), implicit.address().to_string());
    let check = ["check", "--server-name", "localhost", &starttls];
    let trusting = [&[&tool[..]], &check[..], &["--ca-file", &ca_file]].concat();
    let system = [&[&tool[..]], &check[..]].concat();
    let scan = [&tool[..], "scan", "--server-name", "localhost", &starttls, &starttls, &starttls];
    let least = [&floor[..], &ca_file, &address];
    for (command, code) in [(&trusting[..], 0), (&least, 0), (&system, 2)] {
        if quiet(command).status()?.code() != Some(code) {
            return Err(format!("{command:?} fails").into());
        }
    }

    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..RUNS {
        for (command, times) in [&trusting[..], &least, &system].into_iter().zip(&mut times) {
            times.push(run(&mut quiet(command))?.cpu);
        }
    }
    let [trusting_ms, least_ms, system_ms] = times.map(|mut times| {
        times.sort();
        times[RUNS / 10].as_secs_f64() * 1e3
    });
    let mut body = format!(
        "## A check as a process\n\n    cargo run --profile tool --manifest-path benches/Cargo.toml --bin check\n\nThe process against the floor, {RUNS} runs of each in turn, of \
         which the tenth with the least: neighbours only add to it.\n\n\
         | | CPU, ms | to the floor | instructions, M | to the floor |\n|---|--:|--:|--:|--:|\n"
    );
    let most = instructions(&least)?;
    for (name, time, command) in [
        ("floor", least_ms, &least[..]),
        ("`starttls check --ca-file`", trusting_ms, &trusting),
        ("`starttls check`, with the system's roots", system_ms, &system),
    ] {
        let count = instructions(command)?;
        let ratio = count / most;
        writeln!(body, "| {name} | {time:.2} | {:.2} | {count:.2} | {ratio:.2} |", time / least_ms)?;
    }
    body += "\nFiles below /etc/ssl that are opened, and the most often that one of them is (`strace`):\n\n";
    for (name, command) in [("check --ca-file", &trusting[..]), ("check", &system), ("scan of three servers", &scan)] {
        let (files, most) = opened(command)?;
        writeln!(body, "- `{name}`: {files}, {most}")?;
    }
    fs::remove_file(&ca_file)?;
    println!("{body}");
    readme::replace("check", &body)?;
    Ok(())
}

/// How many instructions it takes in user mode, in millions.
fn instructions(command: &[&str]) -> Result<f64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).args(command);
    let output = valgrind.stdin(Stdio::null()).output().map_err(|error| format!("valgrind: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let count = text.lines().find_map(|line| line.split_once("Collected : ")).ok_or("valgrind does not count")?.1;
    Ok(count.trim().parse::<f64>()? / 1e6)
}

/// How many files of the trust store it opens, and how often the one that it opens most often.
fn opened(command: &[&str]) -> Result<(usize, usize)> {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-e", "trace=open,openat"]).args(command);
    let output = strace.stdin(Stdio::null()).output().map_err(|error| format!("strace: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let mut files: Vec<_> =
        text.lines().filter_map(|line| line.split('"').find(|name| name.starts_with("/etc/ssl"))).collect();
    files.sort_unstable();
    let same: Vec<_> = files.chunk_by(|one, other| one == other).map(<[_]>::len).collect();
    Ok((same.len(), same.into_iter().max().unwrap_or_default()))
}

/// SMTP's dialogue, up to TLS.
fn dialogue(mut socket: TcpStream) -> io::Result<TcpStream> {
    socket.set_nodelay(true)?;
    let mut lines = BufReader::new(socket.try_clone()?);
    for reply in ["220 mail.example ESMTP\r\n", "250-mail.example\r\n250 STARTTLS\r\n"] {
        socket.write_all(reply.as_bytes())?;
        lines.read_line(&mut String::new())?;
    }
    socket.write_all(b"220 go\r\n")?;
    Ok(socket)
}

/// TLS, in which whatever the client says is well.
fn tls(socket: TcpStream, config: Arc<ServerConfig>) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut lines = BufReader::new(StreamOwned::new(connection, socket));
    while lines.read_line(&mut String::new())? > 0 {
        lines.get_mut().write_all(b"250 mail.example\r\n")?;
    }
    Ok(())
}
