//! MariaDB, for MySQL's protocol.

use std::path::Path;
use std::process::Command;

use crate::authority::Authority;
use crate::case::Offer;
use crate::server::{Instance, Server};
use crate::{Result, output, packages};

/// What has to be installed.
pub const PACKAGE: &str = "mariadb-server";

/// Installs MariaDB and starts it.
pub fn start(dir: &Path, authority: &Authority) -> Result<Server> {
    let version = packages::install(&[PACKAGE])?;
    let offers = [Offer::Good, Offer::Nothing];
    Server::instances(("MariaDB", version), dir, authority, ["mysql"], &offers, |instance| {
        let [port] = instance.ports;
        command(instance, &format!("127.0.0.1:{port}"))
    })
}

/// Makes an empty database, and returns the command that serves it at this address and a socket in the instance's folder.
pub fn command<const N: usize>(instance: &Instance<N>, address: &str) -> Result<Vec<String>> {
    instance.copy_certificate("cert", "key")?;
    let user = instance.give_to("mysql")?;
    let root = instance.dir.display();
    let data = format!("--datadir={root}/data");
    let install = ["--no-defaults", "--skip-test-db", "--auth-root-authentication-method=normal"];
    output(Command::new("mariadb-install-db").args(install).args(["--user=mysql", &data]))?;
    let (host, port) = address.split_once(':').ok_or("an address has a port")?;
    let mut args = user;
    args.extend(["/usr/sbin/mariadbd", "--no-defaults", &data].map(Into::into));
    args.extend([
        format!("--bind-address={host}"),
        format!("--port={port}"),
        format!("--socket={root}/socket"),
        format!("--pid-file={root}/pid"),
        // As it starts, it removes the temporary tables there, whosever they are.
        format!("--tmpdir={root}"),
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
}
