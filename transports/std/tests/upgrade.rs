//! The suite of all transports, and what this one alone can do.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use starttls::protocol::Pop3;
use starttls::{Dialogue, Negotiation, Opportunistic, Outcome, Protocol, Required, Side};
use starttls_replay::{Authority, Flaw, Server, Transcript, play};
use starttls_std::{Declined, Error, Stream, TlsStream, Untimed, Upgrader};
use starttls_suite::{PATIENCE, Transport, suite};

struct Blocking(Upgrader);

impl Transport for Blocking {
    type Plain = TcpStream;
    type Tls = TlsStream<TcpStream>;

    fn new(config: Arc<ClientConfig>, name: ServerName<'static>, timeout: Duration) -> Self {
        Self(Upgrader::new(config, name, timeout))
    }

    fn tap(self, tap: impl FnMut(Side, &[u8]) + Send + 'static) -> Self {
        Self(self.0.tap(tap))
    }

    fn connect(&self, host: &str, port: u16) -> Result<TcpStream, Error> {
        self.0.connect(host, port)
    }

    fn connect_to(&self, addresses: &[SocketAddr]) -> Result<TcpStream, Error> {
        self.0.connect_to(addresses)
    }

    fn upgrade<D: Dialogue + Send>(
        self,
        stream: TcpStream,
        negotiation: Negotiation<D, Required>,
    ) -> Result<Self::Tls, Error> {
        self.0.upgrade(stream, negotiation)
    }

    fn try_upgrade<D: Dialogue + Send>(
        self,
        stream: TcpStream,
        negotiation: Negotiation<D, Opportunistic>,
    ) -> Result<Outcome<Self::Tls, Declined<TcpStream>>, Error> {
        self.0.try_upgrade(stream, negotiation)
    }

    fn close(stream: &mut Self::Tls) -> io::Result<()> {
        stream.conn.send_close_notify();
        stream.flush()
    }

    fn nodelay(stream: &TcpStream) -> bool {
        stream.nodelay().expect("a socket option")
    }

    fn peer(stream: &TcpStream) -> SocketAddr {
        stream.peer_addr().expect("connected")
    }
}

suite!(Blocking);

/// A socket that counts how often its bounds are set. A signal interrupts it each time, before it does what it is to do.
#[derive(Debug)]
struct Counted(TcpStream, Arc<AtomicU32>, bool);

impl Counted {
    fn interrupted(&mut self) -> io::Result<()> {
        self.2 = !self.2;
        if self.2 { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
    }
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupted()?;
        self.0.read(buffer)
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.interrupted()?;
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Stream for Counted {
    fn read_timeout(&self) -> io::Result<Option<Duration>> {
        self.0.read_timeout()
    }

    fn write_timeout(&self) -> io::Result<Option<Duration>> {
        self.0.write_timeout()
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.set_write_timeout(timeout)
    }
}

#[test]
fn bounds_are_set_anew_only_when_they_would_be_late_and_a_signal_is_no_end() {
    let authority = Authority::default();
    let transcript = Transcript::usual(Protocol::Vnc);
    let dialogue = Protocol::Vnc.dialogue(&transcript.identity()).expect("valid names");
    let config = authority.server_config(Flaw::None);
    let server = Server::start(move |stream| play(stream, &transcript, config.clone())).expect("a free port");
    let upgrader = Upgrader::new(authority.client_config(), "localhost".try_into().unwrap(), PATIENCE);
    let sets = Arc::new(AtomicU32::new(0));
    let stream = Counted(upgrader.connect_to(&[server.address()]).expect("it listens"), sets.clone(), false);
    let started = Instant::now();
    upgrader.upgrade(stream, Negotiation::required(dialogue)).expect("it upgrades");
    // Once and back, for reads and for writes; and again for each 10 ms that the machine had something else to do.
    let late = started.elapsed().as_millis() as u32 / 10;
    let sets = sets.load(Ordering::Relaxed);
    assert!((4..=4 + 2 * late).contains(&sets), "{sets} in {late} times 10 ms");
}

#[test]
fn the_timeouts_of_the_caller_come_back() {
    let authority = Authority::default();
    for outcome in ["upgraded", "declined"] {
        let transcript = Transcript::usual(Protocol::Pop3);
        let transcript = match outcome {
            "upgraded" => transcript,
            _ => "S: +OK\nC: STLS\nS: -ERR\n= declined".parse().expect("a transcript"),
        };
        let config = authority.server_config(Flaw::None);
        let server = Server::start(move |stream| play(stream, &transcript, config.clone())).expect("a free port");
        let Blocking(upgrader) = Blocking::of(&authority, PATIENCE);
        let stream = upgrader.connect_to(&[server.address()]).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        let negotiation = Negotiation::opportunistic(Pop3::new());
        let stream = match upgrader.try_upgrade(stream, negotiation).expect(outcome) {
            Outcome::Upgraded(tls) => {
                assert!(!tls.conn.is_handshaking() && tls.conn.peer_certificates().is_some());
                tls.sock
            }
            Outcome::Declined(declined) => declined.stream,
        };
        assert_eq!(stream.read_timeout().expect("a socket option"), Some(PATIENCE), "{outcome}");
        assert_eq!(stream.write_timeout().expect("a socket option"), None, "{outcome}");
    }
}

/// A socket that takes so many bytes, and then none.
#[derive(Debug)]
struct Full(TcpStream, usize);

impl Read for Full {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.0.write(&bytes[..bytes.len().min(self.1)])?;
        self.1 -= written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[test]
fn a_stream_that_takes_nothing_is_an_error() {
    let authority = Authority::default();
    let server = pop3(&authority);
    // In the dialogue, and in the ClientHello.
    for (room, stage) in [(0, "STLS"), (6, "TLS"), (20, "TLS")] {
        let upgrader = Blocking::of(&authority, PATIENCE).0;
        let stream = Untimed(Full(upgrader.connect_to(&[server.address()]).expect("it listens"), room));
        let error = upgrader.upgrade(stream, Negotiation::required(Pop3::new())).expect_err("it is full");
        let Error::Io { stage: failed, source } = error else { panic!("{room}: {error:?}") };
        assert_eq!((failed, source.kind()), (stage, io::ErrorKind::WriteZero), "{room}");
    }
}

#[test]
fn a_stream_that_does_not_block_is_not_late() {
    let authority = Authority::default();
    let silent = Server::start(|mut stream| io::copy(&mut stream, &mut io::sink()).map(drop)).expect("a free port");
    let connect = |upgrader: &Upgrader| upgrader.connect_to(&[silent.address()]).expect("it listens");
    let negotiation = || Negotiation::required(Pop3::new());

    let upgrader = Blocking::of(&authority, PATIENCE).0;
    let stream = connect(&upgrader);
    stream.set_nonblocking(true).expect("a socket option");
    let non_blocking = upgrader.upgrade(stream, negotiation());

    let upgrader = Blocking::of(&authority, PATIENCE).0;
    let stream = connect(&upgrader);
    stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a socket option");
    let own_timeout = upgrader.upgrade(Untimed(stream), negotiation());

    for result in [non_blocking, own_timeout.map(|_| panic!("silent"))] {
        let Err(Error::Io { stage: "greeting", source }) = result else { panic!("{result:?}") };
        assert!(source.to_string().starts_with("the stream returned WouldBlock"), "{source}");
    }
}

/// A server that upgrades.
fn pop3(authority: &Authority) -> Server {
    let transcript = Transcript::usual(Protocol::Pop3);
    let config = authority.server_config(Flaw::None);
    Server::start(move |stream| play(stream, &transcript, config.clone())).expect("a free port")
}

#[cfg(unix)]
#[test]
fn any_stream_can_be_adopted() {
    use std::os::unix::net::UnixStream;

    let authority = Authority::default();
    for timed in [true, false] {
        let (client, server) = UnixStream::pair().expect("a pair");
        let config = authority.server_config(Flaw::None);
        let peer = std::thread::spawn(move || -> io::Result<()> {
            let mut server = server;
            server.write_all(b"+OK\r\n")?;
            expect(&mut server, b"STLS\r\n")?;
            server.write_all(b"+OK\r\n")?;
            let connection = rustls::ServerConnection::new(config).map_err(io::Error::other)?;
            rustls::StreamOwned::new(connection, server).write_all(b"over TLS")
        });
        let (upgrader, negotiation) = (Blocking::of(&authority, PATIENCE).0, Negotiation::required(Pop3::new()));
        let mut said = [0; 8];
        if timed {
            upgrader.upgrade(client, negotiation).expect("it upgrades").read_exact(&mut said).expect("data");
        } else {
            let adopted = Untimed(client);
            upgrader.upgrade(adopted, negotiation).expect("it upgrades").read_exact(&mut said).expect("data");
        }
        assert_eq!(&said, b"over TLS");
        peer.join().expect("no panic").expect("no error");
    }
}

fn expect(stream: &mut impl Read, expected: &[u8]) -> io::Result<()> {
    let mut said = vec![0; expected.len()];
    stream.read_exact(&mut said)?;
    if said == expected { Ok(()) } else { Err(io::Error::other(format!("{said:?} is not {expected:?}"))) }
}
