//! What a way costs, measured from outside: the way is a process of its own, against a server in this one.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use rustls::ServerConfig;
use starttls_replay::Authority;
use tempfile::TempDir;

use crate::server::{self, Counting, Seen};
use crate::way::{Failure, Measured, Way, pin};

/// The driver of the measurements: an authority, and this program as the client.
pub struct Driver {
    /// Who certifies the servers.
    pub authority: Authority,
    /// Sends tickets that it does not accept.
    pub config: Arc<ServerConfig>,
    folder: TempDir,
}

/// What one way costs, an upgrade.
pub struct Cost {
    /// What it said before TLS.
    pub seen: Seen,
    /// What it measured of itself, a repetition each.
    pub runs: Vec<Measured>,
    /// How many instructions it took.
    pub instructions: f64,
    /// How many system calls, by name.
    pub syscalls: BTreeMap<String, f64>,
}

impl Driver {
    /// A new authority.
    ///
    /// # Errors
    /// Those of the folder for its certificate, and a build that would measure something else.
    pub fn new() -> io::Result<Self> {
        if option_env!("AWS_LC_SYS_NO_JITTER_ENTROPY").is_none() {
            // At the start of a process aws-lc gathers entropy from jitter: ten handshakes' time, and never twice the same.
            return Err(io::Error::other("build it where cargo finds .cargo/config.toml"));
        }
        let authority = Authority::default();
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("ca.der"), authority.der())?;
        std::fs::write(folder.path().join("ca.pem"), authority.pem())?;
        Ok(Self { config: server::config(&authority), authority, folder })
    }

    /// The certificate of the authority: `ca.der` or `ca.pem`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Measures each of the ways. The repetitions take turns, so that what disturbs the machine disturbs all of them.
    ///
    /// # Errors
    /// For each way by itself: it fails, or a tool that measures does.
    pub fn measure(&self, ways: &[Way], repetitions: usize, upgrades: usize) -> Vec<Result<Cost, Failure>> {
        let start = |way: &Way| Ok((Counting::start(way.protocol, self.config.clone())?, *way));
        let servers: Vec<io::Result<(Counting, Way)>> = ways.iter().map(start).collect();
        let mut costs: Vec<Result<Cost, Failure>> = servers
            .iter()
            .map(|server| {
                let (server, way) = server.as_ref().map_err(|error| error.to_string())?;
                eprintln!("{}: instructions and system calls", way.name);
                self.outside(server, way)
            })
            .collect();
        for repetition in 1..=repetitions {
            eprintln!("repetition {repetition} of {repetitions}");
            for (server, cost) in servers.iter().zip(&mut costs) {
                if let (Ok((server, way)), Ok(measured)) = (server, &mut *cost) {
                    match self.run(server, way, upgrades) {
                        Ok(run) => measured.runs.push(run),
                        Err(error) => *cost = Err(error),
                    }
                }
            }
        }
        costs
    }

    /// One run of `upgrades` by itself.
    ///
    /// # Errors
    /// The way fails.
    pub fn run(&self, server: &Counting, way: &Way, upgrades: usize) -> Result<Measured, Failure> {
        let run = self.client(&[], server, way, upgrades)?;
        Measured::read(&String::from_utf8_lossy(&run.stdout))
    }

    /// What an upgrade takes of the processor, in ns, measured in one process: for each turn, that of each of the ways.
    ///
    /// # Errors
    /// One of the ways fails.
    pub fn turns(&self, ways: &[Way], turns: usize) -> Result<Vec<Vec<f64>>, Failure> {
        let start = || {
            pin(1);
            ways.iter().map(|way| Counting::start(way.protocol, self.config.clone())).collect()
        };
        // Threads that it starts are where it is.
        let started: io::Result<Vec<Counting>> =
            std::thread::scope(|scope| scope.spawn(start).join().expect("it does not panic"));
        let servers = started?;
        let mut client = Command::new(std::env::current_exe()?);
        client.arg("turns").arg(self.file("ca.der")).arg(turns.to_string());
        for (way, server) in ways.iter().zip(&servers) {
            client.arg(way.name).arg(server.address().to_string());
        }
        let taken = String::from_utf8(client.stderr(Stdio::inherit()).output()?.stdout)?;
        let turn = |line: &str| line.split_whitespace().map(str::parse).collect();
        Ok(taken.lines().map(turn).collect::<Result<_, _>>()?)
    }

    /// What is seen from outside: the difference of two counts of upgrades, so that the start of the process falls out.
    fn outside(&self, server: &Counting, way: &Way) -> Result<Cost, Failure> {
        const FEW: usize = 4;
        const MANY: usize = 54;
        // Each upgrade is done with and without a look at its allocations.
        const DIFFERENCE: f64 = 2.0 * (MANY - FEW) as f64;
        let seen = self.once(server, way)?;
        let instructions = |upgrades| -> Result<f64, Failure> {
            let out = self.file("callgrind.out").display().to_string();
            let valgrind = ["valgrind", "--tool=callgrind", &format!("--callgrind-out-file={out}")];
            let run = self.client(&valgrind, server, way, upgrades)?;
            let text = String::from_utf8_lossy(&run.stderr).into_owned();
            let (_, collected) = text.split_once("Collected : ").ok_or("callgrind collected nothing")?;
            Ok(collected.split_whitespace().next().unwrap_or_default().parse()?)
        };
        let syscalls = |upgrades| self.syscalls(&self.command(server, way, upgrades)?);
        let (few, many) = (syscalls(FEW)?, syscalls(MANY)?);
        let difference = |(name, calls): (String, f64)| {
            let calls = (calls - few.get(&name).unwrap_or(&0.0)) / DIFFERENCE;
            (name, calls)
        };
        let cost = Cost {
            seen,
            runs: Vec::new(),
            instructions: (instructions(MANY)? - instructions(FEW)?) / DIFFERENCE,
            // What is called less than once in ten upgrades belongs to none of them.
            syscalls: many.into_iter().map(difference).filter(|(_, calls)| *calls >= 0.1).collect(),
        };
        server.take();
        Ok(cost)
    }

    /// What one upgrade says before TLS: nothing, if it needs no server.
    ///
    /// # Errors
    /// The way fails.
    pub fn once(&self, server: &Counting, way: &Way) -> Result<Seen, Failure> {
        self.client(&[], server, way, 0)?;
        Ok(server.take().last().copied().unwrap_or_default())
    }

    /// How many system calls a command makes, by name.
    ///
    /// # Errors
    /// There is no strace, or no such command.
    pub fn syscalls(&self, command: &[String]) -> Result<BTreeMap<String, f64>, Failure> {
        let out = self.file("strace.out");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-c", "-U", "name,calls", "-o"]).arg(&out).args(command);
        strace.env("SSL_CERT_FILE", self.file("ca.pem")).stdin(Stdio::null()).output()?;
        let row = |line: &str| {
            let (name, calls) = line.split_once(' ')?;
            Some((name.to_owned(), calls.trim().parse().ok()?))
        };
        Ok(std::fs::read_to_string(out)?.lines().filter_map(row).filter(|(name, _)| name != "total").collect())
    }

    /// The command line of the process that upgrades.
    ///
    /// # Errors
    /// This program has no path.
    pub fn command(&self, server: &Counting, way: &Way, upgrades: usize) -> io::Result<[String; 5]> {
        Ok([
            std::env::current_exe()?.display().to_string(),
            way.name.to_owned(),
            server.address().to_string(),
            self.file("ca.der").display().to_string(),
            upgrades.to_string(),
        ])
    }

    fn client(&self, wrapper: &[&str], server: &Counting, way: &Way, upgrades: usize) -> Result<Output, Failure> {
        let command = self.command(server, way, upgrades)?;
        let line: Vec<&str> = wrapper.iter().copied().chain(command.iter().map(String::as_str)).collect();
        // For the crates that trust what the system does.
        let output = Command::new(line[0]).args(&line[1..]).env("SSL_CERT_FILE", self.file("ca.pem")).output();
        let output = output.map_err(|error| format!("{}: {error}", line[0]))?;
        if output.status.success() {
            Ok(output)
        } else {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            Err(said.trim().lines().last().unwrap_or("it failed").to_owned().into())
        }
    }
}

impl Cost {
    /// How many system calls there are in all.
    pub fn calls(&self) -> f64 {
        self.syscalls.values().sum()
    }

    /// The median of a measure, over the repetitions.
    pub fn median(&self, measure: impl Fn(&Measured) -> f64) -> f64 {
        crate::table::median(self.runs.iter().map(measure).collect())
    }

    /// The ratio of a measure to that of `floor`, of the repetition that had the least of it: neighbours only add to it.
    pub fn ratio(&self, floor: &Cost, measure: impl Fn(&Measured) -> f64) -> f64 {
        let [least, least_floor] =
            [self, floor].map(|cost| cost.runs.iter().map(&measure).fold(f64::INFINITY, f64::min));
        least / least_floor
    }
}
