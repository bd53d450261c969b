//! MariaDB, for MySQL's protocol.

use std::path::Path;
use std::process::Command;

use crate::authority::Authority;
use crate::case::Offer;
use crate::server::Server;
use crate::{Result, output, packages};

/// Installs MariaDB and starts it.
pub fn start(dir: &Path, authority: &Authority) -> Result<Server> {
    let version = packages::install(&["mariadb-server"])?;
    let offers = [Offer::Good, Offer::Nothing];
    Server::instances(("MariaDB", version), dir, authority, ["mysql"], &offers, |instance| {
        instance.copy_certificate("cert", "key")?;
        let user = instance.give_to("mysql")?;
        let root = instance.dir.display();
        let data = format!("--datadir={root}/data");
        let install = ["--no-defaults", "--skip-test-db", "--auth-root-authentication-method=normal"];
        output(Command::new("mariadb-install-db").args(install).args(["--user=mysql", &data]))?;
        let mut args = user;
        args.extend(["/usr/sbin/mariadbd", "--no-defaults", &data].map(Into::into));
        args.extend([
            "--bind-address=127.0.0.1".into(),
            format!("--port={}", instance.ports[0]),
            format!("--socket={root}/socket"),
            format!("--pid-file={root}/pid"),
        ]);
        if instance.offer == Offer::Nothing {
            args.push("--skip-ssl".into());
        } else {
            args.extend([
                format!("--ssl-ca={}", instance.ca.display()),
                format!("--ssl-cert={root}/cert"),
                format!("--ssl-key={root}/key"),
            ]);
        }
        Ok(args)
    })
}
