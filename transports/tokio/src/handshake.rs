//! A handshake that travels in frames, which tokio-rustls does not know.

use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls::ClientConnection;
use starttls::Framing;
use starttls::transport::Handshake;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::TURNS;

/// Completes the handshake of `connection` over `stream`.
pub(crate) async fn complete<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut ClientConnection,
    stream: &mut S,
    framing: Option<Framing>,
) -> io::Result<()> {
    let mut handshake = Handshake::new(framing);
    poll_fn(|cx| match handshake.complete(&mut *connection, &mut Blocking { stream, cx, reads: 0 }) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        completed => Poll::Ready(completed),
    })
    .await
}

/// An async stream as rustls wants it: one that is not ready says that it would block, and has the task woken. So does one
/// that was read from [`TURNS`] times, since others are to get their turn.
struct Blocking<'a, 'b, S> {
    stream: &'a mut S,
    cx: &'a mut Context<'b>,
    reads: u32,
}

impl<S: AsyncRead + Unpin> Read for Blocking<'_, '_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.reads == TURNS {
            self.cx.waker().wake_by_ref();
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.reads += 1;
        let mut buffer = ReadBuf::new(buffer);
        block(Pin::new(&mut *self.stream).poll_read(self.cx, &mut buffer))?;
        Ok(buffer.filled().len())
    }
}

impl<S: AsyncWrite + Unpin> Write for Blocking<'_, '_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        block(Pin::new(&mut *self.stream).poll_write(self.cx, bytes))
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
