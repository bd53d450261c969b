//! Names that are of no protocol that upgrades in band.

use thiserror::Error;

/// The name is of no protocol that this crate knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UnknownProtocol {
    /// Nor is anything else known of it.
    #[error("unknown protocol")]
    Unheard,
    /// The protocol has no upgrade in band.
    #[error("{name} has no upgrade in band: {instead}")]
    NoUpgrade {
        /// The protocol.
        name: &'static str,
        /// What to use instead.
        instead: &'static str,
    },
}

/// Names, the protocol that they are of, and what to use instead of an upgrade.
const WITHOUT_UPGRADE: [(&[&str], &str, &str); 21] = [
    (&["redis", "rediss", "valkey"], "Redis", "TLS from the first byte (rediss), often on port 6380"),
    (&["mongodb", "mongo"], "MongoDB", "TLS from the first byte (tls=true), on port 27017 too"),
    (&["mqtt", "mqtts"], "MQTT", "TLS from the first byte (mqtts), on port 8883"),
    (&["amqp-0-9-1", "amqp091", "rabbitmq", "amqps"], "AMQP 0-9-1", "TLS from the first byte (amqps), on port 5671"),
    (&["rsync"], "rsync", "ssh, or TLS from the first byte (rsync-ssl), on port 874"),
    (&["git"], "git", "https or ssh"),
    (&["sip", "sips"], "SIP", "TLS from the first byte (sips), on port 5061"),
    (&["elasticsearch", "opensearch"], "Elasticsearch", "https, on port 9200 too"),
    (&["memcached"], "memcached", "TLS from the first byte, if the server was started with --enable-ssl"),
    (&["cassandra", "cql"], "Cassandra", "TLS from the first byte, on port 9042 or 9142"),
    (&["kafka"], "Kafka", "TLS from the first byte (a listener of SSL or SASL_SSL), often on port 9093"),
    (&["stomp"], "STOMP", "TLS from the first byte, often on port 61614"),
    (&["https"], "https", "TLS from the first byte, on port 443"),
    (&["smtps", "submissions"], "smtps", "TLS from the first byte, on port 465"),
    (&["imaps"], "imaps", "TLS from the first byte, on port 993"),
    (&["pop3s"], "pop3s", "TLS from the first byte, on port 995"),
    (&["ldaps"], "ldaps", "TLS from the first byte, on port 636"),
    (&["nntps"], "nntps", "TLS from the first byte, on port 563"),
    (&["ircs"], "ircs", "TLS from the first byte, on port 6697"),
    (&["xmpps"], "xmpps", "TLS from the first byte, on port 5223"),
    (&["telnets"], "telnets", "TLS from the first byte, on port 992"),
];

impl UnknownProtocol {
    /// What is known of a name that is of none of the protocols.
    pub(super) fn named(name: &str) -> Self {
        let known = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        match WITHOUT_UPGRADE.iter().find(|(names, ..)| known(names)) {
            Some(&(_, name, instead)) => Self::NoUpgrade { name, instead },
            None => Self::Unheard,
        }
    }
}
