//! A future that is dropped at any point leaves nothing behind. A test program of its own, since it counts the descriptors
//! of the whole process.

#![cfg(target_os = "linux")]

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use allocation_counter::measure;
use starttls::{Negotiation, Protocol};
use starttls_replay::{Authority, Flaw, Server, Transcript, play};
use starttls_tokio::Upgrader;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::{Builder, Runtime};

const PATIENCE: Duration = Duration::from_secs(20);

/// A stream that is never ready at once, and never gives much.
struct Hesitant<S> {
    stream: S,
    /// Whether it was asked before: to read, and to write.
    asked: [bool; 2],
}

fn hesitates(asked: &mut bool, cx: &mut Context<'_>) -> bool {
    *asked = !*asked;
    if *asked {
        cx.waker().wake_by_ref();
    }
    *asked
}

impl<S: AsyncRead + Unpin> AsyncRead for Hesitant<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if hesitates(&mut self.asked[0], cx) {
            return Poll::Pending;
        }
        let mut few = [0; 20];
        let most = buffer.remaining().min(20);
        let mut few = ReadBuf::new(&mut few[..most]);
        let poll = Pin::new(&mut self.stream).poll_read(cx, &mut few);
        buffer.put_slice(few.filled());
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Hesitant<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if hesitates(&mut self.asked[1], cx) {
            return Poll::Pending;
        }
        let most = bytes.len().min(20);
        Pin::new(&mut self.stream).poll_write(cx, &bytes[..most])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

async fn upgrade(server: &Server, authority: &Authority, protocol: Protocol) {
    let upgrader = Upgrader::new(authority.client_config(), "localhost".try_into().expect("a name"), PATIENCE);
    let stream = upgrader.connect_to(&[server.address()]).await.expect("it listens");
    let dialogue = protocol.dialogue(&Transcript::usual(protocol).identity()).expect("a valid client");
    let stream = Hesitant { stream, asked: [false; 2] };
    upgrader.upgrade(stream, Negotiation::required(dialogue)).await.expect("it upgrades");
}

/// Polls `work` at most `times` times, and drops it. Whether it was finished.
fn poll(runtime: &Runtime, work: impl Future<Output = ()>, times: usize) -> bool {
    let mut work = pin!(work);
    let mut polls = 0;
    runtime.block_on(poll_fn(|cx| {
        if polls == times {
            return Poll::Ready(false);
        }
        polls += 1;
        work.as_mut().poll(cx).map(|()| true)
    }))
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("a list of descriptors").count()
}

#[test]
fn a_future_that_is_dropped_at_any_point_leaves_nothing_behind() {
    let authority = Authority::default();
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    // One protocol of text, and one that puts the handshake into frames.
    for protocol in [Protocol::Smtp, Protocol::Mssql] {
        let (transcript, config) = (Transcript::usual(protocol), authority.server_config(Flaw::None));
        let server = Server::start(move |stream| play(stream, &transcript, config.clone())).expect("a free port");
        let before = descriptors();
        let all =
            || (0..1000).find(|&times| poll(&runtime, upgrade(&server, &authority, protocol), times)).expect("it ends");
        let polls = all();
        let memory = measure(|| {
            all();
        });
        // The servers' ends of the connections are in this process, too, and go in their own time.
        let deadline = Instant::now() + PATIENCE;
        while descriptors() > before {
            assert!(Instant::now() < deadline, "{} descriptors are open, not {before}", descriptors());
            std::thread::yield_now();
        }
        println!("{protocol}: dropped after each of {polls} polls, {} bytes left", memory.bytes_current);
        assert!(polls > 15 && memory.count_total > 0, "{protocol}: only {polls} polls");
        assert!(memory.bytes_current.abs() < 4096, "{protocol}: {} bytes left", memory.bytes_current);
    }
}
