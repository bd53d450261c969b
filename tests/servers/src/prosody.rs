//! Prosody, for XMPP from clients and from servers.

use std::path::Path;

use crate::authority::Authority;
use crate::case::Offer;
use crate::server::Server;
use crate::{Result, packages};

/// Installs Prosody and starts it.
pub fn start(dir: &Path, authority: &Authority) -> Result<Server> {
    let version = packages::install(&["prosody"])?;
    let offers = [Offer::Good, Offer::Nothing];
    Server::instances(("Prosody", version), dir, authority, ["xmpp", "xmpp-server"], &offers, |instance| {
        let [c2s, s2s] = instance.ports;
        let tls = instance.offer != Offer::Nothing;
        let config = format!(
            "\
data_path = \"{dir}\"
pidfile = \"{dir}/pid\"
log = {{ info = \"*console\" }}
interfaces = {{ \"127.0.0.1\" }}
c2s_ports = {{ {c2s} }}
s2s_ports = {{ {s2s} }}
modules_enabled = {{ \"saslauth\"; \"dialback\"; {module} }}
-- These are loaded unless they are disabled.
modules_disabled = {{ \"s2s_bidi\"; {disabled} }}
authentication = \"internal_hashed\"
c2s_require_encryption = {tls}
s2s_require_encryption = {tls}
ssl = {{ certificate = \"{certificate}\"; key = \"{key}\" }}
VirtualHost \"localhost\"
VirtualHost \"mail.example\"
",
            dir = instance.dir.display(),
            module = if tls { "\"tls\"" } else { "" },
            disabled = if tls { "" } else { "\"tls\"" },
            certificate = instance.certificate.display(),
            key = instance.key.display(),
        );
        let config = instance.write("config.lua", &config)?;
        let mut args = instance.give_to("prosody")?;
        args.extend(["/usr/bin/prosody", "-F", "--config", &config].map(Into::into));
        Ok(args)
    })
}
