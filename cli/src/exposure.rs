//! What anybody on the path could read.

use std::net::IpAddr;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde::Serialize;
use serde_json::Value;
use starttls::{Protocol, Side};

use crate::bounded;
use crate::report::{Tls, Turn, side};

/// Something that one side disclosed before encryption. The value is escaped.
#[derive(Debug, Serialize)]
pub struct Exposure {
    #[serde(serialize_with = "side")]
    pub by: Side,
    pub what: &'static str,
    pub value: String,
}

impl Exposure {
    fn new(by: Side, what: &'static str, value: &[u8]) -> Self {
        Self { by, what, value: bounded::text(value.trim_ascii()) }
    }

    /// TLS 1.2 shows the server's certificate to everybody.
    pub fn of_certificate(tls: &Tls) -> Option<Self> {
        let value = tls.certificates.first()?.subject.clone()?;
        (tls.version.as_deref() == Some("TLSv1.2")).then_some(Self { by: Side::Server, what: "certificate", value })
    }
}

/// What was disclosed in the dialogue, where the client calls itself `name`, asks for `domain`, and has the address `own`.
pub fn of_dialogue(
    protocol: Option<Protocol>,
    dialogue: &[Turn],
    name: &str,
    domain: &str,
    own: IpAddr,
) -> Vec<Exposure> {
    let own = own.to_string();
    let said = |by, what: &'static str, words: &str| {
        let mut turns = dialogue.iter().filter(|turn| turn.from == by);
        turns.any(|turn| holds(&turn.text, words)).then(|| Exposure::new(by, what, words.as_bytes()))
    };
    let mut exposures = Vec::new();
    exposures.extend(said(Side::Client, "name", name));
    exposures.extend(said(Side::Client, "domain", domain));
    if let Some(protocol) = protocol
        && let Some(first) = dialogue.iter().find(|turn| turn.from == Side::Server)
    {
        let told = of_server(protocol, first).into_iter().filter(|(_, value)| !value.is_empty());
        exposures.extend(told.map(|(what, value)| Exposure::new(Side::Server, what, &value)));
    }
    exposures.extend(said(Side::Server, "client's address", &own));
    exposures
}

/// What the ClientHello discloses, in TLS 1.3 as well.
pub fn of_hello(config: &ClientConfig, sni: &ServerName<'_>, alpn: Option<&[u8]>) -> Vec<Exposure> {
    let mut exposures = Vec::new();
    if let ServerName::DnsName(name) = sni
        && config.enable_sni
    {
        exposures.push(Exposure::new(Side::Client, "SNI", name.as_ref().as_bytes()));
    }
    let offered = alpn.map_or_else(|| config.alpn_protocols.join(&b", "[..]), <[u8]>::to_vec);
    if !offered.is_empty() {
        exposures.push(Exposure::new(Side::Client, "ALPN", &offered));
    }
    exposures
}

/// What the server's first words tell of it.
fn of_server(protocol: Protocol, first: &Turn) -> Vec<(&'static str, Vec<u8>)> {
    let mut lines = first.lines();
    let line = || first.lines().next().unwrap_or_default().to_vec();
    match protocol {
        // A code, the host, and text (RFC 5321 §4.2).
        Protocol::Smtp | Protocol::Lmtp => {
            let line = line();
            let mut words = line.get(4..).unwrap_or_default().splitn(2, |&byte| byte == b' ');
            let mut next = || words.next().unwrap_or_default().to_vec();
            vec![("host name", next()), ("software", next())]
        }
        Protocol::Imap | Protocol::Pop3 | Protocol::Nntp | Protocol::Ftp | Protocol::Munin | Protocol::Acap => {
            vec![("greeting", line())]
        }
        Protocol::Mupdate => {
            let greeting = lines.find(|line| line.starts_with(b"* OK"));
            vec![("greeting", greeting.unwrap_or_default().to_vec())]
        }
        Protocol::Sieve | Protocol::Http => {
            let field: &[u8] = if protocol == Protocol::Http { b"server: " } else { b"\"implementation\" " };
            let begins = |line: &&[u8]| line.get(..field.len()).is_some_and(|start| start.eq_ignore_ascii_case(field));
            vec![("software", lines.find(begins).map(|line| line[field.len()..].to_vec()).unwrap_or_default())]
        }
        // Behind the packet's header and the version of the protocol, up to a zero.
        Protocol::Mysql => {
            let version = first.text.get(5..).unwrap_or_default().split(|&byte| byte == 0).next();
            vec![("software", version.unwrap_or_default().to_vec())]
        }
        Protocol::Nats | Protocol::Nsq => {
            let start = first.text.iter().position(|&byte| byte == b'{').unwrap_or_default();
            let end = first.text.iter().rposition(|&byte| byte == b'}').map_or(start, |last| last + 1);
            let info: Value =
                serde_json::from_slice(first.text.get(start..end).unwrap_or_default()).unwrap_or_default();
            let field = |name: &str| info[name].as_str().unwrap_or_default().as_bytes().to_vec();
            vec![("host name", field("server_name")), ("software", field("version"))]
        }
        _ => Vec::new(),
    }
}

/// Whether `words`, if there are any, stand in `text`, and not as a part of longer ones.
fn holds(text: &[u8], words: &str) -> bool {
    if words.is_empty() {
        return false;
    }
    let of_word = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    text.windows(words.len()).enumerate().any(|(at, window)| {
        let before = at.checked_sub(1).and_then(|at| text.get(at));
        window == words.as_bytes() && !of_word(before) && !of_word(text.get(at + words.len()))
    })
}
