//! Runs the tool against servers on loopback.

#![allow(dead_code, reason = "each test program needs its part")]

pub mod snapshot;

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::KeyPair;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use starttls::Protocol;
use starttls_replay::{Authority, Flaw, Server, Transcript, play_then};

/// What a run of the tool came to.
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("it exits by itself"),
            stdout: String::from_utf8(output.stdout).expect("it prints UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("it prints UTF-8"),
        }
    }
}

impl Run {
    /// The JSON, which is one line.
    pub fn report(&self) -> Value {
        assert_eq!(self.stdout.matches('\n').count(), 1, "{}", self.stdout);
        serde_json::from_str(&self.stdout).expect("JSON")
    }

    /// The JSON, an object a line.
    pub fn reports(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// The one line that the tool is to complain with, and nothing else.
    pub fn complaint(&self) -> &str {
        assert!(self.stderr.starts_with("starttls: "), "{}", self.stderr);
        assert!(self.stderr.ends_with('\n') && self.stderr.matches('\n').count() == 1, "{}", self.stderr);
        assert!(!self.stderr.trim_end().contains(|character: char| character.is_control()), "{:?}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        &self.stderr
    }
}

pub fn tool() -> Command {
    Command::new(env!("CARGO_BIN_EXE_starttls"))
}

pub fn run(arguments: &[&str]) -> Run {
    tool().args(arguments).output().expect("the tool starts").into()
}

/// The arguments of a check of `server` that trusts `authority`, for the name `localhost`.
pub fn arguments(protocol: &str, server: &Server, authority: &Authority) -> Vec<String> {
    let ca_file = ca_file(authority).into_os_string().into_string().expect("a path in UTF-8");
    let target = format!("{protocol}://{}", server.address());
    ["check", "--name", "client.example", "--server-name", "localhost", "--ca-file", &ca_file, &target]
        .map(str::to_owned)
        .to_vec()
}

/// Checks `server` in JSON.
pub fn check(protocol: &str, server: &Server, authority: &Authority) -> Run {
    tool().args(arguments(protocol, server, authority)).arg("--json").output().expect("the tool starts").into()
}

/// Checks `server` for a person.
pub fn check_human(protocol: &str, server: &Server, authority: &Authority) -> Run {
    tool().args(arguments(protocol, server, authority)).output().expect("the tool starts").into()
}

/// Checks `target` with these options, trusting `authority`.
pub fn check_with(target: &str, authority: &Authority, options: &[&str]) -> Run {
    let mut command = tool();
    command.args(["check", "--name", "client.example", target, "--ca-file"]).arg(ca_file(authority)).args(options);
    command.output().expect("the tool starts").into()
}

pub fn ca_file(authority: &Authority) -> PathBuf {
    file("ca.pem", &authority.pem())
}

/// A file of its own with this text.
pub fn file(name: &str, text: &str) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{number}-{name}", std::process::id()));
    fs::write(&path, text).expect("a writable directory");
    path
}

/// A server that shows `chain`, staples `ocsp` and signs with `key`, whether they belong together or not.
pub fn server_config(chain: Vec<CertificateDer<'static>>, ocsp: Option<Vec<u8>>, key: &KeyPair) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a PKCS #8 key");
    let key = aws_lc_rs::sign::any_supported_type(&key).expect("a key that can sign");
    let certified = CertifiedKey { cert: chain, key, ocsp };
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    Arc::new(config)
}

/// A server that plays the transcript of this name, with TLS as `config` has it, and lists its capabilities again.
pub fn replay(name: &str, config: Arc<ServerConfig>) -> Server {
    serve(player(name, config))
}

/// What such a server does.
pub fn player(name: &str, config: Arc<ServerConfig>) -> impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static {
    player_then(name, config, list_again)
}

/// A server that plays the transcript of this name, and has these answers to what the client says within TLS, a line each.
pub fn replay_then(
    name: &str,
    config: Arc<ServerConfig>,
    answer: impl Fn(&str) -> &'static str + Send + Sync + 'static,
) -> Server {
    serve(player_then(name, config, answer))
}

fn player_then(
    name: &str,
    config: Arc<ServerConfig>,
    answer: impl Fn(&str) -> &'static str + Send + Sync + 'static,
) -> impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static {
    let all = Protocol::all().flat_map(Transcript::all);
    let transcript = all.into_iter().find(|transcript| transcript.name == name).expect(name);
    move |stream| play_then(stream, &transcript, config.clone(), |tls| answer_lines(tls, &answer))
}

/// Answers each line that the client says within TLS.
pub fn answer_lines(
    tls: &mut StreamOwned<ServerConnection, TcpStream>,
    answer: impl Fn(&str) -> &'static str,
) -> io::Result<()> {
    loop {
        let said = line(tls)?;
        tls.write_all(answer(&said).as_bytes())?;
    }
}

/// What servers say within TLS to a client that asks for their capabilities.
pub fn list_again(line: &str) -> &'static str {
    match line.split(' ').next() {
        Some("EHLO" | "LHLO") => "250-mail.example\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n",
        Some("CAPA") => "+OK\r\nUSER\r\nSASL PLAIN\r\n.\r\n",
        Some("S1") => "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nS1 OK done\r\n",
        _ => "",
    }
}

/// A server of `protocol` with TLS for localhost, flawed or not.
pub fn good_server(protocol: &str, authority: &Authority, flaw: Flaw) -> Server {
    let config = authority.server_config(flaw);
    match protocol {
        "smtp" => replay("smtp/postfix.txt", config),
        "lmtp" => replay("lmtp/dovecot.txt", config),
        "pop3" => replay("pop3/dovecot.txt", config),
        "imap" => serve(move |stream| imap_then(stream, config.clone(), |tls| answer_lines(tls, list_again))),
        _ => panic!("no server of {protocol}"),
    }
}

/// Agrees to TLS over IMAP, where the tag is the client's choice, so that there is nothing to replay.
pub fn imap_then(
    mut stream: TcpStream,
    config: Arc<ServerConfig>,
    then: impl FnOnce(&mut StreamOwned<ServerConnection, TcpStream>) -> io::Result<()>,
) -> io::Result<()> {
    stream.write_all(b"* OK IMAP4rev1 ready\r\n")?;
    let command = line(&mut stream)?;
    let tag = command.split(' ').next().unwrap_or_default();
    stream.write_all(format!("{tag} OK go ahead\r\n").as_bytes())?;
    let upgraded: Transcript = "= upgraded".parse().map_err(io::Error::other)?;
    play_then(stream, &upgraded, config, then)
}

pub fn serve(handler: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Server {
    Server::start(handler).expect("a free port")
}

/// A line from the client, without its end.
pub fn line(stream: &mut impl Read) -> io::Result<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        line.extend(byte);
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// Stays until the client hangs up.
pub fn wait(stream: &mut TcpStream) -> io::Result<()> {
    io::copy(stream, &mut io::sink()).map(drop)
}

/// A new terminal: its own end, and the one for programs.
#[cfg(unix)]
pub fn terminal() -> (fs::File, fs::File) {
    use std::os::unix::ffi::OsStrExt;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    let own = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&own).expect("it is ours");
    unlockpt(&own).expect("it is ours");
    let name = ptsname(&own, Vec::new()).expect("a name");
    let path = std::ffi::OsStr::from_bytes(name.as_bytes());
    let other = fs::File::options().read(true).write(true).open(path).expect("a terminal");
    (own.into(), other)
}
