//! Checks the STARTTLS of a server, from the plaintext dialogue to the certificate.

mod certificate;
mod check;
mod demo;
mod failure;
mod human;
mod protocols;
mod report;
mod table;
mod target;
mod verify;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use starttls::Escaped;

use report::Report;

/// Not upgraded, or not verified.
const CRITICAL: u8 = 2;
/// Could not tell.
const UNKNOWN: u8 = 3;

const EXIT_CODES: &str = "\
Exit codes, as monitoring plugins have them:
  0  upgraded to TLS, and the certificate is verified
  1  upgraded and verified, with a warning
  2  not upgraded, or not verified
  3  could not tell: no connection, or bad arguments";

/// Checks the STARTTLS of a server, from the plaintext dialogue to the certificate
#[derive(Parser)]
#[command(name = "starttls", version, after_help = EXIT_CODES, arg_required_else_help = false)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Upgrade one connection, and report what the server said and how TLS and its certificate look
    #[command(after_help = EXIT_CODES)]
    Check(CheckArguments),
    /// Upgrade to one server of each protocol, on this machine: recorded replies, TLS with a private CA
    Demo,
    /// List the protocols, with their names, ports and specifications
    Protocols,
}

#[derive(Args)]
struct CheckArguments {
    /// HOST, HOST:PORT or PROTOCOL://HOST[:PORT]; an IPv6 address with a port stands in brackets
    target: String,
    /// The protocol, by a name that s_client or gnutls-cli has for it [default: told by the port]
    #[arg(long, value_name = "NAME")]
    starttls: Option<String>,
    /// Speak the dialogue in FILE, in lines of send, expect, refuse and skip, for a protocol that has no name here
    #[arg(long, value_name = "FILE", conflicts_with = "starttls")]
    script: Option<PathBuf>,
    /// What to call ourselves in EHLO and LHLO [default: our address]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The name that the certificate must hold, also sent as SNI [default: the target's host]
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// Trust the authorities in this PEM file, instead of the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// How long it all may take
    #[arg(long, value_name = "SECONDS", default_value = "15", value_parser = timeout)]
    timeout: Duration,
    /// Report in JSON, one object on one line
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    match Arguments::try_parse() {
        Ok(Arguments { command: Command::Check(arguments) }) => {
            let report = check::check(&arguments);
            let code = report.exit_code();
            if let Some(failure) = &report.failure
                && code == UNKNOWN
            {
                complain(&failure.message);
            }
            exit(print_report(&report, arguments.json), code)
        }
        Ok(Arguments { command: Command::Demo }) => {
            let demo = demo::run();
            let code = if demo.failures.is_empty() { 0 } else { CRITICAL };
            exit(print(&demo.to_string()), code)
        }
        Ok(Arguments { command: Command::Protocols }) => exit(print(&protocols::list()), 0),
        Err(error) if error.use_stderr() => {
            complain(&one_line(&error));
            UNKNOWN.into()
        }
        Err(help) => exit(help.print(), 0),
    }
}

/// The exit code, unless what it is about could not be printed.
fn exit(printed: io::Result<()>, code: u8) -> ExitCode {
    match printed {
        // Who closes the pipe has read enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(&format!("cannot write the report: {error}"));
            UNKNOWN.into()
        }
        _ => code.into(),
    }
}

fn print_report(report: &Report, json: bool) -> io::Result<()> {
    if json {
        print(&format!("{}\n", serde_json::to_string(report)?))
    } else if report.exit_code() == UNKNOWN {
        // The line on stderr has said it all.
        Ok(())
    } else {
        print(&report.to_string())
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

fn complain(message: &str) {
    // There is nowhere left to complain about stderr.
    let _ = writeln!(io::stderr(), "starttls: {message}");
}

/// What clap says first, on one line: usage and tips come behind the first empty line.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let first: Vec<_> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let first = first.join(" ");
    let message = first.strip_prefix("error: ").unwrap_or(&first);
    format!("{} (see starttls --help)", Escaped(message.as_bytes()))
}

fn timeout(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.001..=86400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("not a number of seconds from 0.001 to 86400".to_owned()),
    }
}
