//! No bytes make a protocol panic, depend on how they were split, speak after an error, show what they should escape, or
//! pass a limit.

#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use starttls::{Dialogue, Limits, Negotiation, Policy};
use starttls_fuzz::PROTOCOL;
use starttls_replay::{Input, Verdict, client, drive};

fuzz_target!(|input: &[u8]| {
    let Some(input) = Input::read(input) else { return };
    let limits = Limits { bytes: 2048, line: 512, lines: 32, turns: 8 };
    let new = || PROTOCOL.dialogue(&client(input.options)).expect("a valid client");
    let required = alike(&input, || Negotiation::required(new()).limits(limits));
    let opportunistic = alike(&input, || Negotiation::opportunistic(new()).limits(limits));
    for verdict in [required, opportunistic] {
        let bytes: usize = input.turns.iter().map(Vec::len).sum();
        match verdict.end {
            Ok(_) => assert!(bytes <= limits.bytes as usize && verdict.round_trips <= limits.turns),
            Err(error) => assert!(error.to_string().bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{error}"),
        }
    }
});

/// The verdict on a dialogue, which is the same whole, in chunks, and byte by byte. `drive` checks what comes after an error.
fn alike<D: Dialogue<P::Role>, P: Policy<Outcome: Debug>>(
    input: &Input,
    negotiation: impl Fn() -> Negotiation<D, P>,
) -> Verdict {
    let cut = |size: usize| {
        let turns: Vec<Vec<&[u8]>> = input.turns.iter().map(|turn| turn.chunks(size).collect()).collect();
        drive(negotiation(), &turns, false)
    };
    let verdict = cut(usize::MAX);
    assert_eq!(cut(1), verdict, "byte by byte, and whole");
    assert_eq!(cut(input.chunk), verdict, "in chunks of {}, and whole", input.chunk);
    verdict
}
