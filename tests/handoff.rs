//! What an upgrade hands on to TLS, and how the handshake is framed where a protocol frames it.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use starttls::protocol::{Mssql, Postgres};
use starttls::{Dialogue, Error, Framing, Limit, Negotiation, Protocol, Text, Tls, Upgrade};
use starttls_replay::Transcript;

fn upgrade(protocol: Protocol) -> Upgrade {
    let transcript = Transcript::usual(protocol);
    let mut negotiation = Negotiation::required(protocol.dialogue(&transcript.identity()).expect("a valid client"));
    for turn in transcript.server() {
        let _ = negotiation.poll_transmit();
        negotiation.handle_input(turn).expect("it upgrades");
    }
    let _ = negotiation.poll_transmit();
    negotiation.finish().expect("it upgrades")
}

#[test]
fn few_protocols_ask_anything_of_tls() {
    for protocol in Protocol::all() {
        let (alpn, framing): (Option<&[u8]>, _) = match protocol {
            Protocol::Mssql => (None, Some(Framing::Tds)),
            Protocol::Postgres => (Some(b"postgresql"), None),
            Protocol::Rpc => (Some(b"sunrpc"), None),
            _ => (None, None),
        };
        let Tls { alpn: asked, framing: framed, .. } = upgrade(protocol).tls();
        assert_eq!((asked, framed), (alpn, framing), "{protocol}");
    }
    // Those of which TLS is the first word.
    assert_eq!(Mssql::strict().tls().alpn, Some(&b"tds/8.0"[..]));
    assert_eq!(Mssql::strict().tls().framing, None);
    assert_eq!(Postgres::direct().tls().alpn, Some(&b"postgresql"[..]));
}

/// Whether a ClientHello offers this application protocol, and no other.
fn offers(hello: &[u8], name: &[u8]) -> bool {
    // Extension 16, with one name in it: RFC 7301 §3.1.
    let mut wanted = vec![0, 16, 0, name.len() as u8 + 3, 0, name.len() as u8 + 1, name.len() as u8];
    wanted.extend(name);
    hello.windows(wanted.len()).any(|window| window == wanted)
}

#[test]
fn the_connection_offers_what_the_protocol_asks_for_and_else_what_the_caller_configured() {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"mine".to_vec()];
    let config = Arc::new(config);
    for (protocol, name, other) in [(Protocol::Rpc, "sunrpc", "mine"), (Protocol::Pop3, "mine", "sunrpc")] {
        let server = || "mail.example".try_into().expect("a name");
        let mut connection = upgrade(protocol).client_connection(config.clone(), server()).expect("a connection");
        let mut hello = Vec::new();
        connection.write_tls(&mut hello).expect("memory");
        assert!(offers(&hello, name.as_bytes()) && !offers(&hello, other.as_bytes()), "{protocol}");

        let mut unbuffered =
            upgrade(protocol).unbuffered_client_connection(config.clone(), server()).expect("a connection");
        let status = unbuffered.process_tls_records(&mut []);
        let rustls::unbuffered::ConnectionState::EncodeTlsData(mut encoder) = status.state.expect("a state") else {
            panic!("it has something to say")
        };
        let mut hello = vec![0; 4096];
        let length = encoder.encode(&mut hello).expect("there is room");
        assert!(offers(&hello[..length], name.as_bytes()), "{protocol}, unbuffered");
    }
}

#[test]
fn frames_are_those_of_tds() {
    assert_eq!((Framing::HEADER, Framing::MOST), (8, 4088));
    assert_eq!(Framing::Tds.header(0, false), [0x12, 0, 0, 8, 0, 0, 0, 0]);
    assert_eq!(Framing::Tds.header(0x1f8, true), [0x12, 1, 2, 0, 0, 0, 0, 0]);
    assert_eq!(Framing::Tds.header(Framing::MOST, true), [0x12, 1, 0x10, 0, 0, 0, 0, 0]);
    assert_eq!(Framing::Tds.length([0x12, 1, 0, 8, 0, 0, 7, 0]), Ok(0));
    assert_eq!(Framing::Tds.length([0x12, 0, 2, 1, 9, 9, 9, 9]), Ok(0x1f9));
    // Servers behind some gateways frame their part as a reply.
    assert_eq!(Framing::Tds.length([0x04, 1, 0, 9, 0, 0, 0, 0]), Ok(1));
    for bad in [[0x12, 1, 0, 7, 0, 0, 0, 0], [0x04, 1, 0, 7, 0, 0, 0, 0], [0x16, 3, 3, 1, 0, 0, 0, 0]] {
        assert_eq!(Framing::Tds.length(bad), Err(Error::Unexpected(Text::new(&bad))));
    }
}

#[test]
fn limits_and_texts_are_shown_in_words() {
    let shown = [Limit::Bytes, Limit::Line, Limit::Lines, Limit::Turns].map(|limit| Error::Limit(limit).to_string());
    for (words, what) in shown.iter().zip(["too many bytes", "too long a line", "too many lines", "too many replies"]) {
        assert!(words.ends_with(what), "{words}");
    }
    assert_eq!(format!("{:?}", Text::new(b"a\x1b\"\r\n")), "\"a\\x1b\"\\r\\n\"");
}
