//! Dovecot, for SMTP (submission), LMTP, IMAP, POP3 and ManageSieve: one instance for each offer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::authority::Authority;
use crate::case::Offer;
use crate::login::PASSWORD;
use crate::server::{Instance, Server};
use crate::{Result, output, packages};

const PACKAGES: [&str; 6] =
    ["dovecot-core", "dovecot-imapd", "dovecot-lmtpd", "dovecot-managesieved", "dovecot-pop3d", "dovecot-submissiond"];

/// Without [`Offer::BrokenKey`], for that ends by chance: it agrees to TLS, finds that it cannot read its key, and says so
/// in plaintext, which arrives together with the agreement or after it. Over LMTP it does not offer TLS then.
const OFFERS: [Offer; 5] = [Offer::Good, Offer::Nothing, Offer::Expired, Offer::WrongName, Offer::UnknownCa];

/// Where an instance answers those who ask whether a login is good.
const SOCKET: &str = "sasl";

/// The socket for Postfix, which is there once Dovecot has started.
pub fn sasl(dir: &Path) -> PathBuf {
    dir.join("Dovecot").join(Offer::Good.name()).join(SOCKET)
}

/// Installs Dovecot and starts it.
pub fn start(dir: &Path, authority: &Authority) -> Result<Server> {
    let version = packages::install(&PACKAGES)?;
    let protocols = ["smtp", "lmtp", "imap", "pop3", "sieve"];
    let mut server = Server::instances(("Dovecot", version), dir, authority, protocols, &OFFERS, |instance| {
        let ssl = match instance.offer {
            Offer::Nothing => "ssl = no".into(),
            _ => format!(
                "ssl = yes\nssl_cert = <{}\nssl_key = <{}",
                instance.certificate.display(),
                instance.key.display()
            ),
        };
        let mail = instance.dir.join("mail");
        fs::create_dir(&mail)?;
        output(Command::new("chown").arg("nobody:").arg(&mail))?;
        let config = instance.write("config", &configuration(instance, &ssl))?;
        Ok(["/usr/sbin/dovecot", "-F", "-c", &config].map(Into::into).into())
    })?;
    for case in &mut server.cases {
        case.login = ["imap", "pop3"].contains(&case.protocol);
    }
    Ok(server)
}

/// The configuration of one instance.
fn configuration(instance: &Instance<5>, ssl: &str) -> String {
    let [submission, lmtp, imap, pop3, sieve] = instance.ports;
    format!(
        "\
protocols = submission lmtp imap pop3 sieve
listen = 127.0.0.1
base_dir = {dir}/base
state_dir = {dir}/state
log_path = {log}
{ssl}
mail_location = maildir:{dir}/mail
submission_relay_host = localhost
passdb {{
  driver = static
  args = password={PASSWORD}
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={dir}/mail
}}
service auth {{
  unix_listener {SOCKET} {{
    path = {dir}/{SOCKET}
    mode = 0666
  }}
}}
service submission-login {{
  inet_listener submission {{
    port = {submission}
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service managesieve-login {{
  inet_listener sieve {{
    port = {sieve}
  }}
}}
",
        dir = instance.dir.display(),
        log = instance.log.display(),
    )
}
