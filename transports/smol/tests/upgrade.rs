//! The suite of all transports, over smol.

use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use smol::block_on;
use smol::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Cursor};
use smol::net::TcpStream;
use starttls::protocol::{Postgres, Smtp};
use starttls::{Dialogue, Negotiation, Opportunistic, Outcome, Protocol, Required, Side};
use starttls_replay::{Authority, Flaw, Server, Transcript, play};
use starttls_smol::{Declined, Error, TlsStream, Upgrader};
use starttls_suite::{Transport, suite};

struct Smol(Upgrader);

/// An async stream in a blocking program.
#[derive(Debug)]
struct Blocked<S>(S);

impl<S: AsyncRead + Unpin> Read for Blocked<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        block_on(self.0.read(buffer))
    }
}

impl<S: AsyncWrite + Unpin> Write for Blocked<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        block_on(self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        block_on(self.0.flush())
    }
}

impl Transport for Smol {
    type Plain = Blocked<TcpStream>;
    type Tls = Blocked<TlsStream<TcpStream>>;

    fn new(config: Arc<ClientConfig>, name: ServerName<'static>, timeout: Duration) -> Self {
        Self(Upgrader::new(config, name, timeout))
    }

    fn tap(self, tap: impl FnMut(Side, &[u8]) + Send + 'static) -> Self {
        Self(self.0.tap(tap))
    }

    fn connect(&self, host: &str, port: u16) -> Result<Self::Plain, Error> {
        block_on(self.0.connect(host, port)).map(Blocked)
    }

    fn connect_to(&self, addresses: &[SocketAddr]) -> Result<Self::Plain, Error> {
        block_on(self.0.connect_to(addresses)).map(Blocked)
    }

    fn upgrade<D: Dialogue + Send>(
        self,
        stream: Self::Plain,
        negotiation: Negotiation<D, Required>,
    ) -> Result<Self::Tls, Error> {
        block_on(self.0.upgrade(stream.0, negotiation)).map(Blocked)
    }

    fn try_upgrade<D: Dialogue + Send>(
        self,
        stream: Self::Plain,
        negotiation: Negotiation<D, Opportunistic>,
    ) -> Result<Outcome<Self::Tls, Declined<Self::Plain>>, Error> {
        let outcome = block_on(self.0.try_upgrade(stream.0, negotiation))?;
        Ok(match outcome {
            Outcome::Upgraded(tls) => Outcome::Upgraded(Blocked(tls)),
            Outcome::Declined(Declined { stream, reason, advertised }) => {
                Outcome::Declined(Declined { stream: Blocked(stream), reason, advertised })
            }
        })
    }

    fn close(stream: &mut Self::Tls) -> io::Result<()> {
        block_on(stream.0.close())
    }

    fn nodelay(stream: &Self::Plain) -> bool {
        stream.0.nodelay().expect("a socket option")
    }

    fn peer(stream: &Self::Plain) -> SocketAddr {
        stream.0.peer_addr().expect("connected")
    }
}

suite!(Smol);

#[test]
fn an_upgrade_can_change_threads() {
    fn changes_threads<T: Send>(future: T) -> T {
        future
    }
    let authority = Authority::default();
    let transcript = Transcript::usual(Protocol::Smtp);
    let config = authority.server_config(Flaw::None);
    let server = Server::start(move |stream| play(stream, &transcript, config.clone())).expect("a free port");
    let upgrader = Upgrader::new(authority.client_config(), "localhost".try_into().unwrap(), Duration::from_secs(30));
    let upgrader = upgrader.tap(|_, _| ());
    let address = server.address();
    let upgrade = changes_threads(async move {
        let stream = changes_threads(upgrader.connect(&address.ip().to_string(), address.port())).await?;
        let negotiation = Negotiation::required(Smtp::new("client.example").expect("a valid name"));
        changes_threads(upgrader.upgrade(stream, negotiation)).await
    });
    std::thread::spawn(move || block_on(upgrade)).join().expect("no panic").expect("it upgrades");
}

#[test]
fn a_deadline_that_has_passed_passes_again() {
    let silent = Server::start(|mut stream| io::copy(&mut stream, &mut io::sink()).map(drop)).expect("a free port");
    let name = "localhost".try_into().unwrap();
    let mut upgrader = Upgrader::new(Authority::default().client_config(), name, Duration::from_millis(100));
    let mut stream = block_on(upgrader.connect_to(&[silent.address()])).expect("it listens");
    let mut negotiation = Negotiation::required(Smtp::new("client.example").expect("a valid name"));
    for _ in 0..2 {
        let late = block_on(upgrader.negotiate(&mut stream, &mut negotiation));
        assert!(matches!(late, Err(Error::Timeout { stage: "greeting" })), "{late:?}");
    }
}

#[test]
fn the_clock_is_looked_at_although_nothing_has_to_wait() {
    let name = "localhost".try_into().unwrap();
    let mut upgrader = Upgrader::new(Authority::default().client_config(), name, Duration::ZERO);
    // The request takes the place of the first eight bytes.
    let mut stream = Cursor::new(b"........S".to_vec());
    let late = block_on(upgrader.negotiate(&mut stream, &mut Negotiation::required(Postgres::new())));
    assert!(matches!(late, Err(Error::Timeout { stage: "SSLRequest" })), "{late:?}");
}
