//! In whatever order a caller does what, the negotiation keeps its promises.

#![no_main]

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::LazyLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use starttls::protocol::{Options, Start};
use starttls::{Error, Limits, Negotiation, Policy, Protocol};
use starttls_replay::{Transcript, client};

/// What servers say, turn by turn.
static TURNS: LazyLock<HashMap<Protocol, Vec<Vec<u8>>>> = LazyLock::new(|| {
    let turns = |protocol| Transcript::all(protocol).iter().flat_map(Transcript::server).map(<[u8]>::to_vec).collect();
    Protocol::all().map(|protocol| (protocol, turns(protocol))).collect()
});

#[derive(Arbitrary, Debug)]
struct Caller<'a> {
    protocol: u8,
    start: u8,
    ask: bool,
    insist: bool,
    required: bool,
    limits: Option<[u8; 4]>,
    operations: Vec<Operation<'a>>,
}

#[derive(Arbitrary, Debug)]
enum Operation<'a> {
    Input(&'a [u8]),
    /// What a server said somewhere, up to a length.
    Turn(u16, u8),
    Transmit,
    Eof,
    Getters,
}

fuzz_target!(|caller: Caller<'_>| {
    let protocols: Vec<Protocol> = Protocol::all().collect();
    let protocol = protocols[usize::from(caller.protocol) % protocols.len()];
    let start = [Start::Greeting, Start::AfterGreeting, Start::Command][usize::from(caller.start) % 3];
    let options = Options { start, ask: caller.ask, insist: caller.insist };
    let dialogue = protocol.dialogue(&client(options)).expect("a valid client");
    let limits = caller.limits.map_or_else(Limits::default, |[bytes, line, lines, turns]| Limits {
        bytes: u32::from(bytes) * 8,
        line: line.into(),
        lines: lines.into(),
        turns: turns.into(),
    });
    if caller.required {
        run(Negotiation::required(dialogue).limits(limits), limits, &TURNS[&protocol], &caller.operations);
    } else {
        run(Negotiation::opportunistic(dialogue).limits(limits), limits, &TURNS[&protocol], &caller.operations);
    }
});

fn run<D: starttls::Dialogue<P::Role>, P: Policy<Outcome: Debug>>(
    mut negotiation: Negotiation<D, P>,
    limits: Limits,
    turns: &[Vec<u8>],
    operations: &[Operation<'_>],
) {
    let mut failure: Option<Error> = None;
    let mut accepted = 0;
    for operation in operations {
        let listening = negotiation.wants_read();
        // A notice is heard while a request waits to be sent.
        let hears = listening || negotiation.dialogue().speaks_unasked();
        let input = match operation {
            Operation::Input(input) => *input,
            Operation::Turn(number, most) => {
                let turn = &turns[usize::from(*number) % turns.len()];
                &turn[..turn.len().min(usize::from(*most) + 1)]
            }
            Operation::Transmit => {
                let request = negotiation.poll_transmit();
                assert!(request.is_none() || failure.is_none() && !listening, "it speaks out of turn");
                assert!(request.is_none_or(|request| !request.is_empty()), "a request of nothing");
                continue;
            }
            Operation::Eof => {
                let error = negotiation.handle_eof().expect_err("the end is never welcome");
                assert_eq!(failure.get_or_insert(Error::Closed), &error);
                continue;
            }
            Operation::Getters => {
                assert!(!negotiation.awaiting().is_empty());
                assert!(negotiation.round_trips() <= limits.turns);
                let _ = negotiation.advertised();
                continue;
            }
        };
        match (negotiation.handle_input(input), &failure) {
            (Ok(()), None) => {
                // A CR may be half an empty line.
                assert!(hears || input.is_empty() || input == b"\r", "it listens out of turn");
                accepted += if hears { input.len() } else { 0 };
                assert!(accepted <= limits.bytes as usize, "it listens for ever");
            }
            (Err(error), None) => {
                // What follows a refusal leaves it one.
                let is_out_of_turn =
                    matches!(error, Error::Injected | Error::Declined(_)) || error == Error::unexpected(b"");
                assert!(hears || is_out_of_turn, "{error}");
                failure = Some(error);
            }
            (result, Some(failure)) => assert_eq!(result.as_ref(), Err(failure), "it answers something else"),
        }
        assert!(failure.is_none() || !negotiation.wants_read());
    }
    let listening = negotiation.wants_read();
    let pending = negotiation.poll_transmit().is_some();
    let listening = listening || pending && negotiation.wants_read();
    match (negotiation.finish(), failure) {
        (Ok(_), None) => assert!(!listening, "it ends while it listens"),
        (Err(error), Some(failure)) => assert_eq!(error, failure),
        (Err(error), None) => assert!(error == Error::Unfinished && listening, "{error}"),
        (Ok(outcome), Some(failure)) => panic!("{outcome:?} after {failure}"),
    }
}
