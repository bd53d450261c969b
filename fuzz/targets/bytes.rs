//! No bytes make a protocol panic, depend on how they were split, speak after an error, show what they should escape, or
//! pass a limit.

#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use starttls::{Limits, Negotiation, Policy};
use starttls_fuzz::{Dialogue, PROTOCOL};
use starttls_replay::{Verdict, drive};

fuzz_target!(|input: &[u8]| {
    let Some(dialogue) = Dialogue::read(input) else { return };
    let limits = Limits { bytes: 2048, line: 512, lines: 32, turns: 8 };
    let new = || PROTOCOL.dialogue(&dialogue.client()).expect("a valid client");
    let required = alike(&dialogue, || Negotiation::required(new()).limits(limits));
    let opportunistic = alike(&dialogue, || Negotiation::opportunistic(new()).limits(limits));
    for verdict in [required, opportunistic] {
        let bytes: usize = dialogue.turns.iter().map(Vec::len).sum();
        match verdict.end {
            Ok(_) => assert!(bytes <= limits.bytes as usize && verdict.round_trips <= limits.turns),
            Err(error) => assert!(error.to_string().bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{error}"),
        }
    }
});

/// The verdict on a dialogue, which is the same whole, in chunks, and byte by byte. `drive` checks what comes after an error.
fn alike<D: starttls::Dialogue, P: Policy<Outcome: Debug>>(
    dialogue: &Dialogue,
    negotiation: impl Fn() -> Negotiation<D, P>,
) -> Verdict {
    let cut = |size: usize| {
        let turns: Vec<Vec<&[u8]>> = dialogue.turns.iter().map(|turn| turn.chunks(size).collect()).collect();
        drive(negotiation(), &turns, false)
    };
    let verdict = cut(usize::MAX);
    assert_eq!(cut(1), verdict, "byte by byte, and whole");
    assert_eq!(cut(dialogue.chunk), verdict, "in chunks of {}, and whole", dialogue.chunk);
    verdict
}
