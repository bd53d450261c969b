//! One server for all: it answers any client properly, and counts what was said before TLS.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use nix::libc;
use rustls::server::{NoServerSessionStorage, StoresServerSessions};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use starttls::transport::Handshake;
use starttls::{Framing, Protocol};
use starttls_replay::{Authority, Flaw, Server, Transcript, Turn};

/// What one connection said before its ClientHello, and whether TLS came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// How often the server spoke: each is a round trip for the client, the greeting included.
    pub flights: u32,
    /// In how many segments with data the client spoke (`tcpi_data_segs_in` when its last plaintext was read).
    pub segments: u32,
    /// How many bytes the client said.
    pub received: usize,
    /// How many bytes the server said.
    pub sent: usize,
    /// Whether the TLS handshake was completed.
    pub upgraded: bool,
    /// How often the server spoke within TLS.
    pub within: u32,
}

/// A server that counts.
pub struct Counting {
    server: Server,
    log: Arc<Log>,
}

#[derive(Default)]
struct Log {
    /// How many connections are open, and what all of them said.
    connections: Mutex<(usize, Vec<Seen>)>,
    closed: Condvar,
}

impl Counting {
    /// Serves `protocol`, or TLS from the first byte on if there is none. Within TLS, all that no protocol has an answer to
    /// is echoed.
    ///
    /// # Errors
    /// Those of binding.
    pub fn start(protocol: Option<Protocol>, config: Arc<ServerConfig>) -> io::Result<Self> {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), protocol, config)
    }

    /// The same, where the address matters.
    ///
    /// # Errors
    /// Those of binding.
    pub fn start_at(address: SocketAddr, protocol: Option<Protocol>, config: Arc<ServerConfig>) -> io::Result<Self> {
        let log = Arc::<Log>::default();
        let (usual, kept) = (protocol.map(Transcript::usual), log.clone());
        let server = Server::start_at(address, move |stream| {
            let index = kept.open();
            let connection = Connection {
                buffer: Vec::new(),
                seen: Seen::default(),
                turns: usual.iter().flat_map(|usual| &usual.turns).cloned().collect(),
                protocol,
                stream,
            };
            let config = match &usual {
                // They would come behind the handshake, and no specification says whether in a frame.
                Some(Transcript { framing: Some(_), .. }) => without_tickets(&config),
                _ => config.clone(),
            };
            let framing = usual.as_ref().and_then(|usual| usual.framing);
            let served = connection.serve(config, framing, |seen| kept.note(index, seen));
            kept.close();
            served
        })?;
        Ok(Self { server, log })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// What the connections said since this was asked last, once all of them are closed.
    pub fn take(&self) -> Vec<Seen> {
        let connections = self.log.connections.lock().expect("no thread panics");
        let open = |connections: &mut (usize, Vec<Seen>)| connections.0 > 0;
        let waited = self.log.closed.wait_timeout_while(connections, Duration::from_secs(5), open);
        std::mem::take(&mut waited.expect("no thread panics").0.1)
    }
}

impl Log {
    fn open(&self) -> usize {
        let mut connections = self.connections.lock().expect("no thread panics");
        connections.0 += 1;
        connections.1.push(Seen::default());
        connections.1.len() - 1
    }

    fn note(&self, index: usize, seen: Seen) {
        // It is gone if somebody took it before the connection was closed.
        if let Some(row) = self.connections.lock().expect("no thread panics").1.get_mut(index) {
            *row = seen;
        }
    }

    fn close(&self) {
        self.connections.lock().expect("no thread panics").0 -= 1;
        self.closed.notify_all();
    }
}

/// A server that sends session tickets, but accepts none: each handshake is a full one.
pub fn config(authority: &Authority) -> Arc<ServerConfig> {
    #[derive(Debug)]
    struct Forgetful;
    impl StoresServerSessions for Forgetful {
        fn put(&self, _: Vec<u8>, _: Vec<u8>) -> bool {
            true
        }

        fn get(&self, _: &[u8]) -> Option<Vec<u8>> {
            None
        }

        fn take(&self, _: &[u8]) -> Option<Vec<u8>> {
            None
        }

        fn can_cache(&self) -> bool {
            true
        }
    }
    let mut config = (*authority.server_config(Flaw::None)).clone();
    config.session_storage = Arc::new(Forgetful);
    Arc::new(config)
}

/// The same, but no tickets are sent: behind the handshake the server is silent until the client speaks.
pub fn without_tickets(config: &ServerConfig) -> Arc<ServerConfig> {
    let mut config = config.clone();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Arc::new(config)
}

struct Connection {
    stream: TcpStream,
    /// What was read, but not yet looked at.
    buffer: Vec<u8>,
    seen: Seen,
    /// What is left of the usual dialogue.
    turns: Vec<Turn>,
    protocol: Option<Protocol>,
}

impl Connection {
    fn serve(mut self, config: Arc<ServerConfig>, framing: Option<Framing>, note: impl Fn(Seen)) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        // A client that waits for us as we wait for it is to fail.
        self.stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        if let Some(Turn::Server(greeting)) = self.turns.first().cloned() {
            self.turns.remove(0);
            self.say(&greeting)?;
        }
        while !self.at_hello(framing)? {
            let message = self.message()?;
            self.seen.received += message.len();
            self.seen.segments = segments(&self.stream)?;
            let reply = self.answer(&message).unwrap_or_default();
            if !reply.is_empty() {
                self.say(&reply)?;
            }
            note(self.seen);
        }
        let mut tls = ServerConnection::new(config).map_err(io::Error::other)?;
        Handshake::new(framing).complete(&mut tls, &mut self)?;
        self.seen.upgraded = true;
        note(self.seen);
        let mut tls = StreamOwned::new(tls, self);
        let mut buffer = [0; 4096];
        loop {
            let length = tls.read(&mut buffer)?;
            if length == 0 {
                tls.conn.send_close_notify();
                return tls.flush();
            }
            let reply = tls.sock.answer(&buffer[..length]).unwrap_or_else(|| buffer[..length].to_vec());
            if !reply.is_empty() {
                tls.write_all(&reply)?;
                tls.sock.seen.within += 1;
                note(tls.sock.seen);
            }
        }
    }

    fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.seen.flights += 1;
        self.seen.sent += bytes.len();
        self.stream.write_all(bytes)
    }

    /// Whether the client's next byte is the first of its ClientHello.
    fn at_hello(&mut self, framing: Option<Framing>) -> io::Result<bool> {
        if self.buffer.is_empty() {
            self.fill()?;
        }
        Ok(hello(&self.buffer) == Some(0) || framing.is_some() && self.turns.is_empty())
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => self.buffer.extend(&bytes[..n]),
        }
        Ok(())
    }

    /// The client's next message: a line, or all that came before its ClientHello.
    fn message(&mut self) -> io::Result<Vec<u8>> {
        use Protocol::{Acap, Ftp, Imap, Irc, Lmtp, Mupdate, Nntp, Pop3, Sieve, Smtp};
        let lines =
            matches!(self.protocol, Some(Smtp | Lmtp | Imap | Pop3 | Ftp | Nntp | Sieve | Irc | Acap | Mupdate));
        loop {
            let end = match hello(&self.buffer) {
                _ if lines => self.buffer.iter().position(|&byte| byte == b'\n').map(|at| at + 1),
                None => Some(self.buffer.len()),
                hello => hello,
            };
            match end {
                Some(end) => return Ok(self.buffer.drain(..end).collect()),
                None => self.fill()?,
            }
        }
    }

    /// What the server says to `message`; `None` if it has never heard of it.
    fn answer(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let text = String::from_utf8_lossy(message).to_ascii_uppercase();
        let mut words = text.split_whitespace();
        let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let say = |reply: &str| Some(reply.as_bytes().to_vec());
        match self.protocol? {
            Protocol::Smtp | Protocol::Lmtp => match first {
                "EHLO" | "LHLO" => Some(CAPABILITIES.concat().into_bytes()),
                "STARTTLS" => say("220 2.0.0 Ready to start TLS\r\n"),
                "QUIT" => say("221 2.0.0 Bye\r\n"),
                _ => say("250 2.0.0 OK\r\n"),
            },
            Protocol::Imap => {
                // The tag is the client's, in its own case.
                let tag = String::from_utf8_lossy(message);
                let tag = tag.split_whitespace().next().unwrap_or_default();
                match second {
                    "CAPABILITY" => say(&format!("* CAPABILITY IMAP4rev1 ID STARTTLS AUTH=PLAIN\r\n{tag} OK done\r\n")),
                    "STARTTLS" => say(&format!("{tag} OK Begin TLS negotiation now.\r\n")),
                    "LOGOUT" => say(&format!("* BYE\r\n{tag} OK done\r\n")),
                    _ => say(&format!("{tag} OK done\r\n")),
                }
            }
            Protocol::Pop3 => match first {
                "CAPA" => say("+OK\r\nSTLS\r\nUIDL\r\n.\r\n"),
                "LIST" => say("+OK\r\n.\r\n"),
                _ => say("+OK\r\n"),
            },
            Protocol::Ftp => match first {
                "AUTH" => say("234 Proceed with negotiation.\r\n"),
                "FEAT" => say("211-Features:\r\n AUTH TLS\r\n211 End\r\n"),
                "USER" => say("230 Login successful.\r\n"),
                "EPSV" | "PASV" => say("502 No data here.\r\n"),
                "QUIT" => say("221 Goodbye.\r\n"),
                _ => say("200 OK\r\n"),
            },
            Protocol::Nntp => match first {
                "CAPABILITIES" => say("101 list\r\nVERSION 2\r\nREADER\r\nSTARTTLS\r\n.\r\n"),
                "STARTTLS" => say("382 Begin TLS negotiation now\r\n"),
                _ => say("205 Bye\r\n"),
            },
            Protocol::Sieve => match first {
                "CAPABILITY" => {
                    say("\"IMPLEMENTATION\" \"Dovecot\"\r\n\"SIEVE\" \"fileinto\"\r\n\"STARTTLS\"\r\nOK\r\n")
                }
                _ => say("OK \"Begin TLS negotiation now.\"\r\n"),
            },
            Protocol::Ldap => {
                let [_, _, _, _, id, operation, ..] = *message else { return None };
                let kind = match operation {
                    0x60 => 0x61,
                    0x63 => 0x65,
                    0x77 => 0x78,
                    // It is to go: there is nothing to say.
                    0x42 => return Some(Vec::new()),
                    _ => return None,
                };
                Some([0x30, 0x0c, 0x02, 0x01, id, kind, 0x07, 0x0a, 0x01, 0, 0x04, 0, 0x04, 0].to_vec())
            }
            Protocol::Postgres => match message {
                [0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f] => say("S"),
                [0, 0, 0, 8, 4, 0xd2, 0x16, 0x30] => say("N"),
                [0, ..] => say("R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I"),
                [b'X', ..] => Some(Vec::new()),
                _ => None,
            },
            Protocol::Xmpp | Protocol::XmppServer if text.contains("<STARTTLS") => {
                say("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
            }
            _ => self.next_turn(),
        }
    }

    /// What the server of the usual dialogue says next, whatever it was that the client said.
    fn next_turn(&mut self) -> Option<Vec<u8>> {
        let next = self.turns.iter().position(|turn| matches!(turn, Turn::Server(_)));
        let said = self.turns.drain(..next.map_or(self.turns.len(), |at| at + 1)).next_back();
        said.map(|turn| if let Turn::Server(bytes) = turn { bytes } else { Vec::new() })
    }
}

/// Ten lines, as Postfix says them.
const CAPABILITIES: [&str; 10] = [
    "250-mail.example\r\n",
    "250-PIPELINING\r\n",
    "250-SIZE 10240000\r\n",
    "250-VRFY\r\n",
    "250-ETRN\r\n",
    "250-STARTTLS\r\n",
    "250-ENHANCEDSTATUSCODES\r\n",
    "250-8BITMIME\r\n",
    "250-DSN\r\n",
    "250 CHUNKING\r\n",
];

/// Where a ClientHello begins: a record of a handshake.
fn hello(bytes: &[u8]) -> Option<usize> {
    bytes.windows(6).position(|window| matches!(window, [0x16, 3, 0..=3, _, _, 1]))
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.buffer.is_empty() {
            return self.stream.read(buffer);
        }
        let length = self.buffer.as_slice().read(buffer)?;
        self.buffer.drain(..length);
        Ok(length)
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// How many segments with data have arrived: `tcpi_data_segs_in` of the kernel's `tcp_info`.
fn segments(stream: &TcpStream) -> io::Result<u32> {
    const DATA_SEGMENTS_IN: usize = 38;
    let mut info = [0_u32; DATA_SEGMENTS_IN + 1];
    let mut length = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the kernel writes no more than `length` bytes to `info`.
    let got = unsafe {
        let info = info.as_mut_ptr().cast();
        libc::getsockopt(stream.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, info, &raw mut length)
    };
    if got == 0 { Ok(info[DATA_SEGMENTS_IN]) } else { Err(io::Error::last_os_error()) }
}
