//! TLS from the first byte, where a protocol has a port for it.

use starttls::{Dialogue, Error, Protocol, Step};

/// The ports of IANA's registry, with what defines them; 5223 is only usual.
pub const PORTS: [(Protocol, u16); 11] = [
    // RFC 8314 §3: submissions, imaps, pop3s.
    (Protocol::Smtp, 465),
    (Protocol::Imap, 993),
    (Protocol::Pop3, 995),
    // XEP-0368.
    (Protocol::Xmpp, 5223),
    // RFC 9110 §4.2.2: https.
    (Protocol::Http, 443),
    // No more than the registry: telnets, ldaps; and ftps below.
    (Protocol::Telnet, 992),
    (Protocol::Ldap, 636),
    // OASIS AMQP 1.0 §5.2.1: amqps.
    (Protocol::Amqp, 5671),
    // RFC 4642 §1: nntps.
    (Protocol::Nntp, 563),
    (Protocol::Ftp, 990),
    // RFC 7194: ircs-u.
    (Protocol::Irc, 6697),
];

/// The dialogue that leads to it: none.
pub struct Implicit;

impl Dialogue for Implicit {
    fn open(&mut self) -> Step {
        Step::Upgrade
    }

    fn receive(&mut self, _: &[u8]) -> Result<Step, Error> {
        // It is over before anything could be received.
        Err(Error::Injected)
    }

    fn awaiting(&self) -> &'static str {
        "TLS"
    }
}
