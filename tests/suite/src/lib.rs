//! What every transport has to pass, against real rustls servers over real sockets.
//!
//! A transport implements [`Transport`] for a type of its tests, and calls [`suite!`] with it.

mod hostile;
mod records;
mod time;

use std::error::Error as _;
use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig};
use starttls::protocol::{Mssql, Nats, Options, Smtp, Start, Subtype};
use starttls::transport::{Declined, Error};
use starttls::{Dialogue, Findings, Negotiation, Opportunistic, Outcome, Protocol, Reason, Required, Side};
use starttls_replay::{Authority, Flaw, Server, Transcript, Turn, play};

pub use hostile::{a_bad_handshake_behind_a_good_go_ahead_is_an_error_of_tls, every_hostile_server_is_seen_through};
pub use records::Flood;
pub use time::{
    LATE, a_server_that_floods_ends_at_the_deadline, an_address_that_does_not_answer_is_not_waited_for,
    frames_without_tls_have_an_end, no_deadline_is_no_deadline, what_follows_the_handshake_does_not_delay_it,
};

/// Long enough for any machine, short enough for a test that hangs.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// For tests in which time is to run out.
const SHORT: Duration = Duration::from_millis(400);

/// A transport's `Upgrader`, as a blocking program sees it.
pub trait Transport: Sized {
    /// A connection in plaintext.
    type Plain: Read + Write + Debug;
    /// A connection in TLS.
    type Tls: Read + Write + Debug;

    /// Sets the clock.
    fn new(config: Arc<ClientConfig>, name: ServerName<'static>, timeout: Duration) -> Self;
    /// Shows the plaintext bytes.
    fn tap(self, tap: impl FnMut(Side, &[u8]) + Send + 'static) -> Self;
    /// Connects by name.
    ///
    /// # Errors
    /// Those of the transport, as for the other methods.
    fn connect(&self, host: &str, port: u16) -> Result<Self::Plain, Error>;
    /// Connects by address.
    fn connect_to(&self, addresses: &[SocketAddr]) -> Result<Self::Plain, Error>;
    /// Upgrades under [`Required`].
    fn upgrade<D: Dialogue + Send>(
        self,
        stream: Self::Plain,
        negotiation: Negotiation<D, Required>,
    ) -> Result<Self::Tls, Error>;
    /// Upgrades under [`Opportunistic`].
    fn try_upgrade<D: Dialogue + Send>(
        self,
        stream: Self::Plain,
        negotiation: Negotiation<D, Opportunistic>,
    ) -> Result<Outcome<Self::Tls, Declined<Self::Plain>>, Error>;
    /// Says close_notify.
    fn close(stream: &mut Self::Tls) -> io::Result<()>;
    /// Whether Nagle's algorithm is off.
    fn nodelay(stream: &Self::Plain) -> bool;
    /// Whom it is connected to.
    fn peer(stream: &Self::Plain) -> SocketAddr;

    /// An upgrader that trusts `authority`, for `localhost`.
    fn of(authority: &Authority, timeout: Duration) -> Self {
        Self::new(authority.client_config(), ServerName::try_from("localhost").expect("a name"), timeout)
    }
}

fn usual(protocol: Protocol) -> Arc<Transcript> {
    Arc::new(Transcript::usual(protocol))
}

/// One of the transcripts of SMTP.
fn smtp_transcript(name: &str) -> Arc<Transcript> {
    let find = |transcript: &Transcript| transcript.name == format!("smtp/{name}.txt");
    Arc::new(Transcript::all(Protocol::Smtp).into_iter().find(find).expect(name))
}

fn dialogue(protocol: Protocol, transcript: &Transcript) -> Box<dyn Dialogue + Send> {
    protocol.dialogue(&transcript.identity()).expect("a valid client")
}

fn replay(authority: &Authority, transcript: &Arc<Transcript>, flaw: Flaw) -> Server {
    let (transcript, config) = (transcript.clone(), authority.server_config(flaw));
    Server::start(move |stream| play(stream, &transcript, config.clone())).expect("a free port")
}

/// Upgrades against `server` under a policy of [`Required`].
fn required<T: Transport>(
    server: &Server,
    authority: &Authority,
    timeout: Duration,
    dialogue: Box<dyn Dialogue + Send>,
) -> Result<T::Tls, Error> {
    let upgrader = T::of(authority, timeout);
    let stream = upgrader.connect_to(&[server.address()])?;
    upgrader.upgrade(stream, Negotiation::required(dialogue))
}

fn smtp() -> Box<dyn Dialogue + Send> {
    Box::new(Smtp::new("client.example").expect("a valid name"))
}

/// An SMTP client that knows the capabilities.
fn at_command() -> Box<dyn Dialogue + Send> {
    let options = Options { start: Start::Command, ..Options::default() };
    Box::new(Smtp::new("client.example").expect("a valid name").options(options))
}

/// Makes a test of each of these functions, for a transport.
#[macro_export]
macro_rules! suite {
    ($transport:ty) => {
        $crate::suite!($transport:
            every_protocol_ends_in_a_tls_stream_that_works
            the_tap_sees_every_plaintext_byte_and_no_other
            what_a_dialogue_found_is_there_when_tls_is_up
            a_declined_stream_comes_back_usable
            a_refused_command_is_repeated_on_the_same_connection
            a_failed_stream_is_closed
            a_bad_certificate_is_refused
            a_bad_handshake_behind_a_good_go_ahead_is_an_error_of_tls
            every_hostile_server_is_seen_through
            a_server_that_hangs_up_is_told_from_one_that_declines
            the_deadline_holds_against_silence_and_drip
            a_server_that_floods_ends_at_the_deadline
            frames_without_tls_have_an_end
            what_follows_the_handshake_does_not_delay_it
            no_deadline_is_no_deadline
            every_address_is_tried_in_turn
            an_address_that_does_not_answer_is_not_waited_for
            a_host_is_resolved_or_the_reason_is_told
            time_that_is_up_is_up
            errors_are_chains
            a_frame_that_is_none_is_an_error
            a_name_to_verify_holds_no_control_characters
        );
    };
    ($transport:ty: $($test:ident)*) => {
        $(
            #[test]
            fn $test() {
                $crate::$test::<$transport>();
            }
        )*
    };
}

/// Every protocol ends in a tls stream that works.
pub fn every_protocol_ends_in_a_tls_stream_that_works<T: Transport>() {
    let authority = Authority::default();
    for protocol in Protocol::all() {
        let name = protocol.name();
        let transcript = usual(protocol);
        let server = replay(&authority, &transcript, Flaw::None);
        let mut tls = required::<T>(&server, &authority, PATIENCE, dialogue(protocol, &transcript)).expect(name);
        tls.write_all(b"over TLS").expect(name);
        T::close(&mut tls).expect(name);
        let mut echo = String::new();
        tls.read_to_string(&mut echo).expect(name); // an error, had the server not said close_notify
        assert_eq!(echo, "over TLS", "{name}");
    }
}

/// The tap sees every plaintext byte and no other.
pub fn the_tap_sees_every_plaintext_byte_and_no_other<T: Transport>() {
    let authority = Authority::default();
    for protocol in Protocol::all() {
        let name = protocol.name();
        let transcript = usual(protocol);
        let server = replay(&authority, &transcript, Flaw::None);
        let seen: Arc<Mutex<Vec<Turn>>> = Arc::default();
        let tapped = seen.clone();
        let upgrader = T::of(&authority, PATIENCE).tap(move |side, bytes| {
            let mut seen = tapped.lock().expect("not poisoned");
            match (seen.last_mut(), side) {
                (Some(Turn::Client(said)), Side::Client) | (Some(Turn::Server(said)), Side::Server) => {
                    said.extend(bytes)
                }
                (_, Side::Client) => seen.push(Turn::Client(bytes.to_vec())),
                (_, Side::Server) => seen.push(Turn::Server(bytes.to_vec())),
            }
        });
        let stream = upgrader.connect_to(&[server.address()]).expect(name);
        upgrader.upgrade(stream, Negotiation::required(dialogue(protocol, &transcript))).expect(name);
        assert_eq!(*seen.lock().expect("not poisoned"), transcript.turns, "{name}");
    }
}

/// What a dialogue found is there when TLS is up, and when the server has declined.
pub fn what_a_dialogue_found_is_there_when_tls_is_up<T: Transport>() {
    let authority = Authority::default();
    for protocol in [Protocol::Mysql, Protocol::Nbd, Protocol::Nats, Protocol::Rdp, Protocol::Vnc, Protocol::Xmpp] {
        let name = protocol.name();
        let transcript = usual(protocol);
        let server = replay(&authority, &transcript, Flaw::None);
        for required in [true, false] {
            let upgrader = T::of(&authority, PATIENCE);
            let stream = upgrader.connect_to(&[server.address()]).expect(name);
            let mut dialogue = dialogue(protocol, &transcript);
            let mut tls = match required {
                true => upgrader.upgrade(stream, Negotiation::required(&mut dialogue)).expect(name),
                false => match upgrader.try_upgrade(stream, Negotiation::opportunistic(&mut dialogue)).expect(name) {
                    Outcome::Upgraded(tls) => tls,
                    Outcome::Declined(declined) => panic!("{name}: {}", declined.reason),
                },
            };
            let expected = match protocol {
                Protocol::Nbd => Findings::Nbd { flags: 3 },
                Protocol::Rdp => Findings::Rdp { selected: 1 },
                Protocol::Vnc => Findings::Vnc { subtype: Subtype::X509None },
                Protocol::Xmpp => Findings::Xmpp { required: true },
                _ => match dialogue.findings() {
                    Some(found @ Findings::Mysql(greeting)) if greeting.challenge.len() == 20 => found,
                    Some(found @ Findings::Nats { info }) if info.contains("\"tls_required\":true") => found,
                    found => panic!("{name}: {found:?}"),
                },
            };
            assert_eq!(dialogue.findings(), Some(expected), "{name}");
            tls.write_all(b"over TLS").expect(name);
        }
    }
    let server = Server::start(|mut stream| stream.write_all(b"INFO {\"nonce\":\"x\"}\r\n")).expect("a free port");
    let upgrader = T::of(&authority, PATIENCE);
    let stream = upgrader.connect_to(&[server.address()]).expect("it listens");
    let mut nats = Nats::new();
    let outcome = upgrader.try_upgrade(stream, Negotiation::opportunistic(&mut nats)).expect("it declines");
    assert!(matches!(outcome, Outcome::Declined(_)), "{outcome:?}");
    assert_eq!(nats.info(), Some("{\"nonce\":\"x\"}"));
}

/// A declined stream comes back usable.
pub fn a_declined_stream_comes_back_usable<T: Transport>() {
    let authority = Authority::default();
    let server = Server::start(|mut stream| {
        stream.write_all(b"220 hi\r\n")?;
        expect(&mut stream, b"EHLO client.example\r\n")?;
        stream.write_all(b"250-hi\r\n250 SIZE\r\n")?;
        expect(&mut stream, b"NOOP\r\n")?;
        stream.write_all(b"250 still here\r\n")
    })
    .expect("a free port");
    let upgrader = T::of(&authority, PATIENCE);
    let stream = upgrader.connect_to(&[server.address()]).expect("it listens");
    let outcome = upgrader.try_upgrade(stream, Negotiation::opportunistic(smtp())).expect("it declines");
    let Outcome::Declined(Declined { mut stream, reason, advertised }) = outcome else { panic!("no TLS here") };
    assert_eq!((reason, advertised), (Reason::NotAdvertised, Some(false)));
    stream.write_all(b"NOOP\r\n").expect("it is open");
    expect(&mut stream, b"250 still here\r\n").expect("it is in step");
}

/// A refused command is repeated on the same connection.
pub fn a_refused_command_is_repeated_on_the_same_connection<T: Transport>() {
    let authority = Authority::default();
    let config = authority.server_config(Flaw::None);
    let refused = smtp_transcript("postfix-broken-key");
    let rest = smtp_transcript("at-command");
    let server = Server::start(move |mut stream| {
        perform(&mut stream, &refused.turns)?;
        play(stream, &rest, config.clone())
    })
    .expect("a free port");
    let first = T::of(&authority, PATIENCE);
    let stream = first.connect_to(&[server.address()]).expect("it listens");
    let outcome = first.try_upgrade(stream, Negotiation::opportunistic(smtp())).expect("it declines");
    let Outcome::Declined(Declined { stream, reason: Reason::Refused(reply), .. }) = outcome else { panic!("refused") };
    assert!(reply.temporary, "{reply}");

    T::of(&authority, PATIENCE)
        .upgrade(stream, Negotiation::required(at_command()))
        .expect("the second time it agrees");
}

/// A failed stream is closed.
pub fn a_failed_stream_is_closed<T: Transport>() {
    let authority = Authority::default();
    for reply in ["454 not now\r\n", "220 go\r\n250 injected\r\n", "250 what\r\n"] {
        let (sender, receiver) = mpsc::channel();
        let server = Server::start(move |mut stream| {
            stream.write_all(b"220 hi\r\n")?;
            expect(&mut stream, b"EHLO client.example\r\n")?;
            stream.write_all(b"250-hi\r\n250 STARTTLS\r\n")?;
            expect(&mut stream, b"STARTTLS\r\n")?;
            stream.write_all(reply.as_bytes())?;
            let mut behind = Vec::new();
            // A reset says the same as the end of the stream: the client is gone.
            let _ = stream.read_to_end(&mut behind);
            sender.send(behind).map_err(io::Error::other)
        })
        .expect("a free port");
        let error = required::<T>(&server, &authority, PATIENCE, smtp()).expect_err(reply);
        assert!(matches!(error, Error::Negotiation { awaiting: "STARTTLS", .. }), "{error:?}");
        assert_eq!(receiver.recv_timeout(PATIENCE), Ok(Vec::new()), "closed, and nothing was said any more");
    }
}

/// A bad certificate is refused.
pub fn a_bad_certificate_is_refused<T: Transport>() {
    let authority = Authority::default();
    let transcript = usual(Protocol::Smtp);
    let error = |server: &Server, authority: &Authority| match required::<T>(server, authority, PATIENCE, smtp()) {
        Err(Error::Tls(rustls::Error::InvalidCertificate(error))) => error,
        other => panic!("{other:?}"),
    };
    let expired = error(&replay(&authority, &transcript, Flaw::Expired), &authority);
    assert!(matches!(expired, CertificateError::ExpiredContext { .. }), "{expired:?}");
    let wrong = error(&replay(&authority, &transcript, Flaw::WrongName), &authority);
    assert!(matches!(wrong, CertificateError::NotValidForNameContext { .. }), "{wrong:?}");
    let unknown = error(&replay(&Authority::new("Unknown CA"), &transcript, Flaw::None), &authority);
    assert_eq!(unknown, CertificateError::UnknownIssuer);
}

/// A server that hangs up is told from one that declines.
pub fn a_server_that_hangs_up_is_told_from_one_that_declines<T: Transport>() {
    let authority = Authority::default();
    let transcript = usual(Protocol::Smtp);
    let turns = transcript.turns.len();
    for last in 0..turns {
        let cut = transcript.turns[..last].to_vec();
        let server = Server::start(move |mut stream| perform(&mut stream, &cut)).expect("a free port");
        match required::<T>(&server, &authority, PATIENCE, smtp()) {
            Err(Error::Negotiation { source: starttls::Error::Closed, .. }) => {}
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::ConnectionReset => {}
            other => panic!("after {last} turns: {other:?}"),
        }
    }
}

/// Plays a server that says `first`, hears so many bytes, and says a byte of `then` every few milliseconds, for longer
/// than any deadline here.
fn dripping(first: &'static [u8], hear: usize, then: &'static [u8]) -> Server {
    Server::start(move |mut stream| {
        stream.set_nodelay(true)?;
        stream.write_all(first)?;
        stream.read_exact(&mut vec![0; hear])?;
        for byte in then.iter().cycle().take(200) {
            stream.write_all(&[*byte])?;
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    })
    .expect("a free port")
}

/// The deadline holds against silence and drip.
pub fn the_deadline_holds_against_silence_and_drip<T: Transport>() {
    let authority = Authority::default();
    let silent = Server::start(|mut stream| io::copy(&mut stream, &mut io::sink()).map(drop)).expect("a free port");
    let rows: [(&str, Server, Box<dyn Dialogue + Send>); 4] = [
        ("greeting", silent, smtp()),
        ("greeting", dripping(b"220 ", 0, b"x"), smtp()),
        ("STARTTLS", dripping(b"", 0, b"2"), at_command()),
        // Behind STARTTLS and the head of the ClientHello, a TLS record that never ends.
        ("TLS", dripping(b"220 go\r\n", 15, b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb"), at_command()),
    ];
    for (expected, server, dialogue) in rows {
        let start = Instant::now();
        let result = required::<T>(&server, &authority, SHORT, dialogue);
        let elapsed = start.elapsed();
        match result {
            Err(Error::Timeout { stage }) => assert_eq!(stage, expected),
            other => panic!("{expected}: {other:?}"),
        }
        assert!(elapsed >= SHORT, "{expected}: gave up after {elapsed:?}");
        assert!(elapsed < SHORT * 4, "{expected}: stretched to {elapsed:?}");
    }
}

/// Every address is tried in turn.
pub fn every_address_is_tried_in_turn<T: Transport>() {
    let authority = Authority::default();
    let transcript = usual(Protocol::Smtp);
    let server = replay(&authority, &transcript, Flaw::None);
    let upgrader = T::of(&authority, PATIENCE);
    let stream = upgrader.connect_to(&[closed_port(), server.address()]).expect("the second answers");
    assert_eq!(T::peer(&stream), server.address());
    assert!(T::nodelay(&stream));

    let closed = [closed_port(), closed_port()];
    let Err(Error::Connect { failures }) = upgrader.connect_to(&closed) else { panic!("nobody listens") };
    assert_eq!(failures.iter().map(|failure| failure.0).collect::<Vec<_>>(), closed);
    let message = Error::Connect { failures }.to_string();
    assert!(closed.iter().all(|address| message.contains(&address.to_string())), "{message}");
}

/// A host is resolved or the reason is told.
pub fn a_host_is_resolved_or_the_reason_is_told<T: Transport>() {
    let authority = Authority::default();
    let transcript = usual(Protocol::Smtp);
    let server = replay(&authority, &transcript, Flaw::None);
    let stream = T::of(&authority, PATIENCE).connect("localhost", server.address().port());
    assert!(stream.is_ok(), "{stream:?}");
    let stream = T::of(&authority, PATIENCE).connect("127.0.0.1", server.address().port());
    assert!(stream.is_ok(), "{stream:?}");
    let error = T::of(&authority, PATIENCE).connect("no such host", 25).expect_err("not a name");
    assert!(matches!(&error, Error::Resolve { host, .. } if host == "no such host"), "{error:?}");
}

/// Time that is up is up.
pub fn time_that_is_up_is_up<T: Transport>() {
    let upgrader = T::of(&Authority::default(), Duration::ZERO);
    assert!(matches!(upgrader.connect("127.0.0.1", 25), Err(Error::Timeout { stage: "connect" })));
    assert!(matches!(upgrader.connect("localhost", 25), Err(Error::Timeout { stage: "resolve" })));
}

/// A frame that is none is an error.
pub fn a_frame_that_is_none_is_an_error<T: Transport>() {
    let authority = Authority::default();
    let transcript = usual(Protocol::Mssql);
    let prelogin: Vec<Vec<u8>> = transcript.server().map(<[u8]>::to_vec).collect();
    for not_a_frame in
        [&b"HTTP/1.1 400 Bad"[..], b"\x05\x01\x00\x20\x00\x00\x01\x00", b"\x12\x01\x00\x07\x00\x00\x01\x00"]
    {
        let prelogin = prelogin.clone();
        let server = Server::start(move |mut stream| {
            stream.read_exact(&mut [0; 26])?;
            stream.write_all(&prelogin.concat())?;
            stream.read_exact(&mut [0; 9])?; // the header and the first byte of the ClientHello
            stream.write_all(not_a_frame)
        })
        .expect("a free port");
        let error = required::<T>(&server, &authority, PATIENCE, Box::new(Mssql::new())).expect_err("no TLS");
        assert!(matches!(error, Error::Negotiation { source: starttls::Error::Unexpected(_), .. }), "{error:?}");
    }
}

/// A name to verify holds no control characters.
pub fn a_name_to_verify_holds_no_control_characters<T: Transport>() {
    for name in ["a\r\nb", "a\0b", "a b", "", "<a>", "\"a\""] {
        assert!(ServerName::try_from(name).is_err(), "{name:?}");
    }
}

/// Says and hears what a transcript has, each turn in a segment of its own.
fn perform(stream: &mut TcpStream, turns: &[Turn]) -> io::Result<()> {
    stream.set_nodelay(true)?;
    for turn in turns {
        match turn {
            Turn::Server(bytes) => stream.write_all(bytes)?,
            Turn::Client(bytes) => expect(stream, bytes)?,
        }
    }
    Ok(())
}

fn expect(stream: &mut impl Read, expected: &[u8]) -> io::Result<()> {
    let mut said = vec![0; expected.len()];
    stream.read_exact(&mut said)?;
    if said == expected { Ok(()) } else { Err(io::Error::other(format!("{said:?} is not {expected:?}"))) }
}

/// A port on which nobody listens: one that was free a moment ago.
fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("bound")
}

/// Each error of a chain is told once, and the chain ends in what was the reason.
pub fn errors_are_chains<T: Transport>() {
    let authority = Authority::default();
    let chain = |error: &dyn std::error::Error| {
        let mut chain = vec![error.to_string()];
        let mut next = error.source();
        while let Some(error) = next {
            chain.push(error.to_string());
            next = error.source();
        }
        chain
    };
    let assert = |error: Error, first: &str| -> Error {
        let chain = chain(&error);
        assert_eq!(chain.first().map(String::as_str), Some(first));
        for (number, text) in chain.iter().enumerate() {
            assert!(!chain[..number].iter().any(|before| before.contains(text.as_str())), "twice: {chain:?}");
        }
        error
    };
    let transcript = usual(Protocol::Smtp);
    let error = T::of(&authority, PATIENCE).connect("no such host", 25).expect_err("not a name");
    let error = assert(error, "cannot resolve no such host");
    assert!(error.source().is_some_and(|source| source.is::<io::Error>()), "{error:?}");

    let refusing = replay(&authority, &smtp_transcript("postfix-broken-key"), Flaw::None);
    let error = required::<T>(&refusing, &authority, PATIENCE, smtp()).expect_err("refused");
    let error = assert(error, "the negotiation failed at STARTTLS");
    assert!(error.source().is_some_and(|source| source.is::<starttls::Error>()), "{error:?}");

    let expired = replay(&authority, &transcript, Flaw::Expired);
    let error = required::<T>(&expired, &authority, PATIENCE, smtp()).expect_err("expired");
    let error = assert(error, "the TLS handshake failed");
    assert!(error.source().is_some_and(|source| source.is::<rustls::Error>()), "{error:?}");

    let reset = Server::start(|mut stream| {
        stream.write_all(b"220 hi\r\n")?;
        expect(&mut stream, b"EHLO client.example\r\n")?;
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).map_err(Into::into)
    })
    .expect("a free port");
    let error = required::<T>(&reset, &authority, PATIENCE, smtp()).expect_err("reset");
    let error = assert(error, "the connection failed at EHLO");
    assert!(error.source().is_some_and(|source| source.is::<io::Error>()), "{error:?}");
}
