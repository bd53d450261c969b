//! The protocols, one file each, and [`Protocol`] to choose one at run time.

use alloc::boxed::Box;
use alloc::format;
use core::fmt;
use core::str::FromStr;

use crate::{Dialogue, InvalidName, Side};

mod acap;
mod amqp;
mod client;
mod ftp;
mod http;
mod imap;
mod irc;
mod ldap;
mod mssql;
mod munin;
mod mupdate;
mod mysql;
mod mysqlx;
mod nats;
mod nbd;
mod nntp;
mod nsq;
mod nut;
mod pcep;
mod pop3;
mod postgres;
mod rdp;
mod rpc;
mod script;
mod sieve;
mod smtp;
mod tagged;
mod telnet;
pub(crate) mod text;
mod unknown;
mod vnc;
#[cfg(feature = "xmpp")]
mod xmpp;

pub use acap::Acap;
pub use amqp::Amqp;
pub use client::{Client, Options, Start};
pub use ftp::Ftp;
pub use http::Http;
pub use imap::Imap;
pub use irc::Irc;
pub use ldap::Ldap;
pub use mssql::Mssql;
pub use munin::Munin;
pub use mupdate::Mupdate;
pub use mysql::{Mysql, MysqlGreeting};
pub use mysqlx::MysqlX;
pub use nats::Nats;
pub use nbd::Nbd;
pub use nntp::Nntp;
pub use nsq::Nsq;
pub use nut::Nut;
pub use pcep::Pcep;
pub use pop3::Pop3;
pub use postgres::Postgres;
pub use rdp::Rdp;
pub use rpc::Rpc;
pub use script::{InvalidScript, Script, ScriptError};
pub use sieve::Sieve;
pub use smtp::Smtp;
pub use telnet::Telnet;
pub use unknown::UnknownProtocol;
pub use vnc::{Subtype, Vnc};
#[cfg(feature = "xmpp")]
pub use xmpp::Xmpp;

pub(crate) use client::check;
use client::host;
use text::{
    begins_with_word, code, is_text, last_line, line, lines, lists, literal, long_line, no, outside_literals,
    reply_status, status, strip_literal, strip_word, word,
};

/// Declares [`Protocol`], its table, and the dialogue of each.
macro_rules! protocols {
    ($(
        $(#[$doc:meta])*
        $variant:ident {
            $(feature: $feature:literal,)?
            names: $names:expr,
            ports: $ports:expr,
            reference: $reference:expr,
            first: $first:ident,
            replies: $replies:expr,
            dialogue: |$client:pat_param| $dialogue:expr,
        }
    )*) => {
        /// A protocol that upgrades in band.
        ///
        /// It reads from the names that `openssl s_client -starttls` and `gnutls-cli --starttls-proto` use, in any case,
        /// and displays as the first of them.
        ///
        /// ```
        /// use starttls::Protocol;
        ///
        /// let protocol: Protocol = "submission".parse()?;
        /// assert_eq!((protocol, protocol.name(), protocol.ports()[0]), (Protocol::Smtp, "smtp", 25));
        /// # Ok::<(), starttls::protocol::UnknownProtocol>(())
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Protocol {
            $($(#[cfg(feature = $feature)])? $(#[$doc])* $variant,)*
        }

        const TABLE: &[Row] = &[$($(#[cfg(feature = $feature)])? Row {
            protocol: Protocol::$variant,
            names: &$names,
            ports: &$ports,
            reference: $reference,
            first: Side::$first,
            replies: $replies,
        },)*];

        impl Protocol {
            /// The dialogue, for a [`Negotiation`](crate::Negotiation).
            ///
            /// # Errors
            /// [`InvalidName`] if a name of the client's has characters that must not get onto the wire.
            pub fn dialogue(self, client: &Client<'_>) -> Result<Box<dyn Dialogue + Send>, InvalidName> {
                Ok(match self {
                    $($(#[cfg(feature = $feature)])? Protocol::$variant => {
                        let $client = client;
                        Box::new($dialogue)
                    })*
                })
            }
        }
    };
}

protocols! {
    /// SMTP: [`Smtp::new`]
    Smtp {
        names: ["smtp", "submission"],
        ports: [25, 587],
        reference: "RFC 3207",
        first: Client,
        replies: 3,
        dialogue: |client| Smtp::new(client.name)?.options(client.options),
    }
    /// LMTP: [`Smtp::lmtp`]
    Lmtp {
        names: ["lmtp"],
        ports: [24],
        reference: "RFC 2033, RFC 3207",
        first: Client,
        replies: 3,
        dialogue: |client| Smtp::lmtp(client.name)?.options(client.options),
    }
    /// IMAP: [`Imap`]
    Imap {
        names: ["imap", "imap2"],
        ports: [143],
        reference: "RFC 9051 §6.2.1",
        first: Client,
        replies: 2,
        dialogue: |client| Imap::new(&format!("{:X}", client.seed))?.options(client.options),
    }
    /// POP3: [`Pop3`]
    Pop3 {
        names: ["pop3"],
        ports: [110],
        reference: "RFC 2595 §4",
        first: Client,
        replies: 2,
        dialogue: |client| Pop3::new().options(client.options),
    }
    /// XMPP from client to server: [`Xmpp::client`]
    Xmpp {
        feature: "xmpp",
        names: ["xmpp", "xmpp-client", "jabber"],
        ports: [5222],
        reference: "RFC 6120 §5.4",
        first: Client,
        replies: 2,
        dialogue: |client| Xmpp::client(client.domain)?.options(client.options),
    }
    /// XMPP from server to server: [`Xmpp::server`]
    XmppServer {
        feature: "xmpp",
        names: ["xmpp-server"],
        ports: [5269],
        reference: "RFC 6120 §5.4",
        first: Client,
        replies: 2,
        dialogue: |client| Xmpp::server(client.domain, client.name)?.options(client.options),
    }
    /// HTTP/1.1 Upgrade, also for IPP: [`Http`]
    Http {
        names: ["http", "ipp"],
        ports: [80, 631],
        reference: "RFC 2817 §3.2",
        first: Server,
        replies: 1,
        dialogue: |client| Http::new(client.domain)?.options(client.options),
    }
    /// Telnet START_TLS: [`Telnet`]
    Telnet {
        names: ["telnet"],
        ports: [23],
        reference: "draft-altman-telnet-starttls",
        first: Server,
        replies: 2,
        dialogue: |client| Telnet::new().options(client.options),
    }
    /// Microsoft SQL Server: [`Mssql`]
    Mssql {
        names: ["mssql", "tds"],
        ports: [1433],
        reference: "MS-TDS §2.2.6.5",
        first: Client,
        replies: 1,
        dialogue: |_| Mssql::new(),
    }
    /// LDAP: [`Ldap`]
    Ldap {
        names: ["ldap"],
        ports: [389],
        reference: "RFC 4511 §4.14",
        first: Client,
        replies: 1,
        dialogue: |_| Ldap::new(),
    }
    /// PostgreSQL: [`Postgres::new`]
    Postgres {
        names: ["postgres", "postgresql"],
        ports: [5432],
        reference: "PostgreSQL protocol, SSLRequest",
        first: Client,
        replies: 1,
        dialogue: |_| Postgres::new(),
    }
    /// MySQL and MariaDB: [`Mysql`]
    Mysql {
        names: ["mysql", "mariadb"],
        ports: [3306],
        reference: "MySQL protocol, SSLRequest",
        first: Client,
        replies: 1,
        dialogue: |client| Mysql::new().options(client.options),
    }
    /// NBD: [`Nbd`]
    Nbd {
        names: ["nbd"],
        ports: [10809],
        reference: "NBD proto.md, NBD_OPT_STARTTLS",
        first: Client,
        replies: 2,
        dialogue: |_| Nbd::new(),
    }
    /// RDP: [`Rdp::new`]
    Rdp {
        names: ["rdp"],
        ports: [3389],
        reference: "MS-RDPBCGR §2.2.1",
        first: Client,
        replies: 1,
        dialogue: |_| Rdp::new(),
    }
    /// VNC with VeNCrypt: [`Vnc::new`]
    Vnc {
        names: ["vnc"],
        ports: [5900],
        reference: "rfbproto, VeNCrypt",
        first: Server,
        replies: 5,
        dialogue: |_| Vnc::new(),
    }
    /// NATS: [`Nats::new`]
    Nats {
        names: ["nats"],
        ports: [4222],
        reference: "NATS Client Protocol, INFO",
        first: Client,
        replies: 1,
        dialogue: |_| Nats::new(),
    }
    /// AMQP 1.0: [`Amqp`]
    Amqp {
        names: ["amqp"],
        ports: [5672],
        reference: "OASIS AMQP 1.0 §5.2",
        first: Client,
        replies: 1,
        dialogue: |_| Amqp::new(),
    }
    /// MySQL X Protocol: [`MysqlX`]
    MysqlX {
        names: ["mysqlx"],
        ports: [33060],
        reference: "MySQL X Protocol, CapabilitiesSet",
        first: Client,
        replies: 1,
        dialogue: |_| MysqlX::new(),
    }
    /// RPC with TLS, for NFS: [`Rpc::nfs`]
    Rpc {
        names: ["rpc", "nfs"],
        ports: [2049],
        reference: "RFC 9289 §4.1",
        first: Client,
        replies: 1,
        dialogue: |client| Rpc::nfs(client.seed as u32),
    }
    /// PCEP: [`Pcep`]
    Pcep {
        names: ["pcep"],
        ports: [4189],
        reference: "RFC 8253 §3",
        first: Client,
        replies: 1,
        dialogue: |_| Pcep::new(),
    }
    /// NSQ: [`Nsq`]
    Nsq {
        names: ["nsq"],
        ports: [4150],
        reference: "NSQ TCP Protocol, IDENTIFY",
        first: Server,
        replies: 1,
        dialogue: |_| Nsq::new(),
    }
    /// ManageSieve: [`Sieve`]
    Sieve {
        names: ["sieve", "managesieve"],
        ports: [4190],
        reference: "RFC 5804 §2.2",
        first: Server,
        replies: 2,
        dialogue: |client| Sieve::new().options(client.options),
    }
    /// NNTP: [`Nntp`]
    Nntp {
        names: ["nntp"],
        ports: [119, 433],
        reference: "RFC 4642",
        first: Client,
        replies: 2,
        dialogue: |client| Nntp::new().options(client.options),
    }
    /// FTP: [`Ftp`]
    Ftp {
        names: ["ftp", "ftps"],
        ports: [21],
        reference: "RFC 4217",
        first: Client,
        replies: 2,
        dialogue: |client| Ftp::new().options(client.options),
    }
    /// IRC: [`Irc`]
    Irc {
        names: ["irc"],
        ports: [6667, 194],
        reference: "IRCv3 tls",
        first: Client,
        replies: 1,
        dialogue: |client| Irc::new().options(client.options),
    }
    /// ACAP: [`Acap`]
    Acap {
        names: ["acap"],
        ports: [674],
        reference: "RFC 2595 §5",
        first: Server,
        replies: 2,
        dialogue: |client| Acap::new(&format!("{:X}", client.seed))?.options(client.options),
    }
    /// MUPDATE: [`Mupdate`]
    Mupdate {
        names: ["mupdate"],
        ports: [3905],
        reference: "RFC 3656 §4.10",
        first: Server,
        replies: 2,
        // A tag has at most 14 characters: 56 bits of the seed.
        dialogue: |client| Mupdate::new(&format!("{:X}", client.seed & (u64::MAX >> 8)))?.options(client.options),
    }
    /// NUT: [`Nut`]
    Nut {
        names: ["nut"],
        ports: [3493],
        reference: "RFC 9271",
        first: Client,
        replies: 1,
        dialogue: |_| Nut::new(),
    }
    /// Munin: [`Munin`]
    Munin {
        names: ["munin"],
        ports: [4949],
        reference: "Munin::Node::Server",
        first: Client,
        replies: 2,
        dialogue: |client| Munin::new().options(client.options),
    }
}

/// What is known of a protocol.
struct Row {
    protocol: Protocol,
    names: &'static [&'static str],
    ports: &'static [u16],
    reference: &'static str,
    first: Side,
    replies: u32,
}

impl Protocol {
    /// Every protocol there is.
    pub fn all() -> impl Iterator<Item = Protocol> {
        TABLE.iter().map(|row| row.protocol)
    }

    /// The protocol whose well-known port this is.
    pub fn from_port(port: u16) -> Option<Self> {
        TABLE.iter().find(|row| row.ports.contains(&port)).map(|row| row.protocol)
    }

    /// The usual name.
    pub fn name(self) -> &'static str {
        self.names()[0]
    }

    /// All names, the usual one first.
    pub fn names(self) -> &'static [&'static str] {
        self.row().names
    }

    /// The well-known ports, the default first.
    pub fn ports(self) -> &'static [u16] {
        self.row().ports
    }

    /// The specification and, where there are several, its section.
    pub fn reference(self) -> &'static str {
        self.row().reference
    }

    /// Who speaks first after TLS.
    pub fn first_after_tls(self) -> Side {
        self.row().first
    }

    /// How many replies the server sends before TLS, its greeting included, in the shortest dialogue.
    pub fn round_trips(self) -> u32 {
        self.row().replies
    }

    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    fn from_str(name: &str) -> Result<Self, UnknownProtocol> {
        let named = |row: &&Row| row.names.iter().any(|known| known.eq_ignore_ascii_case(name));
        TABLE.iter().find(named).map(|row| row.protocol).ok_or_else(|| UnknownProtocol::named(name))
    }
}
