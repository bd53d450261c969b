//! TigerVNC.

use std::path::Path;

use crate::authority::Authority;
use crate::case::Offer;
use crate::server::Server;
use crate::{Result, packages};

/// Installs TigerVNC and starts it.
pub fn start(dir: &Path, authority: &Authority) -> Result<Server> {
    let version = packages::install(&["tigervnc-standalone-server"])?;
    let offers = [Offer::Good, Offer::Nothing];
    Server::instances(("TigerVNC", version), dir, authority, ["vnc"], &offers, |instance| {
        let port = instance.ports[0].to_string();
        // It takes a display that is free, and writes its number to the log.
        let mut args =
            ["Xtigervnc", "-displayfd", "1", "-rfbport", &port, "-interface", "127.0.0.1", "-nolisten", "tcp"]
                .map(String::from)
                .to_vec();
        args.push("-SecurityTypes".into());
        if instance.offer == Offer::Nothing {
            args.push("None".into());
        } else {
            let [certificate, key] = [&instance.certificate, &instance.key].map(|path| path.display().to_string());
            args.extend(["X509None,TLSNone,None".into(), "-X509Cert".into(), certificate, "-X509Key".into(), key]);
        }
        Ok(args)
    })
}
