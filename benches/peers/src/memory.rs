//! The dialogue alone, without a socket: the same bytes for all that can be driven so.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rip_starttls::imap::{Event, RipStarttls, State};
use starttls::protocol::{Imap, Smtp};
use starttls::{Dialogue, Negotiation, Protocol};
use starttls_benches::way::{Failure, Target, Upgrade, Way};
use tokio::io::{AsyncRead, AsyncWrite, BufStream, ReadBuf};

use crate::crates::{IoSmtp, io_imap_upgrade, runtime};

/// How many dialogues are one upgrade here.
pub const DIALOGUES: f64 = 100.0;

/// All of them, ours first.
pub const WAYS: [(Protocol, Way); 8] = [
    (Protocol::Smtp, memory("starttls, SMTP in memory", |_| Ok(ours(smtp)))),
    (Protocol::Smtp, memory("io-smtp, in memory", |_| Ok(repeat(io_smtp)))),
    (Protocol::Smtp, memory("async-smtp, in memory", async_smtp)),
    (Protocol::Smtp, memory("mail-send, in memory", mail_send)),
    (Protocol::Imap, memory("starttls, IMAP in memory", |_| Ok(ours(imap)))),
    (Protocol::Imap, memory("rip-starttls, in memory", |_| Ok(repeat(rip_starttls)))),
    (Protocol::Imap, memory("io-imap, in memory", |_| Ok(repeat(|| io_imap_upgrade(&mut Script::imap()))))),
    (Protocol::Imap, memory("async-imap, in memory", async_imap)),
];

/// Those that cannot be driven so, and why.
pub const LEFT_OUT: [(&str, &str); 2] = [
    ("lettre", "it connects by itself, to TCP only"),
    ("imap", "it has no STARTTLS but in its builder, which connects by itself"),
];

const fn memory(name: &'static str, prepare: fn(Target) -> Result<Upgrade, Failure>) -> Way {
    Way { name, protocol: None, prepare }
}

/// A server that says its turns, one a read, whatever it is told.
#[derive(Debug)]
struct Script {
    turns: &'static [&'static [u8]],
    /// The tag of the client, which stands before an answer that begins with a space.
    tag: [u8; 16],
    length: usize,
    /// Whether what is written next belongs to the tag.
    fresh: bool,
}

const SMTP: &[&[u8]] = &[
    b"220 mail.example ESMTP Postfix (Debian/GNU)\r\n",
    b"250-mail.example\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250-VRFY\r\n250-ETRN\r\n250-STARTTLS\r\n\
      250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250-DSN\r\n250 CHUNKING\r\n",
    b"220 2.0.0 Ready to start TLS\r\n",
];

const IMAP: &[&[u8]] = &[
    b"* OK [CAPABILITY IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+ STARTTLS AUTH=PLAIN] Dovecot (Debian) \
      ready.\r\n",
    b" OK Begin TLS negotiation now.\r\n",
];

impl Script {
    fn smtp() -> Self {
        Self { turns: SMTP, tag: [0; 16], length: 0, fresh: true }
    }

    fn imap() -> Self {
        Self { turns: IMAP, ..Self::smtp() }
    }
}

impl Read for Script {
    fn read(&mut self, mut buffer: &mut [u8]) -> io::Result<usize> {
        let Some((turn, rest)) = self.turns.split_first() else { return Ok(0) };
        self.turns = rest;
        let tag = if turn.starts_with(b" ") { &self.tag[..self.length] } else { &[] };
        buffer.write_all(tag)?;
        buffer.write_all(turn)?;
        let length = tag.len() + turn.len();
        (self.fresh, self.length) = (true, 0);
        Ok(length)
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A request may come in pieces.
        for &byte in bytes {
            if !self.fresh {
                break;
            }
            if byte == b' ' {
                self.fresh = false;
            } else {
                self.tag[self.length % 16] = byte;
                self.length += 1;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Script {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let length = self.read(buffer.initialize_unfilled())?;
        buffer.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.write(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn repeat(dialogue: impl Fn() -> Result<(), Failure> + 'static) -> Upgrade {
    Box::new(move || (0..DIALOGUES as usize).try_for_each(|_| dialogue()))
}

fn smtp() -> (Script, Smtp) {
    (Script::smtp(), Smtp::new("client.example").expect("a valid name"))
}

fn imap() -> (Script, Imap) {
    (Script::imap(), Imap::new("A7F3").expect("a valid tag"))
}

fn ours<D: Dialogue + 'static>(pair: fn() -> (Script, D)) -> Upgrade {
    repeat(move || {
        let (mut script, dialogue) = pair();
        let mut negotiation = Negotiation::required(dialogue);
        let mut buffer = [0; 2048];
        loop {
            if let Some(request) = negotiation.poll_transmit() {
                script.write_all(&request)?;
            }
            if !negotiation.wants_read() {
                let _upgrade = negotiation.finish()?;
                return Ok(());
            }
            let length = script.read(&mut buffer)?;
            negotiation.handle_input(&buffer[..length])?;
        }
    })
}

fn io_smtp() -> Result<(), Failure> {
    let mut client = IoSmtp(Script::smtp());
    client.upgrade()
}

/// Its states alone: what reads the lines is the caller's.
fn rip_starttls() -> Result<(), Failure> {
    fn line(script: &mut Script) -> io::Result<String> {
        let mut buffer = [0; 2048];
        let length = script.read(&mut buffer)?;
        String::from_utf8(buffer[..length].to_vec()).map_err(io::Error::other)
    }
    let (mut script, mut states, mut event) = (Script::imap(), RipStarttls::new(false), None);
    while let Some(state) = states.resume(event.take()) {
        event = Some(match state {
            State::DiscardHandshake => Event::HandshakeDiscarded(line(&mut script)?),
            State::WriteStarttlsCommand => Event::StarttlsCommandWrote(script.write(RipStarttls::COMMAND.as_bytes())?),
            State::DiscardResponse => Event::ResponseDiscarded(line(&mut script)?),
        });
    }
    Ok(())
}

fn async_smtp(_: Target) -> Result<Upgrade, Failure> {
    let runtime = runtime()?;
    Ok(Box::new(move || {
        runtime.block_on(async {
            for _ in 0..DIALOGUES as usize {
                let client = async_smtp::SmtpClient::new();
                let client = client.hello_name(async_smtp::extension::ClientId::Domain("client.example".to_owned()));
                async_smtp::SmtpTransport::new(client, BufStream::new(Script::smtp())).await?.starttls().await?;
            }
            Ok(())
        })
    }))
}

fn mail_send(_: Target) -> Result<Upgrade, Failure> {
    let runtime = runtime()?;
    Ok(Box::new(move || {
        runtime.block_on(async {
            for _ in 0..DIALOGUES as usize {
                // As its builder does it, over TCP only.
                let mut client = mail_send::SmtpClient { stream: Script::smtp(), timeout: Duration::from_secs(30) };
                client.read().await?;
                let listed = client.ehlo("client.example").await?;
                if !listed.has_capability(smtp_proto::EXT_START_TLS) {
                    return Err("no STARTTLS".into());
                }
                client.cmd(b"STARTTLS\r\n").await?;
            }
            Ok(())
        })
    }))
}

fn async_imap(_: Target) -> Result<Upgrade, Failure> {
    let runtime = runtime()?;
    Ok(Box::new(move || {
        runtime.block_on(async {
            for _ in 0..DIALOGUES as usize {
                let mut client = async_imap::Client::new(Script::imap());
                client.read_response().await?.ok_or("no greeting")?;
                client.run_command_and_check_ok("STARTTLS", None).await?;
            }
            Ok(())
        })
    }))
}
