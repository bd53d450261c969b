//! Upgrades to real servers: `cargo run -p starttls-servers`.
//!
//! The suite installs what is missing from Debian's packages, starts every server on free loopback ports with a
//! configuration, state and certificates of its own in a temporary directory, runs each client against each [`Case`],
//! and ends what it started. It needs root, to install the packages and because the servers change their user.
//!
//! The tool is the one that `STARTTLS_BIN` names, or else it is built first.
//!
//! Names of servers as arguments choose those.
//!
//! With the argument `hold` it starts the servers, prints their ports, and ends them when its standard input does: to
//! record transcripts.
//!
//! To add a server, write its file with a `start` function like `nats.rs`, and list that in `SERVERS`.

mod agree;
mod apache;
mod authority;
mod case;
mod client;
mod connect_errors;
mod cups;
mod dnsmasq;
mod dovecot;
mod inn;
mod inspircd;
mod login;
mod mariadb;
mod munin;
mod nats;
mod nbd;
mod nut;
mod packages;
mod peer;
mod postfix;
mod postgres;
mod prosody;
mod server;
mod slapd;
mod tigervnc;
mod vsftpd;
mod xrdp;

use std::env;
use std::error::Error;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::{io, thread};

use authority::Authority;
use case::{Case, Offer, Verdict};
use server::Server;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

type Start = fn(&Path, &Authority) -> Result<Server>;

/// Each installs and starts one server, with its files in a directory below the given one.
const SERVERS: [(&str, Start); 18] = [
    ("Postfix", postfix::start),
    ("Dovecot", dovecot::start),
    ("INN", inn::start),
    ("vsftpd", vsftpd::start),
    ("Prosody", prosody::start),
    ("slapd", slapd::start),
    ("CUPS", cups::start),
    ("Apache", apache::start),
    ("InspIRCd", inspircd::start),
    ("PostgreSQL", postgres::start),
    ("MariaDB", mariadb::start),
    ("qemu-nbd", nbd::qemu),
    ("nbdkit", nbd::nbdkit),
    ("NATS", nats::start),
    ("xrdp", xrdp::start),
    ("TigerVNC", tigervnc::start),
    ("NUT", nut::start),
    ("munin-node", munin::start),
];

type Client = fn(&Case, &Setting) -> Result<Verdict>;

/// What tries each case, by the name that the table shows.
const CLIENTS: [(&str, Client); 2] = [("tool", client::tool), ("library", client::library)];

/// What a client needs to know besides its case.
pub(crate) struct Setting {
    tool: PathBuf,
    authority: Authority,
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("starttls-servers: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs every case; true if all passed.
fn run() -> Result<bool> {
    let (holds, chosen): (Vec<_>, Vec<_>) = env::args().skip(1).partition(|argument| argument == "hold");
    let hold = !holds.is_empty();
    let tool = match env::var_os("STARTTLS_BIN") {
        Some(path) => path.into(),
        None if hold => PathBuf::new(),
        None => build_tool()?,
    };
    peer::install()?;
    // The servers read their files as users of their own.
    let dir = tempfile::Builder::new().prefix("starttls-").permissions(Permissions::from_mode(0o755)).tempdir()?;
    let setting = Setting { tool, authority: Authority::create(dir.path())? };

    // Declared after the directory, so that the servers end before it is removed.
    let servers: Vec<_> = thread::scope(|scope| {
        let start = |(name, start): (_, Start)| {
            let (dir, authority) = (dir.path(), &setting.authority);
            (name, scope.spawn(move || start(dir, authority).map_err(|error| error.to_string())))
        };
        let wanted = SERVERS.into_iter().filter(|(name, _)| chosen.is_empty() || chosen.iter().any(|one| one == name));
        let starts: Vec<_> = wanted.map(start).collect();
        let started = starts.into_iter();
        started.map(|(name, start)| (name, start.join().unwrap_or_else(|_| Err("it panicked".into())))).collect()
    });
    let (mut passed, mut failed, mut agreed) = (0, 0, 0);
    for (name, server) in &servers {
        if let Err(error) = server {
            println!("{name}: FAILED to start: {error}");
            failed += 1;
        }
    }
    let servers = || servers.iter().filter_map(|(_, server)| server.as_ref().ok());
    if hold {
        println!("{}", setting.authority.ca().display());
        for server in servers() {
            for Case { protocol, offer, port, .. } in &server.cases {
                println!("{:<10} {:<10} {protocol:<11} {:<12} {port}", server.name, server.version, offer.name());
            }
        }
        io::copy(&mut io::stdin(), &mut io::sink())?;
        return Ok(failed == 0);
    }

    row(["server", "version", "protocol", "case", "client", "outcome", "trips", "exit"]);
    for server in servers() {
        for case in &server.cases {
            let clients = CLIENTS.into_iter().map(|(name, client)| (name, client(case, &setting)));
            let clients = clients.chain(peer::verdicts(case, &setting)).chain(login::verdicts(case, &setting));
            let clients = clients.chain(client::self_test(case, &setting).map(|verdict| ("self-test", verdict)));
            for (name, verdict) in clients {
                let [outcome, trips, exit] = match &verdict {
                    Ok(verdict) => verdict.cells(),
                    Err(_) => ["error", "-", "-"].map(Into::into),
                };
                row([server.name, &server.version, case.protocol, case.offer.name(), name, &outcome, &trips, &exit]);
                let expected = case.expected();
                if verdict.as_ref().is_ok_and(|verdict| verdict.meets(&expected)) {
                    passed += 1;
                    continue;
                }
                failed += 1;
                if let Err(error) = verdict {
                    println!("  {error}");
                }
                let [outcome, trips, exit] = expected.cells();
                println!("  FAILED, expected: {outcome}, {trips} round trips, exit code {exit}");
            }
        }
    }
    for server in servers() {
        for case in &server.cases {
            for (peer, verdict) in agree::verdicts(case, &setting) {
                match verdict {
                    Ok(()) => passed += 1,
                    Err(error) => {
                        println!(
                            "{} {} {}: {peer} and the tool differ:\n  {error}",
                            server.name,
                            case.protocol,
                            case.offer.name()
                        );
                        failed += 1;
                    }
                }
                agreed += 1;
            }
        }
    }
    println!(
        "{agreed} connections compared: version, suite, key, chain and verification, as openssl and gnutls-cli tell them"
    );
    let [shown, untold] = agree::misleading(servers().flat_map(|server| &server.cases), &setting)?;
    (passed, failed) = (passed + shown - untold, failed + untold);
    if servers().any(|server| server.name == "MariaDB") {
        let [right, wrong] = connect_errors::run(dir.path(), &setting)?;
        (passed, failed) = (passed + right, failed + wrong);
    }
    let good =
        servers().flat_map(|server| &server.cases).find(|case| case.protocol == "smtp" && case.offer == Offer::Good);
    let smtp = good.ok_or("there is no good SMTP server")?.port;
    let wrong = dnsmasq::run(dir.path(), &setting, smtp)?;
    (passed, failed) = (passed + dnsmasq::DOMAINS - wrong, failed + wrong);
    println!("{passed} passed, {failed} failed");
    Ok(failed == 0)
}

/// Prints one row of the table.
fn row(cells: [&str; 8]) {
    let [server, version, protocol, case, client, outcome, trips, exit] = cells;
    println!("{server:<10} {version:<14} {protocol:<11} {case:<11} {client:<10} {outcome:<37} {trips:<5} {exit}");
}

/// Builds the tool beside this program, and says where it is.
fn build_tool() -> Result<PathBuf> {
    let target = env::current_exe()?.ancestors().nth(2).ok_or("this program is not in a target directory")?.to_owned();
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "-p", "starttls-cli", "--target-dir"]).arg(&target);
    output(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).stderr(Stdio::inherit()))?;
    Ok(target.join("release/starttls"))
}

/// Runs a command to its end and returns what it printed, or an error that shows it.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        Ok(stdout.into_owned())
    } else {
        Err(format!("{command:?}: {}\n{stdout}{}", output.status, String::from_utf8_lossy(&output.stderr)).into())
    }
}
