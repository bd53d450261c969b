//! The TCP connection of a check. Among others it is one of smol; alone it blocks, and needs no reactor: that of smol has
//! a thread of its own, and it and the check would wake each other for every reply.

use std::cell::Cell;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use smol::io::{AsyncRead, AsyncWrite};
use starttls::transport::Error;

/// A connection that can be made.
pub trait Socket: AsyncRead + AsyncWrite + Unpin + Sized {
    /// Connects as the upgraders do, one of which it takes.
    async fn connect(
        config: Arc<ClientConfig>,
        server_name: ServerName<'static>,
        addresses: &[SocketAddr],
        deadline: Instant,
    ) -> Result<Self, Error>;

    /// The addresses of the peer and of this end.
    fn ends(&self) -> [io::Result<SocketAddr>; 2];

    /// Bounds what no timer can interrupt.
    fn until(&self, _deadline: Instant) {}
}

impl Socket for smol::net::TcpStream {
    async fn connect(
        config: Arc<ClientConfig>,
        server_name: ServerName<'static>,
        addresses: &[SocketAddr],
        deadline: Instant,
    ) -> Result<Self, Error> {
        starttls_smol::Upgrader::new(config, server_name, left(deadline)).connect_to(addresses).await
    }

    fn ends(&self) -> [io::Result<SocketAddr>; 2] {
        [self.peer_addr(), self.local_addr()]
    }
}

/// A socket that is always ready, since it blocks: until its deadline, and no longer.
pub struct Blocking {
    socket: TcpStream,
    deadline: Cell<Instant>,
}

impl Socket for Blocking {
    async fn connect(
        config: Arc<ClientConfig>,
        server_name: ServerName<'static>,
        addresses: &[SocketAddr],
        deadline: Instant,
    ) -> Result<Self, Error> {
        let socket = starttls_std::Upgrader::new(config, server_name, left(deadline)).connect_to(addresses)?;
        Ok(Self { socket, deadline: Cell::new(deadline) })
    }

    fn ends(&self) -> [io::Result<SocketAddr>; 2] {
        [self.socket.peer_addr(), self.socket.local_addr()]
    }

    fn until(&self, deadline: Instant) {
        self.deadline.set(deadline);
    }
}

impl Blocking {
    /// Does `work` within the time that is left, which `bound` sets.
    fn within<T>(
        &self,
        bound: impl Fn(&TcpStream, Option<Duration>) -> io::Result<()>,
        mut work: impl FnMut(&TcpStream) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            let left = left(self.deadline.get());
            if left.is_zero() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            bound(&self.socket, Some(left))?;
            match work(&self.socket) {
                // Unix says so when the time is over, as the next turn sees, or the process was stopped and goes on.
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

impl AsyncRead for Blocking {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.within(TcpStream::set_read_timeout, |mut socket| socket.read(buffer))
    }
}

impl AsyncWrite for Blocking {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.within(TcpStream::set_write_timeout, |mut socket| socket.write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.within(TcpStream::set_write_timeout, |mut socket| socket.write_vectored(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.shutdown(Shutdown::Write))
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
