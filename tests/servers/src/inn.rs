//! INN2's nnrpd, for NNTP. Without a certificate it offers TLS all the same, and refuses the command.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::authority::Authority;
use crate::case::Offer;
use crate::server::Server;
use crate::{Result, output, packages};

/// Installs INN2 and starts its server for readers, alone.
pub fn start(dir: &Path, authority: &Authority) -> Result<Server> {
    // The package's script fails on a host whose name has no domain, unless a configuration names one.
    let state = dir.join("INN-package");
    fs::create_dir(&state)?;
    let config = state.join("inn.conf");
    fs::write(&config, configuration(&state.display().to_string()))?;
    let version = packages::install_with(&["inn2"], &[("INNCONF", &config)])?;
    let offers = [Offer::Good, Offer::Nothing, Offer::UnknownCa];
    Server::instances(("INN", version), dir, authority, ["nntp"], &offers, |instance| {
        let root = instance.dir.display().to_string();
        let mut config = configuration(&root);
        if instance.offer != Offer::Nothing {
            instance.copy_certificate("cert.pem", "key.pem")?;
            config += &format!("tlscertfile: {root}/cert.pem\ntlskeyfile: {root}/key.pem\n");
        }
        let config = instance.write("inn.conf", &config)?;
        instance.write(
            "readers.conf",
            "auth all { hosts: * default: <all> }\naccess all { users: <all> newsgroups: * }\n",
        )?;
        for empty in ["storage.conf", "active", "active.times", "newsgroups", "history", "group.index"] {
            instance.write(empty, "")?;
        }
        let mut args = instance.give_to("news")?;
        let makedbz = ["/usr/lib/news/bin/makedbz", "-i", "-o", "-f", &format!("{root}/history")].map(String::from);
        output(Command::new(&args[0]).args(&args[1..]).args(makedbz).env("INNCONF", &config))?;
        let port = instance.ports[0].to_string();
        args.insert(0, "env".into());
        args.insert(1, format!("INNCONF={config}"));
        args.extend(["/usr/lib/news/bin/nnrpd", "-D", "-f", "-4", "127.0.0.1", "-p", &port].map(Into::into));
        Ok(args)
    })
}

/// An `inn.conf` that keeps everything in one folder.
fn configuration(root: &str) -> String {
    let mut config = String::from(
        "\
domain: example
pathhost: mail.example
pathnews: /usr/lib/news
mta: \"/bin/false\"
hismethod: hisv6
ovmethod: tradindexed
enableoverview: true
nnrpdloadlimit: 0
",
    );
    let paths = ["archive", "articles", "db", "etc", "filter", "http", "incoming", "log", "outgoing", "overview"];
    for path in paths.into_iter().chain(["run", "spool", "tmp"]) {
        config += &format!("path{path}: {root}\n");
    }
    config
}
