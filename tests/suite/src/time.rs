//! The deadline, against servers that always have something to say.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use starttls::protocol::{Mssql, Pop3};
use starttls::transport::{ATTEMPT_DELAY, Error};
use starttls::{Limit, Limits, Negotiation, Protocol};
use starttls_replay::{Authority, Flaw, Server, play};

use crate::{Flood, PATIENCE, SHORT, Transport, replay, required, smtp, usual};

/// How late an upgrade may end.
pub const LATE: Duration = Duration::from_millis(100);

/// A server that says this without end, behind what `first` does.
fn flooding(first: impl Fn(&mut TcpStream) -> io::Result<()> + Send + Sync + 'static, flood: &[u8]) -> Server {
    let flood = flood.repeat((1 << 16) / flood.len());
    Server::start(move |mut stream| {
        first(&mut stream)?;
        loop {
            stream.write_all(&flood)?;
        }
    })
    .expect("a free port")
}

/// A server that floods ends at the deadline.
pub fn a_server_that_floods_ends_at_the_deadline<T: Transport>() {
    let authority = Authority::default();
    let server = flooding(|_| Ok(()), b"220-x\r\n");
    let limits = Limits { bytes: u32::MAX, lines: u32::MAX, ..Limits::default() };
    let upgrader = T::of(&authority, SHORT);
    let stream = upgrader.connect_to(&[server.address()]).expect("it listens");
    let start = Instant::now();
    let error = upgrader.upgrade(stream, Negotiation::required(smtp()).limits(limits)).expect_err("no end");
    let late = start.elapsed().saturating_sub(SHORT);
    assert!(matches!(error, Error::Timeout { stage: "greeting" }), "{error:?}");
    assert!(late < LATE, "{late:?} late");
    println!("{late:?} late");
}

/// Frames without TLS have an end.
pub fn frames_without_tls_have_an_end<T: Transport>() {
    let authority = Authority::default();
    let prelogin: Vec<u8> = usual(Protocol::Mssql).server().flatten().copied().collect();
    let first = move |stream: &mut TcpStream| {
        stream.read_exact(&mut [0; 26])?;
        stream.write_all(&prelogin)?;
        stream.read_exact(&mut [0; 9]) // the header and the first byte of the ClientHello
    };
    let server = flooding(first, b"\x12\x00\x00\x08\x00\x00\x01\x00");
    let start = Instant::now();
    let error = required::<T>(&server, &authority, SHORT, Box::new(Mssql::new())).expect_err("no TLS");
    let limit = starttls::Error::Limit(Limit::Lines);
    assert!(matches!(&error, Error::Negotiation { awaiting: "TLS", source } if *source == limit), "{error:?}");
    assert!(start.elapsed() < SHORT, "it ends by itself");
}

/// What follows the handshake does not delay it.
pub fn what_follows_the_handshake_does_not_delay_it<T: Transport>() {
    let authority = Arc::new(Authority::default());
    for flood in Flood::ALL {
        let issuer = authority.clone();
        let server = Server::start(move |mut stream: TcpStream| {
            stream.write_all(b"+OK\r\n")?;
            stream.read_exact(&mut [0; 6])?;
            stream.write_all(b"+OK\r\n")?;
            flood.serve(stream, &issuer)
        })
        .expect("a free port");
        required::<T>(&server, &authority, PATIENCE, Box::new(Pop3::new())).expect("the handshake is complete");
    }
}

/// No deadline is no deadline.
pub fn no_deadline_is_no_deadline<T: Transport>() {
    let authority = Authority::default();
    let server = replay(&authority, &usual(Protocol::Smtp), Flaw::None);
    for timeout in [Duration::MAX, Duration::from_secs(u64::MAX / 4)] {
        let upgrader = T::of(&authority, timeout);
        let stream = upgrader.connect("localhost", server.address().port()).expect("it listens");
        upgrader.upgrade(stream, Negotiation::required(smtp())).expect("it upgrades");
    }
}

/// An address that does not answer, since nobody takes the connections that wait there.
struct Hole {
    _listener: TcpListener,
    _waiting: Vec<TcpStream>,
    address: SocketAddr,
}

impl Hole {
    fn at(host: IpAddr) -> Self {
        let listener = TcpListener::bind((host, 0)).expect("a free port");
        rustix::net::listen(&listener, 0).expect("it listens");
        let address = listener.local_addr().expect("an address");
        let wait = || TcpStream::connect_timeout(&address, SHORT).ok();
        Self { _waiting: std::iter::from_fn(wait).collect(), _listener: listener, address }
    }
}

/// An address that does not answer is not waited for.
pub fn an_address_that_does_not_answer_is_not_waited_for<T: Transport>() {
    let authority = Authority::default();
    let (v4, v6) = (IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST));
    for (hole, host, most) in [(v6, v4, ATTEMPT_DELAY + LATE), (v4, v6, LATE)] {
        let hole = Hole::at(hole);
        let (transcript, config) = (usual(Protocol::Smtp), authority.server_config(Flaw::None));
        let server = Server::start_at((host, 0).into(), move |stream| play(stream, &transcript, config.clone()));
        let server = server.expect("a free port");
        let start = Instant::now();
        let upgrader = T::of(&authority, PATIENCE);
        let stream = upgrader.connect_to(&[hole.address, server.address()]).expect("the other answers");
        assert_eq!(T::peer(&stream), server.address());
        let elapsed = start.elapsed();
        println!("{elapsed:?} with a hole at {}", hole.address);
        assert!(elapsed < most, "{elapsed:?} with a hole at {}", hole.address);
        upgrader.upgrade(stream, Negotiation::required(smtp())).expect("it upgrades");

        let error = T::of(&authority, SHORT).connect_to(&[hole.address, hole.address]).expect_err("nobody answers");
        assert!(matches!(error, Error::Timeout { stage: "connect" }), "{error:?}");
    }
}
