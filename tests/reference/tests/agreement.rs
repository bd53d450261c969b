//! The core and the reference agree on servers that are well, a little off, and spliced from several.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{TestError, TestRunner};
use starttls::Protocol;
use starttls::protocol::{Options, Start};
use starttls_reference::{End, compare, legal};
use starttls_replay::{Transcript, client};

/// What is done to what a server says.
#[derive(Clone, Debug)]
enum Change {
    Replace(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    FlipCase(Index),
    /// Says a line twice.
    Repeat(Index),
    /// Says two lines the other way round.
    Swap(Index),
    /// Says a turn of another server's in place of the own.
    Splice(Index, Vec<u8>),
    /// Says two turns at once.
    Join(Index),
    /// Falls silent.
    Cut(Index),
}

fn change(pieces: Vec<Vec<u8>>, turns: Vec<Vec<u8>>) -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    let byte = prop_oneof![
        4 => any::<u8>(),
        6 => prop::sample::select(&b" \r\n-.*+{}()\"\\<>/:;=%]&'\0\x01\x7f\x80\xff0129"[..]),
    ];
    prop_oneof![
        4 => (at(), byte).prop_map(|(at, byte)| Change::Replace(at, byte)),
        4 => (at(), prop::sample::select(pieces)).prop_map(|(at, piece)| Change::Insert(at, piece)),
        3 => (at(), prop::collection::vec(any::<u8>(), 1..4)).prop_map(|(at, noise)| Change::Insert(at, noise)),
        3 => (at(), 1..6_usize).prop_map(|(at, count)| Change::Remove(at, count)),
        1 => at().prop_map(Change::FlipCase),
        2 => at().prop_map(Change::Repeat),
        2 => at().prop_map(Change::Swap),
        3 => (at(), prop::sample::select(turns)).prop_map(|(at, turn)| Change::Splice(at, turn)),
        1 => at().prop_map(Change::Join),
        1 => at().prop_map(Change::Cut),
    ]
}

impl Change {
    fn apply(&self, turns: &mut Vec<Vec<u8>>) {
        let (Change::Replace(at, _)
        | Change::Insert(at, _)
        | Change::Remove(at, _)
        | Change::FlipCase(at)
        | Change::Repeat(at)
        | Change::Swap(at)
        | Change::Splice(at, _)
        | Change::Join(at)
        | Change::Cut(at)) = self;
        let all: usize = turns.iter().map(Vec::len).sum();
        if all == 0 {
            return;
        }
        let mut offset = at.index(all);
        let number = turns
            .iter()
            .position(|turn| {
                let here = offset < turn.len();
                if !here {
                    offset -= turn.len();
                }
                here
            })
            .expect("within all");
        let turn = &mut turns[number];
        let start = turn[..offset].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let end = turn[offset..].iter().position(|byte| *byte == b'\n').map_or(turn.len(), |end| offset + end + 1);
        match self {
            Change::Replace(_, byte) => turn[offset] = *byte,
            Change::Insert(_, piece) => drop(turn.splice(offset..offset, piece.iter().copied())),
            Change::Remove(_, count) => drop(turn.drain(offset..turn.len().min(offset + count))),
            Change::FlipCase(_) => {
                turn[start..end].iter_mut().for_each(|byte| *byte ^= if byte.is_ascii_alphabetic() { 0x20 } else { 0 });
            }
            Change::Repeat(_) => {
                let line = turn[start..end].to_vec();
                turn.splice(start..start, line);
            }
            Change::Swap(_) => turn[start..].rotate_left(end - start),
            Change::Splice(_, other) => turn.clone_from(other),
            Change::Join(_) => {
                let joined = turns.drain(number..turns.len().min(number + 2)).flatten().collect();
                turns.insert(number, joined);
            }
            Change::Cut(_) => {
                turn.truncate(offset);
                turns.truncate(number + 1);
            }
        }
    }
}

fn options() -> impl Strategy<Value = Options> {
    let start = prop_oneof![4 => Just(Start::Greeting), 1 => Just(Start::AfterGreeting), 1 => Just(Start::Command)];
    (start, any::<bool>(), any::<bool>()).prop_map(|(start, ask, insist)| Options { start, ask, insist })
}

fn lines(turns: &[Vec<u8>]) -> Vec<Vec<u8>> {
    turns.iter().flat_map(|turn| turn.split_inclusive(|byte| *byte == b'\n')).map(<[u8]>::to_vec).collect()
}

fn runner() -> TestRunner {
    let cases = std::env::var("STARTTLS_CASES").map_or(2_000, |cases| cases.parse().expect("a number"));
    TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() })
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1_usize..9, 1..6)
}

#[test]
fn what_the_grammar_allows_upgrades() {
    for protocol in Protocol::all() {
        let strategy = (options(), prop::collection::vec(any::<u8>(), 64), sizes());
        let outcome = runner().run(&strategy, |(options, bytes, sizes)| {
            let turns = legal(protocol, client(options), &bytes);
            let verdict = compare(protocol, client(options), &turns, &sizes);
            prop_assert_eq!(verdict.end, End::Upgraded, "{}: {:?}", protocol, turns);
            Ok(())
        });
        agreed(outcome);
    }
}

#[test]
fn the_core_and_the_reference_agree_on_servers_that_are_a_little_off() {
    let mut table: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for protocol in Protocol::all() {
        let recorded: Vec<(Options, Vec<Vec<u8>>)> = Transcript::all(protocol)
            .iter()
            .map(|transcript| (transcript.options, transcript.server().map(<[u8]>::to_vec).collect()))
            .collect();
        let turns: Vec<Vec<u8>> = recorded.iter().flat_map(|(_, turns)| turns.clone()).collect();
        let base = prop_oneof![
            2 => prop::sample::select(recorded),
            3 => (options(), prop::collection::vec(any::<u8>(), 64)).prop_map(move |(options, bytes)| {
                (options, legal(protocol, client(options), &bytes))
            }),
        ];
        let changes = prop::collection::vec(change(lines(&turns), turns), 0..4);
        let tally = std::cell::RefCell::new(BTreeMap::new());
        let outcome = runner().run(&(base, changes, sizes()), |((options, mut turns), changes, sizes)| {
            changes.iter().for_each(|change| change.apply(&mut turns));
            let verdict = compare(protocol, client(options), &turns, &sizes);
            *tally.borrow_mut().entry(kind(&verdict.end)).or_default() += 1;
            Ok(())
        });
        agreed(outcome);
        table.insert(protocol.name(), tally.into_inner());
    }
    for (protocol, tally) in &table {
        println!("{protocol:<12} {tally:?}");
        // An endless list of errors would prove little.
        assert!(
            tally["upgraded"] >= 20 && tally["injected"] >= 20 && tally["unexpected"] >= 20,
            "{protocol}: {tally:?}"
        );
    }
}

#[test]
fn the_core_and_the_reference_agree_on_what_comes_ahead_of_a_request() {
    let mut compared = 0;
    for protocol in Protocol::all() {
        let transcripts = Transcript::all(protocol);
        let lines = transcripts
            .iter()
            .flat_map(Transcript::server)
            .flat_map(|turn| turn.split_inclusive(|byte| *byte == b'\n'));
        let noise = [&b"\r"[..], b"\n", b"\r\n", b"\r\r\n", b" ", b"\r<"];
        let pieces: BTreeSet<&[u8]> = lines.map(|line| &line[..line.len().min(60)]).chain(noise).collect();
        for transcript in transcripts.iter().filter(|transcript| transcript.outcome == "upgraded") {
            let turns: Vec<Vec<u8>> = transcript.server().map(<[u8]>::to_vec).collect();
            for (number, piece) in (0..turns.len()).flat_map(|number| pieces.iter().map(move |piece| (number, piece))) {
                // Its first byte, half or all of it comes before the request, and the rest behind that.
                for at in BTreeSet::from([1, piece.len().div_ceil(2), piece.len()]) {
                    let (early, late) = piece.split_at(at);
                    let mut turns = turns.clone();
                    turns[number].extend(early);
                    if let Some(next) = turns.get_mut(number + 1) {
                        next.splice(..0, late.iter().copied());
                    }
                    compare(protocol, transcript.identity(), &turns, &[usize::MAX]);
                    compare(protocol, transcript.identity(), &turns, &[1 + at % 5]);
                    compared += 2;
                }
            }
        }
    }
    println!("{compared} comparisons");
    assert!(compared > 50_000);
}

/// Shows what a disagreement was about, once it is as short as can be.
fn agreed<T>(outcome: Result<(), TestError<T>>) {
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, _) | TestError::Abort(reason)) => panic!("{reason}"),
    }
}

fn kind(end: &End) -> &'static str {
    match end {
        End::Upgraded => "upgraded",
        End::NotAdvertised => "not advertised",
        End::Refused { .. } => "refused",
        End::Preauthenticated => "preauthenticated",
        End::Closing { .. } => "closing",
        End::Unexpected => "unexpected",
        End::Injected => "injected",
        End::Pending => "pending",
    }
}
