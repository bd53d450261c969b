//! The hostile servers under `tests/hostile`, over sockets.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::{PeerIncompatible, ServerConfig};
use starttls::protocol::Pop3;
use starttls::transport::{Declined, Error};
use starttls::{Negotiation, Outcome, Protocol};
use starttls_replay::{Authority, Flaw, Server, Transcript, Turn, play};

use crate::{PATIENCE, Transport, dialogue, expect, perform, required};

/// Every hostile server is seen through: under both policies, its turns whole and byte by byte.
pub fn every_hostile_server_is_seen_through<T: Transport>() {
    let authority = Authority::default();
    let config = authority.server_config(Flaw::None);
    let (mut rows, mut late, mut connections) = (0, 0, 0);
    for protocol in Protocol::all() {
        for transcript in Transcript::hostile(protocol) {
            rows += 1;
            let (name, outcome) = (&transcript.name, &transcript.outcome);
            let behind = accepted(protocol, &transcript);
            for server in [playing(&transcript, &config), playing(&dripped(&transcript, behind), &config)] {
                let tls = required::<T>(&server, &authority, PATIENCE, dialogue(protocol, &transcript));
                assert_eq!(&ended(tls), outcome, "{name}");
                let upgrader = T::of(&authority, PATIENCE);
                let stream = upgrader.connect_to(&[server.address()]).expect("it listens");
                let end =
                    match upgrader.try_upgrade(stream, Negotiation::opportunistic(dialogue(protocol, &transcript))) {
                        Ok(Outcome::Upgraded(tls)) => ended(Ok(tls)),
                        Ok(Outcome::Declined(Declined { reason, .. })) => reason.to_string(),
                        Err(error) => ended::<T::Tls>(Err(error)),
                    };
                assert_eq!(&end, outcome, "{name}, opportunistic");
                connections += 2;
            }
            // What is injected may also arrive when the ClientHello is gone: then it is an answer to that, and no TLS.
            if behind.is_some() {
                late += 1;
                let turns = dripped(&transcript, None).turns;
                let server = Server::start(move |mut stream| perform(&mut stream, &turns)).expect("a free port");
                let tls = required::<T>(&server, &authority, PATIENCE, dialogue(protocol, &transcript));
                let error = tls.expect_err(name);
                assert!(!matches!(error, Error::Timeout { .. }), "{name}, late: {error}");
                connections += 1;
            }
        }
    }
    println!("{rows} rows, none skipped, {late} of them late as well: {connections} connections");
    assert!(rows > 700, "rows are missing");
}

/// How much of its last turn a client awaits, if what the server says then is out of turn.
fn accepted(protocol: Protocol, transcript: &Transcript) -> Option<usize> {
    let mut negotiation = Negotiation::required(dialogue(protocol, transcript));
    let mut accepted = 0;
    for turn in transcript.server() {
        let _ = negotiation.poll_transmit();
        accepted = 0;
        for byte in turn {
            accepted += usize::from(negotiation.wants_read());
            if negotiation.handle_input(&[*byte]).is_err() {
                break;
            }
        }
    }
    (negotiation.handle_input(b"") == Err(starttls::Error::Injected)).then_some(accepted)
}

/// The same, the server's turns byte by byte. What is injected shares a segment with the byte that it stands behind, since
/// on a wire there is no other way to come too early.
fn dripped(transcript: &Transcript, behind: Option<usize>) -> Transcript {
    let mut turns = Vec::new();
    for (number, turn) in transcript.turns.iter().enumerate() {
        match turn {
            Turn::Client(_) => turns.push(turn.clone()),
            Turn::Server(said) => {
                let last = number == transcript.turns.len() - 1;
                let (drip, whole) = said.split_at(behind.filter(|_| last).map_or(said.len(), |behind| behind - 1));
                turns.extend(drip.iter().map(|byte| Turn::Server(vec![*byte])));
                turns.extend((!whole.is_empty()).then(|| Turn::Server(whole.to_vec())));
            }
        }
    }
    Transcript { turns, ..transcript.clone() }
}

fn playing(transcript: &Transcript, config: &Arc<ServerConfig>) -> Server {
    let (transcript, config) = (transcript.clone(), config.clone());
    Server::start(move |stream| play(stream, &transcript, config.clone())).expect("a free port")
}

/// How an upgrade ended, in the words of a transcript's last line.
fn ended<S: Read + Write>(result: Result<S, Error>) -> String {
    match result {
        Ok(mut tls) => {
            let mut echo = [0; 4];
            tls.write_all(b"echo").and_then(|()| tls.flush()).expect("it is open");
            tls.read_exact(&mut echo).expect("it is open");
            assert_eq!(&echo, b"echo");
            "upgraded".to_owned()
        }
        Err(Error::Negotiation { source, .. }) => source.to_string(),
        Err(error) => error.to_string(),
    }
}

/// A bad handshake behind a good go-ahead is an error of tls.
pub fn a_bad_handshake_behind_a_good_go_ahead_is_an_error_of_tls<T: Transport>() {
    let authority = Authority::default();
    // A ServerHello of TLS 1.0, and one of SSL 3.0.
    let hello = |minor| {
        let head = [0x16, 3, minor, 0, 42, 2, 0, 0, 38, 3, minor];
        [&head[..], &[7; 32], &[0, 0xc0, 0x13, 0]].concat()
    };
    let rows: [(&str, Vec<u8>); 8] = [
        ("plaintext", b"-ERR TLS initialization failed.\r\n".to_vec()),
        ("HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        ("an alert", b"\x15\x03\x03\x00\x02\x02\x28".to_vec()),
        ("TLS 1.0", hello(1)),
        ("SSL 3.0", hello(0)),
        ("application data", b"\x17\x03\x03\x00\x05+OK\r\n".to_vec()),
        ("a go-ahead again", b"+OK go\r\n".to_vec()),
        ("nothing", Vec::new()),
    ];
    for (name, said) in rows {
        let server = Server::start(move |mut stream| {
            stream.write_all(b"+OK\r\n")?;
            expect(&mut stream, b"STLS\r\n")?;
            stream.write_all(b"+OK go\r\n")?;
            stream.read_exact(&mut [0; 5])?; // the ClientHello is there, so this cannot share a segment with the go-ahead
            stream.write_all(&said)?;
            // Else the rest of the ClientHello, unread, would make a reset of the end.
            stream.shutdown(std::net::Shutdown::Write)?;
            std::io::copy(&mut stream, &mut std::io::sink()).map(drop)
        })
        .expect("a free port");
        let error = required::<T>(&server, &authority, PATIENCE, Box::new(Pop3::new())).expect_err(name);
        match (name, error) {
            ("an alert", Error::Tls(rustls::Error::AlertReceived(_)))
            | (
                "TLS 1.0" | "SSL 3.0",
                Error::Tls(rustls::Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13)),
            )
            | ("application data", Error::Tls(rustls::Error::InappropriateMessage { .. }))
            | ("plaintext" | "HTTP" | "a go-ahead again", Error::Tls(rustls::Error::InvalidMessage(_))) => {}
            ("nothing", Error::Io { stage: "TLS", source }) if source.kind() == std::io::ErrorKind::UnexpectedEof => {}
            (name, error) => panic!("{name}: {error:?}"),
        }
    }
}
