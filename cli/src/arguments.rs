//! The command line. Completions and the manual page are made from it as well.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

const EXIT_CODES: &str = "\
Exit codes, as monitoring plugins have them:
  0  upgraded to TLS, and the certificate is verified
  1  upgraded and verified, with a warning
  2  not upgraded, or not verified
  3  could not tell: no connection, or bad arguments";

/// Checks the STARTTLS of a server, from the plaintext dialogue to the certificate
#[derive(Parser)]
#[command(name = "starttls", version, after_help = EXIT_CODES, arg_required_else_help = false)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Upgrade one connection, and report what the server said and how TLS and its certificate look
    #[command(after_help = EXIT_CODES)]
    Check(Box<CheckArguments>),
    /// Upgrade to one server of each protocol, on this machine: recorded replies, TLS with a private CA
    Demo,
    /// List the protocols, with their names, ports and specifications
    Protocols,
}

#[derive(Args)]
pub struct CheckArguments {
    /// HOST, HOST:PORT or PROTOCOL://HOST[:PORT]; an IPv6 address with a port stands in brackets
    pub target: String,
    #[command(flatten)]
    pub client: ClientArguments,
    /// Report in JSON, one object on one line
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub session: SessionArguments,
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

/// How to reach a server, what to say to it, and what to expect of its TLS: the same for all that connects.
#[derive(Args)]
pub struct ClientArguments {
    /// The protocol, by a name that s_client or gnutls-cli has for it [default: told by the port]
    #[arg(long, value_name = "NAME")]
    pub starttls: Option<String>,
    /// Speak the dialogue in FILE, in lines of send, expect, refuse and skip, for a protocol that has no name here
    #[arg(long, value_name = "FILE", conflicts_with = "starttls")]
    pub script: Option<PathBuf>,
    /// What to call ourselves in EHLO and LHLO [default: our address]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// How long it all may take
    #[arg(long, value_name = "SECONDS", default_value = "15", value_parser = timeout)]
    pub timeout: Duration,
    #[command(flatten)]
    pub tls: TlsArguments,
    /// Ask for the capabilities before the upgrade, where the protocol does not need it, and report them
    #[arg(long)]
    pub ask: bool,
}

/// What to expect of TLS.
#[derive(Args)]
pub struct TlsArguments {
    /// The name that the certificate must hold, also sent as SNI [default: the target's host]
    #[arg(long, value_name = "NAME")]
    pub server_name: Option<String>,
    /// Trust the authorities in this PEM file, instead of the system's
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

fn timeout(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.001..=86400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("not a number of seconds from 0.001 to 86400".to_owned()),
    }
}
