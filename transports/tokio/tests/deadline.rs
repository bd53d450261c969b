//! One thread, in which a peer always has something to say, and one that takes nothing.

use std::future::Future;
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use starttls::protocol::{Pop3, Smtp};
use starttls::{Limits, Negotiation, Protocol};
use starttls_replay::{Authority, Flaw, Server, Transcript, play};
use starttls_suite::{LATE, PATIENCE};
use starttls_tokio::{Error, Upgrader};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::Builder;

const TIMEOUT: Duration = Duration::from_secs(1);

/// In one thread.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

fn upgrader(authority: &Authority, timeout: Duration) -> Upgrader {
    Upgrader::new(authority.client_config(), "localhost".try_into().expect("a name"), timeout)
}

fn smtp() -> Smtp {
    Smtp::new("client.example").expect("a valid name")
}

/// How late it ends that a flood of lines is read, which no limit ends.
async fn dialogue(authority: &Authority, server: &Server) -> Duration {
    let limits = Limits { bytes: u32::MAX, lines: u32::MAX, ..Limits::default() };
    let (start, upgrader) = (Instant::now(), upgrader(authority, TIMEOUT));
    let stream = upgrader.connect_to(&[server.address()]).await.expect("it listens");
    let error = upgrader.upgrade(stream, Negotiation::required(smtp()).limits(limits)).await.expect_err("no end");
    assert!(matches!(error, Error::Timeout { stage: "greeting" }), "{error:?}");
    start.elapsed().checked_sub(TIMEOUT).expect("it is read until the deadline")
}

#[test]
fn a_flood_ends_at_the_deadline_and_its_neighbours_are_on_time() {
    let authority = Authority::default();
    let lines = Server::start(|mut stream| {
        loop {
            stream.write_all(&b"220-x\r\n".repeat(8192))?;
        }
    })
    .expect("a free port");
    let transcript = Transcript::usual(Protocol::Smtp);
    let config = authority.server_config(Flaw::None);
    let good = Server::start(move |stream| play(stream, &transcript, config.clone())).expect("a free port");
    let neighbours = async {
        for _ in 0..10 {
            let upgrader = upgrader(&authority, TIMEOUT);
            let stream = upgrader.connect_to(&[good.address()]).await.expect("it listens");
            upgrader.upgrade(stream, Negotiation::required(smtp())).await.expect("on time");
        }
    };
    let (late, ()) = block_on(async { tokio::join!(dialogue(&authority, &lines), neighbours) });
    println!("{late:?} late");
    assert!(late < LATE, "{late:?} late");
}

/// A socket that takes so many bytes, and then none.
#[derive(Debug)]
struct Full {
    stream: TcpStream,
    room: usize,
}

impl AsyncRead for Full {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Full {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.room == 0 {
            return Poll::Ready(Ok(0));
        }
        let most = bytes.len().min(self.room);
        let poll = Pin::new(&mut self.stream).poll_write(cx, &bytes[..most]);
        if let Poll::Ready(Ok(written)) = poll {
            self.room -= written;
        }
        poll
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[test]
fn a_stream_that_takes_nothing_is_an_error() {
    let authority = Authority::default();
    let transcript = Transcript::usual(Protocol::Pop3);
    let config = authority.server_config(Flaw::None);
    let server = Server::start(move |stream| play(stream, &transcript, config.clone())).expect("a free port");
    block_on(async {
        // In the dialogue, and in the ClientHello.
        for (room, stage) in [(0, "STLS"), (6, "TLS"), (20, "TLS")] {
            let upgrader = upgrader(&authority, PATIENCE);
            let stream = upgrader.connect_to(&[server.address()]).await.expect("it listens");
            let upgraded = upgrader.upgrade(Full { stream, room }, Negotiation::required(Pop3::new())).await;
            let Err(Error::Io { stage: failed, source }) = upgraded else { panic!("{room}: {upgraded:?}") };
            assert_eq!((failed, source.kind()), (stage, io::ErrorKind::WriteZero), "{room}");
        }
    });
}
