//! The TLS stream.
//!
//! It is our own, small as it is, and not that of futures-rustls: that one makes its connection itself, from a connector,
//! and cannot adopt the one that an [`Upgrade`](starttls::Upgrade) turns into, so the typed hand-off would be lost.

use std::future::poll_fn;
use std::io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
use std::io::{self, IoSlice, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::ClientConnection;
use smol::io::{AsyncRead, AsyncWrite};
use starttls::Framing;
use starttls::transport::Handshake;

/// How many reads a task makes while its peer is always ready, before other tasks and its deadline get their turn.
pub(crate) const TURNS: u32 = 4;

/// A TLS stream whose handshake is complete.
///
/// A read at the end of the stream gives `Ok(0)` if the server said close_notify, and
/// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the stream was cut off. Closing says close_notify, and leaves the
/// other direction open: what the server still has to say can be read. It succeeds if the server has closed already.
///
/// What was written is on its way when [`flush`](AsyncWrite::poll_flush) is done.
#[derive(Debug)]
pub struct TlsStream<S> {
    connection: ClientConnection,
    stream: S,
    closing: Closing,
    /// Why nothing more can be read, once what came before it has been.
    failure: Option<rustls::Error>,
}

/// How far closing has come.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Closing {
    Open,
    /// close_notify is on its way.
    Notified,
    Closed,
}

impl<S> TlsStream<S> {
    /// What was agreed upon: the version, the cipher suite, the certificates of the server.
    pub fn connection(&self) -> &ClientConnection {
        &self.connection
    }

    /// The stream below, whose bytes are TLS.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream<S> {
    pub(crate) fn new(connection: ClientConnection, stream: S) -> Self {
        Self { connection, stream, closing: Closing::Open, failure: None }
    }

    /// Takes itself by reference, since a future keeps a copy of all that it moves: so it stays small.
    pub(crate) async fn complete_handshake(&mut self, framing: Option<Framing>) -> io::Result<()> {
        let mut handshake = Handshake::new(framing);
        let Self { connection, stream, .. } = self;
        poll_fn(|cx| poll(handshake.complete(connection, &mut Blocking::new(stream, cx)))).await
    }

    /// Sends what TLS has ready.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.connection.wants_write() {
            if ready!(poll(self.connection.write_tls(&mut Blocking::new(&mut self.stream, cx))))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Sends close_notify, and closes the stream below.
    fn poll_farewell(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        for _ in 0..TURNS {
            match this.connection.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read),
            }
            if let Some(error) = &this.failure {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error.clone())));
            }
            ready!(poll(this.connection.read_tls(&mut Blocking::new(&mut this.stream, cx))))?;
            if let Err(error) = this.connection.process_new_packets() {
                this.failure = Some(error);
                // The alert is a courtesy: the error is the one that counts. Nothing else is sent from here, since the
                // task that reads need not be the one that writes, and only one of them can be woken.
                let _ = this.poll_send(cx);
            }
        }
        // What came holds no data, and there may be no end of it.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // What was taken before goes first, so that no more than one write's worth is ever held back.
        ready!(this.poll_send(cx))?;
        let taken = this.connection.writer().write(bytes)?;
        match this.poll_send(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(taken)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.closing == Closing::Open {
            // What was written before has to arrive, or the error is told.
            ready!(this.poll_send(cx))?;
            this.connection.send_close_notify();
            this.closing = Closing::Notified;
        }
        if this.closing == Closing::Notified {
            match ready!(this.poll_farewell(cx)) {
                // A peer that has left needs no farewell.
                Err(error) if matches!(error.kind(), NotConnected | BrokenPipe | ConnectionReset) => {}
                said => said?,
            }
            this.closing = Closing::Closed;
        }
        Poll::Ready(Ok(()))
    }
}

/// An async stream as rustls wants it: one that is not ready says that it would block, and has the task woken. So does one
/// that was read from [`TURNS`] times, since others are to get their turn.
struct Blocking<'a, 'b, S> {
    stream: &'a mut S,
    cx: &'a mut Context<'b>,
    reads: u32,
}

impl<'a, 'b, S> Blocking<'a, 'b, S> {
    fn new(stream: &'a mut S, cx: &'a mut Context<'b>) -> Self {
        Self { stream, cx, reads: 0 }
    }
}

impl<S: AsyncRead + Unpin> Read for Blocking<'_, '_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.reads == TURNS {
            self.cx.waker().wake_by_ref();
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.reads += 1;
        block(Pin::new(&mut *self.stream).poll_read(self.cx, buffer))
    }
}

impl<S: AsyncWrite + Unpin> Write for Blocking<'_, '_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        block(Pin::new(&mut *self.stream).poll_write(self.cx, bytes))
    }

    fn write_vectored(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        block(Pin::new(&mut *self.stream).poll_write_vectored(self.cx, bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        block(Pin::new(&mut *self.stream).poll_flush(self.cx))
    }
}

fn block<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

fn poll<T>(result: io::Result<T>) -> Poll<io::Result<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}
