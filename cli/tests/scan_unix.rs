//! `starttls scan` on Unix: signals, the limit of descriptors, the bar on a terminal.

#![cfg(unix)]

mod support;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{Winsize, tcsetwinsize};
use starttls_replay::{Authority, Flaw, Server};
use support::{Run, ca_file, good_server, serve, terminal, tool, wait};

/// A scan of a server that upgrades, and of one that does not end until it is ended.
struct Scene {
    good: Server,
    silent: Server,
    ca_file: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let authority = Authority::default();
        Self {
            good: good_server("smtp", &authority, Flaw::None),
            silent: serve(|mut stream| wait(&mut stream)),
            ca_file: ca_file(&authority),
        }
    }

    fn scan(&self, command: &mut Command) {
        command.args([
            "scan",
            "--name",
            "client.example",
            "--server-name",
            "localhost",
            "--timeout",
            "60",
            "--ca-file",
        ]);
        command.arg(&self.ca_file);
        command.args([&self.good, &self.silent].map(|server| format!("smtp://{}", server.address())));
    }
}

fn signal(child: &Child, signal: Signal) {
    let id = Pid::from_raw(child.id().try_into().expect("a process"));
    kill_process(id.expect("a process"), signal).expect("it runs");
}

#[test]
fn a_signal_ends_it_with_whole_lines() {
    let scene = Scene::new();
    for (number, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut command = tool();
        scene.scan(&mut command);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the tool starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a result");
        signal(&child, number);
        stdout.read_to_string(&mut line).expect("the tool ends");
        let run = Run::from(child.wait_with_output().expect("the tool ends"));
        assert_eq!((run.code, line.matches('\n').count()), (code, 1), "{line}");
        assert!(run.complaint().starts_with("starttls: 1 checked in "), "{}", run.stderr);
        assert!(run.stderr.contains(": verified 1, "), "{}", run.stderr);
    }
}

#[test]
fn it_has_as_many_descriptors_as_it_needs_or_says_so() {
    let authority = Authority::default();
    let port = good_server("smtp", &authority, Flaw::None);
    let target = format!("smtp://{}", port.address());
    for (limit, complaint) in [
        ("ulimit -n 104", "starttls: 20 jobs instead of 500: they need 1064 descriptors, and 104 are allowed\n"),
        // The soft limit, which anyone may raise to the hard one.
        ("ulimit -Sn 104", ""),
    ] {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{limit} && exec \"$@\""), "sh", env!("CARGO_BIN_EXE_starttls"), "scan"]);
        shell.args(["--name", "client.example", "--server-name", "localhost", "--ca-file"]).arg(ca_file(&authority));
        let run = Run::from(shell.arg(&target).output().expect("a shell"));
        let rest = run.stderr.strip_prefix(complaint).expect(&run.stderr);
        assert!(rest.starts_with("starttls: 1 checked in "), "{}", run.stderr);
        assert_eq!(run.code, 0);
    }
}

#[test]
fn a_terminal_gets_a_bar_and_is_left_as_it_was() {
    let scene = Scene::new();
    for width in [80, 120] {
        let (mut own, other) = terminal();
        tcsetwinsize(&own, Winsize { ws_row: 24, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 }).expect("a size");
        let mut command = tool();
        scene.scan(&mut command);
        let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("bar-{}", std::process::id()));
        command.stdout(File::create(&out).expect("disk")).stderr(other).env("TERM", "xterm").env_remove("NO_COLOR");
        let mut child = command.spawn().expect("the tool starts");
        // The terminal ends when the last who has it open is gone.
        drop(command);
        let mut shown = Vec::new();
        let mut seen = false;
        loop {
            let mut bytes = [0; 4096];
            match own.read(&mut bytes) {
                Ok(0) | Err(_) => break,
                Ok(length) => shown.extend(&bytes[..length]),
            }
            let text = String::from_utf8_lossy(&shown);
            let lines = ["━╌╌╌╌╌╌╌╌╌╌╌ 1 of 2  50 %  ", "/s  ETA ", "verified 1, unverified 0, plaintext 0, failed 0"];
            if !seen && lines.iter().all(|line| text.contains(line)) {
                seen = true;
                signal(&child, Signal::INT);
            }
        }
        assert_eq!(child.wait().expect("it ends").code(), Some(130));
        let text = String::from_utf8(shown).expect("UTF-8");
        // No colour, no hidden cursor, and nothing of the bar behind the last time that its lines were cleared.
        assert!(!text.contains("\x1b[?") && !text.contains("\x1b[3") && !text.contains("\x1b[0m"), "{text:?}");
        let (_, end) = text.rsplit_once("\x1b[2K").expect("it clears the bar");
        assert!(end.contains("starttls: 1 checked in ") && !end.contains("ETA"), "{end:?}");
        assert_eq!(fs::read_to_string(&out).expect("results").matches('\n').count(), 1);
    }
}
