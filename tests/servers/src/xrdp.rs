//! xrdp.

use std::path::Path;

use crate::authority::Authority;
use crate::case::Offer;
use crate::server::Server;
use crate::{Result, packages};

/// Installs xrdp and starts it.
pub fn start(dir: &Path, authority: &Authority) -> Result<Server> {
    let version = packages::install(&["xrdp"])?;
    let offers = [Offer::Good, Offer::Nothing];
    Server::instances(("xrdp", version), dir, authority, ["rdp"], &offers, |instance| {
        let config = format!(
            "\
[Globals]
ini_version=1
fork=true
port=tcp://127.0.0.1:{port}
security_layer={layer}
certificate={certificate}
key_file={key}
ssl_protocols=TLSv1.2, TLSv1.3
[Logging]
LogFile={log}
LogLevel=INFO
EnableConsole=true
",
            port = instance.ports[0],
            layer = if instance.offer == Offer::Nothing { "rdp" } else { "tls" },
            certificate = instance.certificate.display(),
            key = instance.key.display(),
            log = instance.log.display(),
        );
        let config = instance.write("xrdp.ini", &config)?;
        Ok(["/usr/sbin/xrdp", "--nodaemon", "--config", &config].map(Into::into).into())
    })
}
