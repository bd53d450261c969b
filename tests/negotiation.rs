//! The rules of the negotiation that no transcript can show.

use starttls::protocol::{
    Acap, Client, Ftp, Imap, Mupdate, Nats, Options, Pop3, Postgres, Rdp, Rpc, Smtp, Start, Subtype, UnknownProtocol,
    Vnc, Xmpp,
};
use starttls::{Dialogue, Error, Escaped, InvalidName, Negotiation, Outcome, Protocol, Reason, Text};

fn smtp() -> Smtp {
    Smtp::new("client.example").unwrap()
}

#[test]
fn a_refused_command_can_be_repeated_on_the_same_connection() {
    let mut first = Negotiation::opportunistic(smtp());
    first.handle_input(b"220 hi\r\n").unwrap();
    first.poll_transmit().unwrap();
    first.handle_input(b"250-hi\r\n250 STARTTLS\r\n").unwrap();
    first.poll_transmit().unwrap();
    first.handle_input(b"454 not now\r\n").unwrap();
    let Outcome::Declined(Reason::Refused(reply)) = first.finish().unwrap() else { panic!("refused") };
    assert!(reply.temporary);

    let at_command = Options { start: Start::Command, ..Options::default() };
    let mut second = Negotiation::required(smtp().options(at_command));
    assert_eq!(second.poll_transmit().unwrap(), "STARTTLS\r\n", "no greeting, no EHLO");
    second.handle_input(b"220 go\r\n").unwrap();
    assert!(second.finish().is_ok());
}

#[test]
fn bytes_behind_a_refusal_leave_no_connection_to_go_on_with() {
    let mut negotiation = Negotiation::opportunistic(Pop3::new());
    negotiation.handle_input(b"+OK\r\n").unwrap();
    negotiation.poll_transmit().unwrap();
    let error = negotiation.handle_input(b"-ERR no\r\n+OK go\r\n").unwrap_err();
    assert_eq!(error.to_string(), "the server refused: -ERR no");
    assert_eq!(negotiation.finish().unwrap_err(), error);
}

#[test]
fn a_reply_cannot_come_before_its_request_was_taken() {
    let mut negotiation = Negotiation::required(Pop3::new());
    negotiation.handle_input(b"+OK\r\n").unwrap();
    assert_eq!(negotiation.handle_input(b"+OK\r\n"), Err(Error::Injected), "STLS was not transmitted");
    assert_eq!(negotiation.poll_transmit(), None);
}

#[test]
fn an_empty_line_ahead_of_a_request_is_no_reply_and_no_attack() {
    for line in ["\r\n", "\n"] {
        let mut negotiation = Negotiation::required(Pop3::new());
        negotiation.handle_input(b"+OK\r\n").unwrap();
        assert_eq!(negotiation.handle_input(line.as_bytes()), Err(Error::unexpected(b"")), "{line:?}");
    }
    // Behind the go-ahead it is one, as all else is.
    let mut negotiation = Negotiation::required(Pop3::new());
    for reply in ["+OK\r\n", "+OK\r\n"] {
        negotiation.handle_input(reply.as_bytes()).unwrap();
        let _ = negotiation.poll_transmit();
    }
    assert_eq!(negotiation.handle_input(b"\r\n"), Err(Error::Injected));
}

#[test]
fn an_unfinished_negotiation_yields_nothing() {
    let mut negotiation = Negotiation::required(Pop3::new());
    assert!(negotiation.wants_read());
    negotiation.handle_input(b"").unwrap();
    negotiation.handle_input(b"+OK\r\n").unwrap();
    assert!(!negotiation.wants_read(), "STLS is to be sent first");
    assert_eq!(negotiation.finish().unwrap_err(), Error::Unfinished);
}

#[test]
fn the_end_of_the_stream_is_an_error_even_behind_the_go_ahead() {
    let at_command = Options { start: Start::Command, ..Options::default() };
    let mut negotiation = Negotiation::opportunistic(Pop3::new().options(at_command));
    negotiation.poll_transmit().unwrap();
    negotiation.handle_input(b"+OK\r\n").unwrap();
    assert_eq!(negotiation.handle_eof(), Err(Error::Closed));
    assert_eq!(negotiation.finish().unwrap_err(), Error::Closed);
}

#[test]
fn the_getters_tell_how_far_it_got() {
    let mut negotiation = Negotiation::required(smtp());
    assert_eq!((negotiation.awaiting(), negotiation.advertised(), negotiation.round_trips()), ("greeting", None, 0));
    negotiation.handle_input(b"220 hi\r\n").unwrap();
    negotiation.poll_transmit().unwrap();
    assert_eq!((negotiation.awaiting(), negotiation.advertised(), negotiation.round_trips()), ("EHLO", None, 1));
    negotiation.handle_input(b"250-hi\r\n250 STARTTLS\r\n").unwrap();
    assert_eq!(
        (negotiation.awaiting(), negotiation.advertised(), negotiation.round_trips()),
        ("STARTTLS", Some(true), 2)
    );
}

#[test]
fn an_xmpp_server_can_say_that_it_insists() {
    for (feature, required) in [("<t:required/>", true), ("<required/>", false), ("", false)] {
        let mut negotiation = Negotiation::required(Xmpp::client("mail.example").unwrap());
        negotiation.poll_transmit().unwrap();
        let stream =
            "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";
        let starttls = format!("<t:starttls xmlns:t='urn:ietf:params:xml:ns:xmpp-tls'>{feature}</t:starttls>");
        let features = format!("{stream}<stream:features>{starttls}</stream:features>");
        negotiation.handle_input(features.as_bytes()).unwrap();
        assert_eq!(negotiation.dialogue().required(), required, "{feature}");
    }
}

#[test]
fn a_server_that_takes_tls_at_once_is_told_nothing() {
    let mut postgres = Negotiation::required(Postgres::direct());
    assert_eq!((postgres.poll_transmit(), postgres.wants_read()), (None, false));
    assert_eq!(postgres.finish().unwrap().tls().alpn, Some(&b"postgresql"[..]));

    let mut nats = Negotiation::required(Nats::handshake_first());
    assert_eq!((nats.poll_transmit(), nats.wants_read()), (None, false));
    assert_eq!(nats.handle_input(b"INFO {}\r\n"), Err(Error::Injected), "the server is another than was said");
}

/// Gives VNC's server the word, up to the list of subtypes, and then this list.
fn vnc(dialogue: Vnc, subtypes: &[u8]) -> Negotiation<Vnc, starttls::Required> {
    let mut negotiation = Negotiation::required(dialogue);
    for turn in [&b"RFB 003.008\n"[..], b"\x01\x13", b"\x00\x02"] {
        assert_eq!(negotiation.dialogue().subtype(), None);
        negotiation.handle_input(turn).unwrap();
        negotiation.poll_transmit().unwrap();
    }
    let _ = negotiation.handle_input(subtypes);
    negotiation
}

#[test]
fn the_subtype_that_was_chosen_can_be_read() {
    let list = b"\0\x02\0\0\x01\x04\0\0\x01\x06";
    let mut any = vnc(Vnc::new(), list);
    assert_eq!(any.dialogue().subtype(), Some(Subtype::X509None));
    assert_eq!(any.poll_transmit().unwrap(), &b"\0\0\x01\x04"[..]);

    let mut plain = vnc(Vnc::preferring(&[Subtype::X509Vnc, Subtype::X509Plain]), list);
    assert_eq!(plain.dialogue().subtype(), Some(Subtype::X509Plain));
    assert_eq!(plain.poll_transmit().unwrap(), &b"\0\0\x01\x06"[..]);

    let none = vnc(Vnc::preferring(&[Subtype::X509Vnc]), list);
    assert_eq!(none.dialogue().subtype(), None);
    assert_eq!(
        none.finish().unwrap_err().to_string(),
        "the server refused: no wanted subtype among X509None X509Plain"
    );
}

#[test]
fn rdp_takes_the_protocols_that_it_asked_for() {
    let selects = |rdp: Rdp, selected: u8| {
        let mut negotiation = Negotiation::required(rdp);
        negotiation.poll_transmit().unwrap();
        let confirm = [b"\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x02\0\x08\0", &[selected, 0, 0, 0][..]].concat();
        (negotiation.handle_input(&confirm).is_ok(), negotiation.dialogue().selected())
    };
    assert_eq!(selects(Rdp::new(), 1), (true, Some(1)));
    assert_eq!(selects(Rdp::new(), 2), (true, Some(2)));
    assert_eq!(selects(Rdp::without_credssp(), 1), (true, Some(1)));
    assert_eq!(selects(Rdp::without_credssp(), 2), (false, None));
}

#[test]
fn rpc_calls_the_program_that_it_is_told() {
    let request = Negotiation::required(Rpc::new(0x0102_0304, 100_000, 2)).poll_transmit().unwrap();
    assert_eq!(request[..24], *b"\x80\0\0\x28\x01\x02\x03\x04\0\0\0\0\0\0\0\x02\0\x01\x86\xa0\0\0\0\x02");
}

#[test]
fn names_that_would_break_the_wire_are_refused() {
    let long = "x".repeat(256);
    let bad = [
        "",
        "a b",
        "a\r\nQUIT",
        "a\rb",
        "a\nb",
        "a\0b",
        "a\tb",
        "\"a\"",
        "<a>",
        "a&b",
        "ä.example",
        "a\u{2028}b",
        &long,
    ];
    for name in bad {
        assert!(Smtp::new(name).is_err() && Smtp::lmtp(name).is_err(), "{name:?}");
        assert!(Xmpp::client(name).is_err() && Xmpp::server(name, "a.example").is_err(), "{name:?}");
        assert!(Xmpp::server("a.example", name).is_err(), "{name:?}");
    }
    for name in ["client.example", "[192.0.2.1]", "[IPv6:2001:db8::1]", "under_score-1", &long[1..]] {
        assert!(Smtp::new(name).is_ok() && Smtp::lmtp(name).is_ok(), "{name:?}");
    }
    for tag in ["", "A B", "A\r", "A\n", "A\0", "A+", "*", "A\"", "A.1", "A234567890123456Z"] {
        assert!(Imap::new(tag).is_err(), "{tag:?}");
    }
    for tag in ["A", "a1", "A7F3", "A23456789012345Z"] {
        assert!(Imap::new(tag).is_ok(), "{tag:?}");
    }
    let error: InvalidName = Smtp::new("a b").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the name of an SMTP client must be 1 to 255 characters out of letters, digits and .-_:[]"
    );
}

#[test]
fn every_seed_makes_a_tag() {
    for (seed, short) in [(0, 0), (1, 1), (0xA7F3, 0xA7F3), (u64::MAX, 0xFF_FFFF_FFFF_FFFF)] {
        let options = Options { start: Start::Command, ..Options::default() };
        let client = Client { options, ..Client::new("client.example", "mail.example", seed) };
        for (protocol, tag) in [(Protocol::Imap, seed), (Protocol::Acap, seed), (Protocol::Mupdate, short)] {
            let dialogue = protocol.dialogue(&client).unwrap();
            let request = Negotiation::required(dialogue).poll_transmit().unwrap();
            assert_eq!(request, format!("{tag:X} STARTTLS\r\n"));
        }
    }
}

#[test]
fn a_client_without_names_does_for_every_protocol_and_cannot_be_guessed() {
    for protocol in Protocol::all() {
        assert!(protocol.dialogue(&Client::default()).is_ok(), "{protocol}");
    }
    let Client { name, domain, options, .. } = Client::default();
    assert_eq!(
        (name, domain, options.start, options.ask, options.insist),
        ("localhost", "localhost", Start::Greeting, false, false)
    );
    let seeds: std::collections::BTreeSet<u64> = (0..100).map(|_| Client::default().seed).collect();
    assert_eq!(seeds.len(), 100, "each connection has its own");
}

#[test]
fn protocols_read_as_they_display() {
    for protocol in Protocol::all() {
        assert_eq!(protocol.to_string().parse(), Ok(protocol));
        for name in protocol.names() {
            assert_eq!(name.parse(), Ok(protocol));
            assert_eq!(name.to_uppercase().parse(), Ok(protocol));
        }
        assert_eq!(Protocol::from_port(protocol.ports()[0]), Some(protocol));
        assert_eq!(
            protocol.name().replace('-', "").to_uppercase(),
            format!("{protocol:?}").to_uppercase(),
            "the table is in order"
        );
    }
    for name in ["", "smtp ", " smtp", "smtp\n", "s", "redis\n"] {
        assert_eq!(name.parse::<Protocol>(), Err(UnknownProtocol::Unheard), "{name:?}");
    }
    let advised = [
        ("redis", "6380"),
        ("MongoDB", "27017"),
        ("mqtt", "8883"),
        ("rabbitmq", "5671"),
        ("rsync", "874"),
        ("git", "ssh"),
        ("SIP", "5061"),
        ("elasticsearch", "https"),
        ("smtps", "465"),
    ];
    for (name, instead) in advised {
        let error = name.parse::<Protocol>().unwrap_err();
        assert!(matches!(error, UnknownProtocol::NoUpgrade { .. }), "{name}");
        assert!(error.to_string().contains(instead), "{name}: {error}");
    }
    assert_eq!((Protocol::from_port(587), Protocol::from_port(443)), (Some(Protocol::Smtp), None));
    assert_eq!(Protocol::Smtp.reference(), "RFC 3207");
}

#[test]
fn what_the_peer_says_is_shown_escaped() {
    let all: Vec<u8> = (0..=255).collect();
    let shown = Escaped(&all).to_string();
    assert!(shown.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{shown}");
    assert_eq!(Escaped(b"a\r\n\t\\\x1b[2J\xe2\x80\xae").to_string(), r"a\r\n\t\\\x1b[2J\xe2\x80\xae");
}

/// How FTP goes on when the server answers `AUTH TLS` so: the next request, or how it ended.
fn ftp_after(ftp: Ftp, reply: &str) -> Result<String, Error> {
    let mut negotiation = Negotiation::required(ftp.options(Options { start: Start::Command, ..Options::default() }));
    assert_eq!(negotiation.poll_transmit().unwrap(), "AUTH TLS\r\n");
    negotiation.handle_input(reply.as_bytes())?;
    Ok(String::from_utf8(negotiation.poll_transmit().unwrap().to_vec()).unwrap())
}

#[test]
fn auth_ssl_is_tried_only_when_allowed_and_only_by_a_server_that_does_not_know_auth_tls() {
    for unknown in ["500 what\r\n", "502-what\r\n234 go\r\n502 what\r\n", "504 SSL alone\r\n"] {
        assert!(matches!(ftp_after(Ftp::new(), unknown), Err(Error::Declined(Reason::Refused(_)))), "{unknown}");
        assert_eq!(ftp_after(Ftp::new().or_ssl(), unknown), Ok("AUTH SSL\r\n".to_owned()), "{unknown}");
    }
    for refusal in ["431 later\r\n", "501 syntax\r\n", "530 login\r\n", "534 policy\r\n"] {
        let error = ftp_after(Ftp::new().or_ssl(), refusal);
        assert!(matches!(error, Err(Error::Declined(Reason::Refused(_)))), "{refusal}");
    }
}

#[test]
fn auth_ssl_is_answered_as_auth_tls_is() {
    let answered = |reply: &[u8]| {
        let options = Options { start: Start::Command, ..Options::default() };
        let mut negotiation = Negotiation::required(Ftp::new().or_ssl().options(options));
        negotiation.poll_transmit().unwrap();
        negotiation.handle_input(b"504 no TLS\r\n").unwrap();
        assert_eq!(negotiation.poll_transmit().unwrap(), "AUTH SSL\r\n");
        assert_eq!(negotiation.awaiting(), "AUTH SSL");
        negotiation.handle_input(reply)?;
        negotiation.finish().map(drop)
    };
    assert_eq!(answered(b"234 go\r\n"), Ok(()));
    assert!(matches!(answered(b"504 nor SSL\r\n"), Err(Error::Declined(Reason::Refused(_)))), "it is tried once");
    assert!(matches!(answered(b"334 more\r\n"), Err(Error::Unexpected(_))));
    assert_eq!(answered(b"234 go\r\n2"), Err(Error::Injected));
}

#[test]
fn features_that_the_server_took_back_were_not_listed() {
    let mut negotiation = Negotiation::required(Ftp::new().options(Options { ask: true, ..Options::default() }));
    negotiation.handle_input(b"220 hi\r\n").unwrap();
    negotiation.poll_transmit().unwrap();
    negotiation.handle_input(b"502-Features:\r\n AUTH TLS\r\n").unwrap();
    assert_eq!(negotiation.advertised(), None);
    negotiation.handle_input(b"502 no\r\n").unwrap();
    assert_eq!(negotiation.advertised(), None);
}

#[test]
fn a_tag_is_no_longer_than_its_protocol_allows() {
    assert!(Acap::new("ABCDEFGHIJ123456").is_ok() && Acap::new("ABCDEFGHIJ1234567").is_err());
    assert!(Mupdate::new("ABCDEFGHIJ1234").is_ok() && Mupdate::new("ABCDEFGHIJ12345").is_err(), "RFC 3656 §2.1");
    for tag in ["", "A 1", "A\r\nB", "*", "+", "\u{e9}"] {
        assert!(Acap::new(tag).is_err() && Mupdate::new(tag).is_err(), "{tag:?}");
    }
}

#[test]
fn a_failed_negotiation_answers_its_error_to_whatever_comes() {
    let mut negotiation = Negotiation::required(smtp());
    let error = negotiation.handle_input(b"hello\r\n").expect_err("no greeting");
    assert_ne!(error, Error::Injected);
    for input in [&b""[..], b"2", b"22", b"220 mail.example\r\n"] {
        assert_eq!(negotiation.handle_input(input), Err(error.clone()), "{input:?}");
    }
    assert_eq!(negotiation.finish().err(), Some(error));
}

/// How EHLO ends that is answered with `reply`, at every size of chunk, which must not matter.
fn ehlo(reply: &str) -> Result<Option<bool>, Error> {
    let after_greeting = Options { start: Start::AfterGreeting, ..Options::default() };
    let outcome = |size| {
        let mut negotiation = Negotiation::opportunistic(smtp().options(after_greeting));
        negotiation.poll_transmit();
        reply.as_bytes().chunks(size).try_for_each(|chunk| negotiation.handle_input(chunk))?;
        Ok(negotiation.advertised())
    };
    let whole = outcome(reply.len());
    (1..reply.len()).for_each(|size| assert_eq!(outcome(size), whole, "{size} bytes at a time"));
    whole
}

#[test]
fn the_text_of_a_line_of_ehlo_is_no_line() {
    assert_eq!(ehlo("250-mail.example\r\n250-250-STARTTLS\r\n250-DSN\r\n250 HELP\r\n"), Ok(Some(false)));
    assert_eq!(ehlo("250-mail.example\r\n250-DSN\r\n250-STARTTLS\r\n250 HELP\r\n"), Ok(Some(true)));
}

#[test]
fn a_reply_that_is_none_is_shown_from_its_beginning() {
    let reply = "250-mail.example\r\n250-DSN\r\n250-ETRN\r\n251 no\r\n";
    assert_eq!(ehlo(reply), Err(Error::Unexpected(Text::new(reply.trim_end().as_bytes()))));
}

#[test]
fn a_long_line_is_shown_as_it_came_however_it_was_split() {
    // The last byte that is kept is a carriage return, but not that of the line's end.
    let line = format!("{}\r{}\r\n", "x".repeat(Text::MOST - 1), "y".repeat(9));
    let shown = Err(Error::Unexpected(Text::new(line.trim_end().as_bytes())));
    for size in 1..=line.len() {
        let heard = |dialogue: Box<dyn Dialogue>| {
            let mut negotiation = Negotiation::required(dialogue);
            line.as_bytes().chunks(size).try_for_each(|chunk| negotiation.handle_input(chunk))
        };
        assert_eq!(heard(Box::new(Pop3::new())), shown, "{size} bytes at a time");
        assert_eq!(heard(Box::new(Imap::new("A7F3").unwrap())), shown, "{size} bytes at a time");
    }
}

#[test]
fn a_feature_behind_a_long_reply_is_read_to_its_end() {
    let filler = " SIZE\r\n".repeat(40);
    let ask = Options { start: Start::AfterGreeting, ask: true, insist: true };
    // Of a line 64 bytes are kept: all of it; all but its carriage return; and all to one that is not that of its end.
    for (padding, behind, listed) in [(53, "", true), (54, "", true), (53, "\rX", false)] {
        let feature = format!(" AUTH {};TLS", &"SSL;".repeat(14)[..padding]);
        assert_eq!(feature.len(), padding + 10);
        let mut negotiation = Negotiation::required(Ftp::new().options(ask));
        negotiation.poll_transmit();
        let reply = format!("211-Features:\r\n{filler}{feature}{behind}\r\n211 End\r\n");
        negotiation.handle_input(reply.as_bytes()).unwrap();
        assert_eq!(negotiation.advertised(), Some(listed), "{feature:?}, {behind:?}");
    }
}

#[test]
fn imap_finds_the_word_wherever_it_stands_in_the_line() {
    let words = [("STARTTLS", true), ("STARTTLSX", false), ("XSTARTTLS", false), ("START TLS", false)];
    for ahead in 0..280 {
        let around = [("Y".repeat(ahead), ""), ("Y ".repeat(ahead), ""), ("Y".repeat(ahead), &" Z".repeat(140))];
        for ((word, listed), (ahead, behind)) in
            words.into_iter().flat_map(|word| around.iter().map(move |around| (word, around)))
        {
            let list = format!("{ahead} {word}{behind}");
            let code = format!("* OK [CAPABILITY {list}] STARTTLS\r\n");
            let answer = format!("* CAPABILITY {list}\r\nA7F3C OK done\r\n");
            for (heard, start, ask) in [(code, Start::Greeting, false), (answer, Start::AfterGreeting, true)] {
                for size in [heard.len(), 1, 7] {
                    let imap = Imap::new("A7F3").unwrap().options(Options { start, ask, ..Options::default() });
                    let mut negotiation = Negotiation::opportunistic(imap);
                    negotiation.poll_transmit();
                    heard.as_bytes().chunks(size).for_each(|chunk| {
                        if negotiation.wants_read() {
                            negotiation.handle_input(chunk).unwrap();
                        }
                    });
                    assert_eq!(negotiation.advertised(), Some(listed), "{heard:?}, {size} bytes at a time");
                }
            }
        }
    }
}

#[test]
fn imap_shows_a_long_line_that_is_no_greeting_as_it_came() {
    let heard = format!("* CAPABILITY{}\r\n", " WORD".repeat(60));
    for size in [heard.len(), 1, 7] {
        let mut negotiation = Negotiation::required(Imap::new("A7F3").unwrap());
        let errors = heard.as_bytes().chunks(size).filter_map(|chunk| negotiation.handle_input(chunk).err());
        let shown = Error::Unexpected(Text::new(heard.as_bytes()));
        assert_eq!(errors.collect::<Vec<_>>(), [shown], "{size} bytes at a time");
    }
}

#[test]
fn imap_passes_over_a_literal_wherever_it_stands_in_the_line() {
    let at_command = Options { start: Start::Command, ..Options::default() };
    for ahead in 0..280 {
        let heard = format!("* X {} {{12}}\r\nA7F3 OK go\r\n Z\r\nA7F3 NO not now\r\n", "Y".repeat(ahead));
        for size in [heard.len(), 1, 7] {
            let mut negotiation = Negotiation::required(Imap::new("A7F3").unwrap().options(at_command));
            negotiation.poll_transmit();
            let end = heard.as_bytes().chunks(size).try_for_each(|chunk| negotiation.handle_input(chunk));
            assert!(matches!(end, Err(Error::Declined(_))), "{end:?} of {heard:?}, {size} bytes at a time");
        }
    }
}
