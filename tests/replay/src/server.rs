//! A server on a free loopback port.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use starttls::transport::Handshake;

use crate::{Transcript, Turn};

/// A server that ends when it is dropped. Each connection has a thread of its own.
pub struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    accept: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on a free port of 127.0.0.1, and hands each connection to `handler`.
    ///
    /// # Errors
    /// Those of binding.
    pub fn start(handler: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> io::Result<Self> {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), handler)
    }

    /// The same, where the address matters.
    ///
    /// # Errors
    /// Those of binding.
    pub fn start_at(
        address: SocketAddr,
        handler: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let handler = Arc::new(handler);
        let accept = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Acquire) {
                    break;
                }
                let handler = handler.clone();
                // The client judges how the connection went; that it hung up is no failure of the server's.
                std::thread::spawn(move || stream.and_then(|stream| handler(stream)));
            }
        });
        Ok(Self { address, stop, accept: Some(accept) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // The connection wakes the thread that waits for one.
        if TcpStream::connect(self.address).is_ok()
            && let Some(accept) = self.accept.take()
        {
            let _ = accept.join();
        }
    }
}

/// Plays the server's side of `transcript`. If it ends in an upgrade, TLS follows, in which every byte is echoed.
///
/// # Errors
/// Those of the connection, and a client that says something else than the transcript.
pub fn play(stream: TcpStream, transcript: &Transcript, config: Arc<ServerConfig>) -> io::Result<()> {
    play_then(stream, transcript, config, |tls| {
        let mut buffer = [0; 4096];
        loop {
            match tls.read(&mut buffer)? {
                0 => return Ok(()),
                n => tls.write_all(&buffer[..n])?,
            }
        }
    })
}

/// The same, but what goes on within TLS is up to `then`, behind which the session ends.
///
/// # Errors
/// Those of [`play`] and of `then`.
pub fn play_then(
    mut stream: TcpStream,
    transcript: &Transcript,
    config: Arc<ServerConfig>,
    then: impl FnOnce(&mut StreamOwned<ServerConnection, TcpStream>) -> io::Result<()>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    for turn in &transcript.turns {
        match turn {
            Turn::Server(bytes) => stream.write_all(bytes)?,
            Turn::Client(expected) => {
                let mut said = vec![0; expected.len()];
                stream.read_exact(&mut said)?;
                if said != *expected {
                    return Err(io::Error::other("the client left the transcript"));
                }
            }
        }
    }
    if transcript.outcome == "upgraded" {
        let mut config = (*config).clone();
        if transcript.framing.is_some() {
            // They come behind the handshake, and no specification says whether in a frame.
            config.send_tls13_tickets = 0;
        }
        let mut connection = ServerConnection::new(Arc::new(config)).map_err(io::Error::other)?;
        Handshake::new(transcript.framing).complete(&mut connection, &mut stream)?;
        let mut tls = StreamOwned::new(connection, stream);
        then(&mut tls)?;
        tls.conn.send_close_notify();
        tls.flush()?;
        return Ok(());
    }
    // Stays until the client hangs up, so that it is the client that ends the session.
    io::copy(&mut stream, &mut io::sink()).map(drop)
}
