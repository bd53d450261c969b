//! A bound on the memory of many checks at once. rustls keeps the chain of each connection: up to a megabyte of it, if 64 KiB
//! are full of the smallest certificates. Few servers say that much, and so only some connections at a time may.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use smol::io::{AsyncRead, AsyncWrite};
use smol::lock::futures::AcquireArc;
use smol::lock::{Semaphore, SemaphoreGuardArc};
use starttls::transport::Error;

use crate::socket::Socket;

/// Bytes that every server may say. A dialogue, a handshake and a chain of three have about six thousand.
const FREE: usize = 12 << 10;
/// How many connections at once may be those of servers that say more.
const LARGE: usize = 48;

static PLACES: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(LARGE)));

/// A socket that waits for a place before it takes more than [`FREE`], and keeps it to its end.
pub struct Rationed<S> {
    socket: S,
    left: usize,
    place: Place,
}

enum Place {
    None,
    Awaited(Pin<Box<AcquireArc>>),
    Taken { _place: SemaphoreGuardArc },
}

impl<S: Socket> Socket for Rationed<S> {
    async fn connect(
        config: Arc<ClientConfig>,
        server_name: ServerName<'static>,
        addresses: &[SocketAddr],
        deadline: Instant,
    ) -> Result<Self, Error> {
        let socket = S::connect(config, server_name, addresses, deadline).await?;
        Ok(Self { socket, left: FREE, place: Place::None })
    }

    fn ends(&self) -> [io::Result<SocketAddr>; 2] {
        self.socket.ends()
    }

    fn until(&self, deadline: Instant) {
        self.socket.until(deadline);
    }
}

impl<S: Socket> AsyncRead for Rationed<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let most = loop {
            match &mut this.place {
                Place::Taken { .. } => break buffer.len(),
                Place::None if this.left > 0 => break this.left.min(buffer.len()),
                Place::None => this.place = Place::Awaited(Box::pin(PLACES.acquire_arc())),
                Place::Awaited(place) => {
                    let place = ready!(place.as_mut().poll(context));
                    this.place = Place::Taken { _place: place };
                }
            }
        };
        let length = ready!(Pin::new(&mut this.socket).poll_read(context, &mut buffer[..most]))?;
        this.left = this.left.saturating_sub(length);
        Poll::Ready(Ok(length))
    }
}

impl<S: Socket> AsyncWrite for Rationed<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(context)
    }
}
