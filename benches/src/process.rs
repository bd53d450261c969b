//! What a process costs.

use std::io;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wait4::Wait4;

/// What a command and all that it waited for took.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// In user and system mode.
    pub cpu: Duration,
    /// From its start to its end.
    pub wall: Duration,
    /// The most memory that one of its processes had, in bytes. No less than what this process has: so the kernel counts.
    pub memory: u64,
}

/// Runs `command` to its end, whatever its exit code.
///
/// # Errors
/// It does not start.
pub fn run(command: &mut Command) -> io::Result<Cost> {
    let started = Instant::now();
    let usage = command.spawn()?.wait4()?.rusage;
    Ok(Cost { cpu: usage.utime + usage.stime, wall: started.elapsed(), memory: usage.maxrss })
}

/// A command that has nothing to read, and that nobody reads.
pub fn quiet(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Builds a program of the workspace in `folder`, seen from this one. Says where it is.
///
/// # Errors
/// It does not build.
pub fn build(folder: &str, program: &str, profile: &str) -> io::Result<String> {
    let workspace = format!("{}/{folder}", env!("CARGO_MANIFEST_DIR"));
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--profile", profile, "--bin", program, "--target-dir", "target"]);
    // Where cargo looks for its configuration, too.
    if !cargo.current_dir(&workspace).status()?.success() {
        return Err(io::Error::other(format!("{program} does not build")));
    }
    Ok(format!("{workspace}/target/{profile}/{program}"))
}
