//! What holds for any bytes, any split of them, every protocol and both policies.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use allocation_counter::measure;
use proptest::prelude::*;
use starttls::protocol::{Client, Options, Start};
use starttls::{Dialogue, Error, Limit, Limits, Negotiation, Policy, Protocol};
use starttls_replay::{Transcript, Verdict, client, drive};

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

/// What would break out of a name's place, and what only looks like it or has its low byte: U+010A, U+560D and the like.
const NOISE_IN_NAMES: &str =
    r"[a-z.\[\]:\r\n\x00\x7f \u{85}\u{10a}\u{10d}\u{2028}\u{2029}\u{240d}\u{2424}\u{560a}\u{560d}\u{ff0d}'<>&]{0,12}";

/// The protocols whose replies are made of lines.
const LINES: [Protocol; 13] = [
    Protocol::Smtp,
    Protocol::Lmtp,
    Protocol::Imap,
    Protocol::Pop3,
    Protocol::Nntp,
    Protocol::Ftp,
    Protocol::Irc,
    Protocol::Sieve,
    Protocol::Acap,
    Protocol::Mupdate,
    Protocol::Nut,
    Protocol::Munin,
    Protocol::Http,
];

/// What begins or ends something within a line: with nothing behind it, it is at the line's end.
const MARKS: [&[u8]; 6] = [b"{3}", b"{3}Z", b"\r", b"\rZ", b" STARTTLS", b"]"];

/// More than is kept of any line.
const LONG: usize = 260;

/// What servers say, line by line, in all transcripts: good ones and bad ones.
static PIECES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let transcripts: Vec<_> = transcripts().collect();
    let turns = transcripts.iter().flat_map(|(_, transcript)| transcript.server());
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
    options: Options,
    limits: Limits,
    required: bool,
}

impl Setup {
    fn dialogue(&self) -> Box<dyn Dialogue + Send> {
        self.protocol.dialogue(&client(self.options)).expect("a valid client")
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
        Setup { protocol, options: Options { start, ask, insist }, limits, required }
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

fn transcripts() -> impl Iterator<Item = (Protocol, Transcript)> {
    Protocol::all()
        .flat_map(|protocol| Transcript::all(protocol).into_iter().map(move |transcript| (protocol, transcript)))
}

/// A transcript that ends in an upgrade, with the setup that it is for.
fn upgrading() -> impl Strategy<Value = (Setup, Vec<Vec<u8>>)> {
    let all: Vec<_> = transcripts().filter(|(_, transcript)| transcript.outcome == "upgraded").collect();
    (prop::sample::select(all), any::<bool>()).prop_map(|((protocol, transcript), required)| {
        let setup = Setup { protocol, options: transcript.options, limits: Limits::default(), required };
        (setup, transcript.server().map(<[u8]>::to_vec).collect())
    })
}

/// Hears all turns. The first error is the last.
fn listen<P: Policy>(mut negotiation: Negotiation<impl Dialogue<P::Role>, P>, turns: &[Vec<u8>]) -> Result<(), Error> {
    turns.iter().try_for_each(|turn| {
        let _ = negotiation.poll_transmit();
        negotiation.handle_input(turn)
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
        let mut later = turns.clone();
        turns[turn].extend(&early);
        let end = setup.drive(&whole(&turns)).end;
        let Some(next) = later.get_mut(turn + 1) else {
            prop_assert_eq!(end, Err(Error::Injected));
            return Ok(());
        };
        next.splice(..0, early);
        let later = setup.drive(&whole(&later)).end;
        // What may be said unasked makes no difference, whichever side of the request it comes on, nor does an empty line.
        let is_harmless = setup.dialogue().speaks_unasked() || end == Err(Error::unexpected(b""));
        prop_assert!(end == Err(Error::Injected) || is_harmless && end == later, "{:?}, and later {:?}", end, later);
    }

    #[test]
    fn what_a_server_says_is_never_more_than_the_limits(
        (setup, turns) in upgrading(),
        (bytes, line, lines, most) in (1..400_u32, 1..100_u32, 1..12_u32, 1..6_u32),
    ) {
        let limits = Limits { bytes, line, lines, turns: most };
        let verdict = Setup { limits, ..setup }.drive(&whole(&turns));
        match verdict.end {
            Ok(_) => {
                prop_assert!(turns.iter().map(Vec::len).sum::<usize>() <= bytes as usize);
                prop_assert!(verdict.round_trips <= most, "{} replies, and not {}", verdict.round_trips, most);
            }
            Err(error) => prop_assert!(matches!(error, Error::Limit(_)), "{}", error),
        }
    }

    #[test]
    fn no_name_of_the_callers_breaks_out_of_its_line(name in ".*", noise in NOISE_IN_NAMES) {
        for name in [name, noise] {
            for protocol in Protocol::all() {
                let options = Options { start: Start::AfterGreeting, ..Options::default() };
                let client = Client { options, ..Client::new(&name, &name, 1) };
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

    #[test]
    fn memory_is_constant(setup in setup(), turns in turns()) {
        let (required, opportunistic) = (setup.dialogue(), setup.dialogue());
        let mut outcome = Ok(());
        let memory = measure(|| outcome = listen(Negotiation::required(required).limits(setup.limits), &turns)).bytes_max;
        let other = measure(|| drop(listen(Negotiation::opportunistic(opportunistic).limits(setup.limits), &turns)));
        let memory = memory.max(other.bytes_max);
        // What has not come to its end is kept, and an error what the server said, up to `Text::MOST`.
        let said = turns.iter().map(Vec::len).sum::<usize>() as u64;
        let most = match setup.protocol {
            Protocol::Xmpp | Protocol::XmppServer => 300_000,
            // A record of many fragments is put together twice.
            Protocol::Rpc => 6 * said + 1024,
            _ => 3 * said + 1024,
        };
        prop_assert!(memory <= most, "{} took {} bytes: {:?}", setup.protocol, memory, outcome);
    }

    #[test]
    fn a_name_is_a_protocols_if_it_is_listed(text in "[a-zA-Z0-9-]{0,12}", protocol in prop::sample::select(Protocol::all().collect::<Vec<_>>()), upper in any::<u64>()) {
        let mixed = |name: &str| -> String {
            let raise = |(at, letter): (usize, char)| if upper >> at & 1 == 1 { letter.to_ascii_uppercase() } else { letter };
            name.chars().enumerate().map(raise).collect()
        };
        for name in protocol.names() {
            prop_assert_eq!(mixed(name).parse(), Ok(protocol));
        }
        prop_assert_eq!(protocol.to_string().parse(), Ok(protocol));
        let listed = Protocol::all().find(|protocol| protocol.names().contains(&&*text.to_ascii_lowercase()));
        prop_assert_eq!(text.parse().ok(), listed);
    }
}

/// The transcripts that end in an upgrade, under both policies.
fn upgrades() -> impl Iterator<Item = (Setup, Transcript)> {
    let all = transcripts().filter(|(_, transcript)| transcript.outcome == "upgraded");
    all.flat_map(|(protocol, transcript)| {
        let setup = Setup { protocol, options: transcript.options, limits: Limits::default(), required: true };
        [setup, Setup { required: false, ..setup }].map(|setup| (setup, transcript.clone()))
    })
}

#[test]
fn each_limit_has_one_edge_and_holds_exactly_there() {
    let mut edges = 0;
    for (setup, transcript) in upgrades() {
        let name = &transcript.name;
        let turns: Vec<Vec<u8>> = transcript.server().map(<[u8]>::to_vec).collect();
        let verdict = setup.drive(&whole(&turns));
        let bytes = turns.iter().map(Vec::len).sum::<usize>() as u32;
        // The least that will do: one less, and that limit is the error.
        let edge = |limit: Limit, limits: fn(u32) -> Limits| {
            let end = |value| Setup { limits: limits(value), ..setup }.drive(&whole(&turns)).end;
            let (mut less, mut least) = (0, bytes);
            assert_eq!(end(less), Err(Error::Limit(limit)), "{name}");
            while least - less > 1 {
                let value = less.midpoint(least);
                match end(value) {
                    Err(error) if error == Error::Limit(limit) => less = value,
                    end => {
                        assert_eq!(end, verdict.end, "{name}: {limit:?} of {value}");
                        least = value;
                    }
                }
            }
            assert_eq!(end(least), verdict.end, "{name}: {limit:?} of {least}");
            least
        };
        assert_eq!(edge(Limit::Bytes, |bytes| Limits { bytes, ..Limits::default() }), bytes, "{name}");
        assert_eq!(edge(Limit::Turns, |turns| Limits { turns, ..Limits::default() }), verdict.round_trips, "{name}");
        let line = edge(Limit::Line, |line| Limits { line, ..Limits::default() });
        let lines = edge(Limit::Lines, |lines| Limits { lines, ..Limits::default() });
        if LINES.contains(&setup.protocol) && !turns.concat().windows(2).any(|end| end == b"}\r") {
            let longest = |turn: &Vec<u8>| turn.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::len).max();
            assert_eq!(Some(line as usize), turns.iter().filter_map(longest).max(), "{name}");
            if verdict.round_trips as usize == turns.len() {
                let most = turns.iter().map(|turn| turn.iter().filter(|byte| **byte == b'\n').count()).max();
                // The body of each response of HTTP is one more.
                let bodies =
                    turns.concat().split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"HTTP/")).count();
                assert_eq!(Some(lines as usize), most.map(|most| most + bodies), "{name}");
            }
        } else {
            assert!((1..=bytes).contains(&line) && lines >= 1, "{name}: a line of {line}, {lines} of them");
        }
        edges += 4;
    }
    println!("{edges} edges");
    assert!(edges > 1000);
}

/// Where each line ends, ahead of what ends it: its turn, and how far into it.
fn line_ends(turns: &[Vec<u8>]) -> impl Iterator<Item = (usize, usize)> {
    turns.iter().enumerate().flat_map(|(number, turn)| {
        let ends = turn.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        ends.map(move |(end, _)| (number, end - usize::from(turn[..end].ends_with(b"\r"))))
    })
}

#[test]
fn what_stands_in_a_long_line_is_read_wherever_a_buffer_ends() {
    let mut lines = BTreeSet::new();
    for (setup, transcript) in upgrades().filter(|(setup, _)| setup.required && LINES.contains(&setup.protocol)) {
        let turns: Vec<Vec<u8>> = transcript.server().map(<[u8]>::to_vec).collect();
        for (number, end) in line_ends(&turns) {
            let line = turns[number][..end].rsplit(|byte| *byte == b'\n').next().expect("what stands ahead of its end");
            if !lines.insert((setup.protocol.to_string(), line.to_vec())) {
                continue;
            }
            for (mark, length) in MARKS.iter().flat_map(|mark| (0..LONG).map(move |length| (mark, length))) {
                let mut turns = turns.clone();
                turns[number].splice(end..end, [b" ", &vec![b'X'; length][..], mark].concat());
                let expected = setup.drive(&whole(&turns));
                assert_eq!(setup.drive(&chunked(&turns, &[1])), expected, "{}: {turns:?}", transcript.name);
            }
        }
    }
    println!("{} lines", lines.len());
    assert!(lines.len() > 100);
}

#[test]
fn nothing_is_sent_after_the_last_request() {
    for (setup, transcript) in upgrades() {
        let turns: Vec<&[u8]> = transcript.server().collect();
        if setup.required {
            falls_silent(Negotiation::required(setup.dialogue()), &turns, &transcript.name);
        } else {
            falls_silent(Negotiation::opportunistic(setup.dialogue()), &turns, &transcript.name);
        }
    }
}

fn falls_silent<P: Policy>(mut negotiation: Negotiation<impl Dialogue<P::Role>, P>, turns: &[&[u8]], name: &str) {
    for turn in turns {
        let _ = negotiation.poll_transmit();
        assert_eq!(negotiation.handle_input(turn), Ok(()), "{name}");
    }
    let _ = negotiation.poll_transmit();
    for _ in 0..2 {
        assert!(negotiation.poll_transmit().is_none() && !negotiation.wants_read(), "{name}");
        assert_eq!(negotiation.handle_input(b""), Ok(()), "{name}");
    }
    assert_eq!(negotiation.handle_input(b"\x16"), Err(Error::Injected), "{name}");
    assert!(negotiation.poll_transmit().is_none() && !negotiation.wants_read(), "{name}");
}
