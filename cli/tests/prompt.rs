//! The question for the password: no signal leaves a terminal behind that does not show what is typed.

#![cfg(target_os = "linux")]

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command};
use std::slice;
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, Sender};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcgetpgrp, tcsetattr};
use starttls::Protocol;
use starttls_replay::{Authority, Flaw, Server, Transcript, play_then};
use support::{arguments, line, serve, terminal};

/// Runs the program as a job of its own, says how it ended or was stopped, does what is typed then, and says how that ended.
const SHELL: &str = r#"set -m; "$@"; echo "exit code $?"; read -r how; $how; echo "exit code $?"; read -r how"#;
/// The same without jobs: nobody can continue the program.
const LONE: &str = r#""$@"; echo "exit code $?"; read -r how"#;

const QUESTION: &str = "Password for alice: ";
const ACCEPTED: &str = "Login by AUTH PLAIN: accepted, 235 2.7.0\r\n";

/// Answers the login as soon as it may, and tells when it was asked to.
struct Scene {
    authority: Authority,
    server: Server,
    asked: Receiver<()>,
    may: Sender<()>,
}

impl Scene {
    fn new() -> Self {
        let authority = Authority::default();
        let config = authority.server_config(Flaw::None);
        let ((ask, asked), (may, allowed)) = (mpsc::channel(), mpsc::channel());
        let allowed = Mutex::new(allowed);
        let server = serve(move |stream| {
            play_then(stream, &Transcript::usual(Protocol::Smtp), config.clone(), |tls| {
                line(tls)?;
                tls.write_all(b"250-a\r\n250 AUTH PLAIN\r\n")?;
                line(tls)?;
                let _ = ask.send(());
                let _ = allowed.lock().expect("not poisoned").recv();
                tls.write_all(b"235 2.7.0\r\n")
            })
        });
        Self { authority, server, asked, may }
    }

    /// The tool in a terminal of its own, where it has just asked for a password.
    fn start(&self, shell: &str) -> Session {
        let (terminal, other) = terminal();
        // A key that means a signal flushes what a program has just written, unless this is set.
        set(&terminal, LocalModes::NOFLSH);
        let [stdin, stdout, stderr] = [(); 3].map(|()| other.try_clone().expect("a terminal"));
        let mut command = Command::new("setsid");
        command.args(["--ctty", "bash", "-c", shell, "bash", env!("CARGO_BIN_EXE_starttls")]);
        command.args(arguments("smtp", &self.server, &self.authority)).args(["--auth", "alice", "--timeout", "60"]);
        command.env_remove("STARTTLS_PASSWORD").stdin(stdin).stdout(stdout).stderr(stderr);
        let mut session = Session { terminal, shell: command.spawn().expect("setsid"), seen: String::new() };
        session.see(QUESTION);
        assert!(!session.shows(), "{}", session.seen);
        session
    }
}

fn set(terminal: &File, mode: LocalModes) {
    let mut modes = tcgetattr(terminal).expect("a terminal");
    modes.local_modes.insert(mode);
    tcsetattr(terminal, OptionalActions::Now, &modes).expect("a terminal");
}

struct Session {
    terminal: File,
    shell: Child,
    /// Since the last that was waited for.
    seen: String,
}

impl Session {
    /// Reads on until this was seen.
    fn see(&mut self, words: &str) {
        const LONGEST: Timespec = Timespec { tv_sec: 30, tv_nsec: 0 };
        self.seen.clear();
        while !self.seen.ends_with(words) {
            let mut ready = PollFd::new(&self.terminal, PollFlags::IN);
            assert_eq!(poll(slice::from_mut(&mut ready), Some(&LONGEST)), Ok(1), "{words:?}: {:?}", self.seen);
            let mut byte = [0];
            self.terminal.read_exact(&mut byte).unwrap_or_else(|error| panic!("{error}: {:?}", self.seen));
            self.seen.push(byte[0].into());
        }
    }

    /// Reads on to the end of the program, or until it is stopped: its exit code.
    fn see_code(&mut self) -> String {
        self.see("exit code ");
        let seen = self.seen.clone();
        self.see("\r\n");
        assert!(self.shows(), "{seen}{}", self.seen);
        let code = self.seen.trim_end().to_owned();
        self.seen = seen;
        code
    }

    fn type_in(&mut self, text: &str) {
        self.terminal.write_all(text.as_bytes()).expect("a terminal");
    }

    /// Whether the terminal shows what is typed.
    fn shows(&self) -> bool {
        tcgetattr(&self.terminal).expect("a terminal").local_modes.contains(LocalModes::ECHO)
    }

    /// The process that the terminal belongs to: as long as it asks, the tool.
    fn tool(&self) -> Pid {
        tcgetpgrp(&self.terminal).expect("a terminal")
    }

    fn get(&mut self, way: Way) {
        match way {
            Way::Sent(signal) => kill_process(self.tool(), signal).expect("it runs"),
            Way::Typed(key) => self.type_in(key),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

/// How a signal gets to the tool: from another process, or by a key.
#[derive(Clone, Copy, Debug)]
enum Way {
    Sent(Signal),
    Typed(&'static str),
}

const ENDING: [(Way, &str); 6] = [
    (Way::Sent(Signal::HUP), "129"),
    (Way::Sent(Signal::INT), "130"),
    (Way::Sent(Signal::QUIT), "131"),
    (Way::Sent(Signal::TERM), "143"),
    (Way::Typed("sesa\x03"), "130"),
    (Way::Typed("sesa\x1c"), "131"),
];

#[test]
fn a_signal_that_ends_the_program_leaves_a_terminal_that_shows_what_is_typed() {
    let scene = Scene::new();
    for (way, code) in ENDING {
        let mut session = scene.start(SHELL);
        session.get(way);
        assert_eq!(session.see_code(), code, "{way:?}");
        assert!(!session.seen.contains("sesa"), "{way:?}: {}", session.seen);
    }
}

#[test]
fn a_signal_that_would_suspend_the_program_has_it_ask_again() {
    let scene = Scene::new();
    for way in [Way::Sent(Signal::TSTP), Way::Typed("sesa\x1a")] {
        let mut session = scene.start(SHELL);
        session.get(way);
        session.see(QUESTION);
        assert!(!session.shows(), "{way:?}: {}", session.seen);
        session.type_in("sesame\n");
        scene.may.send(()).expect("a server");
        assert_eq!(session.see_code(), "0", "{way:?}");
        let seen = &session.seen;
        assert!(seen.contains(ACCEPTED) && !seen.contains("sesa"), "{way:?}: {seen}");
    }
}

#[test]
fn a_program_that_was_stopped_asks_again_and_shows_nothing() {
    let scene = Scene::new();
    let mut session = scene.start(SHELL);
    kill_process(session.tool(), Signal::STOP).expect("it runs");
    session.see("exit code 147\r\n");
    // As a shell does for the line that it reads.
    set(&session.terminal, LocalModes::ECHO);
    session.type_in("fg\n");
    session.see(QUESTION);
    assert!(!session.shows(), "{}", session.seen);
    session.type_in("sesame\n");
    scene.may.send(()).expect("a server");
    assert_eq!(session.see_code(), "0");
    assert!(session.seen.contains(ACCEPTED) && !session.seen.contains("sesame"), "{}", session.seen);
}

#[test]
fn behind_the_question_signals_mean_what_they_always_do() {
    let scene = Scene::new();
    for (way, code) in ENDING {
        let mut session = scene.start(SHELL);
        session.type_in("sesame\n");
        scene.asked.recv().expect("a login");
        session.get(way);
        assert_eq!(session.see_code(), code, "{way:?}");
        scene.may.send(()).expect("a server");
    }
    let mut session = scene.start(SHELL);
    session.type_in("sesame\n");
    scene.asked.recv().expect("a login");
    session.type_in("\x1a");
    // 128 and the number of SIGSTOP.
    assert_eq!(session.see_code(), "147");
    session.type_in("fg\n");
    scene.may.send(()).expect("a server");
    assert_eq!(session.see_code(), "0");
    assert!(session.seen.contains(ACCEPTED), "{}", session.seen);
    // Where nobody could continue it, it is not suspended.
    let mut session = scene.start(LONE);
    session.type_in("sesame\n");
    scene.asked.recv().expect("a login");
    session.type_in("\x1a");
    session.see("^Z");
    scene.may.send(()).expect("a server");
    assert_eq!(session.see_code(), "0");
    assert!(session.seen.contains(ACCEPTED), "{}", session.seen);
}
