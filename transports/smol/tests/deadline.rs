//! One thread, in which some peers always have something to say and others take nothing.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use smol::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use smol::net::TcpStream;
use smol::{LocalExecutor, Timer, future};
use starttls::protocol::{Pop3, Smtp};
use starttls::{Limits, Negotiation, Protocol};
use starttls_replay::{Authority, Flaw, Server, Transcript, play};
use starttls_smol::{Error, Upgrader};
use starttls_suite::{Flood, LATE, PATIENCE};

const TIMEOUT: Duration = Duration::from_secs(1);

fn upgrader(authority: &Authority, timeout: Duration) -> Upgrader {
    Upgrader::new(authority.client_config(), "localhost".try_into().expect("a name"), timeout)
}

fn smtp() -> Smtp {
    Smtp::new("client.example").expect("a valid name")
}

/// Agrees to TLS over POP3.
fn agree(stream: &mut std::net::TcpStream) -> io::Result<()> {
    stream.write_all(b"+OK\r\n")?;
    stream.read_exact(&mut [0; 6])?;
    stream.write_all(b"+OK\r\n")
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

/// How late a read behind the handshake ends that a timer is to end.
async fn session(authority: &Authority, server: &Server) -> Duration {
    let upgrader = upgrader(authority, TIMEOUT);
    let stream = upgrader.connect_to(&[server.address()]).await.expect("it listens");
    let mut tls = upgrader.upgrade(stream, Negotiation::required(Pop3::new())).await.expect("it upgrades");
    let start = Instant::now();
    let late = async {
        Timer::after(TIMEOUT).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    let read = future::or(tls.read(&mut [0; 64]), late).await;
    let error = read.expect_err("there is no data");
    println!("{error}");
    start.elapsed().saturating_sub(TIMEOUT)
}

#[test]
fn floods_end_at_the_deadline_and_their_neighbours_are_on_time() {
    let authority = Arc::new(Authority::default());
    let lines = Server::start(|mut stream| {
        loop {
            stream.write_all(&b"220-x\r\n".repeat(8192))?;
        }
    })
    .expect("a free port");
    let floods = Flood::ALL.map(|flood| {
        let issuer = authority.clone();
        let server = Server::start(move |mut stream| {
            agree(&mut stream)?;
            flood.serve(stream, &issuer)
        });
        (flood, server.expect("a free port"))
    });
    let transcript = Transcript::usual(Protocol::Smtp);
    let config = authority.server_config(Flaw::None);
    let good = Server::start(move |stream| play(stream, &transcript, config.clone())).expect("a free port");

    let executor = LocalExecutor::new();
    let (authority, lines, good) = (&*authority, &lines, &good);
    let mut tasks = vec![executor.spawn(async move { ("lines".to_owned(), dialogue(authority, lines).await) })];
    for (flood, server) in &floods {
        tasks.push(executor.spawn(async move { (format!("{flood:?}"), session(authority, server).await) }));
    }
    let neighbours: Vec<_> = (0..10)
        .map(|_| {
            executor.spawn(async move {
                let upgrader = upgrader(authority, TIMEOUT);
                let stream = upgrader.connect_to(&[good.address()]).await?;
                upgrader.upgrade(stream, Negotiation::required(smtp())).await
            })
        })
        .collect();
    smol::block_on(executor.run(async {
        for neighbour in neighbours {
            neighbour.await.expect("on time");
        }
        for task in tasks {
            let (name, late) = task.await;
            println!("{name}: {late:?} late");
            assert!(late < LATE, "{name}: {late:?} late");
        }
    }));
}

/// A socket that takes so many bytes, and then none.
#[derive(Debug)]
struct Full {
    stream: TcpStream,
    room: Arc<AtomicUsize>,
}

impl AsyncRead for Full {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Full {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let room = self.room.load(Ordering::Relaxed);
        if room == 0 {
            return Poll::Ready(Ok(0));
        }
        let poll = Pin::new(&mut self.stream).poll_write(cx, &bytes[..bytes.len().min(room)]);
        if let Poll::Ready(Ok(written)) = poll {
            self.room.store(room - written, Ordering::Relaxed);
        }
        poll
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

#[test]
fn a_stream_that_takes_nothing_is_an_error() {
    let authority = Authority::default();
    let transcript = Transcript::usual(Protocol::Pop3);
    let config = authority.server_config(Flaw::None);
    let server = Server::start(move |stream| play(stream, &transcript, config.clone())).expect("a free port");
    smol::block_on(async {
        // In the dialogue, in the ClientHello, and behind the handshake.
        for (bytes, stage) in [(0, "STLS"), (6, "TLS"), (20, "TLS"), (usize::MAX, "")] {
            let room = Arc::new(AtomicUsize::new(bytes));
            let upgrader = upgrader(&authority, PATIENCE);
            let stream = upgrader.connect_to(&[server.address()]).await.expect("it listens");
            match upgrader.upgrade(Full { stream, room: room.clone() }, Negotiation::required(Pop3::new())).await {
                Err(Error::Io { stage: failed, source }) => {
                    assert_eq!((failed, source.kind()), (stage, io::ErrorKind::WriteZero), "{bytes}");
                }
                Ok(mut tls) if bytes == usize::MAX => {
                    room.store(0, Ordering::Relaxed);
                    let error = tls.write_all(b"x").await.expect_err("nothing is taken");
                    assert_eq!(error.kind(), io::ErrorKind::WriteZero);
                }
                other => panic!("{bytes}: {other:?}"),
            }
        }
    });
}
