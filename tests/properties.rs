//! What holds for any bytes, any split of them, every protocol and both policies.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::prelude::*;
use starttls::protocol::{Client, Knobs, Start};
use starttls::{Dialogue, Error, Limits, Negotiation, Protocol};
use starttls_replay::{Transcript, Verdict, drive};

/// Bytes that belong nowhere, or to several protocols.
const NOISE: &[&[u8]] = &[
    b"STARTTLS",
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\0",
    b"{3}\r\n",
    b"\xe2\x80\xae",
    b"\x16\x03\x03",
    b"A7F3 OK go\r\n",
    b"220 go\r\n",
];

/// What servers say, line by line, in all transcripts: good ones and bad ones.
static PIECES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let transcripts = Protocol::all().flat_map(Transcript::all).collect::<Vec<_>>();
    let turns = transcripts.iter().flat_map(Transcript::server);
    let lines = turns.flat_map(|turn| turn.split_inclusive(|&byte| byte == b'\n'));
    let pieces: BTreeSet<&[u8]> = lines.chain(NOISE.iter().copied()).collect();
    pieces.into_iter().map(<[u8]>::to_vec).collect()
});

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop::sample::select(&PIECES[..]),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ]
}

/// What the server says, turn by turn.
fn turns() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(piece(), 1..5).prop_map(|pieces| pieces.concat()), 0..5)
}

#[derive(Clone, Copy, Debug)]
struct Setup {
    protocol: Protocol,
    knobs: Knobs,
    limits: Limits,
    required: bool,
}

impl Setup {
    fn dialogue(&self) -> Box<dyn Dialogue + Send> {
        let client = Client { name: "client.example", domain: "mail.example", seed: 0xA7F3, knobs: self.knobs };
        self.protocol.dialogue(&client).expect("a valid client")
    }

    /// [`drive`] checks on the way that a negotiation that has failed stays failed and silent.
    fn drive(&self, turns: &[Vec<&[u8]>]) -> Verdict {
        if self.required {
            drive(Negotiation::required(self.dialogue()).limits(self.limits), turns, false)
        } else {
            drive(Negotiation::opportunistic(self.dialogue()).limits(self.limits), turns, false)
        }
    }
}

prop_compose! {
    fn setup()(
        protocol in prop::sample::select(Protocol::all().collect::<Vec<_>>()),
        start in prop::sample::select(vec![Start::Greeting, Start::AfterGreeting, Start::Command]),
        (ask, insist, required) in any::<(bool, bool, bool)>(),
        limits in prop::sample::select(vec![Limits::default(), Limits { bytes: 150, line: 40, lines: 3, turns: 2 }]),
    ) -> Setup {
        Setup { protocol, knobs: Knobs { start, ask, insist }, limits, required }
    }
}

fn whole(turns: &[Vec<u8>]) -> Vec<Vec<&[u8]>> {
    turns.iter().map(|turn| vec![&turn[..]]).collect()
}

/// Cuts each turn into chunks of the given sizes, over and over.
fn chunked<'a>(turns: &'a [Vec<u8>], sizes: &[usize]) -> Vec<Vec<&'a [u8]>> {
    let mut sizes = sizes.iter().cycle();
    let mut cut = |mut turn: &'a [u8]| {
        let mut chunks = Vec::new();
        while !turn.is_empty() {
            let (chunk, rest) = turn.split_at(turn.len().min(*sizes.next().expect("endless")));
            chunks.push(chunk);
            turn = rest;
        }
        chunks
    };
    turns.iter().map(|turn| cut(turn)).collect()
}

/// A transcript that ends in an upgrade, with the setup that it is for.
fn upgrading() -> impl Strategy<Value = (Setup, Vec<Vec<u8>>)> {
    let of = |protocol| Transcript::all(protocol).into_iter().map(move |transcript| (protocol, transcript));
    let all: Vec<_> = Protocol::all().flat_map(of).filter(|(_, transcript)| transcript.outcome == "upgraded").collect();
    (prop::sample::select(all), any::<bool>()).prop_map(|((protocol, transcript), required)| {
        let setup = Setup { protocol, knobs: transcript.knobs, limits: Limits::default(), required };
        (setup, transcript.server().map(<[u8]>::to_vec).collect())
    })
}

/// Whether a byte can stand in a name.
fn is_harmless(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn splitting_never_changes_the_outcome(
        setup in setup(),
        turns in turns(),
        sizes in prop::collection::vec(1_usize..9, 1..6),
    ) {
        prop_assert_eq!(setup.drive(&chunked(&turns, &sizes)), setup.drive(&whole(&turns)));
    }

    #[test]
    fn bytes_behind_the_go_ahead_are_an_error(
        (setup, mut turns) in upgrading(),
        behind in prop_oneof![piece(), prop::collection::vec(any::<u8>(), 1..40)],
        sizes in prop::collection::vec(1_usize..9, 1..6),
    ) {
        prop_assume!(!behind.is_empty());
        prop_assert!(setup.drive(&whole(&turns)).end.is_ok(), "it upgrades without them");
        turns.last_mut().expect("a go-ahead").extend(&behind);
        prop_assert_eq!(setup.drive(&chunked(&turns, &sizes)).end, Err(Error::Injected));
    }

    #[test]
    fn bytes_ahead_of_any_request_are_an_error((setup, mut turns) in upgrading(), early in piece(), turn in any::<prop::sample::Index>()) {
        prop_assume!(!early.is_empty());
        let turn = turn.index(turns.len());
        turns[turn].extend(&early);
        prop_assert_eq!(setup.drive(&whole(&turns)).end, Err(Error::Injected));
    }

    #[test]
    fn what_a_server_says_is_never_more_than_the_limits(setup in setup(), turns in turns()) {
        let verdict = setup.drive(&whole(&turns));
        if verdict.end.is_ok() {
            let bytes: usize = turns.iter().map(Vec::len).sum();
            prop_assert!(bytes <= setup.limits.bytes as usize);
            prop_assert!(verdict.round_trips <= setup.limits.turns);
        }
    }

    #[test]
    fn no_name_of_the_callers_breaks_out_of_its_line(name in ".*", noise in r"[a-z.\[\]:\r\n\x00 \u{2028}\u{ff0d}'<>&]{0,12}") {
        for name in [name, noise] {
            for protocol in Protocol::all() {
                let client = Client { name: &name, domain: &name, seed: 1, knobs: Knobs { start: Start::AfterGreeting, ..Knobs::default() } };
                let Ok(dialogue) = protocol.dialogue(&client) else { continue };
                let Some(request) = Negotiation::required(dialogue).poll_transmit() else { continue };
                // What a client may send does not depend on the name, but for the name itself, which cannot break out.
                let harmless = protocol.dialogue(&Client { name: "x", domain: "x", ..client }).expect("a valid client");
                let expected = Negotiation::required(harmless).poll_transmit().expect("a request as well");
                let breakers = |request: &[u8]| request.iter().filter(|byte| !is_harmless(**byte)).copied().collect::<Vec<_>>();
                prop_assert_eq!(breakers(&request), breakers(&expected), "{}: {:?}", protocol, name);
            }
        }
    }
}
