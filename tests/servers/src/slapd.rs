//! OpenLDAP's slapd.

use std::fs;
use std::path::Path;

use crate::authority::Authority;
use crate::case::Offer;
use crate::server::Server;
use crate::{Result, packages};

/// Installs slapd and starts it.
pub fn start(dir: &Path, authority: &Authority) -> Result<Server> {
    let version = packages::install(&["slapd"])?;
    let offers = [Offer::Good, Offer::Nothing, Offer::WrongName];
    Server::instances(("slapd", version), dir, authority, ["ldap"], &offers, |instance| {
        let data = instance.dir.join("data");
        fs::create_dir(&data)?;
        let tls = if instance.offer == Offer::Nothing {
            String::new()
        } else {
            format!(
                "TLSCertificateFile {}\nTLSCertificateKeyFile {}\nTLSVerifyClient never\n",
                instance.certificate.display(),
                instance.key.display()
            )
        };
        let config = format!(
            "\
include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
{tls}
database mdb
suffix \"dc=example\"
directory {data}
",
            data = data.display(),
        );
        let config = instance.write("config", &config)?;
        let url = format!("ldap://127.0.0.1:{}/", instance.ports[0]);
        // The level of debugging keeps it in the foreground.
        Ok(["/usr/sbin/slapd", "-h", &url, "-f", &config, "-d", "0"].map(Into::into).into())
    })
}
