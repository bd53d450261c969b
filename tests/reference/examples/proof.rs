//! Prints `tests/README.md`: what shows, in numbers, that the core does what it says.
//!
//! ```text
//! cargo run -p starttls-reference --example proof > tests/README.md
//! ```

use std::collections::BTreeMap;

use starttls::Protocol;
use starttls_replay::Transcript;

/// Lines of `fuzz/run`: target, protocol, executions, edges, features.
const FUZZING: &str = include_str!("../../../fuzz/results.tsv");
/// A file, its mutants, and how many were caught, do not build, ran out of time, survived.
const MUTANTS: &str = include_str!("../../mutants.tsv");
/// What each property and gate said when what it guards was broken.
const SEEN_FAILING: &str = include_str!("../../sabotage.md");
/// The tests each of which is about every protocol.
const PROPERTIES: [&str; 3] =
    [include_str!("../../properties.rs"), include_str!("../../conformance.rs"), include_str!("../tests/agreement.rs")];

const HEAD: &str = "\
# Proof

What shows that the crate does what it says. `cargo run -p starttls-reference --example proof > tests/README.md` makes this
file, and a test fails when it is out of date.

| where | what |
|---|---|
| `transcripts`, `hostile` | what servers say, as data: recorded from real ones, and [hostile](hostile/README.md) |
| `conformance.rs` | each of them against the core: whole, split everywhere, cut off everywhere, under both policies |
| `properties.rs` | what holds for any bytes, any split of them, every protocol and both policies |
| `names.rs` | whatever a caller passes as a name stays in its place on the wire |
| `reference` | every protocol once more, naively, and the core compared with it |
| `limits.rs`, `allocations.rs`, `size.rs` | time and memory are bounded |
| `suite` | what both transports pass, the hostile servers over sockets among it |
| `servers` | real servers |
| [`../fuzz`](../fuzz/README.md) | what no input may do; `results.tsv` has the figures of the last long run |
| `mutants.tsv` | what `cargo mutants` made of `src`, file by file |
| `../.ci/run` | all of it |

## By protocol

Properties are tests that run the protocol. Edges are those of the whole fuzzed program that the corpus came to cover.
";

fn main() {
    print!("{}", readme());
}

fn readme() -> String {
    let (fuzzing, mutants) = (fuzzing(), mutants());
    let properties: usize = PROPERTIES.iter().map(|file| file.matches("#[test]").count()).sum();
    let mut readme = HEAD.to_owned();
    readme += "\n| protocol | transcripts | hostile rows | properties | fuzzed: bytes | edges | differential | edges | surviving mutants |\n";
    readme += "|---|--:|--:|--:|--:|--:|--:|--:|--:|\n";
    let mut all = [0; 4];
    for protocol in Protocol::all() {
        let name = protocol.name();
        let hostile = Transcript::hostile(protocol).len();
        let recorded = Transcript::all(protocol).len() - hostile;
        let fuzzed = ["bytes", "differential"].map(|target| fuzzing.get(&(target, name)).copied());
        let cells =
            fuzzed.map(|run| run.map_or("– | –".to_owned(), |(runs, edges)| format!("{runs} | {edges}"))).join(" | ");
        let executions = fuzzed.map(|run| run.unwrap_or_default().0);
        let survivors = mutants.get(&*file(name)).map_or("–".to_owned(), Mutants::survivors);
        readme += &format!("| {name} | {recorded} | {hostile} | {properties} | {cells} | {survivors} |\n");
        for (sum, count) in all.iter_mut().zip([recorded as u64, hostile as u64, executions[0], executions[1]]) {
            *sum += count;
        }
    }
    let [recorded, hostile, bytes, differential] = all;
    readme += &format!("| all | {recorded} | {hostile} | {properties} | {bytes} | | {differential} | | |\n");

    for remark in FUZZING.lines().chain(MUTANTS.lines()).filter_map(|line| line.strip_prefix("# ")) {
        readme += &format!("\n{remark}\n");
    }
    readme += "\nLMTP is in SMTP's file, and XMPP between servers in XMPP's.\n\n## What they share\n\n";
    readme += "| fuzz target | executions | edges |\n|---|--:|--:|\n";
    for ((target, _), (executions, edges)) in fuzzing.iter().filter(|((_, protocol), _)| *protocol == "-") {
        readme += &format!("| {target} | {executions} | {edges} |\n");
    }
    readme += "\n| file | surviving mutants |\n|---|--:|\n";
    for (file, mutants) in mutants.iter().filter(|(path, _)| !Protocol::all().any(|known| file(known.name()) == **path))
    {
        readme += &format!("| `{file}` | {} |\n", mutants.survivors());
    }
    let mut all = Mutants::default();
    mutants.values().for_each(|mutants| all.add(mutants));
    readme += &format!(
        "| all of `src` | {}; {} caught, {} not to be built, {} out of time |\n\n",
        all.survivors(),
        all.caught,
        all.unviable,
        all.timeout
    );
    readme + SEEN_FAILING
}

/// Where a protocol is.
fn file(protocol: &str) -> String {
    let name = match protocol {
        "lmtp" => "smtp",
        "xmpp-server" => "xmpp",
        name => name,
    };
    format!("src/protocol/{name}.rs")
}

/// Executions and edges of a target and a protocol. Of several runs the executions add up.
fn fuzzing() -> BTreeMap<(&'static str, &'static str), (u64, u64)> {
    let mut sums: BTreeMap<_, (u64, u64)> = BTreeMap::new();
    for line in FUZZING.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [target, protocol, executions, edges, _features] = columns[..] else { panic!("not five columns: {line}") };
        let (all, most) = sums.entry((target, protocol)).or_default();
        *all += executions.parse::<u64>().expect(line);
        *most = (*most).max(edges.parse().expect(line));
    }
    sums
}

#[derive(Default)]
struct Mutants {
    all: u64,
    caught: u64,
    unviable: u64,
    timeout: u64,
    survivors: u64,
}

impl Mutants {
    fn survivors(&self) -> String {
        format!("{} of {}", self.survivors, self.all)
    }

    fn add(&mut self, other: &Self) {
        self.all += other.all;
        self.caught += other.caught;
        self.unviable += other.unviable;
        self.timeout += other.timeout;
        self.survivors += other.survivors;
    }
}

fn mutants() -> BTreeMap<&'static str, Mutants> {
    let read = |line: &'static str| {
        let (file, counts) = line.split_once('\t').expect(line);
        let counts: Vec<u64> = counts.split('\t').map(|count| count.parse().expect(line)).collect();
        let [all, caught, unviable, timeout, survivors] = counts[..] else { panic!("not six columns: {line}") };
        assert_eq!(all, caught + unviable + timeout + survivors, "{line}");
        (file, Mutants { all, caught, unviable, timeout, survivors })
    };
    MUTANTS.lines().skip(1).filter(|line| !line.starts_with('#')).map(read).collect()
}

#[test]
fn the_readme_is_up_to_date() {
    let current = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap_or_default();
    let command = "cargo run -p starttls-reference --example proof > tests/README.md";
    assert!(current == readme(), "tests/README.md is out of date: {command}");
}

#[test]
fn every_class_of_attack_has_rows_that_name_it() {
    let rows: Vec<Transcript> = Protocol::all().flat_map(Transcript::hostile).collect();
    let classes = include_str!("../../hostile/README.md");
    let words = |text: &str| -> Vec<String> {
        let words = text.split(|character: char| !character.is_ascii_alphanumeric() && character != '-');
        words.filter(|word| word.starts_with("CVE-") || word.starts_with("CONC-")).map(str::to_owned).collect()
    };
    let mut named = 0;
    for line in classes.lines().filter(|line| line.ends_with(" |") && line.contains('`')) {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let ["", class, published, files, ""] = columns[..] else { panic!("not three columns: {line}") };
        let mut comments = String::new();
        for file in files.split(", ").map(|file| file.trim_matches('`')) {
            let any = file.strip_prefix("*/");
            let is =
                |name: &str| any.map_or(name == file, |any| name.split_once('/').is_some_and(|(_, name)| name == any));
            let found: Vec<_> = rows.iter().filter(|row| is(&row.name["hostile/".len()..])).collect();
            assert!(!found.is_empty(), "{class}: there is no {file}");
            for row in found {
                assert!(row.source.concat().contains(class), "{} does not name {class}", row.name);
                comments += &row.source.join(" ");
                named += 1;
            }
        }
        for id in words(published) {
            assert!(words(&comments).contains(&id), "{class}: no row names {id}");
        }
    }
    println!("{named} rows name their class");
    for row in &rows {
        for id in words(&row.source.join(" ")) {
            assert!(words(classes).contains(&id), "{} names {id}, which tests/hostile/README.md does not", row.name);
        }
    }
    assert!(named > 80);
}
