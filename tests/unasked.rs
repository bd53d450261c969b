//! What a server may say at any time has the same outcome in whichever segment it comes. What would decide is injected.

use starttls::protocol::Script;
use starttls::{Dialogue, Error, Negotiation, Protocol, Required};
use starttls_replay::Transcript;

/// What the server of a protocol may say at any time.
struct Row {
    protocol: Protocol,
    /// The replies ahead of which it may say so.
    awaiting: &'static [&'static str],
    /// What is passed over.
    passed: &'static [&'static [u8]],
    /// What ends the session.
    ends: &'static [&'static [u8]],
    /// What answers the request, so that it cannot come before that was sent.
    decides: &'static [&'static [u8]],
}

const PROCEED: &[u8] = b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
const FAILED: &[u8] = b"<s:error xmlns:s='http://etherx.jabber.org/streams'>\
    <system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></s:error>";
const STREAM: &[u8] = b"<?xml version='1.0'?>\
    <s:stream xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams' version='1.0'>\
    <s:features><x xmlns='y'/><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></s:features>";

const ROWS: &[Row] = &[
    Row {
        protocol: Protocol::Imap,
        awaiting: &["CAPABILITY", "STARTTLS"],
        passed: &[
            b"* OK [ALERT] the disk is full\r\n",
            b"* NO nothing\n",
            b"* 3 EXISTS\r\n",
            b"* LIST () \"/\" {12}\r\nA7F3 OK go\r\n\r\n",
            b"* CAPABILITY IMAP4rev1 STARTTLS\r\n",
        ],
        ends: &[b"* BYE shutting down\r\n"],
        decides: &[b"A7F3 OK go\r\n", b"A7F3 NO\r\n", b"A7F3C OK\r\n", b"+ OK\r\n"],
    },
    Row {
        protocol: Protocol::Xmpp,
        awaiting: &["starttls"],
        passed: &[b"\n", b" \t", b"\r\n", b"\r"],
        ends: &[FAILED],
        decides: &[PROCEED, b"\r<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", b"<message/>"],
    },
    Row { protocol: Protocol::Xmpp, awaiting: &["stream"], passed: &[], ends: &[], decides: &[STREAM] },
    Row {
        protocol: Protocol::XmppServer,
        awaiting: &["starttls"],
        passed: &[b" \n"],
        ends: &[FAILED],
        decides: &[PROCEED],
    },
    Row {
        protocol: Protocol::Irc,
        awaiting: &["CAP LS", "STARTTLS"],
        passed: &[
            b":irc.example NOTICE * :*** Looking up your hostname\r\n",
            b"PING :670\n",
            b":irc.example CAP * NEW :tls\r\n",
            b"020 * :wait\r\n",
            b":irc.example 439 * :wait\r\n",
            b"\r\n",
        ],
        ends: &[b"ERROR :too many connections\r\n", b":irc.example 465 * :banned\r\n"],
        decides: &[b":irc.example 670 * :go\r\n", b"691\r\n", b":irc.example 421 * CAP\r\n", b"001 you :hi\r\n"],
    },
    Row {
        protocol: Protocol::Irc,
        awaiting: &["CAP LS"],
        passed: &[],
        ends: &[],
        decides: &[b"CAP * LS :tls\r\n", b":irc.example CAP * LS * :tls\r\n"],
    },
    Row {
        protocol: Protocol::Ldap,
        awaiting: &["StartTLS"],
        passed: &[b"\x30\x1c\x02\x01\x00\x78\x17\x0a\x01\x00\x04\x00\x04\x00\x8a\x0e1.3.6.1.1.21.4"],
        ends: &[b"\x30\x24\x02\x01\x00\x78\x1f\x0a\x01\x34\x04\x00\x04\x00\x8a\x161.3.6.1.4.1.1466.20036"],
        decides: &[
            b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00",
            b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x35\x04\x00\x04\x00",
        ],
    },
    Row {
        protocol: Protocol::MysqlX,
        awaiting: &["CapabilitiesSet"],
        passed: &[b"\x05\0\0\0\x0b\x08\x05\x10\x02", b"\x01\0\0\0\x0b"],
        ends: &[],
        decides: &[b"\x01\0\0\0\0", b"\x05\0\0\0\x01\x08\0\x10\x01"],
    },
    Row {
        protocol: Protocol::Nsq,
        awaiting: &["IDENTIFY"],
        passed: &[b"\0\0\0\x0f\0\0\0\0_heartbeat_"],
        ends: &[],
        decides: &[b"\0\0\0\x13\0\0\0\0{\"tls_v1\":true}", b"\0\0\0\x06\0\0\0\0OK"],
    },
    Row {
        protocol: Protocol::Telnet,
        awaiting: &["WILL START_TLS"],
        passed: &[b"\xff\xfd\x18", b"\xff\xfa\x18\xff\xff\x2e\x01\xff\xf0", b"\xff\xf1", b"\xff\xfd\x2e"],
        ends: &[],
        decides: &[b"\xff\xfa\x2e\x01\xff\xf0", b"\xff\xfe\x2e", b"\xff\xfc\x2e", b"login: "],
    },
    Row {
        protocol: Protocol::Acap,
        awaiting: &["STARTTLS"],
        passed: &[b"* ALERT \"x\"\r\n", b"* OK \"x\"\r\n", b"* NO {3+}\r\n* \n\r\n", b"* BAD \"x\"\n", b"* LANG\r\n"],
        ends: &[b"* BYE \"shutting down\"\r\n"],
        decides: &[b"A7F3 OK \"go\"\r\n", b"A7F3 NO \"no\"\r\n", b"* PREAUTH\r\n"],
    },
    Row {
        protocol: Protocol::Mupdate,
        awaiting: &["STARTTLS"],
        passed: &[],
        ends: &[b"* BYE \"shutting down\"\r\n"],
        decides: &[b"A7F3 OK \"go\"\r\n", b"A7F3 NO \"no\"\r\n", b"* BAD \"what\"\r\n"],
    },
];

/// How a negotiation ends, what the server is known to offer, and how many replies it took.
type End = (Result<(), Error>, Option<bool>, u32);

/// A dialogue that upgrades, and a place in it: ahead of the reply to a request.
struct Place {
    transcript: Transcript,
    protocol: Protocol,
    turn: usize,
}

impl Place {
    /// Every one of a protocol.
    fn all(protocol: Protocol) -> Vec<Place> {
        let upgrading = Transcript::all(protocol).into_iter().filter(|transcript| transcript.outcome == "upgraded");
        let places = upgrading.flat_map(|transcript| {
            let turns = transcript.server().count();
            (0..turns).map(move |turn| Place { transcript: transcript.clone(), protocol, turn })
        });
        places.filter(|place| place.asked().1).collect()
    }

    /// The negotiation as it is when the request waits to be sent, and whether there is one.
    fn asked(&self) -> (Negotiation<Box<dyn Dialogue + Send>, Required>, bool) {
        let dialogue = self.protocol.dialogue(&self.transcript.identity()).expect("a valid client");
        let mut negotiation = Negotiation::required(dialogue);
        for turn in self.transcript.server().take(self.turn) {
            let _ = negotiation.poll_transmit();
            negotiation.handle_input(turn).expect("it upgrades");
        }
        let asks = !negotiation.wants_read();
        (negotiation, asks)
    }

    fn reply(&self) -> &[u8] {
        self.transcript.server().nth(self.turn).expect("a reply")
    }

    /// How it ends if the server says this before the request is sent, and that afterwards.
    fn end(&self, early: &[u8], later: &[u8]) -> End {
        let (mut negotiation, _) = self.asked();
        let heard = (|| {
            negotiation.handle_input(early)?;
            negotiation.poll_transmit();
            negotiation.handle_input(later)?;
            for turn in self.transcript.server().skip(self.turn + 1) {
                negotiation.poll_transmit();
                negotiation.handle_input(turn)?;
            }
            Ok(())
        })();
        let (advertised, round_trips) = (negotiation.advertised(), negotiation.round_trips());
        (heard.and_then(|()| negotiation.finish().map(drop)), advertised, round_trips)
    }
}

#[test]
fn what_may_come_at_any_time_has_the_same_outcome_in_whichever_segment_it_comes() {
    let mut splits = 0;
    for row in ROWS {
        let places = Place::all(row.protocol).into_iter();
        for place in places.filter(|place| row.awaiting.contains(&place.asked().0.awaiting())) {
            let name = format!("{}, turn {}", place.transcript.name, place.turn);
            for (said, passed) in
                row.passed.iter().map(|said| (said, true)).chain(row.ends.iter().map(|said| (said, false)))
            {
                let later = place.end(b"", &[said, place.reply()].concat());
                let expected = if passed { later.0.is_ok() } else { matches!(later.0, Err(Error::Closing(_))) };
                assert!(expected, "{name}, {}: {later:?}", said.escape_ascii());
                for at in 1..=said.len() {
                    let (early, rest) = said.split_at(at);
                    let end = place.end(early, &[rest, place.reply()].concat());
                    assert_eq!(end, later, "{name}, {} at {at}", said.escape_ascii());
                    splits += 1;
                }
            }
            for said in row.decides {
                for at in 1..=said.len() {
                    let (early, rest) = said.split_at(at);
                    let end = place.end(early, &[rest, place.reply()].concat()).0;
                    assert_eq!(end, Err(Error::Injected), "{name}, {} at {at}", said.escape_ascii());
                    splits += 1;
                }
            }
        }
    }
    println!("{splits} splits");
    assert!(splits > 5000);
}

#[test]
fn no_reply_comes_ahead_of_its_request_in_whole_or_in_part() {
    let mut splits = 0;
    for protocol in Protocol::all() {
        for place in Place::all(protocol) {
            let reply = place.reply();
            let speaks = place.asked().0.dialogue().speaks_unasked();
            // What is passed over ahead of a reply is none of it.
            let whole = if speaks { reply.len() } else { 1 };
            for at in whole..=reply.len() {
                let (early, rest) = reply.split_at(at);
                let end = place.end(early, rest).0;
                assert_eq!(end, Err(Error::Injected), "{}, turn {} at {at}", place.transcript.name, place.turn);
                splits += 1;
            }
        }
    }
    println!("{splits} splits");
    assert!(splits > 5000);
}

#[test]
fn an_empty_line_is_no_attack_and_never_a_reply() {
    let unexpected = Err(Error::unexpected(b""));
    let mut places = 0;
    for protocol in Protocol::all().filter(|protocol| *protocol != Protocol::Irc) {
        let lines = Place::all(protocol).into_iter().filter(|place| {
            let (negotiation, _) = place.asked();
            let frame = negotiation.dialogue().frame(b"", starttls::Part::Nothing);
            frame == starttls::Frame::Line
        });
        for place in lines {
            let name = format!("{}, turn {}", place.transcript.name, place.turn);
            for said in [&b"\n"[..], b"\r\n"] {
                for at in 0..=said.len() {
                    let (early, rest) = said.split_at(at);
                    assert_eq!(place.end(early, &[rest, place.reply()].concat()).0, unexpected, "{name} at {at}");
                }
            }
            assert_eq!(place.end(b"\r", place.reply()).0, Err(Error::Injected), "{name}");
            for at in 1..3 {
                let (early, rest) = b"\r\r\n".split_at(at);
                assert_eq!(place.end(early, &[rest, place.reply()].concat()).0, Err(Error::Injected), "{name} at {at}");
            }
            places += 1;
        }
    }
    println!("{places} places");
    assert!(places > 50);
    assert_eq!(Error::unexpected(b"").to_string(), "not a reply that the protocol allows here: (empty)");
}

#[test]
fn what_a_script_skips_may_come_ahead_of_the_request() {
    let end = |early: &[u8], later: &[u8]| {
        let script = "expect \"HI\"\nsend \"GO\\n\"\nrefuse \"NO\"\nskip \"; \"\nexpect \"OK\\n\"";
        let mut negotiation = Negotiation::required(script.parse::<Script>().expect("a script"));
        negotiation.handle_input(b"HI\n")?;
        negotiation.handle_input(early)?;
        negotiation.poll_transmit();
        negotiation.handle_input(later)?;
        negotiation.finish().map(drop)
    };
    let skipped = b"; thinking\n";
    for at in 0..=skipped.len() {
        let (early, rest) = skipped.split_at(at);
        assert_eq!(end(early, &[rest, b"OK\n"].concat()), Ok(()), "at {at}");
    }
    for decides in [&b"OK\n"[..], b"NO\n", b"what\n"] {
        for at in 1..=decides.len() {
            let (early, rest) = decides.split_at(at);
            assert_eq!(end(early, &[rest, b"OK\n"].concat()), Err(Error::Injected), "at {at}");
        }
    }
}
