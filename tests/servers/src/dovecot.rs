//! Dovecot, for SMTP (submission), LMTP, IMAP and POP3: one instance for each offer.

use std::fs;
use std::iter::zip;
use std::path::Path;

use crate::authority::Authority;
use crate::case::{Case, Offer};
use crate::server::{Process, Server, free_ports};
use crate::{Result, packages};

const PACKAGES: [&str; 5] = ["dovecot-core", "dovecot-imapd", "dovecot-lmtpd", "dovecot-pop3d", "dovecot-submissiond"];

/// Without [`Offer::BrokenKey`], for that ends by chance: it agrees to TLS, finds that it cannot read its key, and says so
/// in plaintext, which arrives together with the agreement or after it. Over LMTP it does not offer TLS then.
const OFFERS: [Offer; 5] = [Offer::Good, Offer::Nothing, Offer::Expired, Offer::WrongName, Offer::UnknownCa];

/// Installs Dovecot and starts it.
pub fn start(dir: &Path, authority: &Authority) -> Result<Server> {
    let version = packages::install(&PACKAGES)?;
    let mut server = Server { name: "Dovecot", version, cases: Vec::new(), processes: Vec::new() };
    for offer in OFFERS {
        let dir = dir.join("dovecot").join(offer.name());
        fs::create_dir_all(&dir)?;
        let [config, log] = ["config", "log"].map(|name| dir.join(name));
        let ports = free_ports()?;
        let ssl = match offer {
            Offer::Nothing => "ssl = no".into(),
            _ => format!(
                "ssl = yes\nssl_cert = <{}\nssl_key = <{}",
                authority.certificate(offer).display(),
                authority.key(offer).display()
            ),
        };
        fs::write(&config, configuration(&dir, &log, &ssl, ports))?;
        let config = config.to_str().ok_or("the directory's name is not UTF-8")?;
        server.processes.push(Process::start(&["/usr/sbin/dovecot", "-F", "-c", config], &log, &ports)?);
        let protocols = ["smtp", "lmtp", "imap", "pop3"];
        server.cases.extend(zip(protocols, ports).map(|(protocol, port)| Case { protocol, offer, port }));
    }
    Ok(server)
}

/// The configuration of one instance, with the ports in the order of submission, LMTP, IMAP and POP3.
fn configuration(dir: &Path, log: &Path, ssl: &str, [submission, lmtp, imap, pop3]: [u16; 4]) -> String {
    format!(
        "\
protocols = submission lmtp imap pop3
listen = 127.0.0.1
base_dir = {dir}/base
state_dir = {dir}/state
log_path = {log}
{ssl}
# Nobody logs in, but the configuration has to say how.
mail_location = maildir:{dir}/mail
submission_relay_host = localhost
passdb {{
  driver = static
}}
userdb {{
  driver = static
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
",
        dir = dir.display(),
        log = log.display(),
    )
}
