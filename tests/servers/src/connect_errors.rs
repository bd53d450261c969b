//! MariaDB blocks a host after so many connections that ended before a login. Checks do not count.
//!
//! It counts none of 127.0.0.1's, and none of a host whose name it cannot look up. So it and the checks are in a network
//! namespace of their own, where the checks come from another loopback address, and that has a name.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::case::{Offer, Outcome};
use crate::client::{self, Report};
use crate::server::Server;
use crate::{Result, Setting, mariadb, output, packages, row};

/// Where the server is, and what connects to it.
const ADDRESS: &str = "127.0.0.2";
const PORT: u16 = 3306;
/// How many errors a host may make.
const ALLOWED: usize = 3;
const CHECKS: usize = 20;

const OFFERS: [Offer; 2] = [Offer::Good, Offer::Nothing];

/// Runs the rest of its arguments in the namespace, with the names in its first.
const WITHIN: &str =
    r#"ip link set lo up; ip address add 127.0.0.2/32 dev lo; mount --bind "$0" /etc/hosts; exec "$@""#;

/// Half of the accounts want a signature: for a user that there is not, the server takes the plugin of some account.
const ACCOUNTS: &str = "INSTALL SONAME 'auth_ed25519'; CREATE USER one@'%' IDENTIFIED BY 'secret';
    CREATE USER e1@'%' IDENTIFIED VIA ed25519 USING PASSWORD('1'), e2@'%' IDENTIFIED VIA ed25519 USING PASSWORD('2'),
    e3@'%' IDENTIFIED VIA ed25519 USING PASSWORD('3'), e4@'%' IDENTIFIED VIA ed25519 USING PASSWORD('4'),
    e5@'%' IDENTIFIED VIA ed25519 USING PASSWORD('5'), e6@'%' IDENTIFIED VIA ed25519 USING PASSWORD('6')";

/// Checks a server with TLS and one without many times: how many of the two went right, and wrong.
pub fn run(dir: &Path, setting: &Setting) -> Result<[usize; 2]> {
    packages::install(&["iproute2"])?;
    let version = packages::install(&[mariadb::PACKAGE])?;
    let server = ("connect-errors", version.clone());
    let server = Server::instances(server, dir, &setting.authority, [], &OFFERS, |instance| {
        let hosts = instance.write("hosts", &format!("127.0.0.1 localhost\n{ADDRESS} checks.example\n"))?;
        let mut args = ["unshare", "--net", "--mount", "sh", "-ec", WITHIN, &hosts].map(String::from).to_vec();
        args.extend(mariadb::command(instance, &format!("{ADDRESS}:{PORT}"))?);
        args.extend([format!("--max-connect-errors={ALLOWED}"), "--performance-schema=ON".into()]);
        Ok(args)
    })?;
    let mut failed = 0;
    for offer in OFFERS {
        let found = Host::find(&dir.join(server.name).join(offer.name())).and_then(|host| host.check(offer, setting));
        let outcome = found.as_ref().map_or("error", |words| words);
        row(["MariaDB", &version, "mysql", offer.name(), &format!("{CHECKS} checks"), outcome, "-", "-"]);
        if let Err(error) = found {
            failed += 1;
            println!("  FAILED: {error}");
        }
    }
    Ok([OFFERS.len() - failed, failed])
}

/// The namespace of a server that has started.
struct Host {
    /// How to reach the server from outside.
    socket: String,
    namespace: String,
}

impl Host {
    fn find(dir: &Path) -> Result<Self> {
        let socket = dir.join("socket");
        let deadline = Instant::now() + Duration::from_secs(60);
        while let Err(error) = UnixStream::connect(&socket) {
            if Instant::now() > deadline {
                return Err(format!("{error}: {}", fs::read_to_string(dir.join("log"))?).into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        let pid = fs::read_to_string(dir.join("pid"))?;
        Ok(Self { socket: socket.display().to_string(), namespace: format!("--net=/proc/{}/ns/net", pid.trim()) })
    }

    fn check(&self, offer: Offer, setting: &Setting) -> Result<String> {
        self.ask(ACCOUNTS)?;
        let expected = if offer == Offer::Good { Outcome::Verified } else { Outcome::Failed("not-advertised".into()) };
        for number in 1..=CHECKS {
            let Report { json, verdict } = self.report(setting)?;
            if verdict.outcome != expected {
                return Err(format!("check {number}: {json}").into());
            }
        }
        let counted =
            self.ask(&format!("SELECT SUM_CONNECT_ERRORS FROM performance_schema.host_cache WHERE IP = '{ADDRESS}'"))?;
        if counted.trim() != "0" {
            return Err(format!("connect errors: {counted:?}").into());
        }
        let login = ["--host", ADDRESS, "--user=one", "--password=secret", "--execute=SELECT 'works'"];
        output(self.within("mariadb").arg("--no-defaults").args(login))?;
        // What ends at the greeting does count: else all this would show nothing.
        for _ in 0..ALLOWED {
            let leave = format!("exec 3<>/dev/tcp/{ADDRESS}/{PORT}; head --bytes 4 <&3 >/dev/null");
            output(self.within("bash").args(["-c", &leave]))?;
        }
        let Report { json, .. } = self.report(setting)?;
        match json["failure"]["reply"].as_str() {
            Some(reply) if reply.starts_with("1129 ER_HOST_IS_BLOCKED ") => {
                Ok(format!("0 connect errors; of others, {ALLOWED} block"))
            }
            _ => Err(format!("{ALLOWED} connections that ended at the greeting did not count: {json}").into()),
        }
    }

    /// A check from the address that has a name.
    fn report(&self, setting: &Setting) -> Result<Report> {
        let mut check = self.within(&setting.tool);
        check.args(["check", "--json", "--server-name", "localhost", "--timeout", "10", "--ca-file"]);
        client::report(check.arg(setting.authority.ca()).arg(format!("mysql://{ADDRESS}:{PORT}")))
    }

    fn ask(&self, statements: &str) -> Result<String> {
        let login = ["--no-defaults", "--user=root", "--skip-column-names", "--batch", "--socket", &self.socket];
        output(Command::new("mariadb").args(login).args(["--execute", statements]))
    }

    fn within(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(&self.namespace).arg(program);
        command
    }
}
