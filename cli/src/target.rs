//! What is to be checked, as it stands on the command line.

use std::net::Ipv6Addr;

use starttls::Protocol;
use starttls::protocol::UnknownProtocol;

/// A server, and the protocol that it speaks.
#[derive(Debug, PartialEq)]
pub struct Target {
    /// As it was typed.
    pub text: String,
    /// `None` if a script stands in for it.
    pub protocol: Option<Protocol>,
    pub host: String,
    pub port: u16,
    /// Whether there is TLS from the first byte, and no dialogue before it.
    pub implicit: bool,
    /// The name that the certificate must hold, if the host is not it.
    pub server_name: Option<String>,
}

impl Target {
    /// Reads `host`, `host:port`, `[v6]:port`, and each of them behind `protocol://`. `starttls` names the protocol as
    /// well; if nothing does, a well-known port tells it.
    pub fn parse(text: &str, starttls: Option<&str>) -> Result<Self, String> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(protocol(scheme)?), rest),
            None => (None, text),
        };
        let option = starttls.map(protocol).transpose()?;
        let (host, port) = host_and_port(rest)?;
        let protocol = match (scheme, option) {
            (Some(scheme), Some(option)) if scheme != option => {
                return Err(format!("{text} says {scheme}, but --starttls says {option}"));
            }
            (Some(protocol), _) | (None, Some(protocol)) => protocol,
            (None, None) => port.and_then(Protocol::from_port).ok_or_else(|| {
                format!("cannot tell the protocol of {text}: give --starttls with one of {}", known_names())
            })?,
        };
        let port = port.unwrap_or(protocol.ports()[0]);
        Ok(Self { text: text.to_owned(), protocol: Some(protocol), host, port, implicit: false, server_name: None })
    }

    /// Reads `host:port` or `[v6]:port`, for a dialogue that a script has.
    pub fn scripted(text: &str) -> Result<Self, String> {
        let (host, port) = host_and_port(text)?;
        let port = port.ok_or_else(|| format!("{text} has no port, and a script does not tell one"))?;
        Ok(Self { text: text.to_owned(), protocol: None, host, port, implicit: false, server_name: None })
    }

    /// One of the well-known ports of a host.
    pub fn at(host: &str, port: u16, protocol: Protocol, implicit: bool) -> Self {
        let text = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        Self { text, protocol: Some(protocol), host: host.to_owned(), port, implicit, server_name: None }
    }
}

/// The host, if `text` is nothing else.
pub fn bare_host(text: &str) -> Option<String> {
    host_and_port(text).ok().filter(|(_, port)| port.is_none()).map(|(host, _)| host)
}

/// Refuses what no host is called, also if the DNS says so.
pub fn host_name(text: &str) -> Result<(), String> {
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)) {
        Ok(())
    } else {
        Err(format!("{text} is not a host: use ASCII letters (xn-- for others), digits and .-_"))
    }
}

/// The protocol of this name, or in words why there is none.
pub fn protocol(name: &str) -> Result<Protocol, String> {
    name.parse().map_err(|error| match error {
        UnknownProtocol::NoUpgrade { .. } => error.to_string(),
        _ => format!("unknown protocol {name}: the known ones are {}", known_names()),
    })
}

fn known_names() -> String {
    Protocol::all().flat_map(Protocol::names).copied().collect::<Vec<_>>().join(", ")
}

/// Reads `host`, `host:port` or `[v6]:port`.
pub fn host_and_port(text: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or_else(|| format!("{text} lacks the closing bracket"))?;
        if host.parse::<Ipv6Addr>().is_err() {
            return Err(format!("[{host}] is not an IPv6 address"));
        }
        match port.strip_prefix(':') {
            None if !port.is_empty() => return Err(format!("{port} behind [{host}] is not a port")),
            port => (host, port),
        }
    } else if text.parse::<Ipv6Addr>().is_ok() {
        (text, None)
    } else {
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        if host.is_empty() {
            return Err("the target has no host".to_owned());
        }
        host_name(host)?;
        (host, port)
    };
    Ok((host.to_owned(), port.map(number).transpose()?))
}

fn number(port: &str) -> Result<u16, String> {
    match port.parse() {
        Ok(number @ 1..) if port.bytes().all(|byte| byte.is_ascii_digit()) => Ok(number),
        _ => Err(format!("{port:?} is not a port from 1 to 65535")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, starttls: Option<&str>) -> (Protocol, String, u16) {
        let target = Target::parse(text, starttls).unwrap();
        (target.protocol.unwrap(), target.host, target.port)
    }

    #[test]
    fn every_form_is_understood() {
        use Protocol::{Imap, Lmtp, Pop3, Smtp};
        let cases = [
            ("mail.example:25", None, Smtp, "mail.example", 25),
            ("mail.example:587", None, Smtp, "mail.example", 587),
            ("mail.example:110", None, Pop3, "mail.example", 110),
            ("mail.example", Some("imap2"), Imap, "mail.example", 143),
            ("mail.example:2500", Some("LMTP"), Lmtp, "mail.example", 2500),
            ("smtp://mail.example", None, Smtp, "mail.example", 25),
            ("IMAP://mail.example:1430", None, Imap, "mail.example", 1430),
            ("submission://mail.example", Some("smtp"), Smtp, "mail.example", 25),
            ("imap://mail.example:25", None, Imap, "mail.example", 25),
            ("192.0.2.1:143", None, Imap, "192.0.2.1", 143),
            ("::1", Some("smtp"), Smtp, "::1", 25),
            ("smtp://2001:db8::25", None, Smtp, "2001:db8::25", 25),
            ("[::1]", Some("pop3"), Pop3, "::1", 110),
            ("[::1]:143", None, Imap, "::1", 143),
            ("lmtp://[::1]:2400", None, Lmtp, "::1", 2400),
        ];
        for (text, starttls, protocol, host, port) in cases {
            assert_eq!(parsed(text, starttls), (protocol, host.to_owned(), port), "{text} {starttls:?}");
        }
    }

    #[test]
    fn a_host_is_bare_without_protocol_and_port() {
        for (text, host) in [("mail.example", "mail.example"), ("::1", "::1"), ("[::1]", "::1")] {
            assert_eq!(bare_host(text).as_deref(), Some(host));
        }
        for text in ["mail.example:25", "[::1]:25", "smtp://mail.example", "", "mail example"] {
            assert_eq!(bare_host(text), None, "{text}");
        }
        assert_eq!(Target::at("::1", 25, Protocol::Smtp, false), Target::parse("[::1]:25", None).unwrap());
        assert_eq!(Target::at("a.example", 25, Protocol::Smtp, false), Target::parse("a.example:25", None).unwrap());
    }

    #[test]
    fn the_rest_is_refused_with_its_reason() {
        let cases = [
            ("", Some("smtp"), "no host"),
            (":25", None, "no host"),
            ("smtp://", None, "no host"),
            ("smtp://:25", None, "no host"),
            ("mail.example", None, "--starttls with one of smtp, submission, lmtp"),
            ("mail.example:2525", None, "--starttls with one of smtp, submission, lmtp"),
            ("[::1]", None, "--starttls with one of smtp, submission, lmtp"),
            ("gopher://mail.example", None, "unknown protocol gopher: the known ones are smtp,"),
            ("mail.example", Some("xmpp-servers"), "unknown protocol xmpp-servers: the known ones are smtp,"),
            ("redis://mail.example", None, "Redis has no upgrade in band: TLS from the first byte"),
            ("smtp://mail.example", Some("imap"), "says smtp, but --starttls says imap"),
            ("mail.example:0", Some("smtp"), "\"0\" is not a port"),
            ("mail.example:65536", Some("smtp"), "\"65536\" is not a port"),
            ("mail.example:+25", None, "\"+25\" is not a port"),
            ("mail.example:", Some("smtp"), "\"\" is not a port"),
            ("mail.example:25/inbox", None, "\"25/inbox\" is not a port"),
            ("smtp://mail.example/", None, "not a host"),
            ("smtp://alice@mail.example", None, "not a host"),
            ("mail example:25", None, "not a host"),
            ("mail\r\n.example:25", None, "not a host"),
            ("mail\u{1b}[2J:25", None, "not a host"),
            ("müller.example:25", None, "not a host"),
            ("[::1:25", None, "closing bracket"),
            ("[::1]25", None, "not a port"),
            ("[mail.example]:25", None, "not an IPv6 address"),
            ("2001:db8::25:port", Some("smtp"), "is not a port"),
        ];
        assert!(Target::scripted("mail.example").unwrap_err().contains("no port"));
        for (text, starttls, reason) in cases {
            let error = Target::parse(text, starttls).unwrap_err();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }
}
