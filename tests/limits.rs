//! A server that does not stop talking is stopped, in constant memory, exactly at the limit.

use allocation_counter::measure;
use starttls::protocol::{
    Acap, Ftp, Imap, Irc, Ldap, Munin, Mupdate, Mysql, MysqlX, Nats, Nbd, Nntp, Nsq, Nut, Options, Pcep, Pop3,
    Postgres, Rpc, Sieve, Smtp, Start, Vnc, Xmpp,
};
use starttls::{Dialogue, Error, Frame, Limit, Limits, Negotiation, Part, Protocol, Step};
use starttls_replay::Transcript;

const ASK: Options = Options { start: Start::AfterGreeting, ask: true, insist: false };

/// The protocols whose parser allocates, and the most that it holds.
const PARSES_XML: [Protocol; 2] = [Protocol::Xmpp, Protocol::XmppServer];
const XML_MEMORY: u64 = 300_000;

/// Feeds `first` once and `again` for ever, in chunks of `size`. Returns the error, after how many bytes it came, and
/// how many bytes of memory it took.
fn endless(dialogue: impl Dialogue, limits: Limits, first: &[u8], again: &[u8], size: usize) -> (Error, usize, u64) {
    let mut negotiation = Negotiation::required(dialogue).limits(limits);
    let mut bytes = first.iter().chain(again.iter().cycle()).copied();
    let mut chunk = vec![0; size];
    let mut fed = 0;
    let mut failure = None;
    let memory = measure(|| {
        while failure.is_none() {
            let _ = negotiation.poll_transmit();
            chunk.fill_with(|| bytes.next().expect("endless"));
            failure = negotiation.handle_input(&chunk).err();
            fed += size;
            assert!(fed <= limits.bytes as usize + size, "it listens for ever");
        }
    });
    (failure.expect("it failed"), fed, memory.bytes_max)
}

/// The most that is held of so many bytes: they and the room for as many, and as many again while they move there; and the
/// text of an error.
fn held(fed: usize) -> u64 {
    4 * fed as u64 + 8192
}

#[test]
fn endless_replies_are_refused() {
    let smtp = || Smtp::new("client.example").unwrap();
    let lmtp = || Smtp::lmtp("client.example").unwrap();
    let imap = || Imap::new("A7F3").unwrap();
    let acap = || Acap::new("A7F3").unwrap();
    let mupdate = || Mupdate::new("A7F3").unwrap();
    let Limits { line, lines, .. } = Limits::default();
    let (line, lines) = (line as usize, lines as usize);
    // The byte that is one too many is the one behind the longest line, or the end of the line behind the last.
    type Row = (&'static str, Limit, usize, Box<dyn Dialogue>, &'static str, &'static str);
    let rows: [Row; 30] = [
        ("smtp line", Limit::Line, line + 1, Box::new(smtp()), "220 ", "x"),
        ("smtp line without a code", Limit::Line, line + 1, Box::new(smtp()), "", "\0"),
        ("smtp greeting", Limit::Lines, (lines + 1) * 7, Box::new(smtp()), "", "220-a\r\n"),
        ("smtp hello", Limit::Lines, (lines + 1) * 8, Box::new(smtp().options(ASK)), "", "250-ab\r\n"),
        ("lmtp hello", Limit::Lines, (lines + 1) * 8, Box::new(lmtp().options(ASK)), "", "250-ab\r\n"),
        ("imap line", Limit::Line, line + 1, Box::new(imap()), "* OK ", "x"),
        ("imap untagged", Limit::Lines, (lines + 1) * 6, Box::new(imap().options(ASK)), "", "* OK\r\n"),
        ("imap capability", Limit::Line, line + 1, Box::new(imap().options(ASK)), "* CAPABILITY", " X"),
        ("imap literal", Limit::Line, 18, Box::new(imap().options(ASK)), "* A {99999999999}\n", "A7F3C OK\r\n"),
        ("imap literals", Limit::Lines, 4 + lines * 6 + 5, Box::new(imap().options(ASK)), "* A ", "{0}\r\n "),
        ("pop3 line", Limit::Line, line + 1, Box::new(Pop3::new()), "+OK ", "x"),
        ("pop3 list", Limit::Lines, 5 + lines * 3, Box::new(Pop3::new().options(ASK)), "+OK\r\n", "A\r\n"),
        ("nntp line", Limit::Line, line + 1, Box::new(Nntp::new()), "200 ", "x"),
        ("nntp list", Limit::Lines, 5 + lines * 3, Box::new(Nntp::new().options(ASK)), "101\r\n", "A\r\n"),
        ("ftp line", Limit::Line, line + 1, Box::new(Ftp::new()), "220-", "x"),
        ("ftp greeting", Limit::Lines, (lines + 1) * 6, Box::new(Ftp::new()), "220-\r\n", "220-\r\n"),
        ("ftp delays", Limit::Turns, (Limits::default().turns as usize + 1) * 5, Box::new(Ftp::new()), "", "120\r\n"),
        ("sieve line", Limit::Line, line + 1, Box::new(Sieve::new()), "\"A\" ", "x"),
        ("sieve capabilities", Limit::Lines, (lines + 1) * 5, Box::new(Sieve::new()), "", "\"A\"\r\n"),
        ("sieve literal", Limit::Line, 15, Box::new(Sieve::new()), "{99999999999}\r\n", "\"A\"\r\n"),
        ("sieve literals", Limit::Lines, (lines + 1) * 5, Box::new(Sieve::new()), "", "{0+}\n"),
        ("irc line", Limit::Line, line + 1, Box::new(Irc::new()), "NOTICE ", "x"),
        ("irc notices", Limit::Lines, (lines + 1) * 8, Box::new(Irc::new()), "", "NOTICE\r\n"),
        ("irc capabilities", Limit::Lines, (lines + 1) * 14, Box::new(Irc::new().options(ASK)), "", "CAP * LS * :\r\n"),
        ("acap line", Limit::Line, line + 1, Box::new(acap()), "* ACAP ", "(A) "),
        ("acap untagged", Limit::Lines, (lines + 1) * 6, Box::new(acap().options(ASK)), "", "* OK\r\n"),
        ("mupdate line", Limit::Line, line + 1, Box::new(mupdate()), "* AUTH ", "A "),
        ("mupdate greeting", Limit::Lines, (lines + 1) * 6, Box::new(mupdate()), "", "* OK\r\n"),
        ("nut line", Limit::Line, line + 1, Box::new(Nut::new()), "OK STARTTLS", " "),
        ("munin line", Limit::Line, line + 1, Box::new(Munin::new()), "# munin node at ", "x"),
    ];
    for (name, limit, at, dialogue, first, again) in rows {
        let (error, fed, memory) = endless(dialogue, Limits::default(), first.as_bytes(), again.as_bytes(), 1);
        assert_eq!((error, fed), (Error::Limit(limit), at), "{name}");
        assert!(memory <= held(at), "{name}: {memory} bytes of memory");
    }
}

#[test]
fn endless_packets_are_refused() {
    let Limits { line, lines, .. } = Limits::default();
    let (line, lines) = (line as usize, lines as usize);
    // A packet is refused where its length is announced, a reply at the end of the packet that is one too many.
    type Row = (&'static str, Limit, usize, Box<dyn Dialogue>, &'static [u8], &'static [u8]);
    let rows: [Row; 11] = [
        (
            "ldap text",
            Limit::Line,
            6,
            Box::new(Ldap::new()),
            b"\x30\x84\0\xff\xff\xff\x02\x01\x01\x78\x84\0\xff\xff\0\x0a\x01\x00\x04\0\x04\x84\0\xff\0\0",
            b"x",
        ),
        (
            "ldap notifications",
            Limit::Lines,
            (lines + 1) * 17,
            Box::new(Ldap::new()),
            b"",
            b"\x30\x0f\x02\x01\0\x78\x0a\x0a\x01\0\x04\0\x04\0\x8a\x011",
        ),
        ("postgres error", Limit::Line, 5, Box::new(Postgres::new()), b"E\0\0\x70\0M", b"x"),
        ("mysql version", Limit::Line, 5, Box::new(Mysql::new()), b"\xff\xff\xff\0\x0a", b"8"),
        ("nats info", Limit::Line, line + 1, Box::new(Nats::new()), b"INFO {\"a\":\"", b"x"),
        ("mysqlx ok", Limit::Line, 5, Box::new(MysqlX::new()), b"\xff\xff\xff\xff\0", b"x"),
        ("mysqlx notices", Limit::Lines, (lines + 1) * 5, Box::new(MysqlX::new()), b"", b"\x01\0\0\0\x0b"),
        ("rpc fragments", Limit::Lines, (lines + 1) * 4, Box::new(Rpc::nfs(1)), b"", b"\0\0\0\0"),
        ("pcep error", Limit::Line, 4, Box::new(Pcep::new()), b"\x20\x06\xff\xfc", b"x"),
        ("nsq response", Limit::Line, 8, Box::new(Nsq::new()), b"\xff\xff\xff\xff\0\0\0\0{\"a\":\"", b"x"),
        ("nsq heartbeats", Limit::Lines, (lines + 1) * 19, Box::new(Nsq::new()), b"", b"\0\0\0\x0f\0\0\0\0_heartbeat_"),
    ];
    for (name, limit, at, dialogue, first, again) in rows {
        let (error, fed, memory) = endless(dialogue, Limits::default(), first, again, 1);
        assert_eq!((error, fed), (Error::Limit(limit), at), "{name}");
        assert!(memory <= held(at), "{name}: {memory} bytes of memory");
    }
    // Those that a request stands before.
    let mut vnc = Negotiation::required(Vnc::new());
    vnc.handle_input(b"RFB 003.008\n").unwrap();
    vnc.poll_transmit().unwrap();
    assert_eq!(vnc.handle_input(b"\0\xff\xff\xff"), Ok(()));
    assert_eq!(vnc.handle_input(b"\xff"), Err(Error::Limit(Limit::Line)));
    let mut nbd = Negotiation::required(Nbd::new());
    nbd.handle_input(b"NBDMAGICIHAVEOPT\0\x03").unwrap();
    nbd.poll_transmit().unwrap();
    nbd.handle_input(b"\0\x03\xe8\x89\x04\x55\x65\xa9\0\0\0\x05\x80\0\0\x01\0\0\x10\0").unwrap();
    assert_eq!(nbd.handle_input(&[b'x'; 4095]), Ok(()));
    assert!(matches!(nbd.handle_input(b"x"), Err(Error::Declined(_))), "as long a text as there can be");
}

#[test]
fn no_protocol_listens_for_ever() {
    for protocol in Protocol::all() {
        for transcript in Transcript::all(protocol) {
            // What the server says in one turn, said again and again; and its beginning, which never comes to an end.
            for turn in transcript.server() {
                for again in [turn, &turn[..1], b"\r\n", b"\0", b" "] {
                    let dialogue = protocol.dialogue(&transcript.identity()).expect("a valid client");
                    let (_, fed, memory) = endless(dialogue, Limits::default(), turn, again, 1);
                    assert!(fed <= Limits::default().bytes as usize + 1, "{}: {fed} bytes", transcript.name);
                    let most = if PARSES_XML.contains(&protocol) { XML_MEMORY } else { held(fed) };
                    assert!(memory <= most, "{}: {memory} bytes of memory", transcript.name);
                }
            }
        }
    }
}

#[test]
fn the_memory_of_an_xml_parser_is_bounded() {
    let stream = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";
    let most = Limits::default().bytes as usize;
    let numbered = |one: fn(usize) -> String| (0..most).map(one).take(9000).collect::<String>();
    let rows: [(&str, String, String, Limit); 6] = [
        ("attributes", format!("{stream}<x"), numbered(|n| format!(" a{n:x}=''")), Limit::Line),
        ("declarations", format!("{stream}<x"), numbered(|n| format!(" xmlns:a{n:x}='{n:x}'")), Limit::Line),
        ("text", format!("{stream}<stream:features><x>"), "x".into(), Limit::Line),
        ("space", stream.into(), " ".into(), Limit::Lines),
        ("features", format!("{stream}<stream:features>"), "<a/>".into(), Limit::Lines),
        ("tags", format!("{stream}<stream:features><x>"), "<a>x</a>".into(), Limit::Line),
    ];
    for (name, first, again, limit) in rows {
        let dialogue = Xmpp::client("mail.example").unwrap();
        let (error, _, memory) = endless(dialogue, Limits::default(), first.as_bytes(), again.as_bytes(), 1);
        println!("{name}: {memory} bytes of memory");
        assert_eq!(error, Error::Limit(limit), "{name}");
        assert!(memory <= XML_MEMORY, "{name}: {memory} bytes of memory");
    }
    for endless_token in ["<", "<x a", "<x a='", "</"] {
        let dialogue = Xmpp::client("mail.example").unwrap();
        let first = format!("{stream}<stream:features>{endless_token}");
        let (error, at, memory) = endless(dialogue, Limits::default(), first.as_bytes(), b"x", 1);
        assert!(matches!(error, Error::Unexpected(_)), "{endless_token}: {error}");
        assert!(at <= first.len() + 1025 && memory <= XML_MEMORY, "{endless_token}: {at} bytes, {memory} of memory");
    }
}

#[test]
fn the_chunking_of_an_endless_reply_does_not_matter() {
    for size in [1, 2, 3, 7, 64, 4096, 100_000] {
        let (error, ..) = endless(Pop3::new(), Limits::default(), b"+OK", b" ", size);
        assert_eq!(error, Error::Limit(Limit::Line), "chunks of {size}");
    }
}

/// The dialogue that each limit is tried on: 18 + 34 + 8 = 60 bytes, lines of 18, 17, 17 and 8, three replies.
const DIALOGUE: [&str; 3] = ["220 mail.example\r\n", "250-mail.example\r\n250 STARTTLS ab\r\n", "220 go\r\n"];

fn outcome(limits: Limits) -> Result<(), Error> {
    let mut negotiation = Negotiation::required(Smtp::new("client.example").unwrap()).limits(limits);
    for turn in DIALOGUE {
        let _ = negotiation.poll_transmit();
        negotiation.handle_input(turn.as_bytes())?;
    }
    negotiation.finish().map(drop)
}

#[test]
fn limits_hold_exactly_at_their_edge() {
    let all = DIALOGUE.concat();
    let bytes = all.len() as u32;
    let line = all.split_inclusive('\n').map(str::len).max().unwrap() as u32;
    let exact = Limits { bytes, line, lines: 2, turns: 3 };
    assert_eq!(outcome(exact), Ok(()));
    assert_eq!(outcome(Limits { bytes: bytes - 1, ..exact }), Err(Error::Limit(Limit::Bytes)));
    assert_eq!(outcome(Limits { line: line - 1, ..exact }), Err(Error::Limit(Limit::Line)));
    assert_eq!(outcome(Limits { lines: 1, ..exact }), Err(Error::Limit(Limit::Lines)));
    assert_eq!(outcome(Limits { turns: 2, ..exact }), Err(Error::Limit(Limit::Turns)));
}

#[test]
fn lines_that_come_at_once_are_counted_each() {
    let limits = Limits { lines: 4, ..Limits::default() };
    let reply = b"250-mail.example\r\n250-A\r\n250-B\r\n250-C\r\n250-D\r\n250-STARTTLS\r\n";
    for size in 1..=reply.len() {
        let options = Options { start: Start::AfterGreeting, ..Options::default() };
        let smtp = Smtp::new("client.example").unwrap().options(options);
        let mut negotiation = Negotiation::required(smtp).limits(limits);
        negotiation.poll_transmit();
        let heard = reply.chunks(size).try_for_each(|chunk| negotiation.handle_input(chunk));
        // The fifth is one too many, and the reply need not come to its end for that.
        assert_eq!(heard, Err(Error::Limit(Limit::Lines)), "{size} bytes at a time");
        assert_eq!(negotiation.advertised(), None, "{size} bytes at a time");
    }
}

/// A dialogue whose units have no end.
struct Greedy(Frame, fn() -> Step);

impl Dialogue for Greedy {
    fn open(&mut self) -> Step {
        Step::More
    }

    fn frame(&self, _: &[u8], _: Part<'_>) -> Frame {
        self.0
    }

    fn receive(&mut self, _: &[u8]) -> Result<Step, Error> {
        Ok(self.1())
    }

    fn awaiting(&self) -> &'static str {
        "greeting"
    }
}

#[test]
fn a_dialogue_that_asks_for_too_much_is_held_to_the_limits() {
    let limits = Limits { bytes: 30, line: 10, lines: 3, turns: 1 };
    for frame in
        [Frame::Line, Frame::Exactly(0), Frame::Exactly(1), Frame::Exactly(10), Frame::Exactly(11), Frame::Whole]
    {
        for step in [|| Step::More, || Step::Next, || Step::Await] {
            let mut negotiation = Negotiation::required(Greedy(frame, step)).limits(limits);
            let heard = (0..30).try_for_each(|_| negotiation.handle_input(b"a\n"));
            assert!(matches!(heard, Err(Error::Limit(_))), "{frame:?}: {heard:?}");
        }
    }
}

/// What a server says ahead of a length, and the length of so many bytes as it stands on the wire.
struct Length {
    protocol: Protocol,
    ask: bool,
    turns: &'static [&'static [u8]],
    announce: fn(u32) -> Vec<u8>,
    /// The most that the field can announce.
    most: u32,
    /// How many of the bytes announce, and count with what follows.
    header: u32,
    /// What the lengths are multiples of.
    step: u32,
}

fn text(line: &str, length: u32) -> Vec<u8> {
    line.replace("{n", &format!("{{{length}")).into_bytes()
}

fn lengths() -> Vec<Length> {
    let length =
        |protocol, announce, most, header| Length { protocol, ask: false, turns: &[], announce, most, header, step: 1 };
    vec![
        Length { ask: true, ..length(Protocol::Imap, |n| text("* LIST () \"/\" {n}\r\n", n), u32::MAX, 0) },
        length(Protocol::Acap, |n| text("* ACAP (SASL {n}\r\n", n), u32::MAX, 0),
        length(Protocol::Mupdate, |n| text("* AUTH {n}\r\n", n), u32::MAX, 0),
        length(Protocol::Sieve, |n| text("{n}\r\n", n), u32::MAX, 0),
        length(Protocol::Sieve, |n| text("\"SIEVE\" {n+}\r\n", n), u32::MAX, 0),
        length(Protocol::Ldap, |n| [&b"\x30\x84"[..], &n.to_be_bytes()].concat(), u32::MAX, 6),
        length(Protocol::Ldap, |n| [&b"\x30\x83"[..], &n.to_be_bytes()[1..]].concat(), 0xff_ffff, 5),
        length(Protocol::Postgres, |n| [&b"E"[..], &(n + 4).to_be_bytes()].concat(), u32::MAX - 4, 5),
        length(Protocol::Mysql, |n| [&(n + 1).to_le_bytes()[..3], b"\0\x0a"].concat(), 0xff_fffe, 5),
        length(Protocol::Mysql, |n| [&(n + 1).to_le_bytes()[..3], b"\0\xff"].concat(), 0xff_fffe, 5),
        length(Protocol::MysqlX, |n| [&(n + 1).to_le_bytes()[..], b"\x01"].concat(), u32::MAX - 1, 5),
        length(Protocol::MysqlX, |n| [&(n + 1).to_le_bytes()[..], b"\x0b"].concat(), u32::MAX - 1, 5),
        length(
            Protocol::Mssql,
            |n| [&b"\x04\x01"[..], &(n as u16 + 8).to_be_bytes(), b"\0\0\0\0"].concat(),
            u32::from(u16::MAX) - 8,
            8,
        ),
        Length {
            step: 4,
            ..length(
                Protocol::Pcep,
                |n| [&b"\x20\x06"[..], &(n as u16 + 4).to_be_bytes()].concat(),
                u32::from(u16::MAX) - 3 - 4,
                4,
            )
        },
        length(Protocol::Nsq, |n| [&(n + 4).to_be_bytes()[..], b"\0\0\0\0"].concat(), u32::MAX - 4, 8),
        Length {
            turns: &[b"RFB 003.008\n"],
            ..length(Protocol::Vnc, |n| [&b"\0"[..], &n.to_be_bytes()].concat(), u32::MAX, 5)
        },
    ]
}

/// The protocols that announce no length, or none that their own grammar does not bound more narrowly: an RPC reply has 440
/// bytes at most, a text of NBD 4,096, a list of VNC 255 elements; and HTTP passes over no body longer than 4,096.
const WITHOUT_LENGTH: [Protocol; 17] = [
    Protocol::Smtp,
    Protocol::Lmtp,
    Protocol::Pop3,
    Protocol::Nntp,
    Protocol::Ftp,
    Protocol::Irc,
    Protocol::Nut,
    Protocol::Munin,
    Protocol::Xmpp,
    Protocol::XmppServer,
    Protocol::Telnet,
    Protocol::Nats,
    Protocol::Amqp,
    Protocol::Rdp,
    Protocol::Rpc,
    Protocol::Nbd,
    Protocol::Http,
];

#[test]
fn a_length_beyond_the_limits_is_refused_where_it_is_announced() {
    let line = Limits::default().line;
    for length in lengths() {
        let Length { protocol, announce, .. } = length;
        let heard = |announced: u32| {
            let start = if length.ask { Start::AfterGreeting } else { Start::Greeting };
            let options = Options { start, ask: length.ask, insist: false };
            let dialogue = protocol.dialogue(&starttls_replay::client(options)).expect("a valid client");
            let mut negotiation = Negotiation::required(dialogue);
            for turn in length.turns {
                negotiation.handle_input(turn).unwrap();
            }
            let _ = negotiation.poll_transmit();
            let said = announce(announced);
            let (last, ahead) = said.split_last().expect("bytes");
            ahead.iter().for_each(|byte| negotiation.handle_input(&[*byte]).unwrap());
            negotiation.handle_input(&[*last])
        };
        let most_allowed = line - length.header;
        let name = format!("{protocol}: {}", starttls::Escaped(&announce(0)));
        assert_eq!(heard(most_allowed), Ok(()), "{name}");
        assert_eq!(heard(most_allowed + length.step), Err(Error::Limit(Limit::Line)), "{name}");
        assert_eq!(heard(length.most), Err(Error::Limit(Limit::Line)), "{name}");
    }
    let announce: Vec<Protocol> = lengths().iter().map(|length| length.protocol).collect();
    for protocol in Protocol::all() {
        assert!(announce.contains(&protocol) != WITHOUT_LENGTH.contains(&protocol), "{protocol}: has it a length?");
    }
}

/// A length that the protocol itself bounds more narrowly is refused as early.
#[test]
fn a_length_beyond_the_protocols_own_is_refused_where_it_is_announced() {
    let mut rpc = Negotiation::required(Rpc::nfs(1));
    rpc.poll_transmit().unwrap();
    assert!(matches!(rpc.handle_input(b"\xff\xff\xff\xff"), Err(Error::Unexpected(_))));
    let mut nbd = Negotiation::required(Nbd::new());
    nbd.handle_input(b"NBDMAGICIHAVEOPT\0\x03").unwrap();
    nbd.poll_transmit().unwrap();
    let reply = b"\0\x03\xe8\x89\x04\x55\x65\xa9\0\0\0\x05\x80\0\0\x01\xff\xff\xff\xff";
    assert!(matches!(nbd.handle_input(reply), Err(Error::Unexpected(_))));
    let mut http = Negotiation::required(starttls::protocol::Http::new("mail.example").unwrap());
    http.poll_transmit().unwrap();
    let response = b"HTTP/1.1 403 No\r\nContent-Length: 4294967295\r\n\r\n";
    assert!(matches!(http.handle_input(response), Err(Error::Closing(_))));
}
