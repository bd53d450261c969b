//! `starttls check --mx`, against DNS servers that do what a good one does not. What a good one says is for
//! `tests/servers`.

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use starttls_replay::{Authority, Flaw, Server};
use support::{Run, ca_file, good_server, tool};

const A: u16 = 1;
const CNAME: u16 = 5;
const MX: u16 = 15;
const TRUNCATED: u16 = 0x8380;
const GOOD: u16 = 0x8180;
const SERVFAIL: u16 = 0x8182;
/// The name that was asked for, by its place in every message.
const SAME: &[u8] = b"\xc0\x0c";

/// A query as it came in.
struct Query<'a> {
    message: &'a [u8],
    /// How many came before it.
    number: usize,
    tcp: bool,
    /// Sends from another port than the server's.
    aside: &'a dyn Fn(&[u8]),
}

impl Query<'_> {
    /// The name and the type.
    fn question(&self) -> &[u8] {
        &self.message[12..]
    }

    fn is(&self, kind: u16) -> bool {
        self.question().ends_with(&[kind.to_be_bytes(), [0, 1]].concat())
    }

    fn answer(&self, flags: u16, records: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let counts = [1, records.len() as u16, 0, 0].map(u16::to_be_bytes).concat();
        let mut answer = [&self.message[..2], &flags.to_be_bytes(), &counts, self.question()].concat();
        for (kind, data) in records {
            answer
                .extend([SAME, &kind.to_be_bytes(), b"\0\x01\0\0\0\x3c", &(data.len() as u16).to_be_bytes()].concat());
            answer.extend(data);
        }
        answer
    }

    /// What to say if `host` is the one mail server, on this machine.
    fn one(&self, host: &[u8]) -> Vec<u8> {
        match () {
            () if self.is(MX) => self.answer(GOOD, &[mx(10, host)]),
            () if self.is(A) => self.answer(GOOD, &[(A, vec![127, 0, 0, 1])]),
            () => self.answer(GOOD, &[]),
        }
    }
}

fn mx(preference: u16, host: &[u8]) -> (u16, Vec<u8>) {
    (MX, [&preference.to_be_bytes(), host].concat())
}

/// Starts a DNS server, over UDP and TCP; it ends with the test program.
fn dns(handler: impl Fn(&Query) -> Vec<Vec<u8>> + Send + Sync + 'static) -> SocketAddr {
    let (udp, tcp) = loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        // The same port of the other kind may be taken.
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().expect("an address")) {
            break (udp, tcp);
        }
    };
    let address = udp.local_addr().expect("an address");
    let (handler, count) = (Arc::new(handler), Arc::new(AtomicUsize::new(0)));
    let (same, counted) = (handler.clone(), count.clone());
    thread::spawn(move || {
        let other = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let mut buffer = [0; 512];
        loop {
            let (length, client) = udp.recv_from(&mut buffer).expect("a query");
            let aside = |bytes: &[u8]| drop(other.send_to(bytes, client));
            let number = count.fetch_add(1, Ordering::Relaxed);
            for answer in handler(&Query { message: &buffer[..length], number, tcp: false, aside: &aside }) {
                // The client may have heard enough.
                let _ = udp.send_to(&answer, client);
            }
        }
    });
    thread::spawn(move || {
        for stream in tcp.incoming() {
            let mut stream = stream.expect("a client");
            let mut length = [0; 2];
            stream.read_exact(&mut length).expect("a length");
            let mut query = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut query).expect("a query");
            let number = counted.fetch_add(1, Ordering::Relaxed);
            for answer in same(&Query { message: &query, number, tcp: true, aside: &|_| {} }) {
                stream.write_all(&[&(answer.len() as u16).to_be_bytes(), &answer[..]].concat()).expect("a client");
            }
        }
    });
    address
}

/// Checks the mail servers of example.org, at the port of `server`.
fn check(resolver: SocketAddr, server: &Server, authority: &Authority, more: &[&str]) -> Run {
    let (resolver, domain) = (resolver.to_string(), format!("example.org:{}", server.address().port()));
    let mut command = tool();
    command.args(["check", "--mx", "--resolver", &resolver, "--server-name", "localhost", "--name", "client.example"]);
    command.arg("--ca-file").arg(ca_file(authority)).arg(domain).args(more);
    command.output().expect("the tool starts").into()
}

fn good() -> (Server, Authority) {
    let authority = Authority::default();
    (good_server("smtp", &authority, Flaw::None), authority)
}

#[test]
fn each_mail_server_has_a_row_the_preferred_first() {
    let (server, authority) = good();
    let port = server.address().port();
    let resolver = dns(|query| {
        let last = |label: &[u8]| query.question().starts_with(label);
        vec![match () {
            () if query.is(MX) => {
                // The names are those of the domain, under it; one stands there twice.
                let hosts = [(20, b"\x03two"), (10, b"\x03one"), (30, b"\x03six"), (40, b"\x03ONE")];
                let records = hosts.map(|(preference, label)| mx(preference, &[label, SAME].concat()));
                let mut answer = query.answer(GOOD, &records);
                // Nobody asked for those of another domain.
                answer[7] += 1;
                answer.extend(b"\x05other\0\0\x0f\0\x01\0\0\0\x3c\0\x09\0\x01\x05other\0");
                answer
            }
            () if query.is(A) && last(b"\x03six") => query.answer(GOOD, &[]),
            () if query.is(A) && last(b"\x03two") => query.answer(GOOD, &[(A, vec![127, 83, 25, 1])]),
            () => query.one(b""),
        }]
    });
    let run = check(resolver, &server, &authority, &[]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{}", run.stdout);
    let rows: Vec<_> =
        run.stdout.lines().skip(2).map(|row| row.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let expected = [
        format!("one.example.org:{port} smtp STARTTLS 1.3 yes upgraded"),
        format!("two.example.org:{port} smtp STARTTLS cannot connect: 127.83.25.1:{port}: "),
        format!("six.example.org:{port} smtp STARTTLS cannot resolve six.example.org: it has no address"),
    ];
    assert_eq!(rows.len(), expected.len(), "{}", run.stdout);
    assert!(rows.iter().zip(&expected).all(|(row, start)| row.starts_with(start)), "{}", run.stdout);

    let json = check(resolver, &server, &authority, &["--json"]);
    let outcomes: Vec<_> = json.reports().iter().map(|report| report["outcome"].clone()).collect();
    assert_eq!((json.code, outcomes), (0, vec![json!("upgraded"), json!("failed"), json!("failed")]));
}

#[test]
fn what_is_not_the_answer_is_passed_over() {
    let (server, authority) = good();
    // Each of these would lead to an address where nobody listens.
    let resolver = dns(|query| {
        let good = query.one(b"\x04mail\x07example\0");
        let wrong = query.answer(GOOD, &[mx(10, b"\x05wrong\x07example\0"), (A, vec![127, 83, 25, 2])]);
        let mut number = wrong.clone();
        number[0] ^= 0x80;
        let mut question = wrong.clone();
        question[13] ^= 0x01;
        let mut not_answer = wrong.clone();
        not_answer[2] &= 0x7f;
        (query.aside)(&wrong);
        vec![b"short".to_vec(), number, question, not_answer, query.message.to_vec(), good]
    });
    let run = check(resolver, &server, &authority, &["--json"]);
    let report = run.report();
    assert_eq!((run.code, &report["outcome"]), (0, &json!("upgraded")), "{}", run.stdout);
    assert_eq!(report["target"], format!("mail.example:{}", server.address().port()));
}

#[test]
fn an_answer_that_is_cut_short_is_asked_for_over_tcp() {
    let (server, authority) = good();
    let resolver = dns(|query| {
        let whole = query.one(b"\x05whole\x07example\0");
        vec![if query.tcp || !query.is(MX) {
            whole
        } else {
            query.answer(TRUNCATED, &[mx(1, b"\x03cut\x07example\0")])
        }]
    });
    let run = check(resolver, &server, &authority, &["--json"]);
    assert_eq!((run.code, &run.report()["outcome"]), (0, &json!("upgraded")), "{}", run.stdout);
    assert_eq!(run.report()["target"], format!("whole.example:{}", server.address().port()));

    let liar = dns(|query| if query.tcp { vec![query.message.to_vec()] } else { vec![query.answer(TRUNCATED, &[])] });
    let run = check(liar, &server, &authority, &[]);
    assert!(run.complaint().contains("what it says over TCP is no answer"), "{}", run.stderr);
}

#[test]
fn a_query_that_is_lost_is_sent_again() {
    let (server, authority) = good();
    let resolver = dns(|query| if query.number == 0 { vec![] } else { vec![query.one(b"\x04mail\x07example\0")] });
    let run = check(resolver, &server, &authority, &[]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{}", run.stdout);
}

#[test]
fn silence_and_noise_end_in_time() {
    let (server, authority) = good();
    // Noise: the answer to something else, for as long as the client is there.
    for noise in [0, 20_000] {
        let resolver = dns(move |query| vec![query.message.to_vec(); noise]);
        let start = Instant::now();
        let run = check(resolver, &server, &authority, &["--timeout", "1"]);
        assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
        assert_eq!((run.code, run.stdout.as_str()), (3, ""));
        assert!(run.complaint().contains("cannot resolve within the time allowed"), "{}", run.stderr);
    }
}

#[test]
fn the_time_for_the_dns_is_not_given_again_for_the_checks() {
    let authority = Authority::default();
    let silent = support::serve(|mut stream| support::wait(&mut stream));
    // The first query is lost, which costs two seconds.
    let resolver = dns(|query| if query.number == 0 { vec![] } else { vec![query.one(b"\x04mail\x07example\0")] });
    let run = check(resolver, &silent, &authority, &["--timeout", "4", "--json"]);
    let report = run.report();
    assert_eq!(report["failure"]["kind"], "timeout", "{report}");
    assert!(report["seconds"].as_f64().is_some_and(|seconds| seconds < 3.0), "{report}");
}

#[test]
fn an_answer_that_helps_nobody_is_told() {
    let (server, authority) = good();
    let many = |query: &Query| {
        let records: Vec<_> =
            (0..101).map(|number| mx(number, &[&[1, b'a' + number as u8 % 26], SAME].concat())).collect();
        query.answer(if query.tcp { GOOD } else { TRUNCATED }, if query.tcp { &records } else { &[] })
    };
    type Handler = fn(&Query) -> Vec<u8>;
    let cases: [(Handler, &str); 6] = [
        (|query| query.answer(SERVFAIL, &[]), "answers SERVFAIL"),
        (|query| query.answer(GOOD, &[(MX, b"\0".to_vec())]), "cannot be read"),
        (|query| query.answer(GOOD, &[(CNAME, SAME.to_vec())]), "aliases in the answer of the DNS server do not end"),
        (|query| query.answer(GOOD, &[mx(0, b"\0")]), "takes no mail, says its null MX (RFC 7505)"),
        (|query| query.answer(GOOD | 3, &[]), "there is no such domain"),
        (many, "it has 101 mail servers, and no more than 100 are checked"),
    ];
    for (handler, words) in cases {
        let resolver = dns(move |query| vec![handler(query)]);
        let run = check(resolver, &server, &authority, &["--json"]);
        assert!(run.complaint().contains(words), "{words}: {}", run.stderr);
        assert_eq!((run.code, &run.report()["failure"]["stage"]), (3, &json!("resolve")), "{words}");
    }
}

#[test]
fn a_hostile_name_is_escaped_and_goes_nowhere() {
    let (server, authority) = good();
    let resolver = dns(|query| vec![query.one(b"\x08\x1b]0;pwn\x07\x07example\0")]);
    let run = check(resolver, &server, &authority, &[]);
    assert!(run.complaint().contains(r"\\027]0;pwn\\007.example is not a host"), "{}", run.stderr);
    assert_eq!((run.code, run.stdout.as_str()), (3, ""));
}

#[test]
fn any_check_can_use_another_resolver() {
    let (server, authority) = good();
    let resolver = dns(|query| vec![query.one(b"")]).to_string();
    let target = format!("smtp://no-such-host.invalid:{}", server.address().port());
    let mut command = tool();
    command.args(["check", "--resolver", &resolver, "--server-name", "localhost", "--name", "client.example"]);
    let run: Run =
        command.arg("--ca-file").arg(ca_file(&authority)).arg(target).output().expect("the tool starts").into();
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{}", run.stdout);
}

#[test]
fn bad_arguments_are_told_before_anybody_is_asked() {
    for (arguments, words) in [
        (&["--resolver", "ns.example", "example.org"][..], "not an IP address"),
        (&["imap://example.org"], "says imap"),
        (&["--starttls", "smtp", "example.org"], "cannot be used with"),
        (&["exa mple.org"], "is not a host"),
    ] {
        let run = support::run(&[&["check", "--mx"], arguments].concat());
        assert!(run.complaint().contains(words), "{arguments:?}: {}", run.stderr);
        assert_eq!((run.code, run.stdout.as_str()), (3, ""));
    }
}
