//! PostgreSQL.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::authority::Authority;
use crate::case::Offer;
use crate::server::Server;
use crate::{Result, output, packages};

/// Installs PostgreSQL and starts it.
pub fn start(dir: &Path, authority: &Authority) -> Result<Server> {
    packages::install(&["postgresql"])?;
    let newest = fs::read_dir("/usr/lib/postgresql")?.filter_map(|entry| entry.ok().map(|entry| entry.path())).max();
    let bin = newest.ok_or("no PostgreSQL below /usr/lib/postgresql")?.join("bin");
    // The package that follows the newest version has a version of its own, which is not the server's.
    let version = output(Command::new(bin.join("postgres")).arg("-V"))?;
    let version = version.split_whitespace().nth(2).unwrap_or_default().to_owned();
    let offers = [Offer::Good, Offer::Nothing, Offer::UnknownCa];
    Server::instances(("PostgreSQL", version), dir, authority, ["postgres"], &offers, |instance| {
        instance.copy_certificate("server.crt", "server.key")?;
        let user = instance.give_to("postgres")?;
        let data = instance.dir.join("data").display().to_string();
        let mut initdb = Command::new(&user[0]);
        initdb.args(&user[1..]).arg(bin.join("initdb"));
        output(initdb.args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", "-D", &data]))?;
        let settings = [
            "listen_addresses=127.0.0.1".into(),
            format!("port={}", instance.ports[0]),
            format!("unix_socket_directories={}", instance.dir.display()),
            format!("ssl={}", if instance.offer == Offer::Nothing { "off" } else { "on" }),
            "ssl_cert_file=../server.crt".into(),
            "ssl_key_file=../server.key".into(),
        ];
        let mut args = user;
        args.extend([bin.join("postgres").display().to_string(), "-D".into(), data]);
        args.extend(settings.into_iter().flat_map(|setting| ["-c".into(), setting]));
        Ok(args)
    })
}
