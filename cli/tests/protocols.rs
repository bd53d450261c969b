//! `starttls protocols`, the README's table and the `Protocol` enum say the same.

mod support;

use starttls::{Protocol, Side};

/// What both tables have to say of a protocol, cell by cell.
fn cells(protocol: Protocol) -> [String; 6] {
    let first = if protocol.first_after_tls() == Side::Client { "client" } else { "server" };
    let ports: Vec<_> = protocol.ports().iter().map(u16::to_string).collect();
    [
        protocol.name().to_owned(),
        protocol.names()[1..].join(", "),
        ports.join(", "),
        protocol.reference().to_owned(),
        first.to_owned(),
        protocol.round_trips().to_string(),
    ]
}

#[test]
fn the_tool_lists_every_protocol() {
    let run = support::run(&["protocols"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    let rows: Vec<&str> = run.stdout.lines().skip(2).collect();
    assert_eq!(rows.len(), Protocol::all().count(), "{}", run.stdout);
    for (row, protocol) in rows.iter().zip(Protocol::all()) {
        let words: Vec<_> = row.split_whitespace().collect();
        assert_eq!(words.join(" "), cells(protocol).join(" ").split_whitespace().collect::<Vec<_>>().join(" "));
        assert!(row.chars().count() <= 120, "{row}");
    }
}

#[test]
fn the_readme_lists_every_protocol() {
    let readme = include_str!("../../README.md");
    let expected: String = Protocol::all().map(|protocol| format!("| {} |\n", cells(protocol).join(" | "))).collect();
    let start = readme.find("| protocol | other names |").expect("the README's table");
    let table: String = readme[start..]
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .flat_map(|line| [line, "\n"])
        .collect();
    assert!(table == expected, "the README's table should be:\n{expected}");
}
