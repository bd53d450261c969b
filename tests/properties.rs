//! What holds for any bytes, any split of them, every protocol and both policies.

use proptest::prelude::*;
use starttls::protocol::{Client, Knobs, Start};
use starttls::{Dialogue, Error, Limits, Negotiation, Protocol};
use starttls_replay::{Verdict, drive};

/// Pieces of dialogues: what servers say, what they should not, and what they might in another protocol.
const PIECES: &[&str] = &[
    "220 mail.example ready\r\n",
    "220-mail.example\r\n",
    "250-mail.example\r\n",
    "250-STARTTLS\r\n",
    "250 STARTTLS\r\n",
    "250\r\n",
    "220\n",
    "421 bye\r\n",
    "454 not now\r\n",
    "502-no\r\n",
    "* OK ready\r\n",
    "* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n",
    "* PREAUTH hello\r\n",
    "* BYE\r\n",
    "* CAPABILITY IMAP4rev1 STARTTLS\r\n",
    "* LIST {6}\r\n",
    "* LIST {0}\r\n",
    "A7F3C OK done\r\n",
    "A7F3 OK go\r\n",
    "A7F3 NO A7F3 OK\r\n",
    "A7F3",
    "+ go\r\n",
    "+OK\r\n",
    "+OK go\r\n",
    "-ERR no\r\n",
    "STLS\r\n",
    ".\r\n",
    "STARTTLS",
    "\r\n",
    "\n",
    "\r",
    " ",
    "\0",
    "\u{202e}",
    "\x16\x03\x03",
];

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
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
        let client = Client { name: "client.example", seed: 0xA7F3, knobs: self.knobs };
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

/// What a server says that upgrades, under the given knobs.
fn upgrading(protocol: Protocol, knobs: Knobs) -> Vec<Vec<u8>> {
    let (greeting, asked, go): (&str, &str, &str) = match protocol {
        Protocol::Smtp | Protocol::Lmtp => ("220 hi\r\n", "250-hi\r\n250 STARTTLS\r\n", "220 go\r\n"),
        Protocol::Imap => ("* OK hi\r\n", "* CAPABILITY STARTTLS\r\nA7F3C OK\r\n", "* 1 EXISTS\r\nA7F3 OK go\r\n"),
        Protocol::Pop3 => ("+OK hi\r\n", "+OK\r\nSTLS\r\n.\r\n", "+OK go\r\n"),
        _ => unreachable!("a protocol without a dialogue here: add it"),
    };
    let asks = matches!(protocol, Protocol::Smtp | Protocol::Lmtp) || knobs.ask;
    let said = [
        (knobs.start == Start::Greeting).then_some(greeting),
        (knobs.start != Start::Command && asks).then_some(asked),
        Some(go),
    ];
    said.into_iter().flatten().map(|turn| turn.as_bytes().to_vec()).collect()
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
        setup in setup(),
        behind in prop_oneof![piece(), prop::collection::vec(any::<u8>(), 1..40)],
        sizes in prop::collection::vec(1_usize..9, 1..6),
    ) {
        prop_assume!(!behind.is_empty());
        let setup = Setup { limits: Limits::default(), ..setup };
        let mut turns = upgrading(setup.protocol, setup.knobs);
        prop_assert!(setup.drive(&whole(&turns)).end.is_ok(), "it upgrades without them");
        turns.last_mut().expect("a go-ahead").extend(&behind);
        prop_assert_eq!(setup.drive(&chunked(&turns, &sizes)).end, Err(Error::Injected));
    }

    #[test]
    fn bytes_ahead_of_any_request_are_an_error(setup in setup(), early in piece(), turn in any::<prop::sample::Index>()) {
        prop_assume!(!early.is_empty());
        let setup = Setup { limits: Limits::default(), ..setup };
        let mut turns = upgrading(setup.protocol, setup.knobs);
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
                let client = Client { name: &name, seed: 1, knobs: Knobs { start: Start::AfterGreeting, ..Knobs::default() } };
                let Ok(dialogue) = protocol.dialogue(&client) else { continue };
                let request = Negotiation::required(dialogue).poll_transmit().expect("a request");
                let line = request.strip_suffix(b"\r\n").expect("a line");
                prop_assert!(line.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' '), "{line:?}");
                prop_assert!(!line.iter().any(|byte| b"\"'<>&".contains(byte)), "{line:?}");
            }
        }
    }
}
