//! Debian's packages.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::{Result, output};

/// Keeps packages from starting their services.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs those of the packages that are missing, and returns the upstream version of the first.
pub fn install(packages: &[&str]) -> Result<String> {
    install_with(packages, &[])
}

/// The same, with this in the environment of the scripts that configure the packages.
pub fn install_with(packages: &[&str], environment: &[(&str, &Path)]) -> Result<String> {
    // Servers start at once, but packages are installed by one at a time.
    static LOCK: Mutex<()> = Mutex::new(());
    let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let missing = |package: &&&str| query(package, "${db:Status-Status}").is_none_or(|status| status != "installed");
    let missing: Vec<_> = packages.iter().filter(missing).collect();
    if !missing.is_empty() {
        println!("installing {missing:?}");
        let guarded = Path::new(POLICY).exists();
        if !guarded {
            fs::write(POLICY, "#!/bin/sh\nexit 101\n")?;
            fs::set_permissions(POLICY, Permissions::from_mode(0o755))?;
        }
        let apt = |args: &[&str]| {
            let environment = environment.iter().copied();
            output(Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").envs(environment).args(args))
        };
        let install = [&["install", "-y", "--no-install-recommends"], packages].concat();
        // The lists of packages may be missing or old.
        let installed = apt(&install).or_else(|_| apt(&["update"]).and_then(|_| apt(&install)));
        if !guarded {
            fs::remove_file(POLICY)?;
        }
        installed?;
    }
    query(packages[0], "${source:Upstream-Version}").ok_or_else(|| format!("{} has no version", packages[0]).into())
}

/// A field of a package; `None` if nothing is known of it.
fn query(package: &str, field: &str) -> Option<String> {
    output(Command::new("dpkg-query").args(["-W", "-f", field, package])).ok()
}
