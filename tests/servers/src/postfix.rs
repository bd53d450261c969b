//! Postfix, for SMTP: one service of one instance for each offer.

use std::fs;
use std::iter::zip;
use std::path::Path;

use crate::authority::Authority;
use crate::case::{Case, Offer};
use crate::server::{Process, Server, free_ports};
use crate::{Result, dovecot, packages};

/// What `smtpd` asks of the other daemons.
const INTERNAL: &str = "\
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
";

/// The check creates the queue's directories. `postfix start-fg` would leave a shell between the keeper and the master.
const START: &str = r#"/usr/sbin/postfix -c "$0" check && exec /usr/lib/postfix/sbin/master -c "$0" -s"#;

/// Installs Postfix and starts it.
pub fn start(dir: &Path, authority: &Authority) -> Result<Server> {
    let version = packages::install(&["postfix"])?;
    let (parent, dir) = (dir, dir.join("postfix"));
    let [config, queue, data, log] = ["config", "queue", "data", "log"].map(|name| dir.join(name));
    fs::create_dir_all(&config)?;
    fs::create_dir(&queue)?;
    let main = format!(
        "\
compatibility_level = 3.6
myhostname = localhost
mydestination =
inet_protocols = ipv4
queue_directory = {queue}
data_directory = {data}
maillog_file = {log}
maillog_file_prefixes = {dir}
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_sasl_type = dovecot
smtpd_sasl_path = {sasl}
",
        sasl = dovecot::sasl(parent).display(),
        queue = queue.display(),
        data = data.display(),
        log = log.display(),
        dir = dir.display(),
    );
    fs::write(config.join("main.cf"), main)?;

    let ports: [u16; Offer::ALL.len()] = free_ports();
    let case = |login| move |(offer, port)| Case { protocol: "smtp", offer, port, login };
    let mut cases: Vec<_> = zip(Offer::ALL, ports).map(case(false)).collect();
    // These ask Dovecot, which may start after them: nobody connects before all have.
    cases.extend(zip([Offer::Good, Offer::Nothing], free_ports::<2>()).map(case(true)));
    let mut services = String::from(INTERNAL);
    for Case { offer, port, login, .. } in &cases {
        let tls = *offer != Offer::Nothing;
        services += &format!(
            "127.0.0.1:{port} inet n - n - - smtpd \
             -o smtpd_tls_security_level={level} -o smtpd_tls_chain_files={key},{certificate} \
             -o smtpd_sasl_auth_enable={login} -o smtpd_tls_auth_only={tls_only}\n",
            level = if tls { "may" } else { "none" },
            key = authority.key(*offer).display(),
            certificate = authority.certificate(*offer).display(),
            login = if *login { "yes" } else { "no" },
            tls_only = if tls { "yes" } else { "no" },
        );
    }
    fs::write(config.join("master.cf"), services)?;

    let config = config.to_str().ok_or("the directory's name is not UTF-8")?;
    let process = Process::start(&["sh", "-c", START, config], &log, &ports)?;
    Ok(Server { name: "Postfix", version, cases, processes: vec![process] })
}
