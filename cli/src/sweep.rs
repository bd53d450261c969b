//! Several checks side by side, and what came of them together.

use std::fmt::{self, Display, Formatter};

use smol::LocalExecutor;
use smol::net::TcpStream;
use starttls::Protocol;

use crate::check::Checker;
use crate::failure::Kind;
use crate::rationed::Rationed;
use crate::report::Report;
use crate::table::{Layout, table, terminal};
use crate::target::Target;
use crate::{UNKNOWN, implicit};

const HEADER: [&str; 6] = ["Target", "Protocol", "How", "TLS", "Verified", "Result"];

/// The well-known ports of a host: each protocol's own, and behind them those for its TLS from the first byte.
pub fn ports(host: &str) -> Vec<Target> {
    let of = |protocol: Protocol| {
        // Hardly any web server upgrades at port 80, and none has to: that it does not is no finding.
        let own = protocol.ports().iter().filter(|&&port| port != 80);
        let own = own.map(move |&port| Target::at(host, port, protocol, false));
        let implicit = implicit::PORTS.into_iter().filter(move |&(sibling, _)| sibling == protocol);
        own.chain(implicit.map(move |(_, port)| Target::at(host, port, protocol, true)))
    };
    Protocol::all().flat_map(of).collect()
}

/// The reports of one command, in the order of their targets.
pub struct Sweep {
    pub reports: Vec<Report>,
    /// Whether the targets are a guess, so that those where nobody answers are worth no more than a number.
    pub guessed: bool,
}

impl Sweep {
    /// Checks all targets at once.
    pub fn run(checker: &Checker, targets: &[Target], guessed: bool) -> Self {
        let executor = LocalExecutor::new();
        let checks: Vec<_> =
            targets.iter().map(|target| executor.spawn(checker.check::<Rationed<TcpStream>>(target))).collect();
        let reports = smol::block_on(executor.run(async {
            let mut reports = Vec::new();
            for check in checks {
                reports.push(check.await);
            }
            reports
        }));
        Self { reports, guessed }
    }

    /// Whether this one is worth no more than a number.
    pub fn is_silent(&self, report: &Report) -> bool {
        self.guessed && report.failure.as_ref().is_some_and(|failure| failure.kind == Kind::Connect)
    }

    /// The worst of those that answered.
    pub fn exit_code(&self) -> u8 {
        let codes = self.reports.iter().map(Report::exit_code);
        codes.filter(|&code| code != UNKNOWN).max().unwrap_or(UNKNOWN)
    }

    /// What to say if nobody answered.
    pub fn complaint(&self) -> Option<String> {
        let failure = self.reports.iter().find_map(|report| report.failure.as_ref())?;
        match failure.stage {
            _ if self.exit_code() != UNKNOWN => None,
            _ if !self.guessed => Some("no mail server answers".to_owned()),
            "connect" => Some(format!("nobody answers at any of {} ports", self.reports.len())),
            _ => Some(failure.message.clone()),
        }
    }
}

impl Display for Sweep {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let rows: Vec<_> = self.reports.iter().filter(|report| !self.is_silent(report)).map(row).collect();
        writeln!(f, "{}", table(HEADER, &rows, &Layout::default(), terminal()))?;
        match self.reports.len() - rows.len() {
            0 => Ok(()),
            count => writeln!(f, "\nNobody answers at {count} other ports, which --json lists."),
        }
    }
}

fn row(report: &Report) -> [String; HEADER.len()] {
    let (how, good, bad) = if report.implicit {
        ("implicit TLS", "TLS", "NO TLS".to_owned())
    } else {
        let stage = report.failure.as_ref().map_or("", |failure| failure.stage);
        ("STARTTLS", "upgraded", format!("NOT UPGRADED at {stage}"))
    };
    let (version, verified) = match &report.tls {
        Some(tls) => (tls.version.as_deref().unwrap_or_default(), if tls.verified { "yes" } else { "NO" }),
        None => ("", ""),
    };
    let result = match &report.failure {
        None => good.to_owned(),
        Some(failure) if report.tls.is_some() || failure.kind == Kind::Connect => failure.message.clone(),
        Some(failure) => format!("{bad}: {}", failure.message),
    };
    let protocol = report.protocol.unwrap_or_default();
    [&report.target, protocol, how, version.trim_start_matches("TLSv"), verified, &result].map(str::to_owned)
}
