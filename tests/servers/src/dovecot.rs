//! Dovecot, for SMTP (submission), LMTP, IMAP, POP3 and ManageSieve: one instance for each offer.

use std::path::Path;

use crate::authority::Authority;
use crate::case::Offer;
use crate::server::{Instance, Server};
use crate::{Result, packages};

const PACKAGES: [&str; 6] =
    ["dovecot-core", "dovecot-imapd", "dovecot-lmtpd", "dovecot-managesieved", "dovecot-pop3d", "dovecot-submissiond"];

/// Without [`Offer::BrokenKey`], for that ends by chance: it agrees to TLS, finds that it cannot read its key, and says so
/// in plaintext, which arrives together with the agreement or after it. Over LMTP it does not offer TLS then.
const OFFERS: [Offer; 5] = [Offer::Good, Offer::Nothing, Offer::Expired, Offer::WrongName, Offer::UnknownCa];

/// Installs Dovecot and starts it.
pub fn start(dir: &Path, authority: &Authority) -> Result<Server> {
    let version = packages::install(&PACKAGES)?;
    let protocols = ["smtp", "lmtp", "imap", "pop3", "sieve"];
    Server::instances(("Dovecot", version), dir, authority, protocols, &OFFERS, |instance| {
        let ssl = match instance.offer {
            Offer::Nothing => "ssl = no".into(),
            _ => format!(
                "ssl = yes\nssl_cert = <{}\nssl_key = <{}",
                instance.certificate.display(),
                instance.key.display()
            ),
        };
        let config = instance.write("config", &configuration(instance, &ssl))?;
        Ok(["/usr/sbin/dovecot", "-F", "-c", &config].map(Into::into).into())
    })
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
