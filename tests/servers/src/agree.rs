//! Side by side with `openssl s_client` and `gnutls-cli`: what they say of a connection has to be what the tool says, and
//! where s_client says something else than what happened, both are shown.

use std::collections::HashMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use serde_json::Value;
use starttls::{Escaped, Protocol};
use starttls_replay::{Flaw, Server, Transcript, Turn, play};

use crate::case::{Case, Offer};
use crate::{Result, Setting, client, output};

/// What two clients have to agree on.
#[derive(Debug, PartialEq)]
struct Facts {
    version: String,
    suite: String,
    /// Of the key in the server's certificate.
    bits: u64,
    verified: bool,
    /// The SHA-256 of each certificate, as sent.
    chain: Vec<String>,
}

/// What s_client and gnutls-cli do not take for the reply to something else: see `peer.rs`.
const OPENSSL: [&str; 10] = ["smtp", "lmtp", "imap", "pop3", "nntp", "ftp", "ldap", "sieve", "irc", "postgres"];
const GNUTLS: [&str; 8] = ["smtp", "lmtp", "pop3", "nntp", "xmpp", "ldap", "sieve", "postgres"];

/// Recorded servers of which s_client says something else than they did, beside the real ones that do not upgrade.
const RECORDED: [(Protocol, &str); 4] = [
    (Protocol::Smtp, "smtp/postfix-521.txt"),
    (Protocol::Imap, "imap/dovecot-preauth.txt"),
    (Protocol::Postgres, "postgres/not-offered.txt"),
    (Protocol::Mysql, "mysql/closing-host-blocked.txt"),
];

/// Compares what the clients say of a case in which there is TLS. Nothing for the other cases.
pub fn verdicts(case: &Case, setting: &Setting) -> Vec<(&'static str, Result<()>)> {
    if matches!(case.offer, Offer::Nothing | Offer::BrokenKey) {
        return Vec::new();
    }
    let mut verdicts = Vec::new();
    if OPENSSL.contains(&case.protocol) {
        verdicts.push(("openssl", openssl(case, setting).and_then(|theirs| agree(case, setting, theirs))));
    }
    if GNUTLS.contains(&case.protocol) && case.offer == Offer::Good {
        verdicts.push(("gnutls-cli", gnutls(case, setting).and_then(|theirs| agree(case, setting, theirs))));
    }
    verdicts
}

fn agree(case: &Case, setting: &Setting, theirs: Facts) -> Result<()> {
    let json = client::report(&mut client::command(case.protocol, case.port, setting))?.json;
    let tls = &json["tls"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let certificates = tls["certificates"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ours = Facts {
        version: text(&tls["version"]),
        suite: text(&tls["cipher_suite"]),
        bits: certificates.first().and_then(|own| own["key_bits"].as_u64()).unwrap_or_default(),
        verified: tls["verified"] == true,
        chain: certificates.iter().map(|certificate| text(&certificate["sha256"])).collect(),
    };
    if ours == theirs { Ok(()) } else { Err(format!("they say {theirs:?}\n  we say   {ours:?}").into()) }
}

fn openssl(case: &Case, setting: &Setting) -> Result<Facts> {
    let brief = s_client(case.protocol, case.port, setting, &["-brief"])?.1;
    let whole = s_client(case.protocol, case.port, setting, &["-showcerts"])?.1;
    let line = |text: &str, start: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(start).map(str::to_owned));
        line.ok_or_else(|| format!("there is no line {start} in {text}"))
    };
    let suite = line(&brief, "Ciphersuite: ")?;
    Ok(Facts {
        version: line(&brief, "Protocol version: ")?,
        suite: SUITES.get(&suite).cloned().unwrap_or(suite),
        bits: line(&whole, "Server public key is ")?.trim_end_matches(" bit").parse()?,
        verified: line(&whole, "Verify return code: ")?.starts_with("0 "),
        chain: chain(&whole)?,
    })
}

fn gnutls(case: &Case, setting: &Setting) -> Result<Facts> {
    let mut command = Command::new("timeout");
    command.args(["10", "gnutls-cli", "--print-cert", "--starttls-proto", case.protocol, "--port"]);
    command.arg(case.port.to_string()).arg("--x509cafile").arg(setting.authority.ca()).arg("localhost");
    let said = output(command.stdin(Stdio::null()))?;
    let missing = || format!("gnutls-cli said {said}");
    let description = said.lines().find_map(|line| line.strip_prefix("- Description: ")).ok_or_else(missing)?;
    let parts: Vec<_> = description.trim_matches(['(', ')']).split(")-(").collect();
    let [version, .., cipher] = parts[..] else { return Err(missing().into()) };
    let hash = if cipher.contains("256") { "SHA384" } else { "SHA256" };
    let bits = said.split(" key ").nth(1).and_then(|rest| rest.split(' ').next()).ok_or_else(missing)?;
    Ok(Facts {
        version: version.replace("-X.509", "").replace("TLS", "TLSv"),
        suite: format!("TLS_{}_{hash}", cipher.replace('-', "_")),
        bits: bits.parse()?,
        verified: said.contains("- Status: The certificate is trusted."),
        chain: chain(&said)?,
    })
}

/// Its exit code, and all that it printed.
fn s_client(protocol: &str, port: u16, setting: &Setting, more: &[&str]) -> Result<(Option<i32>, String)> {
    let mut command = Command::new("timeout");
    command.args(["5", "openssl", "s_client", "-starttls", protocol, "-connect", &format!("127.0.0.1:{port}")]);
    command.args(["-name", "client.example", "-verify_hostname", "localhost"]).args(more);
    let output = command.arg("-CAfile").arg(setting.authority.ca()).stdin(Stdio::null()).output()?;
    let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    Ok((output.status.code(), stdout + &stderr))
}

/// The names of the registry, by those that OpenSSL has for TLS 1.2.
static SUITES: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    let listed =
        output(Command::new("openssl").args(["ciphers", "-stdname"])).expect("openssl lists its cipher suites");
    let pair = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.by_ref().nth(2)?.to_owned(), line.split_whitespace().next()?.to_owned()))
    };
    listed.lines().filter_map(pair).collect()
});

/// The SHA-256 of each certificate in what a client printed.
fn chain(said: &str) -> Result<Vec<String>> {
    const END: &str = "-----END CERTIFICATE-----\n";
    let certificates = said.split("-----BEGIN CERTIFICATE-----").skip(1).filter_map(|rest| rest.split(END).next());
    let hash = |certificate: &str| {
        let mut openssl = Command::new("openssl");
        openssl.args(["x509", "-noout", "-fingerprint", "-sha256"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut openssl = openssl.spawn()?;
        let pem = format!("-----BEGIN CERTIFICATE-----{certificate}{END}");
        openssl.stdin.take().ok_or("it has no standard input")?.write_all(pem.as_bytes())?;
        let said = String::from_utf8(openssl.wait_with_output()?.stdout)?;
        let hash = said.trim().rsplit('=').next().unwrap_or_default();
        Ok(hash.replace(':', "").to_ascii_lowercase())
    };
    let mut chain: Vec<String> = certificates.map(hash).collect::<Result<_>>()?;
    // Some show the server's own a second time.
    chain.dedup();
    Ok(chain)
}

/// Shows what s_client says of servers that do not upgrade as they should, and what the tool says; the number of servers,
/// and of those whose own words the tool does not tell.
pub fn misleading<'a>(cases: impl Iterator<Item = &'a Case>, setting: &Setting) -> Result<[usize; 2]> {
    println!("\nWhere openssl s_client misleads");
    let mut rows = Vec::new();
    for case in cases {
        if matches!(case.offer, Offer::Nothing | Offer::BrokenKey) && OPENSSL.contains(&case.protocol) {
            rows.push((case.protocol, case.offer.name().to_owned(), case.port, None, None));
        }
    }
    let authority = starttls_replay::Authority::default();
    let recorded = RECORDED.map(|(protocol, name)| {
        let found = Transcript::all(protocol).into_iter().find(|transcript| transcript.name == name);
        found.map(|transcript| (protocol, transcript)).ok_or(name)
    });
    let mut injected = Transcript::usual(Protocol::Pop3);
    if let Some(Turn::Server(said)) = injected.turns.last_mut() {
        said.extend(b"+OK injected\r\n");
    }
    injected.name = "a line behind the go-ahead".to_owned();
    for transcript in recorded.into_iter().chain([Ok((Protocol::Pop3, injected))]) {
        let (protocol, transcript) = transcript?;
        let config = authority.server_config(Flaw::None);
        let (name, outcome) = (transcript.name.clone(), transcript.outcome.clone());
        let server = Server::start(move |stream| play(stream, &transcript, config.clone()))?;
        // The one that goes on to TLS all the same has no words for what it did.
        let expected = if outcome == "upgraded" { starttls::Error::Injected.to_string() } else { outcome };
        rows.push((protocol.name(), name, server.address().port(), Some(expected), Some(server)));
    }
    let mut untold = 0;
    for (protocol, name, port, expected, _server) in &rows {
        let (exit, said) = s_client(protocol, *port, setting, &["-brief"])?;
        // What it says of the certificate, or else the last of its words; an error's stand behind the place in OpenSSL.
        let telling =
            |line: &&str| line.starts_with("Verification") || exit != Some(0) && !line.starts_with("CONNECTED");
        let said = said.lines().rfind(telling).unwrap_or("(not a word)");
        let said = Escaped(said.split("SSL routines:").last().unwrap_or_default().as_bytes());
        let json = client::report(&mut client::command(protocol, *port, setting))?.json;
        let message = json["failure"]["message"].as_str().unwrap_or_default();
        let exit = match exit {
            Some(124) => "none within 5 s".to_owned(),
            exit => exit.map_or("-".to_owned(), |exit| exit.to_string()),
        };
        println!("  {protocol}, {name}\n    openssl   exit {exit}: {said}\n    starttls  exit 2: {message}");
        let told = expected.as_ref().is_none_or(|expected| expected == message) && !message.is_empty();
        untold += usize::from(!told);
    }
    println!();
    Ok([rows.len(), untold])
}
