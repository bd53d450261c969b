//! Every argument that the tool says it takes, with values that no one should give it: it ends in time, in a result or in one
//! line that says what is wrong, and never in a panic. NUL, which no program can be started with, is in `src/arguments.rs`.

#![cfg(unix)]

mod support;

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use starttls_replay::{Authority, Flaw};
use support::{ca_file, good_server, run};

/// How long one run may take, on a machine that has others to do.
const TIME: Duration = Duration::from_secs(5);
/// How long a line of complaint may be.
const LINE: usize = 1024;

/// What is given: empty, long, control and bidi characters, numbers out of range, a directory, no UTF-8, odd punctuation.
fn values() -> Vec<OsString> {
    let texts = [
        "",
        "\n",
        "a\nb",
        "\u{202e}",
        "a\u{2066}b",
        "\x1b[2J",
        "\x7f",
        "\u{9b}31m",
        "ü",
        "0",
        "-1",
        "1e300",
        "0.0001",
        "nan",
        "inf",
        "99999999999999999999",
        "4294967296",
        "1/0",
        "2/1",
        "[",
        "[::1",
        ":",
        "://",
        "/",
        ",",
        ",,,,,,",
        "-",
        "/nonexistent",
        "smtp",
        "smtp://",
        "0.0.0.0/0",
        "127.0.0.1/32,,,0",
    ];
    let mut values: Vec<OsString> = texts.into_iter().map(OsString::from).collect();
    values.push("x".repeat(64 << 10).into());
    values.push("\u{202e}".repeat(20 << 10).into());
    values.push(env!("CARGO_TARGET_TMPDIR").into());
    values.push(OsString::from_vec(b"\xff\xfe".to_vec()));
    values.push(OsString::from_vec(b"smtp://\xff:25".to_vec()));
    values
}

/// The subcommands, as the help has them.
fn subcommands() -> Vec<String> {
    let help = run(&["--help"]).stdout;
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    listed
        .filter_map(|line| Some(line.strip_prefix("  ")?.split(' ').next()?.to_owned()))
        .filter(|name| !name.is_empty())
        .collect()
}

/// What a subcommand takes a value for: `--name`, or nothing for one that stands alone.
fn places(subcommand: &str) -> Vec<String> {
    let help = run(&[subcommand, "--help"]).stdout;
    let lines = help.lines().filter(|line| line.starts_with("  ") && !line.starts_with("          "));
    let mut places = Vec::new();
    for line in lines {
        let mut words = line.split_whitespace();
        let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if first.starts_with("--") && second.starts_with('<') {
            places.push(format!("{first}="));
        } else if first.starts_with('<') || first.starts_with('[') && first.trim_end_matches('.').ends_with(']') {
            places.push(String::new());
        }
    }
    places
}

/// An empty directory, for the files that some values name.
fn directory() -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("argument-{}-{number}", std::process::id()));
    fs::create_dir_all(&path).expect("a writable directory");
    path
}

/// What is wrong with a run, if anything is.
fn fault(command: &mut Command) -> Option<String> {
    let start = Instant::now();
    let output = command.stdin(Stdio::null()).output().expect("the tool starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let raw = |text: &str| text.chars().any(|character| character != '\n' && !(' '..='~').contains(&character));
    let complaint = stderr.starts_with("starttls: ") && stderr.matches('\n').count() == 1 && stderr.len() <= LINE;
    let fault = match output.status.code() {
        _ if start.elapsed() > TIME => format!("{:?}", start.elapsed()),
        _ if raw(&stderr) || raw(&stdout) => "raw output".to_owned(),
        // `connect` reports on stderr.
        Some(0..=2) if !stderr.contains("panicked") => return None,
        Some(3) if complaint => return None,
        code => format!("code {code:?}"),
    };
    let shown = |text: &str| text.escape_default().to_string().chars().take(300).collect::<String>();
    Some(format!("{fault}: {:?}\n  {} bytes: {}", stdout.len(), stderr.len(), shown(&stderr)))
}

#[test]
fn no_value_of_any_argument_brings_the_tool_down() {
    let authority = Authority::default();
    // One protocol in which the client has a name, and one in which it has none.
    let servers = ["smtp", "pop3"].map(|protocol| (protocol, good_server(protocol, &authority, Flaw::None)));
    let [smtp, pop3] = servers.each_ref().map(|(protocol, server)| format!("{protocol}://{}", server.address()));
    let (ca_file, directory) = (ca_file(&authority), directory());
    let mut runs = Vec::new();
    for subcommand in subcommands() {
        for place in places(&subcommand) {
            for value in values() {
                runs.push((subcommand.clone(), place.clone(), value));
            }
        }
    }
    let (next, faults) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((subcommand, place, value)) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut command = support::tool();
                    command.current_dir(&directory).env("STARTTLS_PASSWORD", "secret").arg(subcommand);
                    if matches!(subcommand.as_str(), "check" | "connect" | "scan") {
                        // Nobody else is asked for an address.
                        let options = [
                            "--server-name=localhost",
                            "--timeout=1",
                            "--name=client.example",
                            "--resolver=127.0.0.1:9",
                        ];
                        command.args(options.iter().filter(|option| place.is_empty() || !option.starts_with(&**place)));
                        if place != "--ca-file=" {
                            command.arg("--ca-file").arg(&ca_file);
                        }
                        if !place.is_empty() {
                            command.arg(if subcommand == "check" { &pop3 } else { &smtp });
                        }
                    }
                    let mut argument = OsString::from(place);
                    argument.push(value);
                    if place.is_empty() {
                        command.arg("--");
                    }
                    command.arg(argument);
                    if let Some(fault) = fault(&mut command) {
                        let value: String = value.to_string_lossy().chars().take(40).collect();
                        faults.lock().expect("not poisoned").push(format!("{subcommand} {place}{value:?}: {fault}"));
                    }
                }
            });
        }
    });
    let faults = faults.into_inner().expect("not poisoned");
    println!("{} runs", runs.len());
    assert!(runs.len() > 1500, "arguments are missing: {} runs", runs.len());
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
