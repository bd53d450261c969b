//! Plays servers to the program without std, over loopback, with real TLS behind the dialogue.
//!
//! ```text
//! cargo run -p starttls-replay --example no_std -- tests/no_std/target/release/starttls-no-std
//! ```

use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use rustls::pki_types::PrivateKeyDer;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};
use starttls::Protocol;
use starttls_replay::{Authority, Flaw, Server, Transcript, play};

fn main() -> ExitCode {
    let Some(program) = std::env::args_os().nth(1) else {
        eprintln!("usage: no_std PROGRAM");
        return ExitCode::FAILURE;
    };
    let authority = Authority::default();
    let cases = [
        ("TLS 1.3", transcript("smtp/postfix.txt"), config(&authority, Flaw::None, &TLS13), 0),
        ("TLS 1.2", transcript("smtp/postfix.txt"), config(&authority, Flaw::None, &TLS12), 0),
        ("declined", transcript("smtp/postfix-not-offered.txt"), config(&authority, Flaw::None, &TLS13), 2),
        ("injected", transcript("hostile/smtp/injected-tls.txt"), config(&authority, Flaw::None, &TLS13), 3),
        ("expired", transcript("smtp/postfix.txt"), config(&authority, Flaw::Expired, &TLS13), 4),
        ("wrong name", transcript("smtp/postfix.txt"), config(&authority, Flaw::WrongName, &TLS12), 4),
        ("unknown CA", transcript("smtp/postfix.txt"), config(&Authority::new("Other"), Flaw::None, &TLS13), 4),
    ];
    let mut wrong = 0;
    for (name, transcript, config, expected) in cases {
        let code = run(&program, &authority, transcript, config).expect("a process over a loopback connection");
        println!("{name:<10} exit code {code:?}");
        wrong += usize::from(code != Some(expected));
    }
    println!("{wrong} wrong");
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn transcript(name: &str) -> Transcript {
    let named = |transcript: &Transcript| transcript.name == name;
    Transcript::all(Protocol::Smtp).into_iter().find(named).expect("a transcript")
}

fn config(authority: &Authority, flaw: Flaw, version: &'static SupportedProtocolVersion) -> Arc<ServerConfig> {
    let (certificate, key) = authority.issue(flaw);
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a PKCS #8 key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[version]);
    let config = config.expect("a version that the provider knows").with_no_client_auth();
    Arc::new(config.with_single_cert(vec![certificate.der().clone()], key).expect("a certificate that fits its key"))
}

/// Starts the program with a connection to the server as its standard input, and returns its exit code.
fn run(
    program: &std::ffi::OsStr,
    authority: &Authority,
    transcript: Transcript,
    config: Arc<ServerConfig>,
) -> io::Result<Option<i32>> {
    let server = Server::start(move |stream| play(stream, &transcript, config.clone()))?;
    let connection = OwnedFd::from(TcpStream::connect(server.address())?);
    Ok(Command::new(program).arg(authority.pem()).stdin(connection).status()?.code())
}
