//! Prefaces before dialogues: every split, every end, every refusal, and what may share a write or a read.

use std::net::SocketAddr;

use allocation_counter::measure;
use starttls::preface::{Connect, Preface, Proxy, Socks5, Via};
use starttls::protocol::{Http, Mssql, Pop3, Smtp};
use starttls::{Code, Dialogue, Error, Negotiation, Reply, Step, Text, Tls};
use starttls_replay::drive;

/// A dialogue of no words: TLS starts at once.
struct Direct;

impl Dialogue for Direct {
    fn open(&mut self) -> Step {
        Step::Upgrade
    }

    fn receive(&mut self, _: &[u8]) -> Result<Step, Error> {
        unreachable!("nothing is awaited")
    }

    fn awaiting(&self) -> &'static str {
        "nothing"
    }

    fn advertised(&self) -> Option<bool> {
        None
    }

    fn tls(&self) -> Tls {
        Tls::default()
    }
}

type Boxed = Box<dyn Dialogue>;

fn via(preface: impl Preface + 'static, dialogue: impl Dialogue + 'static) -> Boxed {
    Box::new(Via::new(preface, dialogue))
}

fn connect() -> Connect {
    Connect::new("mail.example", 110).unwrap()
}

fn socks5() -> Socks5 {
    Socks5::new("mail.example", 110).unwrap()
}

fn source() -> SocketAddr {
    "192.0.2.1:56324".parse().unwrap()
}

fn destination() -> SocketAddr {
    "192.0.2.2:110".parse().unwrap()
}

const ASK: &[u8] = b"CONNECT mail.example:110 HTTP/1.1\r\nHost: mail.example:110\r\n\r\n";
const FREE: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";
const OPTIONS: &[u8] =
    b"OPTIONS * HTTP/1.1\r\nHost: mail.example\r\nUpgrade: TLS/1.2, TLS/1.0\r\nConnection: Upgrade\r\n\r\n";
const SWITCH: &[u8] = b"HTTP/1.1 101 Go\r\nUpgrade: TLS/1.2\r\n\r\n";
const TARGET: &[u8] = b"\x05\x01\0\x03\x0cmail.example\0\x6e";
const BOUND: &[u8] = b"\x05\0\0\x01\x7f\0\0\x01\x12\x34";
const HEADER: &[u8] = b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 110\r\n";

struct Case {
    name: &'static str,
    dialogue: fn() -> Boxed,
    server: Vec<Vec<u8>>,
    client: Vec<Vec<u8>>,
}

/// Ways to an upgrade.
fn cases() -> Vec<Case> {
    let case = |name, dialogue, server: &[&[&[u8]]], client: &[&[&[u8]]]| {
        let turns = |turns: &[&[&[u8]]]| turns.iter().map(|parts| parts.concat()).collect();
        Case { name, dialogue, server: turns(server), client: turns(client) }
    };
    vec![
        case(
            "CONNECT, the greeting behind its reply",
            || via(connect(), Pop3::new()),
            &[&[FREE, b"+OK\r\n"], &[b"+OK\r\n"]],
            &[&[ASK], &[b"STLS\r\n"]],
        ),
        case(
            "CONNECT, the client begins",
            || via(connect(), Http::new("mail.example").unwrap()),
            &[&[b"HTTP/1.1 100 Wait\n\nHTTP/1.0 299\nContent-Length: 5\nTransfer-Encoding: x\n\n"], &[SWITCH]],
            &[&[ASK], &[OPTIONS]],
        ),
        case(
            "CONNECT with credentials, TLS at once",
            || via(connect().credentials("Aladdin", "open sesame").unwrap(), Direct),
            &[&[FREE]],
            &[&[&ASK[..ASK.len() - 2], b"Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"]],
        ),
        case(
            "SOCKS5, the greeting behind its reply",
            || via(socks5(), Pop3::new()),
            &[&[b"\x05\0"], &[BOUND, b"+OK\r\n"], &[b"+OK\r\n"]],
            &[&[b"\x05\x01\0"], &[TARGET], &[b"STLS\r\n"]],
        ),
        case(
            "SOCKS5 with credentials, the client begins",
            || via(socks5().credentials("me", "secret").unwrap(), Http::new("mail.example").unwrap()),
            &[&[b"\x05\x02"], &[b"\x01\0"], &[b"\x05\0\0\x03\x0bproxy.local\0\0"], &[SWITCH]],
            &[&[b"\x05\x02\0\x02"], &[b"\x01\x02me\x06secret"], &[TARGET], &[OPTIONS]],
        ),
        case(
            "SOCKS5 with credentials that are not wanted, TLS at once",
            || via(socks5().credentials("me", "secret").unwrap(), Direct),
            &[&[b"\x05\0"], &[b"\x05\0\0\x04", &[1; 16], b"\0\0"]],
            &[&[b"\x05\x02\0\x02"], &[TARGET]],
        ),
        case(
            "PROXY, the server begins",
            || via(Proxy::v1(source(), destination()), Pop3::new()),
            &[&[b"+OK\r\n"], &[b"+OK\r\n"]],
            &[&[HEADER], &[b"STLS\r\n"]],
        ),
        case(
            "PROXY, the client begins: one write",
            || via(Proxy::v1(source(), destination()), Http::new("mail.example").unwrap()),
            &[&[SWITCH]],
            &[&[HEADER, OPTIONS]],
        ),
        case(
            "PROXY by way of SOCKS5 by way of CONNECT",
            || via(connect(), Via::new(socks5(), Via::new(Proxy::v1_unknown(), Pop3::new()))),
            &[&[FREE], &[b"\x05\0"], &[BOUND], &[b"+OK\r\n"], &[b"+OK\r\n"]],
            &[&[ASK], &[b"\x05\x01\0"], &[TARGET], &[b"PROXY UNKNOWN\r\n"], &[b"STLS\r\n"]],
        ),
        case(
            "CONNECT behind PROXY: one write",
            || via(Proxy::v1(source(), destination()), Via::new(connect(), Pop3::new())),
            &[&[FREE, b"+OK\r\n"], &[b"+OK\r\n"]],
            &[&[HEADER, ASK], &[b"STLS\r\n"]],
        ),
    ]
}

/// How it ends if the server says this, under either policy.
fn end(dialogue: fn() -> Boxed, turns: &[Vec<&[u8]>], eof: bool) -> (Vec<Vec<u8>>, Result<(), Error>) {
    let required = drive(Negotiation::required(dialogue()), turns, eof);
    let opportunistic = drive(Negotiation::opportunistic(dialogue()), turns, eof);
    let verdict = (required.sent, required.end.map(drop));
    assert_eq!((opportunistic.sent, opportunistic.end.map(drop)), verdict, "the policy makes no difference");
    verdict
}

fn whole(turns: &[Vec<u8>]) -> Vec<Vec<&[u8]>> {
    turns.iter().map(|turn| vec![&turn[..]]).collect()
}

#[test]
fn every_way_upgrades_however_it_is_split() {
    for Case { name, dialogue, server, client } in cases() {
        assert_eq!(end(dialogue, &whole(&server), false), (client.clone(), Ok(())), "{name}");
        for number in 0..server.len() {
            for at in 0..=server[number].len() {
                let (front, back) = server[number].split_at(at);
                let mut turns = whole(&server);
                turns[number] = vec![front, back];
                assert_eq!(end(dialogue, &turns, false), (client.clone(), Ok(())), "{name}: turn {number} at {at}");
            }
        }
    }
}

#[test]
fn a_stream_that_is_cut_off_is_closed() {
    for Case { name, dialogue, server, .. } in cases() {
        for number in 0..server.len() {
            for at in 0..=server[number].len() {
                let mut turns = whole(&server[..number]);
                turns.push(vec![&server[number][..at]]);
                assert_eq!(end(dialogue, &turns, true).1, Err(Error::Closed), "{name}: turn {number} cut at {at}");
            }
        }
    }
}

#[test]
fn bytes_out_of_turn_are_an_error() {
    for Case { name, dialogue, server, .. } in cases() {
        for number in 0..server.len() {
            for early in [&b"x"[..], b"+OK\r\n", b"\x05\0", b"\x16\x03\x03\0\x2a"] {
                let mut turns = server[..=number].to_vec();
                turns[number].extend(early);
                let (_, verdict) = end(dialogue, &whole(&turns), false);
                assert_eq!(verdict, Err(Error::Injected), "{name}: turn {number}");
            }
        }
    }
}

#[test]
fn nothing_is_allocated_on_the_way() {
    for Case { name, dialogue, server, client } in cases() {
        let mut negotiation = Negotiation::required(dialogue());
        let mut upgrade = None;
        let count = measure(|| {
            for (said, reply) in client.iter().zip(&server) {
                assert_eq!(negotiation.poll_transmit().unwrap(), said);
                negotiation.handle_input(reply).unwrap();
            }
            upgrade = Some(negotiation.finish());
        });
        assert!(upgrade.unwrap().is_ok(), "{name}");
        assert_eq!(count.count_total, 0, "{name}");
    }
}

fn proxy(code: Code, text: &str, temporary: bool) -> Error {
    Error::Proxy(Reply { code, text: Text::new(text.as_bytes()), temporary })
}

#[test]
fn a_refusal_of_the_proxys_is_an_error_under_any_policy() {
    let connected: fn() -> Boxed = || via(connect(), Pop3::new());
    let plain: fn() -> Boxed = || via(socks5(), Pop3::new());
    let secret: fn() -> Boxed = || via(socks5().credentials("me", "secret").unwrap(), Pop3::new());
    let number = |code, text, temporary| proxy(Code::Number(code), text, temporary);
    let named = |code, name| proxy(Code::Named(code, name), "", false);
    type Row = (fn() -> Boxed, &'static [&'static [u8]], Error);
    let rows: [Row; 18] = [
        (connected, &[b"HTTP/1.1 407 Who?\r\nProxy-Authenticate: Basic\r\n\r\n"], number(407, "Who?", false)),
        (connected, &[b"HTTP/1.1 403 \x1b[2J200\r\n\r\n"], number(403, "\x1b[2J200", false)),
        (connected, &[b"HTTP/1.0 503 Later\r\n\r\n"], number(503, "Later", true)),
        (connected, &[b"HTTP/1.1 302 Found\r\n\r\n"], number(302, "Found", false)),
        (connected, &[b"HTTP/1.1 101 Go\r\nUpgrade: TLS/1.2\r\n\r\n"], number(101, "Go", false)),
        (plain, &[b"\x05\xff"], named(255, "no acceptable method of authentication")),
        (secret, &[b"\x05\x02", b"\x01\x01"], named(1, "authentication failed")),
        (plain, &[b"\x05\0", b"\x05\x01"], named(1, "general failure")),
        (plain, &[b"\x05\0", b"\x05\x02"], named(2, "not allowed by the ruleset")),
        (plain, &[b"\x05\0", b"\x05\x03"], named(3, "network unreachable")),
        (plain, &[b"\x05\0", b"\x05\x04"], named(4, "host unreachable")),
        (plain, &[b"\x05\0", b"\x05\x05"], named(5, "connection refused")),
        (plain, &[b"\x05\0", b"\x05\x06"], named(6, "TTL expired")),
        (plain, &[b"\x05\0", b"\x05\x07"], named(7, "command not supported")),
        (plain, &[b"\x05\0", b"\x05\x08"], named(8, "address type not supported")),
        (plain, &[b"\x05\0", b"\x05\x09"], named(9, "unassigned")),
        (plain, &[b"\x05\x02"], Error::Unexpected(Text::new(b"\x05\x02"))),
        (secret, &[b"\x05\x02", b"\x05"], Error::Unexpected(Text::new(b"\x05"))),
    ];
    for (dialogue, turns, error) in rows {
        let turns: Vec<Vec<u8>> = turns.iter().map(|turn| turn.to_vec()).collect();
        assert_eq!(end(dialogue, &whole(&turns), false).1, Err(error));
    }
    type Nonsense = (fn() -> Boxed, &'static [u8]);
    let nonsense: [Nonsense; 8] = [
        (connected, b"HTTP/2 200\r\n"),
        (connected, b"200 OK\r\n"),
        (connected, b"HTTP/1.1 200 OK\r\nx\r\n"),
        (plain, b"\x04"),
        (plain, b"\x05\x01"),
        (plain, b"\x05\x03"),
        (plain, b"H"),
        (secret, b"\x05\x01"),
    ];
    for (dialogue, turn) in nonsense {
        let text =
            Text::new(turn.split(|&byte| byte == b'\n').rfind(|line| !line.is_empty()).unwrap().trim_ascii_end());
        assert_eq!(end(dialogue, &[vec![turn]], false).1, Err(Error::Unexpected(text)));
    }
    for reply in [&b"\x05\0\x01"[..], b"\x04", b"\x05\0\0\x02", b"\x05\0\0\0"] {
        let (_, verdict) = end(plain, &[vec![b"\x05\0"], vec![reply]], false);
        assert_eq!(verdict, Err(Error::Unexpected(Text::new(reply))));
    }
    assert_eq!(number(407, "\x1b", false).to_string(), r"the proxy refused: 407 \x1b");
}

#[test]
fn the_getters_tell_who_is_awaited() {
    let smtp = Smtp::new("client.example").unwrap();
    let mut negotiation = Negotiation::required(Via::new(socks5(), smtp));
    assert_eq!((negotiation.awaiting(), negotiation.advertised()), ("SOCKS5 method", None));
    for (reply, awaiting) in [(&b"\x05\0"[..], "SOCKS5 CONNECT"), (BOUND, "greeting"), (b"220 hi\r\n", "EHLO")] {
        negotiation.poll_transmit();
        negotiation.handle_input(reply).unwrap();
        assert_eq!(negotiation.awaiting(), awaiting);
    }
    assert_eq!(negotiation.round_trips(), 3);
}

fn request(preface: impl Preface) -> Vec<u8> {
    Negotiation::required(Via::new(preface, Direct)).poll_transmit().unwrap().to_vec()
}

#[test]
fn targets_are_names_or_addresses() {
    let authority = |host| {
        let request = String::from_utf8(request(Connect::new(host, 25).unwrap())).unwrap();
        request.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(authority("mail.example"), "mail.example:25");
    assert_eq!(authority("192.0.2.1"), "192.0.2.1:25");
    assert_eq!(
        (authority("2001:db8::1"), authority("[2001:db8::1]")),
        ("[2001:db8::1]:25".into(), "[2001:db8::1]:25".into())
    );
    let target = |host| {
        let mut negotiation = Negotiation::required(Via::new(Socks5::new(host, 25).unwrap(), Direct));
        negotiation.poll_transmit();
        negotiation.handle_input(&[5, 0]).unwrap();
        negotiation.poll_transmit().unwrap().to_vec()
    };
    assert_eq!(target("a.b"), b"\x05\x01\0\x03\x03a.b\0\x19");
    assert_eq!(target("192.0.2.1"), b"\x05\x01\0\x01\xc0\0\x02\x01\0\x19");
    let address = b"\x05\x01\0\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\x19";
    assert_eq!((&target("2001:db8::1")[..], &target("[2001:db8::1]")[..]), (&address[..], &address[..]));
}

#[test]
fn names_that_would_break_the_wire_are_refused() {
    let long = "x".repeat(256);
    for name in ["", "a b", "a\r\nb", "a\0b", "a:25", "[192.0.2.1]", "[a]", "::g", "user@host", "a/b", "ä", &long] {
        assert!(Connect::new(name, 25).is_err() && Socks5::new(name, 25).is_err(), "{name:?}");
    }
    for (user, password) in [("", "x"), ("a\r\nb", "x"), ("a", "b\0"), ("a", "\x7f"), ("a", &long), (&long, "a")] {
        assert!(connect().credentials(user, password).is_err(), "{user:?} {password:?}");
        assert!(socks5().credentials(user, password).is_err(), "{user:?} {password:?}");
    }
    assert!(connect().credentials("a:b", "c").is_err() && connect().credentials("a", "b:c").is_ok());
    assert!(socks5().credentials("a:b", "c ö").is_ok());
    let base64 = |password| {
        let request = String::from_utf8(request(connect().credentials("u", password).unwrap())).unwrap();
        request.trim_end().rsplit(' ').next().unwrap().to_owned()
    };
    // RFC 4648 §10 has no such strings with a colon; these are of base64(1).
    assert_eq!((base64("a"), base64("ab"), base64("ÿÿ>")), ("dTph".into(), "dTphYg==".into(), "dTrDv8O/Pg==".into()));
}

#[test]
fn proxy_headers_are_those_of_the_specification() {
    let six: SocketAddr = "[2001:db8::1]:443".parse().unwrap();
    assert_eq!(request(Proxy::v1(six, six)), b"PROXY TCP6 2001:db8::1 2001:db8::1 443 443\r\n");
    assert_eq!(request(Proxy::v1(source(), six)), b"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::1 56324 443\r\n");
    let signature = b"\r\n\r\n\0\r\nQUIT\n";
    let rest = |request: Vec<u8>| request.strip_prefix(signature).unwrap().to_vec();
    assert_eq!(rest(request(Proxy::v2_local())), [0x20, 0, 0, 0]);
    let four = [0x21, 0x11, 0, 12, 192, 0, 2, 1, 192, 0, 2, 2, 0xdc, 4, 0, 110];
    assert_eq!(rest(request(Proxy::v2(source(), destination()))), four);
    let mixed = rest(request(Proxy::v2(source(), six)));
    assert_eq!((mixed.len(), &mixed[..4]), (4 + 36, &[0x21, 0x21, 0, 36][..]));
    assert_eq!(&mixed[14..20], [0xff, 0xff, 192, 0, 2, 1]);
}

#[test]
fn what_the_dialogue_tells_comes_through() {
    let mut negotiation = Negotiation::required(via(connect(), Smtp::new("client.example").unwrap()));
    for reply in [FREE, b"220 mail.example\r\n", b"250-mail.example\r\n250 STARTTLS\r\n"] {
        assert_eq!(negotiation.advertised(), None);
        negotiation.poll_transmit();
        negotiation.handle_input(reply).unwrap();
    }
    assert_eq!(negotiation.advertised(), Some(true));
    let mssql = via(connect(), Mssql::new()).tls();
    assert_eq!((mssql, mssql.framing.is_some()), (Mssql::new().tls(), true));
}

#[test]
fn what_is_awaited_of_a_proxy_is_told() {
    assert_eq!((connect().awaiting(), socks5().awaiting()), ("CONNECT", "SOCKS5 method"));
    assert_eq!(Proxy::v1(source(), destination()).awaiting(), "nothing");
    let mut negotiation = Negotiation::required(via(socks5().credentials("alice", "secret").unwrap(), Pop3::new()));
    let mut awaited = Vec::new();
    for reply in [&b"\x05\x02"[..], b"\x01\x00", b"\x05\x00\x00\x01\x7f\0\0\x01\0\x6e", b"+OK ready\r\n"] {
        negotiation.poll_transmit();
        awaited.push(negotiation.awaiting());
        negotiation.handle_input(reply).unwrap();
    }
    assert_eq!(awaited, ["SOCKS5 method", "SOCKS5 authentication", "SOCKS5 CONNECT", "greeting"]);
}
