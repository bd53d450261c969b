//! The TLS stream: much data both ways at once, and each way in which it may end.

use std::io::{self, Read, Write};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use smol::future::{block_on, zip};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::TcpStream;
use starttls::Negotiation;
use starttls::protocol::{Options, Pop3, Start};
use starttls_replay::{Authority, Flaw, Server};
use starttls_smol::{Error, TlsStream, Upgrader};

const PATIENCE: Duration = Duration::from_secs(20);

type ServerStream = StreamOwned<ServerConnection, std::net::TcpStream>;

/// A server that upgrades at once, and hands the TLS stream to `handler`.
fn server(authority: &Authority, handler: impl Fn(ServerStream) -> io::Result<()> + Send + Sync + 'static) -> Server {
    let config: Arc<ServerConfig> = authority.server_config(Flaw::None);
    Server::start(move |mut stream| {
        stream.read_exact(&mut [0; 6])?;
        stream.write_all(b"+OK\r\n")?;
        handler(StreamOwned::new(ServerConnection::new(config.clone()).map_err(io::Error::other)?, stream))
    })
    .expect("a free port")
}

async fn upgrade(server: &Server, authority: &Authority) -> Result<TlsStream<TcpStream>, Error> {
    let name = ServerName::try_from("localhost").expect("a name");
    let upgrader = Upgrader::new(authority.client_config(), name, PATIENCE);
    let stream = upgrader.connect_to(&[server.address()]).await?;
    let at_command = Options { start: Start::Command, ..Options::default() };
    upgrader.upgrade(stream, Negotiation::required(Pop3::new().options(at_command))).await
}

/// Sizes that look random, and are the same in every run.
struct Sizes(u64);

impl Sizes {
    fn next(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        1 + (self.0 >> 33) as usize % most
    }
}

/// What is sent, over and over. Its length is a prime, so that no buffer's size can hide a part that is lost or repeated.
fn pattern() -> Vec<u8> {
    let mut sizes = Sizes(7);
    (0..1_000_003).map(|_| sizes.next(256) as u8).collect()
}

#[test]
fn much_data_goes_both_ways_at_once() {
    let total: usize = match std::env::var("STARTTLS_BULK") {
        Ok(bytes) => bytes.parse().expect("STARTTLS_BULK is a number of bytes"),
        Err(_) => 64 << 20,
    };
    let authority = Authority::default();
    let (sender, receiver) = mpsc::channel();
    let server = server(&authority, move |mut tls| {
        let mut buffer = vec![0; 64 << 10];
        let mut echoed = 0;
        let end = loop {
            match tls.read(&mut buffer) {
                Ok(0) => break Ok(echoed),
                Ok(n) => tls.write_all(&buffer[..n])?,
                Err(error) => break Err(error),
            }
            echoed += 1;
        };
        tls.conn.send_close_notify();
        tls.flush()?;
        sender.send(end).map_err(io::Error::other)
    });
    let pattern = pattern();
    let (received, sent) = block_on(async {
        let (mut reader, mut writer) = smol::io::split(upgrade(&server, &authority).await.expect("it upgrades"));
        let send = async {
            let (mut sizes, mut sent) = (Sizes(1), 0);
            while sent < total {
                let at = sent % pattern.len();
                let most = sizes.next(100_000).min(pattern.len() - at).min(total - sent);
                sent += writer.write(&pattern[at..at + most]).await.expect("it takes data");
            }
            writer.close().await.expect("it closes");
            sent
        };
        let receive = async {
            let (mut sizes, mut received) = (Sizes(2), 0);
            let mut buffer = vec![0; 100_000];
            loop {
                let most = sizes.next(buffer.len()).min(pattern.len() - received % pattern.len());
                match reader.read(&mut buffer[..most]).await.expect("it gives data, and says when it ends") {
                    0 => break received,
                    n => {
                        let at = received % pattern.len();
                        assert!(buffer[..n] == pattern[at..at + n], "other bytes behind {received}");
                        received += n;
                    }
                }
            }
        };
        zip(receive, send).await
    });
    assert_eq!((sent, received), (total, total));
    let echoes = receiver.recv_timeout(PATIENCE).expect("the server ends").expect("the server saw close_notify");
    println!("{total} bytes each way, in {echoes} pieces");
}

#[test]
fn the_server_may_close_first() {
    let authority = Authority::default();
    let (sender, receiver) = mpsc::channel();
    let server = server(&authority, move |mut tls| {
        tls.write_all(b"bye")?;
        tls.conn.send_close_notify();
        tls.flush()?;
        let mut rest = Vec::new();
        sender.send(tls.read_to_end(&mut rest).map(|_| rest)).map_err(io::Error::other)
    });
    block_on(async {
        let mut tls = upgrade(&server, &authority).await.expect("it upgrades");
        let mut said = String::new();
        tls.read_to_string(&mut said).await.expect("a clean end");
        assert_eq!(said, "bye");
        assert_eq!(tls.read(&mut [0; 8]).await.expect("it stays ended"), 0);
        tls.write_all(&[7; 100_000]).await.expect("the other direction is open");
        tls.close().await.expect("it closes");
        tls.close().await.expect("once more does no harm");
    });
    let rest = receiver.recv_timeout(PATIENCE).expect("the server ends").expect("the server saw close_notify");
    assert_eq!(rest, [7; 100_000]);
}

#[test]
fn closing_succeeds_although_the_server_has_left() {
    let authority = Authority::default();
    let (sender, left) = mpsc::channel();
    let server = server(&authority, move |mut tls| {
        tls.write_all(b"bye")?;
        tls.conn.send_close_notify();
        tls.flush()?;
        drop(tls);
        sender.send(()).map_err(io::Error::other)
    });
    for reset in [false, true].repeat(20) {
        block_on(async {
            let mut tls = upgrade(&server, &authority).await.expect("it upgrades");
            assert_eq!(tls.read_to_end(&mut Vec::new()).await.expect("a clean end"), 3);
            left.recv_timeout(PATIENCE).expect("the server ends");
            if reset {
                // Its system answers with a reset, since nobody is there to read this.
                tls.write_all(b"x").await.and(tls.flush().await).expect("it is sent");
            }
            tls.close().await.expect("there is nobody to say farewell to");
        });
    }
}

#[test]
fn a_stream_that_is_cut_off_is_told_from_one_that_ends() {
    let authority = Authority::default();
    let server = server(&authority, |mut tls| {
        tls.write_all(b"half a sen")?;
        tls.sock.shutdown(std::net::Shutdown::Both)
    });
    block_on(async {
        let mut tls = upgrade(&server, &authority).await.expect("it upgrades");
        let mut said = Vec::new();
        let error = tls.read_to_end(&mut said).await.expect_err("there was no close_notify");
        assert_eq!((said.as_slice(), error.kind()), (&b"half a sen"[..], io::ErrorKind::UnexpectedEof));
        let error = tls.read(&mut [0; 8]).await.expect_err("it stays cut off");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    });
}

#[test]
fn what_is_not_tls_is_an_error_that_stays() {
    let authority = Authority::default();
    let server = server(&authority, |mut tls| {
        tls.write_all(b"first")?;
        tls.sock.write_all(b"* BYE in plaintext\r\n")
    });
    block_on(async {
        let mut tls = upgrade(&server, &authority).await.expect("it upgrades");
        let mut said = Vec::new();
        let error = tls.read_to_end(&mut said).await.expect_err("that was no TLS");
        assert_eq!((said.as_slice(), error.kind()), (&b"first"[..], io::ErrorKind::InvalidData));
        assert!(tls.read(&mut [0; 8]).await.is_err());
    });
}
