//! `starttls demo`.

mod support;

use starttls::Protocol;
use starttls_replay::Transcript;

#[test]
fn one_server_of_each_protocol_is_upgraded() {
    let run = support::run(&["demo"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{}", run.stdout);
    for protocol in Protocol::all() {
        let transcript = Transcript::usual(protocol);
        let server = transcript.server.as_deref().expect("the name of a server");
        let row = run.stdout.lines().find(|line| line.split(' ').next() == Some(protocol.name())).expect("a row");
        let rest = row.strip_prefix(protocol.name()).map(str::trim_start).and_then(|row| row.strip_prefix(server));
        let cells: Vec<_> = rest.unwrap_or_else(|| panic!("{row}")).split_whitespace().collect();
        let [counts @ .., version, suite, group, time, "ms"] = &cells[..] else { panic!("{row}") };
        let sent: usize = transcript.client().map(<[u8]>::len).sum();
        let received: usize = transcript.server().map(<[u8]>::len).sum();
        assert_eq!(counts, [protocol.round_trips().to_string(), sent.to_string(), received.to_string()]);
        assert_eq!([*version, suite, group], ["1.3", "TLS_AES_256_GCM_SHA384", "X25519MLKEM768"]);
        assert!(time.parse::<f64>().is_ok_and(|time| time > 0.0), "{row}");
    }
    assert!(run.stdout.lines().all(|line| line.chars().count() <= 120), "{}", run.stdout);
    let all = Protocol::all().count();
    assert!(run.stdout.contains(&format!("\n{all} of {all} upgraded ")), "{}", run.stdout);
}
