//! CUPS, for IPP. It cannot be told to decline: it upgrades even under `DefaultEncryption Never`.

use std::fs;
use std::path::Path;

use crate::authority::Authority;
use crate::case::Offer;
use crate::server::Server;
use crate::{Result, packages};

/// Installs CUPS and starts it.
pub fn start(dir: &Path, authority: &Authority) -> Result<Server> {
    let version = packages::install(&["cups-daemon"])?;
    let offers = [Offer::Good, Offer::Expired];
    Server::instances(("CUPS", version), dir, authority, ["ipp"], &offers, |instance| {
        // It takes the certificate by the name that the client asks for.
        instance.copy_certificate("localhost.crt", "localhost.key")?;
        let root = instance.dir.display();
        let config = format!(
            "\
Listen 127.0.0.1:{port}
ServerName localhost
DefaultEncryption IfRequested
Browsing No
WebInterface No
<Location />
  Order allow,deny
  Allow all
</Location>
",
            port = instance.ports[0],
        );
        let files = format!(
            "\
ServerRoot {root}
ServerKeychain {root}
CreateSelfSignedCerts no
CacheDir {root}/cache
StateDir {root}/state
RequestRoot {root}/spool
TempDir {root}/spool
AccessLog {root}/access
ErrorLog {root}/log
PageLog {root}/page
",
        );
        for name in ["cache", "state", "spool"] {
            fs::create_dir(instance.dir.join(name))?;
        }
        let [config, files] = [instance.write("config", &config)?, instance.write("files", &files)?];
        Ok(["/usr/sbin/cupsd", "-f", "-c", &config, "-s", &files].map(Into::into).into())
    })
}
