//! The NATS server.

use std::path::Path;

use crate::authority::Authority;
use crate::case::Offer;
use crate::server::Server;
use crate::{Result, packages};

/// Installs the NATS server and starts it.
pub fn start(dir: &Path, authority: &Authority) -> Result<Server> {
    let version = packages::install(&["nats-server"])?;
    let offers = [Offer::Good, Offer::Nothing];
    Server::instances(("NATS", version), dir, authority, ["nats"], &offers, |instance| {
        let mut config = format!("host: 127.0.0.1\nport: {}\n", instance.ports[0]);
        if instance.offer != Offer::Nothing {
            let [certificate, key] = [&instance.certificate, &instance.key].map(|path| path.display());
            config += &format!("tls {{\n  cert_file: \"{certificate}\"\n  key_file: \"{key}\"\n}}\n");
        }
        Ok(["nats-server", "-c", &instance.write("config", &config)?].map(Into::into).into())
    })
}
