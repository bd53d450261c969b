//! What is said within TLS, in bounded pieces and under a deadline.

use std::future::Future;
use std::io;
use std::time::Instant;

use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Timer, future};
use starttls::Escaped;
use starttls_smol::TlsStream;

use crate::socket::Socket;

/// The most bytes that a server may say.
const MOST: usize = 32 << 10;

/// A stream on which both sides talk in lines, or in what a `>` ends.
pub struct Conversation<'a, S> {
    stream: &'a mut TlsStream<S>,
    deadline: Instant,
    /// What has arrived and was not looked at.
    ahead: Vec<u8>,
    received: usize,
}

impl<'a, S: Socket> Conversation<'a, S> {
    pub fn new(stream: &'a mut TlsStream<S>, deadline: Instant) -> Self {
        stream.get_ref().until(deadline);
        Self { stream, deadline, ahead: Vec::new(), received: 0 }
    }

    pub async fn say(&mut self, request: &[u8]) -> io::Result<()> {
        let stream = &mut *self.stream;
        within(self.deadline, async {
            stream.write_all(request).await?;
            stream.flush().await
        })
        .await
    }

    /// The next piece that ends so, with its end.
    pub async fn hear(&mut self, end: u8) -> io::Result<Vec<u8>> {
        let mut looked_at = 0;
        loop {
            if let Some(length) = self.ahead[looked_at..].iter().position(|byte| *byte == end) {
                let behind = self.ahead.split_off(looked_at + length + 1);
                return Ok(std::mem::replace(&mut self.ahead, behind));
            }
            looked_at = self.ahead.len();
            if self.received >= MOST {
                return Err(io::ErrorKind::QuotaExceeded.into());
            }
            let mut chunk = [0; 1024];
            match within(self.deadline, self.stream.read(&mut chunk)).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                length => {
                    self.received += length;
                    self.ahead.extend(&chunk[..length]);
                }
            }
            // A server that says a byte at a time must not keep other checks waiting.
            future::yield_now().await;
        }
    }

    /// Says this, and returns the last line of the answer.
    pub async fn ask(&mut self, request: &[u8]) -> io::Result<Vec<u8>> {
        self.say(request).await?;
        self.answer().await
    }

    /// The last line of the next answer.
    pub async fn answer(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let line = self.hear(b'\n').await?;
            if ends_answer(&line) {
                return Ok(line);
            }
        }
    }

    /// Gives it another deadline.
    pub fn until(&mut self, deadline: Instant) {
        self.stream.get_ref().until(deadline);
        self.deadline = deadline;
    }

    /// What the server has said beyond what it was asked.
    pub fn unasked(&self) -> Option<String> {
        (!self.ahead.is_empty()).then(|| Escaped(&self.ahead[..self.ahead.len().min(200)]).to_string())
    }
}

/// Half of the time until the deadline: the rest is for what follows.
pub fn half(deadline: Instant) -> Instant {
    let now = Instant::now();
    now + deadline.saturating_duration_since(now) / 2
}

/// Whether a line is the last of an answer: `250 …` but not `250-…`; `+OK`, `-ERR` and `+`; `OK`, `NO` and `BYE`; or what
/// comes under a tag of ours.
fn ends_answer(line: &[u8]) -> bool {
    let word = line.split(|byte| b" \r\n".contains(byte)).next().unwrap_or_default();
    match word {
        b"+OK" | b"-ERR" | b"+" | b"OK" | b"NO" | b"BYE" => true,
        [b'S', digit] => digit.is_ascii_digit(),
        code => code.len() == 3 && code.iter().all(u8::is_ascii_digit),
    }
}

pub async fn within<T>(deadline: Instant, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    if Instant::now() >= deadline {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let late = async {
        Timer::at(deadline).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    // What need not wait needs no timer.
    future::or(work, late).await
}

/// Why there is no answer.
pub fn words(error: &io::Error) -> String {
    match reason(error) {
        BROKEN => Escaped(error.to_string().as_bytes()).to_string(),
        known => known.to_owned(),
    }
}

const BROKEN: &str = "the connection broke";

/// The same, where nothing may be shown that the server has a hand in.
pub fn reason(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::TimedOut => "no whole answer within the time allowed",
        io::ErrorKind::UnexpectedEof => "the server closed the connection",
        io::ErrorKind::QuotaExceeded => "the answer is too long",
        _ => BROKEN,
    }
}
