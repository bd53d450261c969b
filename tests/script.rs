//! Dialogues that the caller writes.

use allocation_counter::measure;
use proptest::prelude::*;
use starttls::protocol::{InvalidScript, Script, ScriptError};
use starttls::{Code, Dialogue, Error, Limit, Limits, Negotiation, Reason, Reply, Step, Text};
use starttls_replay::drive;

const SCRIPT: &str = r#"
# The made-up Frobnication Protocol
expect "FROB/1 "
send "HELLO\r\n"
  send   "SECURE\r\n"     in the same write
skip "; "
refuse "SORRY"
refuse "AYE\n"
expect "AYE"
expect "GO \"\\\x21\t\r\n"
"#;

fn end(script: &str, turns: &[&str]) -> Result<String, Error> {
    let turns: Vec<Vec<&[u8]>> = turns.iter().map(|turn| vec![turn.as_bytes()]).collect();
    let bytes: Vec<Vec<&[u8]>> = turns.iter().map(|turn| turn[0].chunks(1).collect()).collect();
    let verdict = drive(Negotiation::required(script.parse::<Script>().unwrap()), &turns, false);
    assert_eq!(drive(Negotiation::required(script.parse::<Script>().unwrap()), &bytes, false), verdict);
    verdict.end
}

fn refused(text: &str) -> Error {
    Error::Declined(Reason::Refused(Reply { code: Code::Word(""), text: Text::new(text.as_bytes()), temporary: false }))
}

fn unexpected(text: &str) -> Error {
    Error::Unexpected(Text::new(text.as_bytes()))
}

const GO: &str = "AYE sir\r\nGO \"\\!\t\r\n";

#[test]
fn a_script_is_followed() {
    let turns = ["FROB/1 ready\r\n", "; thinking\n; still\r\nAYE sir\nGO \"\\!\t\n"];
    let chunks: Vec<Vec<&[u8]>> = turns.iter().map(|turn| vec![turn.as_bytes()]).collect();
    let verdict = drive(Negotiation::required(SCRIPT.parse::<Script>().unwrap()), &chunks, false);
    assert!(verdict.end.is_ok(), "{verdict:?}");
    assert_eq!((verdict.sent, verdict.round_trips), (vec![b"HELLO\r\nSECURE\r\n".to_vec()], 3));
}

#[test]
fn lines_are_matched_at_their_start_and_in_order() {
    assert_eq!(end(SCRIPT, &["FROB/1 x\n", "AYE\r\n"]), Err(refused("AYE")), "the first that fits counts");
    assert_eq!(end(SCRIPT, &["FROB/1 x\n", "SORRY \x1b[2J\n"]), Err(refused("SORRY \x1b[2J")));
    assert_eq!(refused("SORRY \x1b").to_string(), r"the server refused: SORRY \x1b");
    for (turns, line) in [
        (vec!["FROB/1\n"], "FROB/1"),
        (vec![" FROB/1 \n"], " FROB/1 "),
        (vec!["frob/1 \n"], "frob/1 "),
        (vec!["; FROB/1 \n"], "; FROB/1 "),
        (vec!["FROB/1 x\n", "x AYE\n"], "x AYE"),
        (vec!["FROB/1 x\n", "GO \"\\!\t\n"], "GO \"\\!\t"),
        (vec!["FROB/1 x\n", "AYE sir\nGO \"\\!\t.\n"], "GO \"\\!\t."),
        (vec!["FROB/1 x\n", "AYE sir\n; x\n"], "; x"),
    ] {
        assert_eq!(end(SCRIPT, &turns), Err(unexpected(line)));
    }
}

#[test]
fn lockstep_holds() {
    for behind in ["x", "FROB/1 ", "\r\n", "\x16\x03\x03"] {
        assert_eq!(end(SCRIPT, &["FROB/1 x\n", &[GO, behind].concat()]), Err(Error::Injected));
        // Ahead of a request an empty line is just not in its place.
        let ahead = if behind == "\r\n" { unexpected("\r") } else { Error::Injected };
        assert_eq!(end(SCRIPT, &[&["FROB/1 x\n", behind].concat()]), Err(ahead));
    }
    let mut negotiation = Negotiation::required(SCRIPT.parse::<Script>().unwrap());
    assert_eq!(negotiation.handle_eof(), Err(Error::Closed));
    let limits = Limits { line: 40, lines: 3, ..Limits::default() };
    let endless = |line: &str| {
        let mut negotiation = Negotiation::required(SCRIPT.parse::<Script>().unwrap()).limits(limits);
        negotiation.handle_input(b"FROB/1 x\n").unwrap();
        negotiation.poll_transmit();
        (0..9).try_for_each(|_| negotiation.handle_input(line.as_bytes()))
    };
    assert_eq!(endless("; x\n"), Err(Error::Limit(Limit::Lines)));
    assert_eq!(endless("; xxxxxxxx"), Err(Error::Limit(Limit::Line)));
}

#[test]
fn a_request_may_begin_and_tls_may_answer_it() {
    let mut negotiation = Negotiation::required("send \"\\x00TLS\"".parse::<Script>().unwrap());
    assert_eq!(negotiation.poll_transmit().unwrap(), &b"\0TLS"[..]);
    assert!(negotiation.finish().is_ok());
    let mut negotiation = Negotiation::required("expect \"a\"\nsend \"b\"".parse::<Script>().unwrap());
    negotiation.handle_input(b"a\n").unwrap();
    assert_eq!(negotiation.poll_transmit().unwrap(), "b");
    assert!(negotiation.finish().is_ok());
}

#[test]
fn nothing_is_allocated_on_the_way() {
    let mut negotiation = Negotiation::required(SCRIPT.parse::<Script>().unwrap());
    let mut upgrade = None;
    let count = measure(|| {
        negotiation.handle_input(b"FROB/1 x\n").unwrap();
        negotiation.poll_transmit().unwrap();
        negotiation.handle_input(GO.as_bytes()).unwrap();
        upgrade = Some(negotiation.finish());
    });
    assert!(upgrade.unwrap().is_ok());
    assert_eq!(count.count_total, 0);
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let long = format!("send \"{}\"", "x".repeat(201));
    let many = "expect \"a\"\n".repeat(65);
    let sends = "send \"a\"\n".repeat(65);
    let rows: [(&str, usize, ScriptError); 20] = [
        ("", 1, ScriptError::Length),
        ("# nothing\n\n", 1, ScriptError::Length),
        (&many, 65, ScriptError::Length),
        (&sends, 65, ScriptError::Length),
        ("\n\nsay \"x\"", 3, ScriptError::UnknownVerb),
        ("SEND \"x\"", 1, ScriptError::UnknownVerb),
        ("send\"x\"", 1, ScriptError::UnknownVerb),
        ("expect", 1, ScriptError::NoText),
        ("expect x", 1, ScriptError::NoText),
        ("expect \"x", 1, ScriptError::NoText),
        ("expect \"x\\\"", 1, ScriptError::NoText),
        ("send \"\"", 1, ScriptError::Empty),
        ("skip \"\\r\\n\"", 1, ScriptError::Empty),
        (&long, 1, ScriptError::TooLong),
        ("send \"\\y\"", 1, ScriptError::UnknownEscape),
        ("send \"\\x1\"", 1, ScriptError::UnknownEscape),
        ("send \"\\x+1\"", 1, ScriptError::UnknownEscape),
        ("expect \"a\\nb\"", 1, ScriptError::Lines),
        ("expect \"a\"\nskip \"b\"\n# end", 2, ScriptError::NothingExpected),
        ("refuse \"a\"\nsend \"b\"\nexpect \"c\"", 2, ScriptError::NothingExpected),
    ];
    for (text, line, error) in rows {
        assert_eq!(text.parse::<Script>().unwrap_err(), InvalidScript { line, error }, "{text}");
    }
    assert_eq!("x".parse::<Script>().unwrap_err().to_string(), "line 1: neither send, expect, refuse nor skip");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parsing_never_panics(text in "(?s).{0,80}", moves in "((send|expect|refuse|skip|#| )[ \t]*\"?[a-z\\\\x0-9rn\"é]{0,9}\"?\n){0,9}") {
        for text in [text, moves] {
            if let Ok(mut script) = text.parse::<Script>() {
                prop_assert!(!matches!(script.open(), Step::Upgrade | Step::Decline(_)), "a script that says nothing");
            }
        }
    }

    #[test]
    fn splitting_never_changes_the_outcome(
        turns in prop::collection::vec("(FROB/1 |AYE|AYE sir|; |SORRY|GO \"\\\\!\t|\r\n|\n|\r|x){0,9}", 0..4),
        size in 1_usize..9,
    ) {
        let whole: Vec<Vec<&[u8]>> = turns.iter().map(|turn| vec![turn.as_bytes()]).collect();
        let split: Vec<Vec<&[u8]>> = turns.iter().map(|turn| turn.as_bytes().chunks(size).collect()).collect();
        let end = |turns: &[Vec<&[u8]>]| drive(Negotiation::opportunistic(SCRIPT.parse::<Script>().unwrap()), turns, false);
        prop_assert_eq!(end(&split), end(&whole));
    }
}

#[test]
fn a_text_may_have_two_hundred_bytes() {
    for (length, fits) in [(199, true), (200, true), (201, false)] {
        let script = format!("send \"{}\"\nexpect \"a\"", "x".repeat(length)).parse::<Script>();
        assert_eq!(script.map(drop).is_ok(), fits, "{length}");
    }
}

#[test]
fn a_script_says_what_it_can_of_itself() {
    let negotiation = Negotiation::required("expect \"a\"".parse::<Script>().unwrap());
    assert_eq!((negotiation.awaiting(), negotiation.advertised()), ("a line that the script expects", None));
}
