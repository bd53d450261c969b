//! Clients by others, which have to agree with ours where all is well.

use std::process::{Command, Stdio};

use crate::case::{Case, Offer, Outcome, Verdict};
use crate::{Result, Setting, packages};

/// A client by others.
struct Peer {
    name: &'static str,
    package: &'static str,
    protocols: &'static [&'static str],
    /// Split at its spaces. The names in braces are replaced.
    command: &'static str,
}

/// Missing are, for they succeed or fail by chance:
/// - openssl for xmpp, xmpp-server and mysql, since it takes what one `read` returns for the whole reply;
/// - gnutls-cli for imap and ftp, since it sends before the greeting has come.
const PEERS: [Peer; 7] = [
    Peer {
        name: "openssl",
        package: "openssl",
        protocols: &["smtp", "lmtp", "imap", "pop3", "nntp", "ftp", "ldap", "sieve", "irc", "postgres"],
        command: "openssl s_client -starttls {protocol} -connect 127.0.0.1:{port} -CAfile {ca} \
                  -verify_hostname localhost -verify_return_error",
    },
    Peer {
        name: "gnutls-cli",
        package: "gnutls-bin",
        protocols: &["smtp", "lmtp", "pop3", "nntp", "xmpp", "ldap", "sieve", "postgres"],
        command: "gnutls-cli --starttls-proto {protocol} --port {port} --x509cafile {ca} localhost",
    },
    Peer {
        name: "curl",
        package: "curl",
        protocols: &["ftp"],
        command: "curl --silent --show-error --ssl-reqd --ipv4 --cacert {ca} ftp://localhost:{port}/",
    },
    Peer {
        name: "ldapsearch",
        package: "ldap-utils",
        protocols: &["ldap"],
        // It takes `localhost` for the host's own name.
        command: "env LDAPTLS_CACERT={ca} ldapsearch -ZZ -x -H ldap://127.0.0.1:{port} -s base",
    },
    Peer {
        name: "psql",
        package: "postgresql-client",
        protocols: &["postgres"],
        command: "env PGSSLMODE=verify-full PGSSLROOTCERT={ca} PGHOSTADDR=127.0.0.1 \
                  psql --host=localhost --port={port} --username=postgres --no-psqlrc --list",
    },
    Peer {
        name: "mariadb",
        package: "mariadb-client",
        protocols: &["mysql"],
        command: "mariadb --no-defaults --host=127.0.0.1 --port={port} --user=root --ssl-ca={ca} \
                  --ssl-verify-server-cert --execute=SELECT(1)",
    },
    Peer {
        name: "qemu-img",
        package: "qemu-utils",
        protocols: &["nbd"],
        command: "qemu-img info --object tls-creds-x509,id=tls0,endpoint=client,dir={dir} \
                  --image-opts driver=nbd,host=127.0.0.1,port={port},tls-creds=tls0",
    },
];

/// Installs them.
pub fn install() -> Result<()> {
    packages::install(&PEERS.map(|peer| peer.package))?;
    Ok(())
}

/// What those that know the protocol make of a case in which all is well; nothing for the other cases.
pub fn verdicts(case: &Case, setting: &Setting) -> Vec<(&'static str, Result<Verdict>)> {
    let knows = |peer: &&Peer| case.offer == Offer::Good && peer.protocols.contains(&case.protocol);
    PEERS.iter().filter(knows).map(|peer| (peer.name, peer.verdict(case, setting))).collect()
}

impl Peer {
    fn verdict(&self, case: &Case, setting: &Setting) -> Result<Verdict> {
        let ca = setting.authority.ca();
        let dir = ca.parent().unwrap_or(&ca).display().to_string();
        let (ca, port) = (ca.display().to_string(), case.port.to_string());
        let names = [("{protocol}", case.protocol), ("{port}", &port), ("{ca}", &ca), ("{dir}", &dir)];
        let words = self.command.split_whitespace();
        let words =
            words.map(|word| names.iter().fold(word.to_owned(), |word, (name, value)| word.replace(name, value)));
        let mut command = Command::new("timeout");
        let output = command.arg("10").args(words).stdin(Stdio::null()).output()?;
        if !output.status.success() {
            let [stdout, stderr] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
            return Err(format!("{command:?}: {}\n{stdout}{stderr}", output.status).into());
        }
        Ok(Verdict { outcome: Outcome::Verified, round_trips: None, exit: Some(0) })
    }
}
