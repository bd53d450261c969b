//! Checks the STARTTLS of a server, from the plaintext dialogue to the certificate.

mod arguments;
mod bounded;
mod brief;
mod certificate;
mod chain;
mod check;
mod connect;
mod demo;
mod dns;
mod documents;
mod exposure;
mod failure;
mod finding;
mod findings;
mod human;
mod implicit;
mod ocsp;
mod prometheus;
mod protocols;
mod rationed;
mod remembered;
mod report;
mod scan;
mod session;
mod socket;
mod sweep;
mod table;
mod target;
mod trust;
mod verdict;
mod verify;

use std::io::{self, Write};
use std::process::ExitCode;
use std::slice;

use clap::Parser;
use clap::error::ContextValue;
use smol::future;

use arguments::{Arguments, CheckArguments, ClientArguments, Command, OutputArguments};
use certificate::Certificate;
use check::Checker;
use failure::Error;
use report::Report;
use socket::Blocking;
use sweep::Sweep;
use target::Target;

/// Upgraded and verified, with a warning.
const WARNING: u8 = 1;
/// Not upgraded, or not verified.
const CRITICAL: u8 = 2;
/// Could not tell.
const UNKNOWN: u8 = 3;
/// What a shell adds to the number of the signal that ended a program.
const SIGNALLED: u8 = 128;

fn main() -> ExitCode {
    match Arguments::try_parse() {
        Ok(Arguments { command: Command::Check(arguments) }) => check(&arguments),
        Ok(Arguments { command: Command::Connect(arguments) }) => connect::run(&arguments).into(),
        Ok(Arguments { command: Command::Scan(arguments) }) => scan::run(&arguments).unwrap_or_else(|error| {
            complain(&error);
            UNKNOWN.into()
        }),
        Ok(Arguments { command: Command::Demo }) => {
            let demo = demo::run();
            let code = if demo.failures.is_empty() { 0 } else { CRITICAL };
            exit(print(demo.to_string().as_bytes()), code)
        }
        Ok(Arguments { command: Command::Protocols }) => exit(print(protocols::list().as_bytes()), 0),
        Ok(Arguments { command: Command::Completions { shell } }) => exit(print(&documents::completions(shell)), 0),
        Ok(Arguments { command: Command::Man { subcommand } }) => match documents::manual(subcommand.as_deref()) {
            Some(page) => exit(page.and_then(|page| print(&page)), 0),
            None => {
                complain(&format!(
                    "there is no subcommand {}",
                    bounded::text(subcommand.unwrap_or_default().as_bytes())
                ));
                UNKNOWN.into()
            }
        },
        Err(error) if error.use_stderr() => {
            complain(&one_line(&error));
            UNKNOWN.into()
        }
        Err(help) => exit(help.print(), 0),
    }
}

fn check(arguments: &CheckArguments) -> ExitCode {
    let (text, client, output) = (&arguments.target, &arguments.client, &arguments.output);
    let told = client.script.is_some() || client.starttls.is_some() || client.connect.is_some();
    let bare = if !told { target::bare_host(text) } else { None };
    let one = !arguments.mx && bare.is_none();
    let checker = || {
        // A password is for the server that the user named, not for whatever the DNS names.
        if !one && (arguments.session.auth.is_some() || arguments.session.active) {
            let words = "--auth and --active are for one server: name its protocol or its port";
            return Err(Error::Config(words.to_owned()));
        }
        Checker::new(client)?.going_on(&arguments.session)
    };
    let swept = if arguments.mx {
        mail_servers(text, checker)
    } else if let Some(host) = &bare {
        checker().map(|checker| Sweep::run(&checker, &sweep::ports(host), true))
    } else {
        return match prepare(text, client, checker) {
            Ok((checker, target)) => report(&future::block_on(checker.check::<Blocking>(&target)), output),
            Err(failed) => report(&failed, output),
        };
    };
    match swept {
        Ok(sweep) => report_all(&sweep, output),
        Err(error) => report(&Report::failed(text, None, error), output),
    }
}

fn mail_servers(domain: &str, checker: impl FnOnce() -> Result<Checker, Error>) -> Result<Sweep, Error> {
    let domain = Target::parse(domain, Some("smtp")).map_err(Error::Config)?;
    let mut checker = checker()?;
    let targets = smol::block_on(checker.mail_servers(&domain))?;
    Ok(Sweep::run(&checker, &targets, false))
}

/// What is to be checked, and what checks it; or the report that this is impossible.
fn prepare(
    text: &str,
    client: &ClientArguments,
    checker: impl FnOnce() -> Result<Checker, Error>,
) -> Result<(Checker, Target), Box<Report>> {
    let target = match client.script {
        Some(_) => Target::scripted(text),
        None => Target::parse(text, client.starttls.as_deref()),
    };
    let protocol = target.as_ref().ok().and_then(|target| target.protocol);
    let prepared = target.map_err(Error::Config).and_then(|target| Ok((checker()?, target)));
    prepared.map_err(|error| Report::failed(text, protocol, error).into())
}

fn report(report: &Report, output: &OutputArguments) -> ExitCode {
    complain_of_nothing_to_report(report);
    let shown: Vec<_> = [report].into_iter().filter(|report| report.exit_code() != UNKNOWN).collect();
    let human = shown.iter().map(ToString::to_string).collect();
    exit(print_reports(slice::from_ref(report), &shown, human, output), report.exit_code())
}

fn report_all(sweep: &Sweep, output: &OutputArguments) -> ExitCode {
    let complaint = sweep.complaint();
    if let Some(complaint) = &complaint {
        complain(complaint);
    }
    let nothing = complaint.is_some() && sweep.guessed;
    let human = if nothing { String::new() } else { sweep.to_string() };
    let shown: Vec<_> = sweep.reports.iter().filter(|report| !sweep.is_silent(report)).collect();
    exit(print_reports(&sweep.reports, &shown, human, output), sweep.exit_code())
}

/// Prints the reports in the form that was asked for: all of them for programs, those worth it for persons.
fn print_reports(all: &[Report], shown: &[&Report], human: String, output: &OutputArguments) -> io::Result<()> {
    let mut text = match output {
        OutputArguments { json: true, .. } => {
            let lines = all.iter().map(|report| Ok(serde_json::to_string(report)? + "\n"));
            lines.collect::<io::Result<_>>()?
        }
        OutputArguments { prometheus: true, .. } => prometheus::metrics(all),
        OutputArguments { brief: true, .. } => shown.iter().map(|report| brief::lines(report)).collect(),
        _ => human,
    };
    if output.show_certs {
        for report in shown {
            text.extend(report.certificates().iter().map(Certificate::pem));
            if report.certificates_omitted() > 0 {
                text += &format!("({} more certificates are not shown)\n", report.certificates_omitted());
            }
        }
    }
    print(text.as_bytes())
}

/// What failed before anybody was spoken to is told in one line.
fn complain_of_nothing_to_report(report: &Report) {
    if let Some(failure) = &report.failure
        && report.exit_code() == UNKNOWN
    {
        complain(&failure.message);
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

/// Colours are for terminals, and for those who want them (NO_COLOR).
fn print(text: &[u8]) -> io::Result<()> {
    let mut stdout = anstream::stdout().lock();
    stdout.write_all(text)?;
    stdout.flush()
}

/// Says in one line why something was not done. What stands in it is escaped.
fn complain(message: &str) {
    // There is nowhere left to complain about stderr.
    let _ = writeln!(io::stderr(), "starttls: {message}");
}

/// What clap says first, on one line: usage and tips come behind the first empty line.
fn one_line(error: &clap::Error) -> String {
    let mut text = error.to_string();
    for (_, value) in error.context() {
        if let ContextValue::String(value) = value {
            text = text.replace(value, &bounded::cut(value));
        }
    }
    let first: Vec<_> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let first = first.join(" ");
    let message = first.strip_prefix("error: ").unwrap_or(&first);
    format!("{} (see starttls --help)", bounded::text(message.as_bytes()))
}
