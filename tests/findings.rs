//! What a server said before TLS and is not going to say again can be had afterwards.

use starttls::preface::{Socks5, Via};
use starttls::protocol::{Mysql, MysqlGreeting, Nats, Nbd, Options, Subtype};
use starttls::{Dialogue, Findings, Negotiation, Outcome, Protocol, Reason};
use starttls_replay::{Transcript, client};

/// Plays the server's part of a transcript, under a policy that takes any outcome. The dialogue stays the caller's.
fn play<D: Dialogue>(dialogue: &mut D, transcript: &Transcript) -> Outcome {
    assert_eq!(dialogue.findings(), None, "{}", transcript.name);
    let mut negotiation = Negotiation::opportunistic(dialogue);
    for turn in transcript.server() {
        let _ = negotiation.poll_transmit();
        negotiation.handle_input(turn).expect("no error");
    }
    let _ = negotiation.poll_transmit();
    negotiation.finish().expect("no error")
}

fn named(name: &str) -> (Box<dyn Dialogue + Send>, Outcome) {
    let (protocol, _) = name.split_once('/').expect("a folder");
    let protocol: Protocol = protocol.parse().expect("a protocol");
    let transcripts = Transcript::all(protocol);
    let transcript = transcripts.iter().find(|transcript| transcript.name == format!("{name}.txt")).expect(name);
    let mut dialogue = protocol.dialogue(&transcript.identity()).expect("a valid client");
    let outcome = play(&mut dialogue, transcript);
    (dialogue, outcome)
}

#[test]
fn what_a_dialogue_found_outlives_its_negotiation() {
    let rows = [
        ("nbd/usual", Findings::Nbd { flags: 3 }),
        ("rdp/xrdp", Findings::Rdp { selected: 1 }),
        ("rdp/odd-but-legal-hybrid", Findings::Rdp { selected: 2 }),
        ("vnc/odd-but-legal-plain", Findings::Vnc { subtype: Subtype::X509Plain }),
        ("xmpp/prosody", Findings::Xmpp { required: true }),
        ("xmpp/prosody-optional", Findings::Xmpp { required: false }),
        ("xmpp-server/prosody-optional", Findings::Xmpp { required: false }),
    ];
    for (name, expected) in rows {
        let (dialogue, outcome) = named(name);
        assert!(matches!(outcome, Outcome::Upgraded(_)), "{name}");
        assert_eq!(dialogue.findings(), Some(expected), "{name}");
    }
    let finding: Vec<_> = Protocol::all()
        .filter(|protocol| {
            let transcript = Transcript::usual(*protocol);
            let mut dialogue = protocol.dialogue(&transcript.identity()).expect("a valid client");
            let _upgrade = play(&mut dialogue, &transcript);
            dialogue.findings().is_some()
        })
        .map(Protocol::name)
        .collect();
    assert_eq!(finding, ["xmpp", "xmpp-server", "mysql", "nbd", "rdp", "vnc", "nats"]);
}

#[test]
fn the_greeting_of_mysql_is_read_to_its_end() {
    let (dialogue, _) = named("mysql/mariadb");
    let Some(Findings::Mysql(greeting)) = dialogue.findings() else { panic!("a greeting") };
    assert_eq!(greeting.version.as_bytes(), b"5.5.5-10.11.19-MariaDB-0+deb12u1");
    assert_eq!((greeting.connection_id, greeting.character_set, greeting.status), (4, 8, 2));
    assert_eq!(greeting.capabilities, 0x81ff_fffe);
    assert_eq!(greeting.requested, 0x0008_8a01, "CLIENT_LONG_PASSWORD goes without saying");
    assert_eq!(&greeting.challenge[..], b"*Js)liHlg@G%!uL[ca>P");
    assert_eq!(greeting.auth_plugin.as_bytes(), b"mysql_native_password");
    assert_eq!(MysqlGreeting::NEXT_PACKET, 2);

    let (dialogue, _) = named("mysql/odd-but-legal-short");
    let Some(Findings::Mysql(greeting)) = dialogue.findings() else { panic!("a greeting") };
    assert_eq!((&greeting.challenge[..], greeting.capabilities), (&b"abcdefgh"[..], 0xffff));
    assert_eq!((greeting.character_set, greeting.status, greeting.auth_plugin.as_bytes()), (0, 0, &b""[..]));

    let (dialogue, _) = named("mysql/odd-but-legal-long-version");
    let Some(Findings::Mysql(greeting)) = dialogue.findings() else { panic!("a greeting") };
    assert_eq!(greeting.version.as_bytes(), [b'8'; 256], "it is bounded");
    assert_eq!(&greeting.challenge[..], b"abcdefghijklmnopqrst");
}

/// A greeting with these capabilities.
fn greeting(capabilities: u32) -> Vec<u8> {
    let [a, b, c, d] = capabilities.to_le_bytes();
    let packet =
        [b"\x0a8\0\x01\0\0\0abcdefgh\0", &[a, b, 33, 2, 0, c, d, 21][..], &[0; 10], b"ijklmnopqrst\0"].concat();
    [&[packet.len() as u8, 0, 0, 0], &packet[..]].concat()
}

#[test]
fn a_client_of_mysql_says_what_it_wants_and_no_more_than_the_server_can_do() {
    let all = u32::MAX;
    let ssl_and_41 = 0x0a00;
    let rows = [
        // The server's, the client's, and what is requested.
        (all, 0x8001, 0x8a01),
        (all, 0x0008_8009, 0x0008_8a09),
        (all, all, all),
        (all, 0, ssl_and_41),
        (ssl_and_41, all, ssl_and_41 | 1),
        (all & !0x0008_0000, 0x0008_8009, 0x8a09),
    ];
    for (server, wanted, requested) in rows {
        let mut mysql = Mysql::new().capabilities(wanted).max_packet(0x0102_0304).character_set(224);
        let mut negotiation = Negotiation::required(&mut mysql);
        negotiation.handle_input(&greeting(server)).expect("it offers TLS");
        let request = negotiation.poll_transmit().expect("a request");
        let expected =
            [b"\x20\0\0\x01", &u32::to_le_bytes(requested)[..], b"\x04\x03\x02\x01", &[224], &[0; 23]].concat();
        assert_eq!(request, expected, "{server:x} and {wanted:x}");
        let _upgrade = negotiation.finish().expect("it upgrades");
        assert_eq!(mysql.greeting().expect("it greeted").requested, requested, "{server:x} and {wanted:x}");
    }
    // A client that insists asks for TLS all the same.
    let mut negotiation = Negotiation::required(Mysql::new().options(Options { insist: true, ..Options::default() }));
    negotiation.handle_input(&greeting(0x8000)).expect("it insists");
    assert_eq!(negotiation.poll_transmit().expect("a request")[4..8], 0x8a01_u32.to_le_bytes());
}

#[test]
fn the_info_of_nats_is_kept_as_it_came() {
    let mut nats = Nats::new();
    let mut negotiation = Negotiation::required(&mut nats);
    let info = r#"{"server_id":"x","nonce":"\u0041bc","tls_required":true,"max_payload":1048576}"#;
    negotiation.handle_input(format!("INFO {info} \r\n").as_bytes()).expect("it offers TLS");
    let _upgrade = negotiation.finish().expect("it upgrades");
    assert_eq!((nats.info(), nats.findings()), (Some(info), Some(Findings::Nats { info })));
    assert_eq!(Nats::handshake_first().findings(), None);
}

#[test]
fn what_was_found_is_there_for_a_client_that_goes_on_in_plaintext() {
    let (dialogue, outcome) = named("mysql/mariadb-not-offered");
    assert!(matches!(outcome, Outcome::Declined(Reason::NotAdvertised)));
    let Some(Findings::Mysql(greeting)) = dialogue.findings() else { panic!("a greeting") };
    assert_eq!(&greeting.challenge[..], b"jP3MjP.5__@aG|`J0Q(p");

    let (dialogue, outcome) = named("nats/nats-server-not-offered");
    assert!(matches!(outcome, Outcome::Declined(Reason::NotAdvertised)));
    assert!(matches!(dialogue.findings(), Some(Findings::Nats { info }) if info.starts_with('{')));
}

#[test]
fn what_was_found_behind_a_proxy_is_found_as_well() {
    let mut via = Via::new(Socks5::new("nbd.example", 10809).expect("a name"), Nbd::new());
    let mut negotiation = Negotiation::required(&mut via);
    for turn in [&b"\x05\0"[..], b"\x05\0\0\x01\0\0\0\0\0\0", b"NBDMAGICIHAVEOPT\0\x01"] {
        negotiation.poll_transmit();
        negotiation.handle_input(turn).expect("no error");
    }
    assert_eq!(via.findings(), Some(Findings::Nbd { flags: 1 }));
    assert_eq!(Nbd::new().findings(), None);
    let client = client(Options::default());
    assert!(Protocol::all().all(|protocol| protocol.dialogue(&client).expect("valid").findings().is_none()));
}
