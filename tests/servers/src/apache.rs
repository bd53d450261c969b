//! Apache httpd, for HTTP: a server that knows no upgrade to TLS any more, and answers the request instead.

use std::path::Path;

use crate::authority::Authority;
use crate::case::Offer;
use crate::server::Server;
use crate::{Result, packages};

/// Installs Apache httpd and starts it.
pub fn start(dir: &Path, authority: &Authority) -> Result<Server> {
    let version = packages::install(&["apache2"])?;
    Server::instances(("Apache", version), dir, authority, ["http"], &[Offer::Nothing], |instance| {
        let config = format!(
            "\
ServerRoot {dir}
ServerName mail.example
Listen 127.0.0.1:{port}
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
PidFile {dir}/pid
ErrorLog {log}
User www-data
Group www-data
",
            dir = instance.dir.display(),
            port = instance.ports[0],
            log = instance.log.display(),
        );
        let config = instance.write("config", &config)?;
        Ok(["/usr/sbin/apache2", "-DFOREGROUND", "-f", &config].map(Into::into).into())
    })
}
