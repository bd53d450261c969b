//! `starttls check --script`.

mod support;

use std::fs;
use std::path::Path;

use serde_json::Value;
use starttls_replay::{Authority, Flaw, Server, Transcript, play};
use support::{Run, arguments, run, tool};

/// Checks a server of the made-up protocol with this script.
fn check(script: &str, name: &str) -> Run {
    let authority = Authority::default();
    let transcript: Transcript = "S: FROB/1 ready\nC: SECURE\nS: AYE\n= upgraded".parse().expect("a transcript");
    let config = authority.server_config(Flaw::None);
    let server = Server::start(move |stream| play(stream, &transcript, config.clone())).expect("a free port");
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("starttls-script-{}-{name}", std::process::id()));
    fs::write(&file, script).expect("a temporary file");
    let mut arguments = arguments("smtp", &server, &authority);
    let target = arguments.last_mut().expect("the target");
    *target = server.address().to_string();
    let run = tool().args(arguments).arg("--json").arg("--script").arg(&file).output().expect("the tool starts").into();
    fs::remove_file(&file).expect("it is still there");
    run
}

#[test]
fn a_script_upgrades() {
    let run = check("expect \"FROB/1 \"\nsend \"SECURE\\r\\n\"\nrefuse \"NO\"\nexpect \"AYE\\n\"\n", "upgrades");
    let report = run.report();
    assert_eq!((run.code, &report["outcome"], &report["protocol"]), (0, &"upgraded".into(), &Value::Null), "{report}");
    assert_eq!(report["cleartext"]["round_trips"], 2);
}

#[test]
fn a_script_refuses_and_expects_exactly() {
    let run_refuse = check("expect \"FROB/1 \"\nsend \"SECURE\\r\\n\"\nrefuse \"AYE\"\nexpect \"YES\"\n", "refuses");
    assert_eq!((run_refuse.code, &run_refuse.report()["failure"]["kind"]), (2, &"refused".into()));
    let run_other = check("expect \"FROB/1 \"\nsend \"SECURE\\r\\n\"\nexpect \"AY\\n\"\n", "expects");
    assert_eq!((run_other.code, &run_other.report()["failure"]["kind"]), (2, &"protocol".into()));
}

#[test]
fn what_is_wrong_with_a_script_is_told() {
    let broken = check("expect \"FROB\"\nhope \"AYE\"\n", "broken");
    assert_eq!(broken.code, 3);
    assert!(broken.complaint().contains("line 2: neither send, expect, refuse nor skip"), "{}", broken.stderr);
    let absent = run(&["check", "127.0.0.1:9", "--script", "/no/such/script"]);
    assert_eq!(absent.code, 3);
    assert!(absent.complaint().contains("/no/such/script"), "{}", absent.stderr);
    let both = run(&["check", "127.0.0.1:9", "--script", "x", "--starttls", "smtp"]);
    assert_eq!(both.code, 3);
    assert!(both.complaint().contains("cannot be used with"), "{}", both.stderr);
    let portless = run(&["check", "127.0.0.1", "--script", "x"]);
    assert!(portless.complaint().contains("no port"), "{}", portless.stderr);
}
