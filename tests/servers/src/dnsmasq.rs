//! dnsmasq, which names mail servers for `check --mx`.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::server::{Process, free_ports};
use crate::{Result, Setting, packages, row};

/// So many mail servers do not fit into an answer over UDP, which has 512 bytes: each takes 16 and its name.
const MANY: usize = 40;

/// A domain under example, and what has to come of it: the mail servers in their order, or what the tool complains of.
type Domain = (&'static str, std::result::Result<Vec<String>, &'static str>);

/// How many domains are checked.
pub const DOMAINS: usize = 6;

fn domains() -> [Domain; DOMAINS] {
    let preferred = || ["first.example", "second.example"].map(Into::into).into();
    [
        ("preferred", Ok(preferred())),
        ("alias", Ok(preferred())),
        ("direct", Ok(["direct.example".into()].into())),
        ("many", Ok((0..MANY).map(|number| format!("mail{number}.example")).collect())),
        ("null", Err("it takes no mail, says its null MX (RFC 7505)")),
        ("missing", Err("there is no such domain")),
    ]
}

/// Starts dnsmasq, and checks each domain, all of whose mail servers are the one at this port; how many went wrong.
pub fn run(dir: &Path, setting: &Setting, smtp: u16) -> Result<usize> {
    let version = packages::install(&["dnsmasq-base"])?;
    let [port] = free_ports();
    let mut args =
        ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root"]
            .map(str::to_owned)
            .to_vec();
    args.extend(
        ["--listen-address=127.0.0.1", "--bind-interfaces", "--pid-file=", "--local=/example/"].map(Into::into),
    );
    args.extend([format!("--port={port}"), "--dns-rr=null.example,15,000000".into()]);
    args.extend(
        ["--cname=alias.example,preferred.example", "--host-record=preferred.example,127.83.0.1"].map(Into::into),
    );
    args.extend(
        ["20", "10"]
            .into_iter()
            .zip(["second", "first"])
            .map(|(preference, host)| format!("--mx-host=preferred.example,{host}.example,{preference}")),
    );
    args.extend((0..MANY).map(|number| format!("--mx-host=many.example,mail{number}.example,{number}")));
    let hosts = ["first", "second", "direct"].map(str::to_owned).into_iter();
    let hosts = hosts.chain((0..MANY).map(|number| format!("mail{number}")));
    args.extend(hosts.map(|host| format!("--host-record={host}.example,127.0.0.1")));
    let _process = Process::start(&args, &dir.join("dnsmasq.log"), &[port])?;
    let mut wrong = 0;
    for (domain, expected) in domains() {
        let verified = check(domain, expected, setting, smtp, port);
        let outcome = verified.as_ref().map_or("error".into(), |verified| format!("{verified} mail servers verified"));
        row(["dnsmasq", &version, "mx", domain, "tool", &outcome, "-", "-"]);
        if let Err(error) = verified {
            wrong += 1;
            println!("  FAILED: {error}");
        }
    }
    Ok(wrong)
}

/// How many mail servers were verified, if all is as expected.
fn check(
    domain: &str,
    expected: std::result::Result<Vec<String>, &str>,
    setting: &Setting,
    smtp: u16,
    dns: u16,
) -> Result<usize> {
    let output = Command::new("timeout")
        .arg("60")
        .arg(&setting.tool)
        .args(["check", "--mx", "--json", "--name", "client.example", "--server-name", "localhost", "--timeout", "30"])
        .arg("--ca-file")
        .arg(setting.authority.ca())
        .args(["--resolver", &format!("127.0.0.1:{dns}"), &format!("{domain}.example:{smtp}")])
        .output()?;
    let (text, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let reports: Vec<Value> = text.lines().map(serde_json::from_str).collect::<std::result::Result<_, _>>()?;
    let verified: Vec<_> = reports.iter().filter(|report| report["tls"]["verified"] == true).collect();
    let right = match &expected {
        Ok(hosts) => {
            let targets = hosts.iter().map(|host| format!("{host}:{smtp}"));
            targets.eq(verified.iter().filter_map(|report| report["target"].as_str()))
                && output.status.code() == Some(0)
        }
        Err(words) => complaint.contains(words) && output.status.code() == Some(3),
    };
    if right { Ok(verified.len()) } else { Err(format!("{}, unexpected: {text}{complaint}", output.status).into()) }
}
