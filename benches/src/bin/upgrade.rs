//! What an upgrade over a socket costs, beside TLS from the first byte on.

use std::fmt::Write as _;

use starttls_benches::allocator;
use starttls_benches::cost::{Cost, Driver};
use starttls_benches::readme;
use starttls_benches::server::{self, Counting};
use starttls_benches::table::{markdown, median};
use starttls_benches::way::{Failure, client};
use starttls_benches::ways::{BLIND, FLOOR, FLOOR_DELAYED, SMOL, SMOL_FLOOR, STD};

#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;

/// Where the ways over async sockets begin.
const SMOL_AT: usize = 1 + BLIND.len() + STD.len();

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let ways = [&[FLOOR][..], &BLIND, &STD, &[SMOL_FLOOR], &SMOL].concat();
    let all = [&ways[..], &[FLOOR_DELAYED]].concat();
    if !arguments.is_empty() {
        return client(&all, &arguments);
    }
    let driver = Driver::new()?;
    let costs: Vec<Cost> = driver.measure(&ways, 9, 200).into_iter().collect::<Result<_, _>>()?;
    let head = [
        "",
        "CPU",
        "instructions",
        "allocations before the ClientHello",
        "allocations",
        "bytes",
        "peak heap",
        "system calls",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (way, cost) in ways.iter().zip(&costs) {
        let floor = &costs[if way.name.starts_with("smol") { SMOL_AT } else { 0 }];
        let more = |measure: fn(&_) -> f64| {
            let (ours, least) = (cost.median(measure), floor.median(measure));
            if std::ptr::eq(cost, floor) { format!("{ours:.0}") } else { format!("{:+.0}", ours - least) }
        };
        rows.push(vec![
            way.name.to_owned(),
            format!("{:.3}", cost.ratio(floor, |run| run.cpu)),
            format!("{:.4}", cost.instructions / floor.instructions),
            more(|run| run.before_hello),
            more(|run| run.allocations),
            more(|run| run.bytes),
            more(|run| run.peak),
            format!("{:.1}", cost.calls()),
        ]);
    }
    let mut body = String::from(LEAD);
    body.push_str(&markdown(&rows));
    let floors = [&costs[0], &costs[SMOL_AT]];
    let [floor, smol_floor] = floors.map(|cost| (cost.instructions / 1e6, cost.median(|run| run.cpu) / 1e3));
    writeln!(
        body,
        "\nThe floor took {:.2} M instructions and {:.0} µs, that of smol {:.2} M and {:.0} µs.\n",
        floor.0, floor.1, smol_floor.0, smol_floor.1
    )?;
    let mut rows = vec![vec!["system calls".to_owned(), "by name".to_owned()]];
    for (way, cost) in ways.iter().zip(&costs) {
        let calls = cost.syscalls.iter().map(|(name, calls)| format!("{name} {}", (calls * 10.0).round() / 10.0));
        rows.push(vec![way.name.to_owned(), calls.collect::<Vec<_>>().join(", ")]);
    }
    body.push_str(&markdown(&rows).replace("---:", "---"));
    body.push_str(SILENT);
    let silent = server::without_tickets(&driver.config);
    let mut rows = vec![vec![String::new(), "ms".to_owned()]];
    for way in &all {
        let server = Counting::start(way.protocol, silent.clone())?;
        let walls = (0..5).map(|_| driver.run(&server, way, 20).map(|run| run.wall / 1e6));
        rows.push(vec![way.name.to_owned(), format!("{:.1}", median(walls.collect::<Result<_, _>>()?))]);
    }
    body.push_str(&markdown(&rows));
    readme::replace("upgrade", &body)?;
    print!("{body}");
    Ok(())
}

const LEAD: &str = "## An upgrade over a socket

    cargo run --release --manifest-path benches/Cargo.toml --bin upgrade

An upgrade is: connect, negotiate, the TLS handshake in full, one line there and back, close. The floor is the same without a
negotiation: TLS from the first byte on, with a socket of std and rustls, or with smol and futures-rustls. Unread is what the
system calls of a dialogue add to that, if nobody looks at what was said. All run against one server on loopback, with one
configuration, in processes of their own that take turns. CPU and instructions are ratios to the floor above; allocations, bytes
and peak heap are what comes on top of it, and the allocations are those of the dialogue's construction.

";

const SILENT: &str = "
Where the server sends no session tickets, nothing acknowledges the client's last flight, and a socket without TCP_NODELAY keeps
back what the client says first. From connect to the first byte that came back, in ms:

";
