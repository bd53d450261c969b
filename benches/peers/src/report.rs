//! The sections of `benches/README.md`.

use std::fmt::Write as _;
use std::time::Duration;

use starttls::protocol::{Ftp, Ldap};
use starttls::{Negotiation, Protocol};
use starttls_benches::cost::{Cost, Driver};
use starttls_benches::readme;
use starttls_benches::server::{self, Counting, Seen};
use starttls_benches::table::{markdown, median};
use starttls_benches::way::{Failure, Way};
use starttls_benches::ways::{FLOOR, NAME, SMOL, STD, blocking};
use starttls_replay::Transcript;

use crate::crates::{PEERS, TOKIO_FLOOR};
use crate::memory::{DIALOGUES, LEFT_OUT, WAYS};
use crate::tools::{TOOLS, Usage, usage};

/// Ours, where the section `upgrade` does not have it.
const MORE: [Way; 2] = [
    Way { name: "std, LDAP", protocol: Some(Protocol::Ldap), prepare: |target| blocking(target, Ldap::new) },
    Way { name: "std, FTP", protocol: Some(Protocol::Ftp), prepare: |target| blocking(target, Ftp::new) },
];

const LOCK: &str = include_str!("../Cargo.lock");

/// Every way there is: the floor is the first.
pub fn ways() -> Vec<Way> {
    let peers = PEERS.iter().map(|peer| peer.way);
    let memory = WAYS.iter().map(|(_, way)| *way);
    [FLOOR, TOKIO_FLOOR].into_iter().chain(STD).chain(SMOL).chain(MORE).chain(peers).chain(memory).collect()
}

/// Makes both sections.
pub fn write() -> Result<(), Failure> {
    let driver = Driver::new()?;
    let mut left_out = Vec::new();
    let (flights, fewest) = round_trips(&driver, &mut left_out)?;
    readme::replace("round trips", &flights)?;
    let body = [
        String::from(
            "## The crates and tools of today\n\n    cargo run --release --manifest-path benches/peers/Cargo.toml\n\n",
        ),
        crates(&driver, &mut left_out)?,
        memory(&driver, &mut left_out)?,
        tools(&driver, &mut left_out)?,
    ];
    let mut body = body.concat();
    writeln!(body, "\nLeft out: {}.\n", left_out.len())?;
    for (what, reason) in &left_out {
        writeln!(body, "- {what}: {reason}")?;
    }
    readme::replace("peers", &body)?;
    println!("{flights}\n{body}");
    if fewest { Ok(()) } else { Err("a peer takes fewer round trips than ours".into()) }
}

type LeftOut = Vec<(String, String)>;

/// Whether ours are the fewest, too.
fn round_trips(driver: &Driver, left_out: &mut LeftOut) -> Result<(String, bool), Failure> {
    let mut rows = vec![["protocol", "least", "ours", "peers"].map(str::to_owned).to_vec()];
    let mut fewest = true;
    for protocol in Protocol::all() {
        eprintln!("{protocol}: round trips");
        let ours = ours(driver, protocol)?.flights;
        let mut peers = Vec::new();
        for peer in PEERS.iter().filter(|peer| peer.way.protocol == Some(protocol)) {
            let server = Counting::start(Some(protocol), driver.config.clone())?;
            match driver.once(&server, &peer.way) {
                Ok(seen) => peers.push((peer.way.name, seen.flights)),
                Err(error) => left_out.push((peer.way.name.to_owned(), error.to_string())),
            }
        }
        for tool in TOOLS.iter().filter(|tool| tool.protocols.contains(&protocol) && tool.version().is_some()) {
            match tool.seen(driver, protocol) {
                Ok((seen, _)) => peers.push((tool.name, seen.flights)),
                Err(error) => left_out.push((format!("{} for {protocol}", tool.name), error.to_string())),
            }
        }
        fewest &= ours == protocol.round_trips() && peers.iter().all(|(_, theirs)| ours <= *theirs);
        let peers = peers.iter().map(|(name, theirs)| format!("{name} {theirs}"));
        rows.push(vec![
            protocol.to_string(),
            protocol.round_trips().to_string(),
            ours.to_string(),
            peers.collect::<Vec<_>>().join(", "),
        ]);
    }
    let table = markdown(&rows).replacen("---:|\n", "---|\n", 1);
    Ok((format!("{ROUND_TRIPS}{table}"), fewest))
}

/// What ours says before TLS.
fn ours(driver: &Driver, protocol: Protocol) -> Result<Seen, Failure> {
    let server = Counting::start(Some(protocol), driver.config.clone())?;
    let config = driver.authority.client_config();
    let upgrader = starttls_std::Upgrader::new(config, NAME.try_into()?, Duration::from_secs(5));
    let stream = upgrader.connect_to(&[server.address()])?;
    let dialogue = protocol.dialogue(&Transcript::usual(protocol).identity())?;
    drop(upgrader.upgrade(stream, Negotiation::required(dialogue))?);
    Ok(server.take()[0])
}

fn crates(driver: &Driver, left_out: &mut LeftOut) -> Result<String, Failure> {
    let ways = &ways()[..2 + STD.len() + SMOL.len() + MORE.len() + PEERS.len()];
    let costs = driver.measure(ways, 15, 200);
    let Some(Ok(floor)) = costs.first() else { return Err("the floor fails".into()) };
    let silent = server::without_tickets(&driver.config);
    let head = [
        "",
        "protocol",
        "round trips",
        "segments",
        "CPU",
        "instructions",
        "allocations before the ClientHello",
        "allocations",
        "peak heap, KiB",
        "system calls",
        "turns within TLS",
        "process, MiB",
        "no tickets, ms",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (way, cost) in ways.iter().zip(&costs) {
        let cost = match cost {
            Ok(cost) => cost,
            Err(error) => {
                left_out.push((way.name.to_owned(), error.to_string()));
                continue;
            }
        };
        let server = Counting::start(way.protocol, silent.clone())?;
        let walls = (0..5).map(|_| driver.run(&server, way, 10).map(|run| run.wall / 1e6));
        let walls = walls.collect::<Result<Vec<_>, _>>();
        let more = |measure: fn(&_) -> f64| cost.median(measure) - floor.median(measure);
        rows.push(vec![
            named(way.name),
            way.protocol.map_or_else(|| "none".to_owned(), |protocol| protocol.to_string()),
            cost.seen.flights.to_string(),
            cost.seen.segments.to_string(),
            format!("{:.2}", cost.ratio(floor, |run| run.cpu)),
            format!("{:.3}", cost.instructions / floor.instructions),
            Some(more(|run| run.before_hello))
                .filter(|more| more.is_finite())
                .map_or("?".to_owned(), |more| format!("{more:+.0}")),
            format!("{:+.0}", more(|run| run.allocations)),
            format!("{:+.1}", more(|run| run.peak) / 1024.0),
            format!("{:.1}", cost.calls()),
            cost.seen.within.to_string(),
            format!("{:.1}", cost.median(|run| run.process) / 1024.0),
            walls.map_or_else(|error| error.to_string(), |walls| format!("{:.1}", median(walls))),
        ]);
    }
    let mut text = format!("{CRATES}{}\nThe TLS of each:\n\n", markdown(&rows));
    for peer in &PEERS {
        writeln!(text, "- {}: {}", peer.way.name, peer.tls)?;
    }
    Ok(text)
}

fn memory(driver: &Driver, left_out: &mut LeftOut) -> Result<String, Failure> {
    let ways = WAYS.map(|(_, way)| way);
    let costs = driver.measure(&ways, 9, 200);
    let mut rows =
        vec![["", "time", "instructions", "ns", "instructions each", "allocations"].map(str::to_owned).to_vec()];
    let mut ours: Option<&Cost> = None;
    for ((protocol, way), cost) in WAYS.iter().zip(&costs) {
        let cost = match cost {
            Ok(cost) => cost,
            Err(error) => {
                left_out.push((way.name.to_owned(), error.to_string()));
                continue;
            }
        };
        if way.name.starts_with("starttls") {
            ours = Some(cost);
        }
        let ours = ours.ok_or_else(|| format!("ours fails for {protocol}"))?;
        rows.push(vec![
            named(way.name),
            format!("{:.2}", cost.ratio(ours, |run| run.cpu)),
            format!("{:.2}", cost.instructions / ours.instructions),
            format!("{:.0}", cost.median(|run| run.cpu) / DIALOGUES),
            format!("{:.0}", cost.instructions / DIALOGUES),
            format!("{:.0}", cost.median(|run| run.allocations) / DIALOGUES),
        ]);
    }
    left_out.extend(LEFT_OUT.map(|(name, reason)| (format!("{name}, in memory"), reason.to_owned())));
    Ok(format!("{MEMORY}{}", markdown(&rows)))
}

fn tools(driver: &Driver, left_out: &mut LeftOut) -> Result<String, Failure> {
    const PROTOCOL: Protocol = Protocol::Smtp;
    let floor = Counting::start(None, driver.config.clone())?;
    let server = Counting::start(Some(PROTOCOL), driver.config.clone())?;
    let commands = [driver.command(&floor, &FLOOR, 0)?.to_vec(), driver.command(&server, &STD[0], 0)?.to_vec()];
    let [least, ours] = commands;
    let mut processes = vec![("floor".to_owned(), floor, least), (STD[0].name.to_owned(), server, ours)];
    for tool in &TOOLS {
        let Some(version) = tool.version() else {
            left_out.push((tool.name.to_owned(), "not installed".to_owned()));
            continue;
        };
        let server = tool.server(driver, PROTOCOL)?;
        let command = tool.command(driver, &server, PROTOCOL);
        processes.push((format!("{} {version}", tool.name), server, command));
    }
    let mut runs = vec![Vec::new(); processes.len()];
    let mut seen = Vec::new();
    for repetition in 0..7 {
        for ((_, server, command), runs) in processes.iter().zip(&mut runs) {
            runs.push(usage(command)?);
            let connections = server.take();
            if repetition == 0 {
                seen.push((connections.iter().find(|seen| seen.upgraded).copied(), connections.len()));
            }
        }
    }
    let mut rows = vec![
        ["", "round trips", "segments", "connections", "CPU", "CPU, ms", "system calls", "process, MiB"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for (((name, _, command), own), (seen, connections)) in processes.iter().zip(&runs).zip(seen) {
        let Some(seen) = seen else {
            left_out.push((name.clone(), "no TLS".to_owned()));
            continue;
        };
        let of = |measure: fn(&Usage) -> f64| median(own.iter().map(measure).collect());
        let ratios = own.iter().zip(&runs[0]).map(|(own, floor)| own.cpu / floor.cpu);
        rows.push(vec![
            name.clone(),
            seen.flights.to_string(),
            seen.segments.to_string(),
            connections.to_string(),
            format!("{:.2}", median(ratios.collect())),
            format!("{:.1}", of(|usage| usage.cpu) / 1e3),
            format!("{:.0}", driver.syscalls(command)?.values().sum::<f64>()),
            format!("{:.1}", of(|usage| usage.memory) / 1024.0),
        ]);
    }
    Ok(format!("{TOOLS_LEAD}{}", markdown(&rows)))
}

/// The name of a peer with its version.
fn named(name: &str) -> String {
    let (package, rest) = name.split_at(name.find(',').unwrap_or(name.len()));
    if !PEERS.iter().any(|peer| peer.way.name == package) {
        return name.to_owned();
    }
    let locked = LOCK.split_once(&format!("name = \"{package}\"\nversion = \""));
    let version = locked.and_then(|(_, rest)| rest.split_once('"')).map_or("", |(version, _)| version);
    format!("{package} {version}{rest}")
}

const ROUND_TRIPS: &str = "## Round trips before the ClientHello

    cargo run --release --manifest-path benches/peers/Cargo.toml

How often the server had spoken when the ClientHello came, its greeting included: each is a round trip for the client, after that of
TCP. The least is what `Protocol::round_trips` says; the command fails if ours is not that, or more than any peer's.

";

const CRATES: &str = "One upgrade each, to a server that counts: its flights and the client's segments before the ClientHello. CPU and
instructions are ratios to the floor, which is TLS from the first byte on with rustls over a socket of std; allocations and peak
heap are what comes on top of it. All have one configuration of rustls, if they take one. A crate goes as far within TLS as it has
to, and else says one line. Without tickets: from connect to the end, against a server that sends none.

";

const MEMORY: &str = "\n### The dialogue alone

The same bytes, without a socket: for SMTP a greeting, ten lines of capabilities and the go-ahead, for IMAP a greeting with
capabilities and the go-ahead, construction included. Time and instructions are ratios to ours. The lines that rip-starttls is handed
are read for it.

";

const TOOLS_LEAD: &str = "\n### The tools

A process that does one upgrade over SMTP. CPU is a ratio to that of the floor as such a process, without the jitter that the tools do
not wait for either.

";
