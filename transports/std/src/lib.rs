//! STARTTLS over blocking sockets: a plaintext connection goes in, a verified TLS stream comes out.
//!
//! ```no_run
//! use std::{sync::Arc, time::Duration};
//! use starttls::{Negotiation, protocol::Smtp};
//! use starttls_std::Upgrader;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let config: Arc<rustls::ClientConfig> = todo!();
//! let upgrader = Upgrader::new(config, "mail.example".try_into()?, Duration::from_secs(30));
//! let socket = upgrader.connect("mail.example", 587)?;
//! let tls = upgrader.upgrade(socket, Negotiation::required(Smtp::new("client.example")?))?;
//! // `tls` is `Read + Write`, its handshake is complete and its certificate verified.
//! # Ok(())
//! # }
//! ```

mod stream;

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use starttls::transport::{ATTEMPT_DELAY, Handshake, deadline, interleaved};
use starttls::{Dialogue, Negotiation, Opportunistic, Outcome, Policy, Required, Side, Upgrade};

pub use starttls::transport::{Declined, Error};
use stream::Timed;
pub use stream::{Stream, Untimed};

/// A TLS stream whose handshake is complete.
///
/// A read at the end of the stream gives `Ok(0)` if the server said close_notify, and
/// [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof) if the stream was cut off.
pub type TlsStream<S> = StreamOwned<ClientConnection, S>;

/// One upgrade, from the first packet to the end of the TLS handshake, under one deadline.
pub struct Upgrader {
    config: Arc<ClientConfig>,
    server_name: ServerName<'static>,
    deadline: Instant,
    tap: Option<Tap>,
}

type Tap = Box<dyn FnMut(Side, &[u8]) + Send>;

impl Upgrader {
    /// Starts the clock: everything that follows has to be done within `timeout`. [`Duration::MAX`] means no deadline.
    ///
    /// `server_name` is the name that the certificate must hold, whatever the address connected to.
    pub fn new(config: Arc<ClientConfig>, server_name: ServerName<'static>, timeout: Duration) -> Self {
        Self { config, server_name, deadline: deadline(timeout), tap: None }
    }

    /// Shows `tap` every plaintext byte, as it is sent and received.
    #[must_use]
    pub fn tap(self, tap: impl FnMut(Side, &[u8]) + Send + 'static) -> Self {
        Self { tap: Some(Box::new(tap)), ..self }
    }

    /// Resolves `host` and connects to the first of its addresses that answers, as [`connect_to`](Self::connect_to).
    ///
    /// # Errors
    /// [`Error::Resolve`], [`Error::Connect`], [`Error::Timeout`].
    pub fn connect(&self, host: &str, port: u16) -> Result<TcpStream, Error> {
        self.connect_to(&self.resolve(host, port)?)
    }

    /// The addresses of `host`. Resolution cannot be interrupted, so it has a thread to itself, which is left behind when
    /// time is up.
    ///
    /// # Errors
    /// [`Error::Resolve`], [`Error::Timeout`].
    pub fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![(address, port).into()]);
        }
        let failed = |source| Error::Resolve { host: host.to_owned(), source };
        let (sender, receiver) = mpsc::sync_channel(1);
        let name = host.to_owned();
        std::thread::Builder::new()
            .spawn(move || sender.send((name.as_str(), port).to_socket_addrs().map(Vec::from_iter)))
            .map_err(failed)?;
        match receiver.recv_timeout(self.left("resolve")?) {
            Ok(addresses) => addresses.map_err(failed),
            Err(_) => Err(Error::Timeout { stage: "resolve" }),
        }
    }

    /// Connects to the first of the addresses that answers (RFC 8305): IPv6 and IPv4 take turns, and while one does not answer
    /// the next is tried 250 ms later. Of several, each has a thread to itself, which is left behind when another was first.
    ///
    /// # Errors
    /// [`Error::Connect`] with what every address said, [`Error::Timeout`].
    pub fn connect_to(&self, addresses: &[SocketAddr]) -> Result<TcpStream, Error> {
        let mut waiting = interleaved(addresses).into_iter();
        let (sender, ended) = mpsc::channel();
        let (mut running, mut failures) = (0, Vec::new());
        loop {
            let left = self.left("connect")?;
            match waiting.next() {
                // Nobody else to wait for.
                Some(address) if running == 0 && waiting.len() == 0 => {
                    running += 1;
                    let _ = sender.send((address, TcpStream::connect_timeout(&address, left)));
                }
                Some(address) => {
                    running += 1;
                    let sender = sender.clone();
                    std::thread::Builder::new()
                        .spawn(move || sender.send((address, TcpStream::connect_timeout(&address, left))))
                        .map_err(|source| Error::Io { stage: "connect", source })?;
                }
                None if running == 0 => return Err(Error::Connect { failures }),
                None => {}
            }
            let patience = if waiting.len() > 0 { left.min(ATTEMPT_DELAY) } else { left };
            match ended.recv_timeout(patience) {
                Ok((_, Ok(stream))) => {
                    // Turns are short: a delayed one only waits for an acknowledgement that is delayed as well.
                    stream.set_nodelay(true).map_err(|source| Error::Io { stage: "connect", source })?;
                    return Ok(stream);
                }
                Ok((address, Err(error))) => {
                    failures.push((address, error));
                    running -= 1;
                }
                // It is time for the next.
                Err(_) => {}
            }
        }
    }

    /// Upgrades `stream`, or fails and closes it.
    ///
    /// If the negotiation borrows its dialogue, that has what the client needs after TLS: its
    /// [`findings`](Dialogue::findings).
    ///
    /// # Errors
    /// Every variant of [`Error`] but those of [`connect`](Self::connect).
    pub fn upgrade<S: Stream, D: Dialogue>(
        mut self,
        mut stream: S,
        mut negotiation: Negotiation<D, Required>,
    ) -> Result<TlsStream<S>, Error> {
        let mut timed = Timed::new(&mut stream, self.deadline)?;
        self.talk(&mut timed, &mut negotiation)?;
        let connection = self.shake_hands(&mut timed, finish(negotiation)?)?;
        drop(timed);
        Ok(StreamOwned::new(connection, stream))
    }

    /// Upgrades `stream`, or gives it back if the server declines.
    ///
    /// # Errors
    /// As for [`upgrade`](Self::upgrade); the connection is then closed.
    pub fn try_upgrade<S: Stream, D: Dialogue>(
        mut self,
        mut stream: S,
        mut negotiation: Negotiation<D, Opportunistic>,
    ) -> Result<Outcome<TlsStream<S>, Declined<S>>, Error> {
        let mut timed = Timed::new(&mut stream, self.deadline)?;
        self.talk(&mut timed, &mut negotiation)?;
        let advertised = negotiation.advertised();
        let outcome = match finish(negotiation)? {
            Outcome::Upgraded(upgrade) => Outcome::Upgraded(self.shake_hands(&mut timed, upgrade)?),
            Outcome::Declined(reason) => Outcome::Declined(reason),
        };
        drop(timed);
        Ok(match outcome {
            Outcome::Upgraded(connection) => Outcome::Upgraded(StreamOwned::new(connection, stream)),
            Outcome::Declined(reason) => Outcome::Declined(Declined { stream, reason, advertised }),
        })
    }

    /// The first half of an upgrade: the plaintext dialogue, until `negotiation` can be finished.
    ///
    /// # Errors
    /// [`Error::Negotiation`], [`Error::Timeout`], [`Error::Io`].
    pub fn negotiate<S: Stream, D: Dialogue<P::Role>, P: Policy>(
        &mut self,
        stream: &mut S,
        negotiation: &mut Negotiation<D, P>,
    ) -> Result<(), Error> {
        self.talk(&mut Timed::new(stream, self.deadline)?, negotiation)
    }

    /// The second half of an upgrade: the TLS handshake, to its end.
    ///
    /// # Errors
    /// [`Error::Tls`], [`Error::Timeout`], [`Error::Io`].
    pub fn handshake<S: Stream>(self, mut stream: S, upgrade: Upgrade) -> Result<TlsStream<S>, Error> {
        let mut timed = Timed::new(&mut stream, self.deadline)?;
        let connection = self.shake_hands(&mut timed, upgrade)?;
        drop(timed);
        Ok(StreamOwned::new(connection, stream))
    }

    fn talk<S: Stream, D: Dialogue<P::Role>, P: Policy>(
        &mut self,
        stream: &mut Timed<'_, S>,
        negotiation: &mut Negotiation<D, P>,
    ) -> Result<(), Error> {
        let mut buffer = [0; 2048];
        loop {
            let stage = negotiation.awaiting();
            if let Some(request) = negotiation.poll_transmit() {
                stream.write_all(&request).and_then(|()| stream.flush()).map_err(Error::during(stage))?;
                self.show(Side::Client, &request);
            }
            if !negotiation.wants_read() {
                return Ok(());
            }
            let received = match stream.read(&mut buffer).map_err(Error::during(stage))? {
                0 => negotiation.handle_eof(),
                n => {
                    self.show(Side::Server, &buffer[..n]);
                    negotiation.handle_input(&buffer[..n])
                }
            };
            received.map_err(|source| Error::Negotiation { awaiting: stage, source })?;
        }
    }

    fn shake_hands<S: Stream>(self, stream: &mut Timed<'_, S>, upgrade: Upgrade) -> Result<ClientConnection, Error> {
        let framing = upgrade.tls().framing;
        let mut connection = upgrade.client_connection(self.config, self.server_name).map_err(Error::Tls)?;
        Handshake::new(framing).complete(&mut connection, stream).map_err(Error::during("TLS"))?;
        Ok(connection)
    }

    fn left(&self, stage: &'static str) -> Result<Duration, Error> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(Error::Timeout { stage }) } else { Ok(left) }
    }

    fn show(&mut self, side: Side, bytes: &[u8]) {
        if let Some(tap) = &mut self.tap {
            tap(side, bytes);
        }
    }
}

fn finish<D: Dialogue<P::Role>, P: Policy>(negotiation: Negotiation<D, P>) -> Result<P::Outcome, Error> {
    let awaiting = negotiation.awaiting();
    negotiation.finish().map_err(|source| Error::Negotiation { awaiting, source })
}

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
