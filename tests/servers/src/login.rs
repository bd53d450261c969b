//! The tool logs in, by way of a relay that sees what anybody on the path would.

use std::net::Ipv4Addr;

use starttls_replay::relay;

use crate::case::{Case, Offer, Verdict};
use crate::client::{self, Report};
use crate::{Result, Setting};

/// Who can log in, and with what.
pub const USER: &str = "alice";
pub const PASSWORD: &str = "correct-horse";

/// What stands in the base64 of the password at any alignment, whatever comes before and behind it.
const BASE64: [&str; 3] = ["cmVjdC1o", "cnJlY3Qt", "b3JyZWN0"];

/// What the tool makes of a server that has logins, with the right password and with a wrong one; nothing for the others.
pub fn verdicts(case: &Case, setting: &Setting) -> Vec<(&'static str, Result<Verdict>)> {
    let passwords = [("login", PASSWORD), ("bad login", "correct-horseradish")];
    let passwords = passwords.into_iter().filter(|_| case.login);
    passwords.map(|(name, password)| (name, verdict(case, setting, password))).collect()
}

fn verdict(case: &Case, setting: &Setting, password: &str) -> Result<Verdict> {
    let (relay, seen) = relay((Ipv4Addr::LOCALHOST, case.port).into())?;
    let mut command = client::command(case.protocol, relay.address().port(), setting);
    command.args(["--auth", USER]).env("STARTTLS_PASSWORD", password);
    let Report { json, mut verdict } = client::report(&mut command)?;
    // A login that is refused, or was not tried, is all that may be wrong.
    let good = case.offer == Offer::Good;
    let accepted = json["session"]["login"]["accepted"].as_bool();
    if accepted != good.then_some(password == PASSWORD) {
        return Err(format!("accepted: {accepted:?}: {json}").into());
    }
    if verdict.exit != Some(if accepted == Some(true) { 0 } else { 2 }) {
        return Err(format!("exit code {:?}: {json}", verdict.exit).into());
    }
    verdict.exit = None;
    // Those that would have taken it.
    let offered = json["findings"].as_array().is_some_and(|all| all.iter().any(|one| one["id"] == "cleartext-login"));
    if case.offer == Offer::Nothing && case.protocol != "pop3" && !offered {
        return Err(format!("it does not offer the login in the clear: {json}").into());
    }
    let seen = seen.lock().map_err(|_| "the relay panicked")?;
    let seen = String::from_utf8_lossy(&seen);
    let shown = json.to_string();
    let mut secrets = BASE64.iter().chain(&[PASSWORD]);
    match secrets.find(|secret| seen.contains(**secret) || shown.contains(**secret)) {
        Some(secret) => Err(format!("{secret} was seen on the wire or in the report: {seen:?} {shown}").into()),
        None if seen.is_empty() && verdict.round_trips > Some(1) => Err("the relay saw nothing".into()),
        None => Ok(verdict),
    }
}
