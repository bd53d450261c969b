//! `starttls scan` on Unix: signals, the limit of descriptors, the bar on a terminal.

#![cfg(unix)]

mod support;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
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

#[test]
fn two_scans_do_not_write_to_the_same_results() {
    let scene = Scene::new();
    let results = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("locked-{}", std::process::id()));
    let content = || fs::read_to_string(&results).expect("results");
    let resume = || {
        let mut command = tool();
        scene.scan(&mut command);
        command.arg("--resume").arg(&results).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    };
    let print = || {
        let mut command = tool();
        scene.scan(&mut command);
        command.stdout(File::options().append(true).create(true).open(&results).expect("disk")).stderr(Stdio::piped());
        command
    };
    let words = ["another scan is writing to it", "another scan is resuming this file"];
    // Whether the one that is at work resumes the results, and whether the other does.
    for (first, second, words) in [(true, true, words[0]), (false, true, words[0]), (true, false, words[1])] {
        fs::write(&results, "").expect("disk");
        let mut first = if first { resume() } else { print() }.spawn().expect("the tool starts");
        // It is at work until the silent server ends, or itself.
        while !content().ends_with('\n') {
            assert_eq!(first.try_wait().expect("it runs"), None);
            std::thread::yield_now();
        }
        let before = content();
        let second = Run::from(if second { resume() } else { print() }.output().expect("the tool starts"));
        assert!(second.complaint().contains(words), "{}", second.stderr);
        assert_eq!((second.code, content()), (3, before));
        // The lock is not left behind by a scan that is killed.
        first.kill().expect("it runs");
        first.wait().expect("it ends");
        let done = format!("smtp://{}", scene.good.address());
        let third = tool().args(["scan", &done, "--resume"]).arg(&results).output().expect("the tool starts");
        let third = Run::from(third);
        assert!(third.stderr.contains("0 checked in ") && third.stderr.contains(", 1 before"), "{}", third.stderr);
        assert_eq!(third.code, 0);
    }
}

#[test]
fn only_a_regular_file_is_resumed() {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("special-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("disk");
    let [pipe, link, dangling, target] = ["pipe", "link", "dangling", "target"].map(|name| directory.join(name));
    fs::write(&target, "").expect("disk");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    std::os::unix::fs::symlink(&target, &link).expect("disk");
    std::os::unix::fs::symlink(directory.join("nothing"), &dangling).expect("disk");
    for path in [&pipe, &link, &dangling, &directory, Path::new("/dev/null")] {
        let run = Run::from(
            tool().args(["scan", "smtp://127.0.0.1:1", "--resume"]).arg(path).output().expect("the tool starts"),
        );
        assert!(run.complaint().contains(": it is not a regular file"), "{path:?}: {}", run.stderr);
        assert_eq!(run.code, 3, "{path:?}");
    }
    assert_eq!(fs::read(&target).expect("a file"), b"");
    assert!(!directory.join("nothing").exists());
    fs::remove_dir_all(directory).expect("disk");
}
