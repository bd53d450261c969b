//! The command line. Completions and the manual page are made from it as well.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::scan::Shard;

const EXIT_CODES: &str = "\
Exit codes, as monitoring plugins have them:
  0  upgraded to TLS, and the certificate is verified
  1  upgraded and verified, with a warning
  2  not upgraded, not verified, or with a critical finding
  3  could not tell: no connection, or bad arguments";

const CHECK_HELP: &str = "\
Examples:
  starttls check smtp://mail.example:587
  starttls check mail.example:143 --server-name imap.example --ca-file private-ca.pem
  starttls check xmpp://example.org --connect chat.hosting.example     as an SRV record would say
  starttls check --brief --warn-days 21 --crit-days 7 ldap://ldap.example
  starttls check --prometheus smtp://mail.example > /var/lib/node_exporter/smtp.prom
  starttls check mail.example                   which port of it upgrades, or has TLS from the first byte?
  starttls check --mx example.org               do the mail servers of this domain upgrade?

The DNS names the mail servers, and nothing here proves that it is right: their certificates are held against names that
an attacker on the path to the DNS could have chosen, unless the DNS server validates DNSSEC. MTA-STS and DANE, which
senders use against that, are not looked at.

Exit codes: see starttls --help; of several ports, the worst of those that answered.";

const CONNECT_HELP: &str = "\
Examples:
  starttls connect smtp://mail.example:587
  printf 'QUIT\\r\\n' | starttls connect --quiet smtp://mail.example

Bytes pass unchanged, in both directions at once. At a terminal, each line that is typed is sent with CR LF, and control
characters of the server's are shown escaped. No letter at the start of a line means anything. The end of the input is
told to the server, whose answers are awaited until it closes. --timeout is for the upgrade: the session may last.

Exit codes: as of check; 2 as well if the server cut the connection off.";

const COMPLETIONS_HELP: &str = "\
Examples:
  . <(starttls completions bash)
  starttls completions zsh > ~/.zfunc/_starttls
  starttls completions fish > ~/.config/fish/completions/starttls.fish";

const MAN_HELP: &str = "\
Examples:
  starttls man | man -l -
  starttls man check > /usr/local/share/man/man1/starttls-check.1";

const SCAN_HELP: &str = "\
Exit codes:
  0    every target has its result, whatever it is
  3    bad arguments, or the targets could not be read, or the results not be written
  130  interrupted: what has ended is written (143 by SIGTERM)

Names are looked up in /etc/hosts, and then by the DNS servers of /etc/resolv.conf or --resolver, as fully qualified names.

The part K of N that a target belongs to is told by its text, as it stands in the results: K - 1 is the first 8 bytes of
the text's SHA-256, as a big-endian number, modulo N.";

/// Checks the STARTTLS of a server, from the plaintext dialogue to the certificate
#[derive(Parser)]
#[command(name = "starttls", version, after_help = EXIT_CODES, arg_required_else_help = false)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

// The arguments of a subcommand are made when it is the one that is meant.
#[derive(Subcommand)]
#[command(defer = true)]
pub enum Command {
    /// Upgrade one connection, and report what the server said and how TLS and its certificate look
    #[command(after_help = CHECK_HELP)]
    Check(Box<CheckArguments>),
    /// Upgrade one connection, then join it with standard input and output, as s_client does
    #[command(after_help = CONNECT_HELP)]
    Connect(Box<ConnectArguments>),
    /// Check many servers, thousands at once, and print a line of JSON for each as it ends
    #[command(after_help = SCAN_HELP)]
    Scan(Box<ScanArguments>),
    /// Upgrade to one server of each protocol, on this machine: recorded replies, TLS with a private CA
    Demo,
    /// List the protocols, with their names, ports and specifications
    Protocols,
    /// Print the completions for a shell
    #[command(after_help = COMPLETIONS_HELP)]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page, for man
    #[command(after_help = MAN_HELP)]
    Man {
        /// The subcommand whose page it is to be [default: that of starttls itself]
        subcommand: Option<String>,
    },
}

#[derive(Args)]
pub struct CheckArguments {
    /// HOST:PORT or PROTOCOL://HOST[:PORT], or HOST alone, to try the well-known ports of all protocols; an IPv6 address
    /// with a port stands in brackets
    pub target: String,
    #[command(flatten)]
    pub client: ClientArguments,
    /// Check the mail servers of TARGET, which is a domain; on port 25, if it has none behind it
    #[arg(long, conflicts_with_all = ["starttls", "script", "connect"])]
    pub mx: bool,
    #[command(flatten)]
    pub session: SessionArguments,
    #[command(flatten)]
    pub output: OutputArguments,
}

/// What to do after TLS.
#[derive(Args)]
pub struct SessionArguments {
    /// Log in over TLS, in smtp, imap or pop3, if the certificate is verified; a login that fails is exit code 2. The
    /// password is in STARTTLS_PASSWORD, or asked for at the terminal
    #[arg(long, value_name = "USER")]
    pub auth: Option<String>,
    /// Test how the server takes a command behind STARTTLS, and STARTTLS within TLS, over connections of its own; implies
    /// --ask. Only against servers that you run
    #[arg(long)]
    pub active: bool,
}

/// What to print.
#[derive(Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArguments {
    /// The verdict, and what there is to say about it, on a line each
    #[arg(long, group = "format")]
    pub brief: bool,
    /// Report in JSON, one object on one line for each server and port that was tried
    #[arg(long, group = "format")]
    pub json: bool,
    /// Report in metrics, in the text format of Prometheus
    #[arg(long, group = "format")]
    pub prometheus: bool,
    /// Print the certificates in PEM behind the report, as the server sent them
    #[arg(long, conflicts_with_all = ["json", "prometheus"])]
    pub show_certs: bool,
}

#[derive(Args)]
pub struct ConnectArguments {
    /// HOST:PORT or PROTOCOL://HOST[:PORT]; an IPv6 address with a port stands in brackets
    pub target: String,
    #[command(flatten)]
    pub client: ClientArguments,
    /// Send CR LF for each LF of the input, as is done anyway for what is typed at a terminal
    #[arg(long)]
    pub crlf: bool,
    /// No report on stderr, but for failures
    #[arg(long)]
    pub quiet: bool,
    /// Go on although the certificate does not verify: there may be anybody at the other end
    #[arg(long)]
    pub unverified: bool,
}

#[derive(Args)]
pub struct ScanArguments {
    /// As for check; or `IP,DOMAIN,TAG,PORT` as zgrab2 has it, where IP may be a network such as 192.0.2.0/24
    #[arg(value_name = "TARGET", required_unless_present = "file")]
    pub targets: Vec<String>,
    /// Read targets from FILE, one a line, but for empty lines and those that begin with #; from stdin if it is -
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// How many servers to have to do with at once, at most
    #[arg(long, value_name = "N", default_value = "500", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub jobs: u32,
    /// How many to begin with in a second, at most
    #[arg(long, value_name = "N", value_parser = rate)]
    pub rate: Option<f64>,
    /// How many connections to have with one host at once, at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub per_host: Option<u32>,
    /// Add the results to FILE, and skip the targets that are in it already: a scan that was killed goes on. FILE is locked,
    /// and must hold nothing but results of a scan in this layout. A last line that was cut off in the middle of a result
    /// is removed; anything else is refused, and FILE is left as it is
    #[arg(long, value_name = "FILE")]
    pub resume: Option<PathBuf>,
    /// Take part K of N of the targets, for N machines that share a list
    #[arg(long, value_name = "K/N")]
    pub shard: Option<Shard>,
    /// Print results in zgrab2's layout
    #[arg(long)]
    pub zgrab2: bool,
    #[command(flatten)]
    pub client: ClientArguments,
}

/// How to reach a server, what to say to it, and what to expect of its TLS: the same for all that connects.
#[derive(Args)]
pub struct ClientArguments {
    /// The protocol, by a name that s_client or gnutls-cli has for it [default: told by the port]
    #[arg(long, value_name = "NAME")]
    pub starttls: Option<String>,
    /// Speak the dialogue in FILE, in lines of send, expect, refuse and skip, for a protocol that has no name here
    #[arg(long, value_name = "FILE", conflicts_with = "starttls")]
    pub script: Option<PathBuf>,
    /// Ask for the capabilities before the upgrade, where the protocol does not need it, and report them
    #[arg(long)]
    pub ask: bool,
    /// Send the command although the server does not list it
    #[arg(long, conflicts_with = "script")]
    pub insist: bool,
    /// What to call ourselves in EHLO and LHLO, and as an XMPP server [default: our address]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Connect to HOST, and ask there for the target: its host stays the name to verify, and XMPP's and HTTP's domain
    #[arg(long, value_name = "HOST[:PORT]")]
    pub connect: Option<String>,
    /// Connect over IPv4 alone
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub ipv4: bool,
    /// Connect over IPv6 alone
    #[arg(short = '6', long)]
    pub ipv6: bool,
    /// How long it all may take
    #[arg(long, value_name = "SECONDS", default_value = "15", value_parser = timeout)]
    pub timeout: Duration,
    /// Ask this DNS server for addresses and MX records, instead of the system's
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = resolver)]
    pub resolver: Option<SocketAddr>,
    #[command(flatten)]
    pub tls: TlsArguments,
}

/// How to speak TLS, and what to expect of it.
#[derive(Args)]
#[command(next_help_heading = "TLS")]
pub struct TlsArguments {
    /// The name that the certificate must hold, also sent as SNI [default: the target's host]
    #[arg(long, value_name = "NAME")]
    pub server_name: Option<String>,
    /// The name to send as SNI, if it is to be another than the one to verify
    #[arg(long, value_name = "NAME", conflicts_with = "no_sni")]
    pub sni: Option<String>,
    /// Send no SNI
    #[arg(long)]
    pub no_sni: bool,
    /// The application protocols to offer (ALPN), unless the protocol itself says which
    #[arg(long, value_name = "PROTOCOL", value_delimiter = ',', value_parser = alpn)]
    pub alpn: Vec<String>,
    /// Offer TLS 1.2 alone
    #[arg(long = "tls1.2", conflicts_with = "tls13")]
    pub tls12: bool,
    /// Offer TLS 1.3 alone
    #[arg(long = "tls1.3")]
    pub tls13: bool,
    /// Show this client certificate if the server asks for one; PEM, with its chain behind it
    #[arg(long, value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// The key of the client certificate, in PEM [default: in the file of the certificate]
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// Trust the authorities in this PEM file, instead of the system's
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Trust the authorities in the PEM files of this directory, instead of the system's
    #[arg(long, value_name = "DIR")]
    pub ca_dir: Option<PathBuf>,
    /// Warn if a certificate has fewer days left
    #[arg(long, value_name = "DAYS", default_value = "14")]
    pub warn_days: u32,
    /// Call it critical if a certificate has fewer days left
    #[arg(long, value_name = "DAYS", default_value = "3")]
    pub crit_days: u32,
}

/// A name has from 1 to 255 bytes (RFC 7301 §3.1).
fn alpn(text: &str) -> Result<String, String> {
    match text.len() {
        1..=255 => Ok(text.to_owned()),
        _ => Err("not from 1 to 255 bytes".to_owned()),
    }
}

fn resolver(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse::<SocketAddr>();
    address.or_else(|_| text.parse().map(|ip| SocketAddr::new(ip, 53))).map_err(|_| "not an IP address".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.001..=1e6).contains(&rate) => Ok(rate),
        _ => Err("not a number from 0.001 to 1000000".to_owned()),
    }
}

fn timeout(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.001..=86400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("not a number of seconds from 0.001 to 86400".to_owned()),
    }
}

#[cfg(test)]
mod tests;
