//! What an upgrade over a socket costs, beside TLS from the first byte on.

use std::fmt::Write as _;

use starttls_benches::allocator;
use starttls_benches::cost::{Cost, Driver};
use starttls_benches::readme;
use starttls_benches::server::{self, Counting};
use starttls_benches::table::{markdown, median};
use starttls_benches::way::{Failure, Way, client, turns};
use starttls_benches::ways::{BLIND, FLOOR, FLOOR_DELAYED, SMOL, SMOL_BLIND, SMOL_FLOOR, STD};

#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;

/// The ways that are compared with each other: a floor, what the system calls of each dialogue add to it, and ours.
const GROUPS: [[Way; 7]; 2] = [
    [FLOOR, BLIND[0], BLIND[1], BLIND[2], STD[0], STD[1], STD[2]],
    [SMOL_FLOOR, SMOL_BLIND[0], SMOL_BLIND[1], SMOL_BLIND[2], SMOL[0], SMOL[1], SMOL[2]],
];

/// How often the ways take turns in a process, and how many processes there are.
const TURNS: usize = 200;
const PROCESSES: usize = 7;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let ways = GROUPS.concat();
    let all = [&ways[..], &[FLOOR_DELAYED]].concat();
    match arguments.split_first() {
        None => {}
        Some((first, rest)) if first == "turns" => return turns(&ways, rest),
        _ => return client(&all, &arguments),
    }
    let driver = Driver::new()?;
    let mut cpu = Vec::new();
    for group in &GROUPS {
        let mut processes = Vec::new();
        for process in 1..=PROCESSES {
            eprintln!("{}: process {process} of {PROCESSES}", group[0].name);
            processes.push(driver.turns(group, TURNS)?);
        }
        let ratio = |way: usize, to: usize| {
            let turns = |process: &Vec<Vec<f64>>| median(process.iter().map(|taken| taken[way] / taken[to]).collect());
            let mut ratios: Vec<f64> = processes.iter().map(turns).collect();
            ratios.sort_by(f64::total_cmp);
            format!("{:.3} ({:.3} to {:.3})", ratios[PROCESSES / 2], ratios[0], ratios[PROCESSES - 1])
        };
        for way in 0..group.len() {
            let taken = median(processes.iter().flatten().map(|taken| taken[way] / 1e3).collect());
            // Ours are as many places behind what is unread.
            let unread = if way <= BLIND.len() { String::new() } else { ratio(way, way - BLIND.len()) };
            cpu.push([format!("{taken:.0}"), ratio(way, 0), unread]);
        }
    }
    let costs: Vec<Cost> = driver.measure(&ways, 1, 50).into_iter().collect::<Result<_, _>>()?;
    let head =
        ["", "instructions", "allocations before the ClientHello", "allocations", "bytes", "peak heap", "system calls"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (at, (way, cost)) in ways.iter().zip(&costs).enumerate() {
        let floor = &costs[at / GROUPS[0].len() * GROUPS[0].len()];
        let more = |measure: fn(&_) -> f64| {
            let (ours, least) = (cost.median(measure), floor.median(measure));
            if std::ptr::eq(cost, floor) { format!("{ours:.0}") } else { format!("{:+.0}", ours - least) }
        };
        rows.push(vec![
            way.name.to_owned(),
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
    let [floor, smol_floor] = [0, GROUPS[0].len()].map(|floor| costs[floor].instructions / 1e6);
    writeln!(body, "\nThe floor took {floor:.2} M instructions, that of smol {smol_floor:.2} M.")?;
    body.push_str(CPU);
    let mut rows = vec![["", "CPU, µs", "to the floor", "to what is unread"].map(str::to_owned).to_vec()];
    for (way, cpu) in ways.iter().zip(cpu) {
        rows.push([&[way.name.to_owned()][..], &cpu].concat());
    }
    body.push_str(&markdown(&rows));
    body.push('\n');
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
configuration. Instructions are ratios to the floor above; allocations, bytes and peak heap are what comes on top of it, and the
allocations are those of the dialogue's construction.

";

const CPU: &str = "
The CPU time is measured in a process that does all ways of a half of the table in turn, and is read for each upgrade from the
clock of the process, which counts all its threads and the kernel's part. A turn is six upgrades; the first warms the caches, and of
the others the one with the least counts: neighbours only add to it. The client runs on one processor, the server on another. A
ratio is of two ways in the same turn: the median of 200 turns, and of seven processes the median, the least and the most of those.
The ratio to what is unread is what our part costs; that to the floor has the round trips of the dialogue in it as well.

";

const SILENT: &str = "
Where the server sends no session tickets, nothing acknowledges the client's last flight, and a socket without TCP_NODELAY keeps
back what the client says first. From connect to the first byte that came back, in ms:

";
