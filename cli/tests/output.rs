//! The other forms of the report of `starttls check`, and its colours.

mod support;

use starttls_replay::{Authority, Flaw, Server};
use support::snapshot::assert_snapshot;
use support::{Run, check_with, replay, run, server_config, tool};

fn check(server: &Server, authority: &Authority, options: &[&str]) -> Run {
    let options = [&["--server-name", "localhost"], options].concat();
    check_with(&format!("smtp://{}", server.address()), authority, &options)
}

/// A server that lacks what a good one has: its chain is out of order, and includes the root.
fn odd_server(root: &Authority) -> Server {
    let intermediate = root.under("Intermediate \"CA\\");
    let (own, key) = intermediate.issue(Flaw::None);
    replay("smtp/postfix.txt", server_config(vec![own.der().clone(), root.der(), intermediate.der()], None, &key))
}

/// Servers that upgrade, upgrade with a warning, and refuse; with the exit codes.
fn servers(authority: &Authority) -> [(&'static str, Server, i32); 3] {
    let config = authority.server_config(Flaw::None);
    [
        ("good", replay("smtp/postfix.txt", config.clone()), 0),
        ("warning", odd_server(authority), 1),
        ("bad", replay("smtp/postfix-broken-key.txt", config), 2),
    ]
}

#[test]
fn a_brief_report_is_the_verdict_with_its_reasons() {
    let authority = Authority::default();
    for (name, server, code) in servers(&authority) {
        let run = check(&server, &authority, &["--brief"]);
        assert_eq!((run.code, run.stderr.as_str()), (code, ""));
        assert_snapshot(&format!("brief-{name}"), &run.stdout);
    }
}

#[test]
fn metrics_are_in_the_format_of_prometheus() {
    let authority = Authority::default();
    for (name, server, code) in servers(&authority) {
        let run = check(&server, &authority, &["--prometheus"]);
        assert_eq!((run.code, run.stderr.as_str()), (code, ""));
        assert_snapshot(&format!("prometheus-{name}"), &run.stdout);
    }
    // No connection is a result as well, for who watches.
    let run = run(&["check", "--prometheus", "smtp://no-such-host.invalid"]);
    assert!(run.stdout.contains("starttls_upgraded{target=\"smtp://no-such-host.invalid\",protocol=\"smtp\"} 0\n"));
    assert!(run.stdout.contains(",kind=\"connect\",stage=\"resolve\"} 1\n"), "{}", run.stdout);
    assert_eq!(run.code, 3);
    run.complaint();
}

#[test]
fn certificates_are_printed_as_they_were_sent() {
    let authority = Authority::default();
    let (own, key) = authority.issue(Flaw::None);
    let server = replay("smtp/postfix.txt", server_config(vec![own.der().clone(), authority.der()], None, &key));
    let expected = format!("{}{}", own.pem(), authority.pem()).replace('\r', "");
    for options in [&["--show-certs"][..], &["--show-certs", "--brief"]] {
        let run = check(&server, &authority, options);
        assert!(run.stdout.ends_with(&format!("\n{expected}")), "{}", run.stdout);
    }
    assert!(!check(&server, &authority, &[]).stdout.contains("BEGIN"));
}

#[test]
fn there_is_one_format_at_a_time() {
    for formats in [
        ["--json", "--brief"],
        ["--json", "--prometheus"],
        ["--json", "--show-certs"],
        ["--prometheus", "--show-certs"],
    ] {
        let run = run(&["check", "smtp://127.0.0.1", formats[0], formats[1]]);
        assert!(run.complaint().contains("cannot be used with"), "{}", run.stderr);
        assert_eq!(run.code, 3);
    }
}

#[test]
fn colours_can_be_had_and_be_turned_off() {
    let authority = Authority::default();
    for (_, server, code) in servers(&authority) {
        let colour = ["\x1b[32m", "\x1b[30m\x1b[43m", "\x1b[31m"][code as usize];
        for (variables, coloured) in [
            (&[][..], false),
            (&[("CLICOLOR_FORCE", "1")], true),
            (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
        ] {
            for format in [None, Some("--brief"), Some("--json"), Some("--prometheus")] {
                let mut command = tool();
                command.args(["check", "--name", "client.example", "--server-name", "localhost", "--ca-file"]);
                command.arg(support::file("ca.pem", &authority.pem())).arg(format!("smtp://{}", server.address()));
                let output = command.args(format).envs(variables.iter().copied()).output().expect("the tool starts");
                let run = Run::from(output);
                let expected = coloured && matches!(format, None | Some("--brief"));
                assert_eq!(run.stdout.contains(colour), expected, "{variables:?} {format:?}: {:?}", run.stdout);
                assert_eq!(run.stdout.contains('\x1b'), expected);
            }
        }
    }
}
