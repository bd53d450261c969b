//! The tools, each a process that does one upgrade.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use starttls::Protocol;
use starttls_benches::cost::Driver;
use starttls_benches::server::{Counting, Seen};
use starttls_benches::way::Failure;

use Protocol::{
    Ftp, Imap, Irc, Ldap, Lmtp, Mysql, Nntp, Pop3, Postgres, Rdp, Sieve, Smtp, Telnet, Vnc, Xmpp, XmppServer,
};

/// A tool.
pub struct Tool {
    /// The program.
    pub name: &'static str,
    /// What it is told to show its version.
    version: &'static str,
    /// What it says that it speaks.
    pub protocols: &'static [Protocol],
    /// Its arguments: `PROTOCOL`, `HOST`, `PORT` and `CA` stand for what they say.
    arguments: &'static str,
    /// Whether it knows the protocol by its port alone.
    by_port: bool,
}

/// All of them.
pub const TOOLS: [Tool; 6] = [
    Tool {
        name: "openssl",
        version: "version",
        protocols: &[Smtp, Lmtp, Imap, Pop3, Ftp, Nntp, Sieve, Ldap, Postgres, Mysql, Irc, Telnet, Xmpp, XmppServer],
        arguments: "s_client -connect HOST:PORT -starttls PROTOCOL -CAfile CA -verify_hostname localhost \
                    -verify_return_error -name client.example",
        by_port: false,
    },
    Tool {
        name: "gnutls-cli",
        version: "--version",
        protocols: &[Smtp, Lmtp, Imap, Pop3, Ftp, Nntp, Sieve, Ldap, Postgres, Xmpp],
        arguments: "--starttls-proto PROTOCOL --x509cafile CA --verify-hostname localhost --port PORT HOST",
        by_port: false,
    },
    Tool {
        name: "curl",
        version: "--version",
        protocols: &[Smtp, Imap, Pop3, Ftp, Ldap],
        arguments: "--silent --ssl-reqd --cacert CA PROTOCOL://HOST:PORT/",
        by_port: false,
    },
    Tool {
        name: "swaks",
        version: "--version",
        protocols: &[Smtp, Lmtp],
        arguments: "--server HOST --port PORT --protocol SWAKS --tls --to a@mail.example --helo client.example \
                    --quit-after TLS",
        by_port: false,
    },
    Tool {
        name: "nmap",
        version: "--version",
        protocols: &[Smtp, Imap, Pop3, Ftp, Nntp, Ldap, Postgres, Mysql, Vnc, Xmpp, XmppServer],
        arguments: "-n -Pn -sT -p PORT --script ssl-cert HOST",
        by_port: true,
    },
    Tool {
        name: "sslyze",
        version: "--help",
        protocols: &[Smtp, Imap, Pop3, Ftp, Ldap, Postgres, Rdp, Xmpp, XmppServer],
        arguments: "--starttls SSLYZE --certinfo --mozilla_config disable HOST:PORT",
        by_port: false,
    },
];

/// What one run of a process took.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Its time on the processor, in µs.
    pub cpu: f64,
    /// The most memory that it ever had, in KiB.
    pub memory: f64,
}

impl Tool {
    /// Its version; `None` if it is not installed.
    pub fn version(&self) -> Option<String> {
        let output = Command::new(self.name).arg(self.version).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let number = |word: &&str| word.contains('.') && word.starts_with(|first: char| first.is_ascii_digit());
        let version = text.split_whitespace().find(number).unwrap_or_default();
        Some(version.trim_end_matches(['.', ',']).to_owned())
    }

    /// A server for it.
    ///
    /// # Errors
    /// Those of binding.
    pub fn server(&self, driver: &Driver, protocol: Protocol) -> io::Result<Counting> {
        // An address of its own, since servers of this machine may have the port.
        let host = if self.by_port { Ipv4Addr::new(127, 0, 77, 1) } else { Ipv4Addr::LOCALHOST };
        let port = if self.by_port { protocol.ports()[0] } else { 0 };
        Counting::start_at(SocketAddr::from((host, port)), Some(protocol), driver.config.clone())
    }

    /// Its command line.
    pub fn command(&self, driver: &Driver, server: &Counting, protocol: Protocol) -> Vec<String> {
        let address = server.address();
        let name = |word: &str| match (word, protocol) {
            ("SSLYZE", XmppServer) => "xmpp_server".to_owned(),
            ("SWAKS", Smtp) => "ESMTP".to_owned(),
            ("SWAKS", _) => "LMTP".to_owned(),
            _ => protocol.name().to_owned(),
        };
        let fill = |word: &str| {
            let word =
                ["PROTOCOL", "SSLYZE", "SWAKS"].iter().fold(word.to_owned(), |word, key| word.replace(key, &name(key)));
            let word = word.replace("HOST", &address.ip().to_string()).replace("PORT", &address.port().to_string());
            word.replace("CA", &driver.file("ca.pem").display().to_string())
        };
        let mut command = vec![self.name.to_owned()];
        for word in self.arguments.split_whitespace() {
            // Words that are no placeholder may hold the letters of one.
            command.push(if word.starts_with("-CA") { word.to_owned() } else { fill(word) });
        }
        command
    }

    /// What it says before TLS, on the first connection on which TLS comes of it, and how many connections it makes.
    ///
    /// # Errors
    /// There is no such connection.
    pub fn seen(&self, driver: &Driver, protocol: Protocol) -> Result<(Seen, usize), Failure> {
        let server = self.server(driver, protocol)?;
        usage(&self.command(driver, &server, protocol))?;
        let seen = server.take();
        let upgraded = seen.iter().find(|seen| seen.upgraded).copied();
        Ok((upgraded.ok_or_else(|| format!("no TLS after {} connections", seen.len()))?, seen.len()))
    }
}

/// Runs `command` once, under a small process of its own: what a process has had before it becomes another counts as its own.
///
/// # Errors
/// It cannot be run.
pub fn usage(command: &[String]) -> Result<Usage, Failure> {
    let output = Command::new(std::env::current_exe()?).arg("--launch").args(command).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (cpu, memory) = text.trim().split_once(' ').ok_or_else(|| format!("{} cannot be run", command[0]))?;
    Ok(Usage { cpu: cpu.parse()?, memory: memory.parse()? })
}

/// The small process. How the command ends is not asked: the server knows whether there was TLS.
///
/// # Errors
/// It cannot be run.
pub fn launch(command: &[String]) -> Result<(), Failure> {
    let [program, arguments @ ..] = command else { return Err("no command".into()) };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    println!("{} {}", (usage.user_time() + usage.system_time()).num_microseconds(), usage.max_rss());
    Ok(())
}
