//! STARTTLS over async streams: a plaintext connection goes in, a verified TLS stream comes out.
//!
//! ```no_run
//! use std::{sync::Arc, time::Duration};
//! use starttls::{Negotiation, protocol::Smtp};
//! use starttls_smol::Upgrader;
//!
//! # async fn upgrade() -> Result<(), Box<dyn std::error::Error>> {
//! # let config: Arc<rustls::ClientConfig> = todo!();
//! let upgrader = Upgrader::new(config, "mail.example".try_into()?, Duration::from_secs(30));
//! let socket = upgrader.connect("mail.example", 587).await?;
//! let tls = upgrader.upgrade(socket, Negotiation::required(Smtp::new("client.example")?)).await?;
//! // `tls` is `AsyncRead + AsyncWrite`, its handshake is complete and its certificate verified.
//! # Ok(())
//! # }
//! ```
//!
//! Nothing is spawned and no thread is started, but for the resolution of names, which blocks. Dropping a future at any
//! point closes its connection and leaves nothing behind. The timers are those of async-io, which work under any executor.
//!
//! For tokio there is `starttls-tokio`.
//!
//! Thousands of upgrades can go on in one thread: `examples/load.rs` measures what each takes. Each needs a descriptor, and
//! most systems allow a process 1,024 of them until the limit is raised; the example says how.

mod stream;

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_io::Timer;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use smol::channel;
use smol::future;
use smol::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use smol::net::TcpStream;
use starttls::{Dialogue, Negotiation, Opportunistic, Outcome, Policy, Required, Side, Upgrade};

use starttls::transport::{ATTEMPT_DELAY, deadline, race};
pub use starttls::transport::{Declined, Error};
use stream::TURNS;
pub use stream::TlsStream;

/// One upgrade, from the first packet to the end of the TLS handshake, under one deadline.
pub struct Upgrader {
    config: Arc<ClientConfig>,
    server_name: ServerName<'static>,
    deadline: Instant,
    /// Never locked: it makes the upgrader one that tasks may share, and their futures such as can change threads.
    tap: Option<Mutex<Tap>>,
    /// Taken by who waits, and left for who waits next: a new one costs the reactor some system calls.
    timer: Mutex<Option<Timer>>,
}

type Tap = Box<dyn FnMut(Side, &[u8]) + Send>;

impl Upgrader {
    /// Starts the clock: everything that follows has to be done within `timeout`. [`Duration::MAX`] means no deadline.
    ///
    /// `server_name` is the name that the certificate must hold, whatever the address connected to.
    pub fn new(config: Arc<ClientConfig>, server_name: ServerName<'static>, timeout: Duration) -> Self {
        Self { config, server_name, deadline: deadline(timeout), tap: None, timer: Mutex::default() }
    }

    /// Shows `tap` every plaintext byte, as it is sent and received.
    #[must_use]
    pub fn tap(self, tap: impl FnMut(Side, &[u8]) + Send + 'static) -> Self {
        Self { tap: Some(Mutex::new(Box::new(tap))), ..self }
    }

    /// Resolves `host` and connects to the first of its addresses that answers, as [`connect_to`](Self::connect_to).
    ///
    /// # Errors
    /// [`Error::Resolve`], [`Error::Connect`], [`Error::Timeout`].
    pub async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, Error> {
        self.connect_to(&self.resolve(host, port).await?).await
    }

    /// The addresses of `host`. Resolution blocks, so it has a thread to itself, which is left behind when time is up.
    ///
    /// # Errors
    /// [`Error::Resolve`], [`Error::Timeout`].
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![(address, port).into()]);
        }
        self.in_time("resolve")?;
        let failed = |source| Error::Resolve { host: host.to_owned(), source };
        // Not in the pool of smol: names that are not answered would fill it, and keep the others waiting.
        let (sender, receiver) = channel::bounded(1);
        let name = host.to_owned();
        std::thread::Builder::new()
            .spawn(move || sender.try_send((name.as_str(), port).to_socket_addrs().map(Vec::from_iter)))
            .map_err(failed)?;
        let resolved = async { receiver.recv().await.map_err(io::Error::other) };
        self.within("resolve", resolved).await?.map_err(failed)
    }

    /// Connects to the first of the addresses that answers (RFC 8305): IPv6 and IPv4 take turns, and while one does not answer
    /// the next is tried 250 ms later.
    ///
    /// # Errors
    /// [`Error::Connect`] with what every address said, [`Error::Timeout`].
    pub async fn connect_to(&self, addresses: &[SocketAddr]) -> Result<TcpStream, Error> {
        let first = race(addresses, TcpStream::connect, || async { Timer::after(ATTEMPT_DELAY).await });
        let stream = self.within("connect", async { Ok(first.await) }).await??;
        // Turns are short: a delayed one only waits for an acknowledgement that is delayed as well.
        stream.set_nodelay(true).map_err(|source| Error::Io { stage: "connect", source })?;
        Ok(stream)
    }

    /// Upgrades `stream`, or fails and closes it.
    ///
    /// If the negotiation borrows its dialogue, that has what the client needs after TLS: its
    /// [`findings`](Dialogue::findings).
    ///
    /// # Errors
    /// Every variant of [`Error`] but those of [`connect`](Self::connect).
    pub async fn upgrade<S: AsyncRead + AsyncWrite + Unpin, D: Dialogue>(
        mut self,
        mut stream: S,
        mut negotiation: Negotiation<D, Required>,
    ) -> Result<TlsStream<S>, Error> {
        self.negotiate(&mut stream, &mut negotiation).await?;
        self.handshake(stream, finish(negotiation)?).await
    }

    /// Upgrades `stream`, or gives it back if the server declines.
    ///
    /// # Errors
    /// As for [`upgrade`](Self::upgrade); the connection is then closed.
    pub async fn try_upgrade<S: AsyncRead + AsyncWrite + Unpin, D: Dialogue>(
        mut self,
        mut stream: S,
        mut negotiation: Negotiation<D, Opportunistic>,
    ) -> Result<Outcome<TlsStream<S>, Declined<S>>, Error> {
        self.negotiate(&mut stream, &mut negotiation).await?;
        let advertised = negotiation.advertised();
        match finish(negotiation)? {
            Outcome::Upgraded(upgrade) => self.handshake(stream, upgrade).await.map(Outcome::Upgraded),
            Outcome::Declined(reason) => Ok(Outcome::Declined(Declined { stream, reason, advertised })),
        }
    }

    /// The first half of an upgrade: the plaintext dialogue, until `negotiation` can be finished.
    ///
    /// # Errors
    /// [`Error::Negotiation`], [`Error::Timeout`], [`Error::Io`].
    pub async fn negotiate<S: AsyncRead + AsyncWrite + Unpin, D: Dialogue<P::Role>, P: Policy>(
        &mut self,
        stream: &mut S,
        negotiation: &mut Negotiation<D, P>,
    ) -> Result<(), Error> {
        let mut buffer = [0; 2048];
        for turn in 1_u32.. {
            let stage = negotiation.awaiting();
            if let Some(request) = negotiation.poll_transmit() {
                let sent = async {
                    stream.write_all(&request).await?;
                    stream.flush().await
                };
                self.within(stage, sent).await?;
                self.show(Side::Client, &request);
            }
            if !negotiation.wants_read() {
                return Ok(());
            }
            let received = match self.within(stage, stream.read(&mut buffer)).await? {
                0 => negotiation.handle_eof(),
                n => {
                    self.show(Side::Server, &buffer[..n]);
                    negotiation.handle_input(&buffer[..n])
                }
            };
            received.map_err(|source| Error::Negotiation { awaiting: stage, source })?;
            if turn % TURNS == 0 {
                future::yield_now().await;
            }
        }
        Ok(())
    }

    /// The second half of an upgrade: the TLS handshake, to its end.
    ///
    /// # Errors
    /// [`Error::Tls`], [`Error::Timeout`], [`Error::Io`].
    pub async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
        self,
        stream: S,
        upgrade: Upgrade,
    ) -> Result<TlsStream<S>, Error> {
        let framing = upgrade.tls().framing;
        let connection =
            upgrade.client_connection(self.config.clone(), self.server_name.clone()).map_err(Error::Tls)?;
        let mut tls = TlsStream::new(connection, stream);
        self.within("TLS", tls.complete_handshake(framing)).await?;
        Ok(tls)
    }

    fn in_time(&self, stage: &'static str) -> Result<(), Error> {
        if Instant::now() < self.deadline { Ok(()) } else { Err(Error::Timeout { stage }) }
    }

    /// Waits for `work`, but not beyond the deadline. Work that need not wait needs no timer, nor its reactor.
    async fn within<T>(&self, stage: &'static str, work: impl Future<Output = io::Result<T>>) -> Result<T, Error> {
        self.in_time(stage)?;
        let kept = || self.timer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut timer = kept().take().unwrap_or_else(|| Timer::at(self.deadline));
        let late = async {
            (&mut timer).await;
            Err(Error::Timeout { stage })
        };
        let done = future::or(async { work.await.map_err(Error::during(stage)) }, late).await?;
        // One that has fired never fires again: it is not kept.
        *kept() = Some(timer);
        Ok(done)
    }

    fn show(&mut self, side: Side, bytes: &[u8]) {
        if let Some(Ok(tap)) = self.tap.as_mut().map(Mutex::get_mut) {
            tap(side, bytes);
        }
    }
}

fn finish<D: Dialogue<P::Role>, P: Policy>(negotiation: Negotiation<D, P>) -> Result<P::Outcome, Error> {
    let awaiting = negotiation.awaiting();
    negotiation.finish().map_err(|source| Error::Negotiation { awaiting, source })
}
