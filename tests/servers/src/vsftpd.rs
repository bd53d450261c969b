//! vsftpd, for FTP.

use std::fs;
use std::path::Path;

use crate::authority::Authority;
use crate::case::Offer;
use crate::server::Server;
use crate::{Result, packages};

/// Installs vsftpd and starts it.
pub fn start(dir: &Path, authority: &Authority) -> Result<Server> {
    let version = packages::install(&["vsftpd"])?;
    let offers = [Offer::Good, Offer::Nothing, Offer::Expired];
    Server::instances(("vsftpd", version), dir, authority, ["ftp"], &offers, |instance| {
        let empty = instance.dir.join("empty");
        fs::create_dir(&empty)?;
        let config = format!(
            "\
background=NO
listen=YES
listen_address=127.0.0.1
listen_port={port}
anonymous_enable=YES
anon_root={empty}
secure_chroot_dir={empty}
seccomp_sandbox=NO
vsftpd_log_file={log}
ssl_enable={ssl}
allow_anon_ssl=YES
# Clients may take the data connection's session from elsewhere.
require_ssl_reuse=NO
rsa_cert_file={certificate}
rsa_private_key_file={key}
",
            port = instance.ports[0],
            empty = empty.display(),
            log = instance.log.display(),
            ssl = if instance.offer == Offer::Nothing { "NO" } else { "YES" },
            certificate = instance.certificate.display(),
            key = instance.key.display(),
        );
        Ok(vec!["/usr/sbin/vsftpd".into(), instance.write("config", &config)?])
    })
}
