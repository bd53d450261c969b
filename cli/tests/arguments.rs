//! Bad input to the tool: one clear line on stderr, and exit code 3.

mod support;

use std::net::{Ipv4Addr, TcpListener};

use serde_json::{Value, json};
use support::run;

/// A port of 127.0.0.1 where nobody listens.
fn refused_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

#[test]
fn bad_input_gives_one_line_and_exit_code_3() {
    let refused = format!("smtp://127.0.0.1:{}", refused_port());
    let not_pem = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let directory = env!("CARGO_MANIFEST_DIR");
    let cases: &[(&[&str], &str)] = &[
        (&[], "subcommand"),
        (&["chekc", "localhost:25"], "chekc"),
        (&["check"], "<TARGET>"),
        (&["check", "localhost:25", "localhost:25"], "unexpected argument"),
        (&["check", "localhost:25", "--bogus"], "--bogus"),
        (&["check", "localhost:25", "--bogus\n\n\x1b[2J"], "--bogus"),
        (&["check", ""], "no host"),
        (&["connect", "localhost"], "--starttls with one of smtp, submission, lmtp, imap, imap2, pop3"),
        (&["check", "local\x1b[2Jhost"], r"local\x1b[2Jhost is not a host"),
        (&["check", "localhost", "--ca-file", "/nonexistent"], "/nonexistent"),
        (&["check", "localhost", "--server-name", "two words"], "two words is not a name"),
        (&["check", "no-such-host.invalid", "--timeout", "5"], "cannot resolve no-such-host.invalid"),
        (&["check", "localhost:2525"], "--starttls with one of smtp, submission, lmtp, imap, imap2, pop3"),
        (&["check", "gopher://localhost"], "unknown protocol gopher: the known ones are smtp, submission, lmtp,"),
        (&["check", "--starttls", "sieve\x07", "localhost"], r"unknown protocol sieve\x07: the known ones are smtp,"),
        (&["check", "--starttls", "imap", "smtp://localhost"], "says smtp, but --starttls says imap"),
        (&["check", "smtp://localhost:0"], "not a port"),
        (&["check", "smtp://localhost:99999"], "not a port"),
        (&["check", "local\x1b[2Jhost:25"], r"local\x1b[2Jhost is not a host"),
        (&["check", "localhost:25\r\nQUIT"], r"25\\r\\nQUIT"),
        (&["check", "no-such-host.invalid:25", "--timeout", "5"], "resolve"),
        (&["check", &refused], "127.0.0.1"),
        (&["check", &refused, "--ca-file", "/nonexistent/\x07.pem"], r"/nonexistent/\x07.pem"),
        (&["check", &refused, "--ca-file", directory], "CA file"),
        (&["check", &refused, "--ca-file", not_pem], "no certificate"),
        (&["check", &refused, "--server-name", "two words"], "two words is not a name"),
        (&["check", &refused, "--name", "client\r\nRCPT"], "the name of an SMTP client must be"),
        (&["check", &refused, "--timeout", "0"], "--timeout"),
        (&["check", &refused, "--timeout", "-1"], "-1"),
        (&["check", &refused, "--timeout", "NaN"], "--timeout"),
        (&["check", &refused, "--timeout", "inf"], "--timeout"),
        (&["check", &refused, "--timeout", "1e300"], "--timeout"),
        (&["check", &refused, "--timeout", "soon"], "--timeout"),
        (&["check", "localhost", "--auth", "alice"], "are for one server"),
        (&["check", "localhost", "--active"], "are for one server"),
        (&["check", "--mx", "localhost", "--auth", "alice"], "are for one server"),
        (&["check", &refused, "--connect", ""], "no host"),
        (&["check", &refused, "--connect", "localhost:0"], "not a port"),
        (&["check", &refused, "--sni", "two words"], "two words is not a name"),
        (&["check", &refused, "--sni", "localhost", "--no-sni"], "cannot be used with"),
        (&["check", &refused, "--alpn", ""], "--alpn"),
        (&["check", &refused, "--warn-days", "soon"], "--warn-days"),
        (&["check", &refused, "--crit-days=-1"], "--crit-days"),
        (&["check", &refused, "-4", "-6"], "cannot be used with"),
        (&["check", &refused, "--insist", "--script", not_pem], "cannot be used with"),
        (&["demo", "more"], "more"),
    ];
    for (arguments, words) in cases {
        let run = run(arguments);
        assert!(run.complaint().contains(words), "{arguments:?}: {}", run.stderr);
        assert_eq!((run.code, run.stdout.as_str()), (3, ""), "{arguments:?}");
    }
}

#[cfg(unix)]
#[test]
fn an_argument_that_is_not_utf_8_is_bad_input() {
    use std::os::unix::ffi::OsStrExt;
    let bytes = std::ffi::OsStr::from_bytes(b"smtp://\xff");
    let run = support::Run::from(support::tool().arg("check").arg(bytes).output().expect("the tool starts"));
    assert!(run.complaint().contains("UTF-8"), "{}", run.stderr);
    assert_eq!((run.code, run.stdout.as_str()), (3, ""));
}

#[test]
fn json_has_its_object_even_if_there_was_nothing_to_check() {
    let refused = format!("smtp://127.0.0.1:{}", refused_port());
    for (target, option, protocol, kind, stage) in [
        (refused.as_str(), "--timeout=9", json!("smtp"), "connect", "connect"),
        (&refused, "--ca-file=/nonexistent", json!("smtp"), "config", "arguments"),
        ("local\x07host:25", "--timeout=9", Value::Null, "config", "arguments"),
    ] {
        let run = run(&["check", "--json", option, target]);
        let report = run.report();
        assert_eq!(report["target"], target.replace('\x07', r"\x07"));
        assert_eq!((&report["protocol"], &report["address"]), (&protocol, &Value::Null));
        assert_eq!((&report["outcome"], &report["tls"]), (&json!("failed"), &Value::Null));
        assert_eq!((&report["failure"]["kind"], &report["failure"]["stage"]), (&json!(kind), &json!(stage)));
        let message = report["failure"]["message"].as_str().expect("a message");
        assert_eq!(run.complaint(), format!("starttls: {message}\n"));
        assert_eq!(run.code, 3);
    }
}

#[test]
fn help_and_version_are_no_errors() {
    for (arguments, words) in [
        (&["--help"][..], "Exit codes"),
        (&["check", "--help"], "--server-name <NAME>"),
        (&["check", "--help"], "Examples:\n  starttls check smtp://mail.example:587\n"),
        (&["help", "demo"], "starttls demo"),
        (&["--version"], "starttls "),
    ] {
        let run = run(arguments);
        assert!(run.stdout.contains(words), "{}", run.stdout);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    }
}
