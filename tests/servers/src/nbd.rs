//! Servers of network block devices: QEMU's, and nbdkit.

use std::fs;
use std::path::Path;

use crate::authority::Authority;
use crate::case::Offer;
use crate::server::{Instance, Server};
use crate::{Result, packages};

const OFFERS: [Offer; 2] = [Offer::Good, Offer::Nothing];

/// Installs qemu-nbd and starts it.
pub fn qemu(dir: &Path, authority: &Authority) -> Result<Server> {
    let version = packages::install(&["qemu-utils"])?;
    Server::instances(("qemu-nbd", version), dir, authority, ["nbd"], &OFFERS, |instance| {
        let image = instance.write("image", &"\0".repeat(512))?;
        let port = instance.ports[0].to_string();
        let mut args = ["qemu-nbd", "--persistent", "--read-only", "--format=raw", "-b", "127.0.0.1", "-p", &port]
            .map(String::from)
            .to_vec();
        if instance.offer != Offer::Nothing {
            let dir = certificates(instance)?;
            let credentials = "tls-creds-x509,id=tls0,endpoint=server,verify-peer=no,sanity-check=no";
            args.extend(["--object".into(), format!("{credentials},dir={dir}"), "--tls-creds=tls0".into()]);
        }
        args.push(image);
        Ok(args)
    })
}

/// Installs nbdkit and starts it.
pub fn nbdkit(dir: &Path, authority: &Authority) -> Result<Server> {
    let version = packages::install(&["nbdkit"])?;
    Server::instances(("nbdkit", version), dir, authority, ["nbd"], &OFFERS, |instance| {
        let port = instance.ports[0].to_string();
        let mut args = ["nbdkit", "-f", "-i", "127.0.0.1", "-p", &port].map(String::from).to_vec();
        args.extend(match instance.offer {
            Offer::Nothing => vec!["--tls=off".into()],
            _ => vec!["--tls=on".into(), format!("--tls-certificates={}", certificates(instance)?)],
        });
        args.extend(["null", "size=512"].map(Into::into));
        Ok(args)
    })
}

/// Puts the certificates under the names that both look for, and returns the folder.
fn certificates(instance: &Instance<1>) -> Result<String> {
    instance.copy_certificate("server-cert.pem", "server-key.pem")?;
    fs::copy(&instance.ca, instance.dir.join("ca-cert.pem"))?;
    Ok(instance.dir.display().to_string())
}
