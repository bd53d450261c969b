//! The server of Network UPS Tools. Debian builds it with NSS, which keeps certificates in a database of its own.

use std::path::Path;
use std::process::Command;

use crate::authority::Authority;
use crate::case::Offer;
use crate::server::{Instance, Server};
use crate::{Result, output, packages};

/// The database and the file that the key comes in want a password, and do not take none.
const PASSWORD: &str = "secret";

/// Installs upsd and starts it.
pub fn start(dir: &Path, authority: &Authority) -> Result<Server> {
    let version = packages::install(&["nut-server", "libnss3-tools", "openssl"])?;
    let offers = [Offer::Good, Offer::Nothing];
    Server::instances(("NUT", version), dir, authority, ["nut"], &offers, |instance| {
        let root = instance.dir.display().to_string();
        let mut config = format!("LISTEN 127.0.0.1 {}\nSTATEPATH {root}\n", instance.ports[0]);
        if instance.offer != Offer::Nothing {
            import(instance, &root)?;
            config += &format!("CERTPATH \"{root}\"\nCERTIDENT \"server\" \"{PASSWORD}\"\n");
        }
        instance.write("upsd.conf", &config)?;
        instance.write("upsd.users", "")?;
        instance.write("ups.conf", "[dummy]\ndriver = dummy-ups\nport = dummy.dev\n")?;
        instance.give_to("nut")?;
        // The program in the path reads its mode from the system's configuration first.
        Ok(["env", &format!("NUT_CONFPATH={root}"), &format!("NUT_STATEPATH={root}"), "/lib/nut/upsd", "-F"]
            .map(Into::into)
            .into())
    })
}

/// Makes the database, with the certificate by the name of `server`.
fn import(instance: &Instance<1>, root: &str) -> Result<()> {
    let [password, archive] = [instance.write("password", PASSWORD)?, format!("{root}/server.p12")];
    let mut export = Command::new("openssl");
    export.args(["pkcs12", "-export", "-name", "server", "-passout", &format!("pass:{PASSWORD}"), "-out", &archive]);
    output(export.arg("-in").arg(&instance.certificate).arg("-inkey").arg(&instance.key))?;
    let database = format!("sql:{root}");
    output(Command::new("certutil").args(["-N", "-d", &database, "-f", &password]))?;
    let mut ca = Command::new("certutil");
    output(ca.args(["-A", "-d", &database, "-f", &password, "-n", "ca", "-t", "C,,", "-i"]).arg(&instance.ca))?;
    output(Command::new("pk12util").args(["-i", &archive, "-d", &database, "-k", &password, "-w", &password]))?;
    Ok(())
}
