//! munin-node. With `tls disabled` it upgrades all the same, so the one that declines has no key.

use std::path::Path;

use crate::authority::Authority;
use crate::case::Offer;
use crate::server::Server;
use crate::{Result, packages};

/// Installs munin-node and starts it.
pub fn start(dir: &Path, authority: &Authority) -> Result<Server> {
    // The second is only recommended by the first.
    let version = packages::install(&["munin-node", "libnet-ssleay-perl"])?;
    let offers = [Offer::Good, Offer::Nothing];
    Server::instances(("munin-node", version), dir, authority, ["munin"], &offers, |instance| {
        let config = format!(
            "\
host 127.0.0.1
port {port}
host_name mail.example
allow ^127\\.0\\.0\\.1$
user root
group root
background 0
setsid 0
log_file {log}
pid_file {dir}/pid
tls enabled
tls_certificate {certificate}
tls_private_key {key}
tls_ca_certificate {ca}
",
            port = instance.ports[0],
            log = instance.log.display(),
            dir = instance.dir.display(),
            certificate = instance.certificate.display(),
            key = if instance.offer == Offer::Nothing {
                "/nonexistent".into()
            } else {
                instance.key.display().to_string()
            },
            ca = instance.ca.display(),
        );
        let config = instance.write("config", &config)?;
        Ok(["/usr/sbin/munin-node", "--config", &config].map(Into::into).into())
    })
}
