//! What a negotiation costs without a socket: the tables of `benches/README.md`, and with `--gate` a comparison of its
//! instructions with those of `benches/instructions.tsv`.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, from_value};
use starttls::Protocol;
use starttls_benches::readme;
use starttls_benches::table::markdown;

/// How much more a talk may take before it counts as a regression, in percent. The counts repeat, but for what libc has for
/// the processor; another compiler's are others, and not compared.
const TOLERANCE: f64 = 3.0;

const COUNTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.tsv");
const CRITERION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/criterion");

type Counts = BTreeMap<String, u64>;

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("--gate") {
        return gate();
    }
    let counts = instructions()?;
    let rows: String = counts.iter().map(|(name, count)| format!("{name}\t{count}\n")).collect();
    fs::write(COUNTS, format!("# {}\n{rows}", compiler()?))?;
    bench(&["--bench", "time", "--", "--noplot"])?;
    readme::replace("negotiation", &negotiation(&counts)?)?;
    readme::replace("scale", &scale(&counts)?)?;
    Ok(())
}

/// Fails if a talk takes more instructions than it did, and says which ones.
fn gate() -> Result<(), Box<dyn Error>> {
    let recorded = fs::read_to_string(COUNTS)?;
    let (by, now) = (recorded.lines().next().unwrap_or_default().trim_start_matches("# "), compiler()?);
    if by != now {
        println!("not compared: the counts are of {by}, and this is {now}");
        return Ok(());
    }
    let counts = instructions()?;
    let rows = recorded.lines().filter_map(|line| line.split_once('\t'));
    let recorded: Counts =
        rows.map(|(name, count)| Ok((name.to_owned(), count.parse()?))).collect::<Result<_, Box<dyn Error>>>()?;
    if !recorded.keys().eq(counts.keys()) {
        return Err("these are not the talks of instructions.tsv: record them anew".into());
    }
    let mut regressions = 0;
    let mut most: f64 = 0.0;
    for (name, (&was, &is)) in recorded.iter().map(|(name, was)| (name, (was, &counts[name]))) {
        let more = (is as f64 / was as f64 - 1.0) * 100.0;
        most = most.max(more);
        if more > TOLERANCE {
            println!("{name}: {was} instructions, and now {is}: {more:+.1} %");
            regressions += 1;
        }
    }
    println!("{} counts, {regressions} beyond the tolerance of {TOLERANCE} %; the worst is {most:+.2} %", counts.len());
    if regressions > 0 { Err("slower than it was".into()) } else { Ok(()) }
}

/// The counts of `benches/instructions.rs`, by name.
fn instructions() -> Result<Counts, Box<dyn Error>> {
    let printed = bench(&["--bench", "instructions", "--", "--output-format=json"])?;
    let protocols: Vec<Protocol> = Protocol::all().collect();
    let mut counts = Counts::new();
    for line in printed.lines().filter(|line| line.starts_with('{')) {
        let bench: Value = serde_json::from_str(line)?;
        let count = bench["profiles"][0]["data"]["parts"][0]["metrics"]["Ir"]["values"]["new"].as_u64();
        let (id, nth) = bench["id"].as_str().and_then(|id| id.rsplit_once('_')).ok_or("a bench has no id")?;
        let nth: usize = nth.parse()?;
        let name = match (id, ["whole", "in bytes"].get(nth)) {
            ("whole" | "bytewise" | "protocol", _) => format!("{id}/{}", protocols[nth]),
            ("smtp" | "imap", Some(chunks)) => format!("static/{id} {chunks}"),
            _ => match nth {
                0..=7 => format!("{id}/{} KiB", 1 << nth),
                8 => format!("{id}/128 KiB in KiB"),
                _ => format!("{id}/128 KiB in bytes"),
            },
        };
        counts.insert(name, count.ok_or("a bench counted nothing")?);
    }
    Ok(counts)
}

fn bench(arguments: &[&str]) -> Result<String, Box<dyn Error>> {
    let mut command = Command::new("cargo");
    command.args(["bench", "--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]).args(arguments);
    let output = command.stderr(Stdio::inherit()).output()?;
    if output.status.success() { Ok(String::from_utf8(output.stdout)?) } else { Err("cargo bench failed".into()) }
}

fn compiler() -> Result<String, Box<dyn Error>> {
    Ok(String::from_utf8(Command::new("rustc").arg("--version").output()?.stdout)?.trim().to_owned())
}

/// The fastest of criterion's samples, in ns: others may use the machine.
fn time(name: &str) -> Result<f64, Box<dyn Error>> {
    let path = format!("{CRITERION}/{}/new/sample.json", name.replace("/", "_").replace("crowd_", "crowd/"));
    let mut sample: Value =
        serde_json::from_str(&fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?)?;
    let [times, iterations]: [Vec<f64>; 2] = [from_value(sample["times"].take())?, from_value(sample["iters"].take())?];
    let each = times.iter().zip(iterations).map(|(time, iterations)| time / iterations);
    each.min_by(f64::total_cmp).ok_or_else(|| format!("{path} has no time").into())
}

fn negotiation(counts: &Counts) -> Result<String, Box<dyn Error>> {
    let head = ["", "instructions", "in bytes", "ratio", "ns", "in bytes", "ratio", "construction"]
        .map(str::to_owned)
        .to_vec();
    let row = |name: &str,
               whole: &str,
               bytes: &str,
               times: [String; 2],
               construction: Option<u64>|
     -> Result<_, Box<dyn Error>> {
        let [whole, bytes] = [counts[whole], counts[bytes]];
        let [time_whole, time_bytes] = [time(&times[0])?, time(&times[1])?];
        Ok(vec![
            name.to_owned(),
            whole.to_string(),
            bytes.to_string(),
            format!("{:.1}", bytes as f64 / whole as f64),
            format!("{time_whole:.0}"),
            format!("{time_bytes:.0}"),
            format!("{:.1}", time_bytes / time_whole),
            construction.map_or_else(String::new, |count| count.to_string()),
        ])
    };
    let mut rows = vec![head];
    for (name, id) in [("`Smtp`", "smtp"), ("`Imap`", "imap")] {
        let [whole, bytes] = ["whole", "in bytes"].map(|chunks| format!("static/{id} {chunks}"));
        rows.push(row(name, &whole, &bytes, [format!("static/{id}"), format!("static/{id}-bytewise")], None)?);
    }
    for protocol in Protocol::all() {
        let [whole, bytes, construction] = ["whole", "bytewise", "protocol"].map(|id| format!("{id}/{protocol}"));
        let made = counts[&construction];
        rows.push(row(protocol.name(), &whole, &bytes, [whole.clone(), bytes.clone()], Some(made))?);
    }
    Ok(format!("{NEGOTIATION}{}", markdown(&rows)))
}

fn scale(counts: &Counts) -> Result<String, Box<dyn Error>> {
    let mut body = SCALE.to_owned();
    let crowds = ["1", "10", "100", "1000", "10000"];
    let each = crowds.map(|count| Ok(time(&format!("crowd/{count}"))? / count.parse::<f64>()?));
    let each = each.into_iter().collect::<Result<Vec<f64>, Box<dyn Error>>>()?;
    let times = |ns: &f64| format!("{:.2}", ns / each[0]);
    plot(
        &mut body,
        "Time of one of so many at once, to that of one alone",
        &crowds,
        &[each.iter().map(times).collect()],
    )?;
    body.push_str(SIZES);
    let sizes: Vec<String> = (0..7).map(|power| (1 << power).to_string()).collect();
    let sizes: Vec<&str> = sizes.iter().map(String::as_str).collect();
    let per_byte = |id: &str| {
        let count = |(power, size): (usize, &&str)| {
            format!("{:.2}", counts[&format!("{id}/{size} KiB")] as f64 / (1024 << power) as f64)
        };
        sizes.iter().enumerate().map(count).collect()
    };
    plot(&mut body, "Instructions a byte, by KiB: SMTP, IMAP", &sizes, &[per_byte("smtp_of"), per_byte("imap_of")])?;
    let mut rows = vec![["", "whole", "in chunks of 1 KiB", "in bytes"].map(str::to_owned).to_vec()];
    for id in ["smtp_of", "imap_of"] {
        let chunks = ["", " in KiB", " in bytes"].map(|chunks| counts[&format!("{id}/128 KiB{chunks}")].to_string());
        rows.push([vec![id[..4].to_uppercase()], chunks.to_vec()].concat());
    }
    body.push_str(HOSTILE);
    body.push_str(&markdown(&rows));
    Ok(body)
}

/// A plot that Markdown viewers draw, and that can be read without.
fn plot(body: &mut String, title: &str, x: &[&str], lines: &[Vec<String>]) -> std::fmt::Result {
    let x = x.iter().map(|x| format!("\"{x}\"")).collect::<Vec<_>>().join(", ");
    writeln!(body, "```mermaid\nxychart-beta\n    title \"{title}\"\n    x-axis [{x}]")?;
    let values = lines.iter().flatten().filter_map(|value| value.parse().ok());
    writeln!(body, "    y-axis 0 --> {:.0}", values.fold(1.0, f64::max).ceil() + 1.0)?;
    for line in lines {
        writeln!(body, "    line [{}]", line.join(", "))?;
    }
    writeln!(body, "```")
}

const NEGOTIATION: &str = "## A negotiation alone

    cargo run --release --manifest-path benches/Cargo.toml --bin negotiation

The usual dialogue of each protocol with a real server, without a socket: what the server says in one piece, and byte by byte.
Instructions are those of callgrind, which repeat; time is the least of criterion's samples, and this machine's. `Smtp` and `Imap`
are types that the compiler knows: a greeting, eleven lines of capabilities and the go-ahead; a greeting with its capabilities and
the go-ahead. The others are chosen at run time. Nothing is allocated but by the parser of XMPP (`tests/allocations.rs` holds it to
that); what is made before the dialogue begins is in the last column, and freed in the others. To free what was sent is no part of
the counts.

With `--gate` the instructions are held to those of `benches/instructions.tsv`, with a tolerance of 3 %. The continuous integration
does that.

";

const SCALE: &str = "## Scale

By the same command. First, many at once, which take turns:

";

const SIZES: &str = "
Then, ever more capabilities in SMTP, and untagged responses in IMAP, to the 64 KiB that a server may say:

";

const HOSTILE: &str = "
And of a server that does not end: 128 KiB, of which the first 64 are taken, and the rest is an error. Instructions in all.

";
