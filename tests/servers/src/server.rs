//! Servers and their processes.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::iter::zip;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{process, thread};

use crate::authority::Authority;
use crate::case::{Case, Offer};
use crate::{Result, output};

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

/// One process of a server that makes one offer, with a folder of its own.
pub struct Instance<const N: usize> {
    /// What it offers.
    pub offer: Offer,
    /// Where its configuration and state belong. It exists.
    pub dir: PathBuf,
    /// What it writes to its standard output and error goes here, and its log can, too.
    pub log: PathBuf,
    /// Its ports, one for each protocol.
    pub ports: [u16; N],
    /// The authority that signed, or not.
    pub ca: PathBuf,
    /// The certificate for the offer.
    pub certificate: PathBuf,
    /// The key for the offer.
    pub key: PathBuf,
}

impl Server {
    /// Starts one instance for each offer, with the command line that `prepare` returns once it has written its files.
    pub fn instances<const N: usize>(
        (name, version): (&'static str, String),
        dir: &Path,
        authority: &Authority,
        protocols: [&'static str; N],
        offers: &[Offer],
        prepare: impl Fn(&Instance<N>) -> Result<Vec<String>>,
    ) -> Result<Self> {
        let mut server = Self { name, version, cases: Vec::new(), processes: Vec::new() };
        for &offer in offers {
            let dir = dir.join(name).join(offer.name());
            fs::create_dir_all(&dir)?;
            let instance = Instance {
                offer,
                log: dir.join("log"),
                dir,
                ports: free_ports(),
                ca: authority.ca(),
                certificate: authority.certificate(offer),
                key: authority.key(offer),
            };
            let args = prepare(&instance)?;
            server.processes.push(Process::start(&args, &instance.log, &instance.ports)?);
            let cases = zip(protocols, instance.ports);
            server.cases.extend(cases.map(|(protocol, port)| Case { protocol, offer, port, login: false }));
        }
        Ok(server)
    }
}

impl<const N: usize> Instance<N> {
    /// Writes a file into its folder, and returns its name.
    pub fn write(&self, name: &str, text: &str) -> Result<String> {
        let path = self.dir.join(name);
        fs::write(&path, text)?;
        Ok(path.display().to_string())
    }

    /// Copies its certificate and key into the folder, as servers want it that are particular about who may read a key.
    pub fn copy_certificate(&self, certificate: &str, key: &str) -> Result<()> {
        fs::copy(&self.certificate, self.dir.join(certificate))?;
        fs::copy(&self.key, self.dir.join(key))?;
        output(Command::new("chmod").arg("600").arg(self.dir.join(key)))?;
        Ok(())
    }

    /// Gives the folder, with all that is in it, to a user, and returns how a command line begins that runs as that user.
    pub fn give_to(&self, user: &str) -> Result<Vec<String>> {
        output(Command::new("chown").arg("-R").arg(format!("{user}:")).arg(&self.dir))?;
        let [uid, gid] = ["-u", "-g"].map(|field| output(Command::new("id").args([field, user])));
        let [uid, gid] = [format!("--reuid={}", uid?.trim()), format!("--regid={}", gid?.trim())];
        Ok(["setpriv".into(), uid, gid, "--init-groups".into()].into())
    }
}

/// A process that ends when this is dropped, and also when the suite dies without dropping anything.
pub struct Process(Child);

/// Runs the server until standard input closes, which the death of its writer does too.
const KEEPER: &str = r#""$@" & read -r _; kill "$!"; wait"#;

/// How long a server may take until it accepts connections.
const STARTUP: Duration = Duration::from_secs(60);

impl Process {
    /// Starts a server that stays in the foreground and logs to `log`, and waits until it accepts on all of the ports.
    pub fn start(args: &[impl AsRef<OsStr>], log: &Path, ports: &[u16]) -> Result<Self> {
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
                    let args: Vec<_> = args.iter().map(AsRef::as_ref).collect();
                    let log = String::from_utf8_lossy(&fs::read(log)?).into_owned();
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

/// Loopback ports that are free, all different, and different from those of every earlier call: servers start at once.
///
/// They lie below those that the system gives to clients, and each run of the suite has a hundred of its own to look
/// through first, lest a port is taken between this and the start of its server.
pub fn free_ports<const N: usize>() -> [u16; N] {
    static LAST: Mutex<Option<u16>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    [0; N].map(|_| {
        let mut port = last.unwrap_or(10_000 + (process::id() % 200 * 100) as u16);
        loop {
            port += 1;
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                *last = Some(port);
                return port;
            }
        }
    })
}
