//! InspIRCd, for IRC.

use std::path::Path;

use crate::authority::Authority;
use crate::case::Offer;
use crate::server::Server;
use crate::{Result, packages};

/// Installs InspIRCd and starts it.
pub fn start(dir: &Path, authority: &Authority) -> Result<Server> {
    let version = packages::install(&["inspircd"])?;
    let offers = [Offer::Good, Offer::Nothing];
    Server::instances(("InspIRCd", version), dir, authority, ["irc"], &offers, |instance| {
        let modules = if instance.offer == Offer::Nothing {
            String::new()
        } else {
            instance.copy_certificate("cert", "key")?;
            format!(
                "\
<module name=\"ssl_gnutls\">
<module name=\"starttls\">
<sslprofile name=\"tls\" provider=\"gnutls\" certfile=\"{dir}/cert\" keyfile=\"{dir}/key\">
<starttls sslprofile=\"tls\">
",
                dir = instance.dir.display(),
            )
        };
        // Without STARTTLS it says nothing to the command, until the client has not registered for so many seconds.
        let timeout = if instance.offer == Offer::Nothing { 1 } else { 60 };
        let config = format!(
            "\
<server name=\"mail.example\" description=\"test\" network=\"test\">
<admin name=\"test\" nick=\"test\" email=\"test@mail.example\">
<bind address=\"127.0.0.1\" port=\"{port}\" type=\"clients\">
<connect allow=\"*\" timeout=\"{timeout}\" resolvehostnames=\"no\" useident=\"no\">
<options nouserdns=\"yes\">
<pid file=\"{dir}/pid\">
<path datadir=\"{dir}\" logdir=\"{dir}\" runtimedir=\"{dir}\">
<log method=\"file\" type=\"*\" level=\"default\" target=\"{log}\">
<module name=\"cap\">
{modules}",
            port = instance.ports[0],
            dir = instance.dir.display(),
            log = instance.log.display(),
        );
        let config = instance.write("config", &config)?;
        let mut args = instance.give_to("irc")?;
        args.extend(["/usr/sbin/inspircd", "--nofork", "--config", &config].map(Into::into));
        Ok(args)
    })
}
