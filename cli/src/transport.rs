//! How a check reaches its server. Among others it goes by smol; alone it blocks, and needs no reactor: that of smol has a
//! thread of its own, and it and the check would wake each other for every reply.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use smol::io::{AsyncRead, AsyncWrite};
use starttls::transport::Error;
use starttls::{Dialogue, Negotiation, Required, Side, Upgrade};

/// The methods that both upgraders have.
pub trait Transport: Sized {
    type Socket;
    type Stream: Stream;

    fn new(config: Arc<ClientConfig>, server_name: ServerName<'static>, timeout: Duration) -> Self;
    fn tap(self, tap: impl FnMut(Side, &[u8]) + Send + 'static) -> Self;
    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Error>;
    /// With the addresses of the peer and of this end.
    async fn connect_to(&self, addresses: &[SocketAddr]) -> Result<(Self::Socket, [io::Result<SocketAddr>; 2]), Error>;
    async fn negotiate<D: Dialogue>(
        &mut self,
        socket: &mut Self::Socket,
        negotiation: &mut Negotiation<D, Required>,
    ) -> Result<(), Error>;
    async fn handshake(self, socket: Self::Socket, upgrade: Upgrade) -> Result<Self::Stream, Error>;
}

macro_rules! transport {
    ($upgrader:ty, $socket:ty, $stream:ty $(, $await:tt)?) => {
        impl Transport for $upgrader {
            type Socket = $socket;
            type Stream = $stream;

            fn new(config: Arc<ClientConfig>, server_name: ServerName<'static>, timeout: Duration) -> Self {
                Self::new(config, server_name, timeout)
            }

            fn tap(self, tap: impl FnMut(Side, &[u8]) + Send + 'static) -> Self {
                self.tap(tap)
            }

            async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
                self.resolve(host, port)$(.$await)?
            }

            async fn connect_to(
                &self,
                addresses: &[SocketAddr],
            ) -> Result<(Self::Socket, [io::Result<SocketAddr>; 2]), Error> {
                let socket = self.connect_to(addresses)$(.$await)??;
                let ends = [socket.peer_addr(), socket.local_addr()];
                Ok((socket, ends))
            }

            async fn negotiate<D: Dialogue>(
                &mut self,
                socket: &mut Self::Socket,
                negotiation: &mut Negotiation<D, Required>,
            ) -> Result<(), Error> {
                self.negotiate(socket, negotiation)$(.$await)?
            }

            async fn handshake(self, socket: Self::Socket, upgrade: Upgrade) -> Result<Self::Stream, Error> {
                self.handshake(socket, upgrade)$(.$await)?.map(Into::into)
            }
        }
    };
}

transport!(starttls_smol::Upgrader, smol::net::TcpStream, starttls_smol::TlsStream<smol::net::TcpStream>, await);
transport!(starttls_std::Upgrader, TcpStream, Blocking);

/// A TLS stream whose handshake is complete.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {
    fn connection(&self) -> &ClientConnection;

    /// Bounds what no timer can interrupt.
    fn until(&mut self, _deadline: Instant) {}
}

impl Stream for starttls_smol::TlsStream<smol::net::TcpStream> {
    fn connection(&self) -> &ClientConnection {
        self.connection()
    }
}

/// A stream that is always ready, since it blocks.
pub struct Blocking {
    tls: starttls_std::TlsStream<TcpStream>,
    deadline: Option<Instant>,
}

impl From<starttls_std::TlsStream<TcpStream>> for Blocking {
    fn from(tls: starttls_std::TlsStream<TcpStream>) -> Self {
        Self { tls, deadline: None }
    }
}

impl Stream for Blocking {
    fn connection(&self) -> &ClientConnection {
        &self.tls.conn
    }

    fn until(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
    }
}

impl Blocking {
    /// Does `work` within the time that is left.
    fn bounded<T>(
        &mut self,
        work: impl FnOnce(&mut starttls_std::TlsStream<TcpStream>) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        // A time of zero is an error, as it has to be.
        let bound = [self.tls.sock.set_read_timeout(left), self.tls.sock.set_write_timeout(left)];
        let late = |_| io::ErrorKind::TimedOut.into();
        let done = bound.into_iter().collect::<io::Result<()>>().map_err(late).and_then(|()| work(&mut self.tls));
        // What Unix calls a timeout that is over.
        Poll::Ready(done.map_err(|error| if error.kind() == io::ErrorKind::WouldBlock { late(error) } else { error }))
    }
}

impl AsyncRead for Blocking {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.get_mut().bounded(|tls| tls.read(buffer))
    }
}

impl AsyncWrite for Blocking {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().bounded(|tls| tls.write(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().bounded(Write::flush)
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().bounded(|tls| {
            tls.conn.send_close_notify();
            tls.flush()?;
            tls.sock.shutdown(Shutdown::Write)
        })
    }
}
