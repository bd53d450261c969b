//! Servers and their processes.

use std::fs::{self, File};
use std::iter::zip;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{io, thread};

use crate::Result;
use crate::case::Case;

/// A running server. Dropping it ends its processes.
pub struct Server {
    /// The name for the table.
    pub name: &'static str,
    /// The version for the table.
    pub version: String,
    /// What to try.
    pub cases: Vec<Case>,
    /// What runs.
    pub processes: Vec<Process>,
}

/// A process that ends when this is dropped, and also when the suite dies without dropping anything.
pub struct Process(Child);

/// Runs the server until standard input closes, which the death of its writer does too.
const KEEPER: &str = r#""$@" & read -r _; kill "$!"; wait"#;

/// How long a server may take until it accepts connections.
const STARTUP: Duration = Duration::from_secs(20);

impl Process {
    /// Starts a server that stays in the foreground and logs to `log`, and waits until it accepts on all of the ports.
    pub fn start(args: &[&str], log: &Path, ports: &[u16]) -> Result<Self> {
        let output = File::options().create(true).append(true).open(log)?;
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "sh"]).args(args);
        keeper.stdin(Stdio::piped()).stdout(output.try_clone()?).stderr(output);
        // The terminal's interrupt is for the suite: the keeper has to outlive that.
        let process = Self(keeper.process_group(0).spawn()?);
        let deadline = Instant::now() + STARTUP;
        for port in ports {
            while let Err(error) = TcpStream::connect(("127.0.0.1", *port)) {
                if Instant::now() > deadline {
                    let log = fs::read_to_string(log)?;
                    return Err(format!("{args:?} does not accept on port {port}: {error}\n{log}").into());
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(process)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // All are told to end before the first is waited for.
        for Process(keeper) in &mut self.processes {
            keeper.stdin.take();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Waiting closes the keeper's standard input first.
        if let Err(error) = self.0.wait() {
            eprintln!("starttls-servers: {error}");
        }
    }
}

/// Loopback ports that are free, all different.
pub fn free_ports<const N: usize>() -> io::Result<[u16; N]> {
    // All are held until the last is known, or else the system could name one twice.
    let listeners = (0..N).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<io::Result<Vec<_>>>()?;
    let mut ports = [0; N];
    for (port, listener) in zip(&mut ports, &listeners) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}
