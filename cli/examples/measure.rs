//! Runs a command, and prints the most memory that it had, in bytes, on a line of its own behind all else.
//!
//! A process begins with what its parent had, as far as the kernel's count goes, so it has to be a small one that starts it.

use std::process::{Command, ExitCode};

use wait4::Wait4;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let program = arguments.next().expect("a command");
    let mut child = Command::new(program).args(arguments).spawn().expect("it starts");
    let end = child.wait4().expect("it ends");
    println!("{}", end.rusage.maxrss);
    end.status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}
