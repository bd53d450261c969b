//! MySQL and MariaDB (the client/server protocol's "Connection Phase": Protocol::HandshakeV10, Protocol::SSLRequest).

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;
use memchr::memchr;

use super::Options;
use crate::{Code, Dialogue, Error, Findings, Frame, Part, Reason, Reply, Step, Text};

const LONG_PASSWORD: u32 = 0x0001;
const PROTOCOL_41: u32 = 0x0200;
const SSL: u32 = 0x0800;
const SECURE_CONNECTION: u32 = 0x8000;
const PLUGIN_AUTH: u32 = 0x0008_0000;

/// Those that SSLRequest has whatever the caller wants, and those that it may have whatever the greeting says: MariaDB's
/// leaves out CLIENT_LONG_PASSWORD, which all servers since MySQL 4.1 take for granted.
const ALWAYS: u32 = PROTOCOL_41 | SSL;
const EXEMPT: u32 = ALWAYS | LONG_PASSWORD;

/// The dialogue of a MySQL or MariaDB client.
///
/// A greeting without CLIENT_SSL is [`Reason::NotAdvertised`]; an error in its place ends the session
/// ([`Error::Closing`]).
///
/// Servers take the client's capabilities, greatest packet and character set from SSLRequest, and ignore what the
/// HandshakeResponse41 within TLS says of them. So set here what the client is going to need. The server does not greet
/// again: what it said is in [`greeting`](Self::greeting), which outlives the negotiation if that borrows the dialogue.
///
/// ```
/// use starttls::Negotiation;
/// use starttls::protocol::{Mysql, MysqlGreeting};
/// # let from_server = [b"\x4a\0\0\0\x0a8.0.36\0\x08\0\0\0abcdefgh\0\xff\xff\xff\x02\0\xff\xdf\x15", &[0; 10][..],
/// #     b"ijklmnopqrst\0caching_sha2_password\0"].concat();
///
/// const CLIENT_CONNECT_WITH_DB: u32 = 0x0008;
/// const CLIENT_PLUGIN_AUTH: u32 = 0x0008_0000;
///
/// let mut mysql = Mysql::new().capabilities(0x8001 | CLIENT_CONNECT_WITH_DB | CLIENT_PLUGIN_AUTH).character_set(255);
/// let mut negotiation = Negotiation::required(&mut mysql);
/// negotiation.handle_input(&from_server)?;
/// let request = negotiation.poll_transmit().unwrap();
/// assert_eq!(request[4..8], [0x09, 0x8a, 0x08, 0x00]); // with CLIENT_PROTOCOL_41 and CLIENT_SSL
/// let _upgrade = negotiation.finish()?;
///
/// // Over TLS the client goes on with HandshakeResponse41.
/// let greeting = mysql.greeting().unwrap();
/// assert_eq!(greeting.requested, 0x0008_8a09);
/// assert_eq!(&greeting.challenge[..], b"abcdefghijklmnopqrst");
/// assert_eq!(greeting.auth_plugin.as_bytes(), b"caching_sha2_password");
/// assert_eq!(MysqlGreeting::NEXT_PACKET, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # The dialogue
///
/// ```text
/// S: length, 00; 10, version NUL, thread id, 8 bytes, 00, capabilities with CLIENT_SSL, …
/// C: 20 00 00 01; capabilities with CLIENT_SSL, greatest packet, character set, 23 zeros
/// ```
///
/// Each packet begins with its length (three bytes, the lowest first) and its number. To the request TLS is the answer. In
/// place of the greeting may stand an error packet: `ff`, a number, a text.
///
/// # After TLS
///
/// The client speaks first, with the whole HandshakeResponse41, in which its capabilities stand again. The
/// numbers of packets go on: that one has number 2. All else that the greeting said is to be taken for unauthenticated,
/// the challenge and the version too. MariaDB's version may begin with `5.5.5-`.
#[derive(Debug)]
pub struct Mysql {
    /// SSLRequest: its header, capabilities, greatest packet, character set, and 23 zeros.
    request: Vec<u8>,
    options: Options,
    advertised: Option<bool>,
    greeting: Option<Box<MysqlGreeting>>,
}

impl Mysql {
    /// A client with CLIENT_LONG_PASSWORD, CLIENT_SECURE_CONNECTION and CLIENT_PLUGIN_AUTH, packets of up to 16 MiB, and
    /// utf8mb4_general_ci. Without CLIENT_PLUGIN_AUTH, only users with the plugin mysql_native_password can log in.
    pub fn new() -> Self {
        let mut request = Vec::from([0; 36]);
        request[0] = 32;
        request[3] = 1;
        Self { request, options: Options::default(), advertised: None, greeting: None }
            .capabilities(LONG_PASSWORD | SECURE_CONNECTION | PLUGIN_AUTH)
            .max_packet(1 << 24)
            .character_set(45)
    }

    /// Sets the capabilities that the client wants, by the numbers of the protocol (CLIENT_CONNECT_WITH_DB is 8). Of them it
    /// requests those that the greeting has, and adds CLIENT_PROTOCOL_41 and CLIENT_SSL.
    #[must_use]
    pub fn capabilities(self, capabilities: u32) -> Self {
        self.field(4, &(capabilities | ALWAYS).to_le_bytes())
    }

    /// Sets the greatest packet that the client takes, in bytes.
    #[must_use]
    pub fn max_packet(self, bytes: u32) -> Self {
        self.field(8, &bytes.to_le_bytes())
    }

    /// Sets the character set of the connection, by the number of its collation.
    #[must_use]
    pub fn character_set(self, collation: u8) -> Self {
        self.field(12, &[collation])
    }

    /// Sets whether to insist. The greeting has the capabilities, so it cannot be left out, nor asked for.
    #[must_use]
    pub fn options(self, options: Options) -> Self {
        Self { options, ..self }
    }

    /// What the server said of itself, once it has.
    pub fn greeting(&self) -> Option<&MysqlGreeting> {
        self.greeting.as_deref()
    }

    fn field(mut self, at: usize, bytes: &[u8]) -> Self {
        self.request[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }
}

impl Default for Mysql {
    fn default() -> Self {
        Self::new()
    }
}

/// What a MySQL or MariaDB server said of itself in plaintext (Protocol::HandshakeV10). It does not say so again.
///
/// Whatever is missing in the greeting of an old server is empty or 0.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MysqlGreeting {
    /// The server's version, which begins with `5.5.5-` if it is MariaDB's. It is void after TLS: `SELECT VERSION()`.
    pub version: Text,
    /// The number of the connection. It is void after TLS: `SELECT CONNECTION_ID()`.
    pub connection_id: u32,
    /// What the server can do. Someone on the path may have taken something away.
    pub capabilities: u32,
    /// What SSLRequest said that the client can do: the HandshakeResponse41 has to say the same.
    pub requested: u32,
    /// The server's character set. It is void after TLS, and of no use to a client that has set its own.
    pub character_set: u8,
    /// The status flags. They are void after TLS: the server's next OK has new ones.
    pub status: u16,
    /// The challenge, 20 bytes of which the password's scramble is made. It may be used after TLS: if someone changed it,
    /// the login fails.
    pub challenge: Bytes,
    /// The method of authentication that the server suggests. It may be used after TLS as far as the client allows: it was
    /// chosen by whoever wrote the greeting, so that a method that sends the password as it is must not follow from it alone.
    pub auth_plugin: Text,
}

impl MysqlGreeting {
    /// The number of the packet that the client sends first after TLS, its HandshakeResponse41: the greeting was 0, and
    /// SSLRequest 1.
    pub const NEXT_PACKET: u8 = 2;

    fn parse(greeting: &[u8]) -> Option<Self> {
        let [10, rest @ ..] = greeting else { return None };
        let (version, rest) = rest.split_at(memchr(0, rest)?);
        // NUL, the connection's number, 8 bytes of the challenge, a zero, and half of the capabilities.
        let ([_, a, b, c, d, challenge @ .., _, low, high], rest) = rest.split_first_chunk::<16>()?;
        // The rest came later. Behind the length of the challenge 10 bytes are reserved.
        let (more, rest) = rest.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
        let [character_set, status, status_high, upper, upper_high, length, ..] = *more;
        let (remainder, plugin) = rest.split_at(usize::from(length).saturating_sub(8).max(13).min(rest.len()));
        Some(Self {
            version: Text::new(version),
            connection_id: u32::from_le_bytes([*a, *b, *c, *d]),
            capabilities: u32::from_le_bytes([*low, *high, upper, upper_high]),
            requested: 0,
            character_set,
            status: u16::from_le_bytes([status, status_high]),
            challenge: [&challenge[..], remainder.strip_suffix(&[0]).unwrap_or(remainder)].concat().into(),
            auth_plugin: Text::new(plugin.split(|&byte| byte == 0).next().unwrap_or_default()),
        })
    }
}

impl Dialogue for Mysql {
    fn open(&mut self) -> Step {
        Step::More
    }

    fn frame(&self, begun: &[u8], _: Part<'_>) -> Frame {
        match *begun {
            [] => Frame::Exactly(4),
            [low, middle, high, _] if [low, middle, high] != [0; 3] => Frame::Exactly(1),
            // The version of the protocol, or an error in its place, whose number MariaDB counts from 1 at times.
            [low, middle, high, 0, 10] | [low, middle, high, _, 0xff] => {
                Frame::body(u32::from_le_bytes([low, middle, high, 0]) - 1)
            }
            [_, _, _, _] | [_, _, _, _, _] => Frame::Unexpected,
            _ => Frame::Whole,
        }
    }

    fn receive(&mut self, packet: &[u8]) -> Result<Step, Error> {
        let body = packet.get(4..).unwrap_or_default();
        if let [0xff, low, high, text @ ..] = body {
            return Err(Error::Closing(refusal(u16::from_le_bytes([*low, *high]), text)));
        }
        let mut greeting = MysqlGreeting::parse(body).ok_or_else(|| Error::unexpected(packet))?;
        let wanted = u32::from_le_bytes(*self.request[4..].first_chunk().expect("36 bytes"));
        greeting.requested = wanted & (greeting.capabilities | EXEMPT);
        let advertised = *self.advertised.insert(greeting.capabilities & ALWAYS == ALWAYS);
        self.request[4..8].copy_from_slice(&greeting.requested.to_le_bytes());
        self.greeting = Some(Box::new(greeting));
        if advertised || self.options.insist {
            Ok(Step::SendThenUpgrade(core::mem::take(&mut self.request).into()))
        } else {
            Ok(Step::Decline(Reason::NotAdvertised))
        }
    }

    fn awaiting(&self) -> &'static str {
        "greeting"
    }

    fn advertised(&self) -> Option<bool> {
        self.advertised
    }

    fn findings(&self) -> Option<Findings<'_>> {
        self.greeting().map(Findings::Mysql)
    }
}

fn refusal(number: u16, text: &[u8]) -> Reply {
    let name = match number {
        1040 => "ER_CON_COUNT_ERROR",
        1042 => "ER_BAD_HOST_ERROR",
        1043 => "ER_HANDSHAKE_ERROR",
        1053 => "ER_SERVER_SHUTDOWN",
        1129 => "ER_HOST_IS_BLOCKED",
        1130 => "ER_HOST_NOT_PRIVILEGED",
        1135 => "ER_CANT_CREATE_THREAD",
        1203 => "ER_TOO_MANY_USER_CONNECTIONS",
        _ => "",
    };
    let code = if name.is_empty() { Code::Number(number) } else { Code::Named(number.into(), name) };
    // The SQLSTATE is there only if the server takes the client for one of version 4.1.
    let text = match text {
        [b'#', _, _, _, _, _, text @ ..] => text,
        text => text,
    };
    Reply { code, text: Text::new(text), temporary: matches!(number, 1040 | 1053 | 1135 | 1203) }
}
