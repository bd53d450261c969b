//! `starttls check` of a host without a port. The servers are on addresses of their own, at ports that anybody may bind.
#![cfg(target_os = "linux")]

mod support;

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;
use starttls::Protocol;
use starttls_replay::{Authority, Flaw, Server, play};
use support::{Run, ca_file, player, tool, wait};

/// Ports with TLS from the first byte.
const IMPLICIT: [u64; 11] = [465, 993, 995, 5223, 443, 992, 636, 5671, 563, 990, 6697];

fn at(host: Ipv4Addr, port: u16, handler: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Server {
    Server::start_at((host, port).into(), handler).unwrap_or_else(|error| panic!("{host}:{port}: {error}"))
}

fn sweep(host: Ipv4Addr, authority: &Authority, more: &[&str]) -> Run {
    let mut command = tool();
    command.args(["check", "--name", "client.example", "--server-name", "localhost", "--ca-file"]);
    command.arg(ca_file(authority)).arg(host.to_string()).args(more).output().expect("the tool starts").into()
}

/// Upgrades on one port, TLS from the first byte on another.
fn good(host: Ipv4Addr, authority: &Authority) -> [Server; 2] {
    let config = authority.server_config(Flaw::None);
    [
        at(host, 5432, player("postgres/postgresql.txt", config.clone())),
        at(host, 6697, move |stream| play(stream, &"= upgraded".parse().map_err(io::Error::other)?, config.clone())),
    ]
}

#[test]
fn what_upgrades_where_is_a_table() {
    let host = Ipv4Addr::new(127, 83, 21, 1);
    let authority = Authority::default();
    let _good = good(host, &authority);
    let expired = authority.server_config(Flaw::Expired);
    let _expired = at(host, 4222, player("nats/nats-server.txt", expired));
    let _refusing = at(host, 4949, player("munin/munin-node-no-key.txt", authority.server_config(Flaw::None)));
    // Plaintext where TLS is to be from the first byte: it waits for the client to speak, as such servers do.
    let _plain = at(host, 5671, |mut stream| {
        io::Write::write_all(&mut stream, b"220 mail.example ready\r\n")?;
        wait(&mut stream)
    });
    let run = sweep(host, &authority, &[]);
    assert_eq!((run.code, run.stderr.as_str()), (2, ""), "{}", run.stdout);
    let lines: Vec<Vec<_>> = run.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["Target", "Protocol", "How", "TLS", "Verified", "Result"]);
    let row = |port| {
        let target = format!("{host}:{port}");
        let row = lines.iter().find(|words| words.first() == Some(&target.as_str()));
        row.unwrap_or_else(|| panic!("{port}: {}", run.stdout))[1..].join(" ")
    };
    assert_eq!(row(5432), "postgres STARTTLS 1.3 yes upgraded");
    assert_eq!(row(6697), "irc implicit TLS 1.3 yes TLS");
    assert!(row(4222).starts_with("nats STARTTLS 1.3 NO a certificate of the chain expired "), "{}", row(4222));
    assert!(row(4949).starts_with("munin STARTTLS NOT UPGRADED at STARTTLS: "), "{}", row(4949));
    assert!(row(5671).starts_with("amqp implicit TLS NO TLS: what the server sent"), "{}", row(5671));
    // Between them the header's line, an empty one, and the sum of the rest; somebody may listen at every address.
    let ports = own().count() + IMPLICIT.len();
    let last = run.stdout.lines().last().expect("a line");
    assert_eq!(last, format!("Nobody answers at {} other ports, which --json lists.", ports - (lines.len() - 4)));
}

/// The ports of the protocols themselves; but not that of the Web, where hardly any server upgrades.
fn own() -> impl Iterator<Item = u64> {
    Protocol::all().flat_map(Protocol::ports).map(|&port| u64::from(port)).filter(|&port| port != 80)
}

#[test]
fn json_has_a_line_for_each_port() {
    let host = Ipv4Addr::new(127, 83, 21, 2);
    let authority = Authority::default();
    let servers = good(host, &authority);
    let run = sweep(host, &authority, &["--json"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{}", run.stdout);
    let reports = run.reports();
    let by_port: HashMap<u64, &Value> = reports
        .iter()
        .map(|report| {
            let (address, port) = report["target"].as_str().and_then(|target| target.split_once(':')).expect("a port");
            assert_eq!(address, host.to_string());
            (port.parse().expect("a number"), report)
        })
        .collect();
    let mut expected: Vec<_> = own().chain(IMPLICIT).collect();
    let mut ports: Vec<_> = by_port.keys().copied().collect();
    expected.sort_unstable();
    ports.sort_unstable();
    assert_eq!((ports, reports.len()), (expected.clone(), expected.len()));
    for (port, report) in by_port {
        assert_eq!(report["implicit"], IMPLICIT.contains(&port), "{port}");
        assert_eq!(report["outcome"], if [5432, 6697].contains(&port) { "upgraded" } else { "failed" }, "{report}");
        let well_known = Protocol::from_port(port as u16).map(Protocol::name);
        assert!(well_known.is_none_or(|name| report["protocol"] == name), "{report}");
    }
    drop(servers);
    let dead = sweep(host, &authority, &["--json"]);
    assert_eq!((dead.code, dead.reports().len()), (3, expected.len()));
    assert!(dead.complaint().contains("nobody answers at any of"), "{}", dead.stderr);
}

#[test]
fn one_deadline_holds_for_all_ports() {
    let host = Ipv4Addr::new(127, 83, 21, 3);
    let authority = Authority::default();
    let _good = good(host, &authority);
    let _silent = [3306, 3389, 4190, 5222, 5269].map(|port| at(host, port, |mut stream| wait(&mut stream)));
    let start = Instant::now();
    let run = sweep(host, &authority, &["--timeout", "2"]);
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    assert_eq!((run.code, run.stderr.as_str()), (2, ""));
    assert_eq!(run.stdout.matches("no whole answer within the time allowed").count(), 5, "{}", run.stdout);
    assert_eq!(run.stdout.matches(" 1.3  yes ").count(), 2, "{}", run.stdout);
}
