//! Checks the STARTTLS of a server, from the plaintext dialogue to the certificate.

mod arguments;
mod certificate;
mod check;
mod demo;
mod failure;
mod finding;
mod human;
mod protocols;
mod report;
mod scan;
mod table;
mod target;
mod trust;
mod verify;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use starttls::Escaped;

use arguments::{Arguments, CheckArguments, Command};
use check::Checker;
use report::Report;
use target::Target;

/// Upgraded and verified, with a warning.
const WARNING: u8 = 1;
/// Not upgraded, or not verified.
const CRITICAL: u8 = 2;
/// Could not tell.
const UNKNOWN: u8 = 3;

fn main() -> ExitCode {
    match Arguments::try_parse() {
        Ok(Arguments { command: Command::Check(arguments) }) => {
            let report = check(&arguments);
            let code = report.exit_code();
            if let Some(failure) = &report.failure
                && code == UNKNOWN
            {
                complain(&failure.message);
            }
            exit(print_report(&report, arguments.json), code)
        }
        Ok(Arguments { command: Command::Scan(arguments) }) => scan::run(&arguments).unwrap_or_else(|error| {
            complain(&error);
            UNKNOWN.into()
        }),
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

fn check(arguments: &CheckArguments) -> Report {
    let client = &arguments.client;
    let target = match client.script {
        Some(_) => Target::scripted(&arguments.target),
        None => Target::parse(&arguments.target, client.starttls.as_deref()),
    };
    let mut report = Report::new(&arguments.target, target.as_ref().ok().and_then(|target| target.protocol));
    let prepared = target.map_err(failure::Error::Config).and_then(|target| Ok((Checker::new(client)?, target)));
    match prepared {
        Ok((checker, target)) => report = smol::block_on(checker.check(&target)),
        Err(error) => report.fail(error),
    }
    report
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
