//! A thousand upgrades in one thread, by hand: no executor, no transport of ours, only `mio` to wait for sockets.
//!
//! ```text
//! cargo run --release -p starttls-std --example event_loop -- 1000
//! ```
//!
//! Both ends of each connection are in this process, so it needs two descriptors for each.
//!
//! It is `mio` and not `polling`, whose `add` is unsafe. All protocols take turns; each server echoes over TLS.

use std::io::{self, ErrorKind, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustls::{ClientConfig, ClientConnection, Stream};
use starttls::transport::Handshake;
use starttls::{Dialogue, Negotiation, Protocol, Required};
use starttls_replay::{Authority, Flaw, Server, Transcript, play};

const WORD: &[u8] = b"a word over TLS";

/// One connection. Whenever its socket is ready, it goes on from where it stopped.
struct Session {
    protocol: Protocol,
    socket: TcpStream,
    deadline: Instant,
    config: Arc<ClientConfig>,
    /// Until it has ended in an upgrade.
    negotiation: Option<Negotiation<Box<dyn Dialogue + Send>, Required>>,
    /// What the socket has not taken of the request.
    unsent: Bytes,
    tls: Option<(ClientConnection, Handshake)>,
    asked: bool,
    answer: Vec<u8>,
}

impl Session {
    /// Goes on to the end, or until the socket is not ready, which is [`ErrorKind::WouldBlock`].
    fn advance(&mut self) -> io::Result<()> {
        if let Some(negotiation) = &mut self.negotiation {
            negotiate(negotiation, &mut self.unsent, &mut self.socket)?;
        }
        if let Some(negotiation) = self.negotiation.take() {
            let upgrade = negotiation.finish().map_err(io::Error::other)?;
            let handshake = Handshake::new(upgrade.tls().framing);
            let name = "localhost".try_into().expect("a name");
            let connection = upgrade.client_connection(self.config.clone(), name).map_err(io::Error::other)?;
            self.tls = Some((connection, handshake));
        }
        let (connection, handshake) = self.tls.as_mut().expect("upgraded");
        if !self.asked {
            handshake.complete(connection, &mut self.socket)?;
            connection.writer().write_all(WORD)?;
            self.asked = true;
        }
        let mut stream = Stream::new(connection, &mut self.socket);
        stream.flush()?;
        while self.answer.len() < WORD.len() {
            let mut buffer = [0; 64];
            match stream.read(&mut buffer)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                n => self.answer.extend(&buffer[..n]),
            }
        }
        if self.answer == WORD { Ok(()) } else { Err(io::Error::other("not an echo")) }
    }
}

fn negotiate<D: Dialogue>(
    negotiation: &mut Negotiation<D, Required>,
    unsent: &mut Bytes,
    socket: &mut TcpStream,
) -> io::Result<()> {
    loop {
        if let Some(request) = negotiation.poll_transmit() {
            *unsent = request;
        }
        while !unsent.is_empty() {
            match socket.write(unsent)? {
                0 => return Err(ErrorKind::WriteZero.into()),
                sent => unsent.advance(sent),
            }
        }
        if !negotiation.wants_read() {
            return Ok(());
        }
        let mut buffer = [0; 2048];
        let received = match socket.read(&mut buffer)? {
            0 => negotiation.handle_eof(),
            n => negotiation.handle_input(&buffer[..n]),
        };
        received.map_err(io::Error::other)?;
    }
}

/// Makes so many upgrades at once. Returns how many succeeded.
fn run(count: usize) -> io::Result<usize> {
    let authority = Authority::default();
    let protocols: Vec<Protocol> = Protocol::all().collect();
    let transcripts: Vec<Arc<Transcript>> =
        protocols.iter().map(|protocol| Arc::new(Transcript::usual(*protocol))).collect();
    let serve = |transcript: &Arc<Transcript>| {
        let (transcript, config) = (transcript.clone(), authority.server_config(Flaw::None));
        Server::start(move |stream| play(stream, &transcript, config.clone()))
    };
    let servers: Vec<Server> = transcripts.iter().map(serve).collect::<io::Result<_>>()?;

    let config = authority.client_config();
    let mut poll = Poll::new()?;
    let mut sessions = Vec::new();
    for number in 0..count {
        let turn = number % protocols.len();
        let mut socket = TcpStream::connect(servers[turn].address())?;
        poll.registry().register(&mut socket, Token(number), Interest::READABLE | Interest::WRITABLE)?;
        let dialogue = protocols[turn].dialogue(&transcripts[turn].identity()).expect("a valid client");
        sessions.push(Some(Session {
            protocol: protocols[turn],
            socket,
            deadline: Instant::now() + Duration::from_secs(60),
            config: config.clone(),
            negotiation: Some(Negotiation::required(dialogue)),
            unsent: Bytes::new(),
            tls: None,
            asked: false,
            answer: Vec::new(),
        }));
    }

    let mut succeeded = 0;
    let mut events = Events::with_capacity(1024);
    while let Some(deadline) = sessions.iter().flatten().map(|session| session.deadline).min() {
        poll.poll(&mut events, Some(deadline.saturating_duration_since(Instant::now())))?;
        for event in &events {
            let slot = &mut sessions[event.token().0];
            let Some(session) = slot else { continue };
            match session.advance() {
                Ok(()) => succeeded += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => eprintln!("{}: {error}", session.protocol),
            }
            *slot = None;
        }
        // One deadline over the whole of it: however often a server says something, it does not get more time.
        for slot in &mut sessions {
            if let Some(late) = slot.take_if(|session| session.deadline <= Instant::now()) {
                eprintln!("{}: the deadline passed", late.protocol);
            }
        }
    }
    Ok(succeeded)
}

fn main() -> ExitCode {
    let Some(count) = std::env::args().nth(1).and_then(|count| count.parse().ok()) else {
        eprintln!("usage: event_loop CONNECTIONS");
        return ExitCode::FAILURE;
    };
    match run(count) {
        Ok(succeeded) => {
            println!("{succeeded} of {count} upgraded, in one thread");
            if succeeded == count { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("event_loop: {error}");
            ExitCode::FAILURE
        }
    }
}
