//! What a dialogue found out and the client needs after TLS.

use crate::protocol::{MysqlGreeting, Subtype};

/// What the server said before TLS, is not going to say again, and the client needs to go on.
///
/// All of it came in plaintext, so anyone on the path may have written it. Each variant says what may be used after TLS, and
/// what is void. Lists of capabilities are not here: they are void once TLS is up (RFC 3207 §4.2), and have to be asked for
/// again.
///
/// Negotiate with a mutable reference to the dialogue to keep it, and ask it when TLS is up or the server has declined. That
/// works with every transport, and with a protocol that was chosen at run time:
///
/// ```
/// use starttls::protocol::Client;
/// use starttls::{Findings, Negotiation, Protocol};
///
/// let mut dialogue = Protocol::Nbd.dialogue(&Client::default())?;
/// let mut negotiation = Negotiation::required(&mut dialogue);
/// negotiation.handle_input(b"NBDMAGICIHAVEOPT\x00\x03")?;
/// negotiation.poll_transmit().unwrap();
/// negotiation.handle_input(b"\x00\x03\xe8\x89\x04\x55\x65\xa9\x00\x00\x00\x05\x00\x00\x00\x01\x00\x00\x00\x00")?;
/// let _upgrade = negotiation.finish()?;
///
/// assert_eq!(dialogue.findings(), Some(Findings::Nbd { flags: 3 }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Findings<'a> {
    /// MySQL's and MariaDB's greeting. Its fields say what they are good for. The client goes on with its
    /// HandshakeResponse41 in [packet number 2](MysqlGreeting::NEXT_PACKET).
    Mysql(&'a MysqlGreeting),
    /// The handshake flags of an NBD server, which both sides keep after TLS: 1, NBD_FLAG_FIXED_NEWSTYLE, and 2,
    /// NBD_FLAG_NO_ZEROES, which the client's flags have repeated.
    ///
    /// If someone changed them, the two sides disagree about the zeros behind the reply to NBD_OPT_EXPORT_NAME, and no more.
    Nbd {
        /// As the server sent them.
        flags: u16,
    },
    /// The object of NATS's INFO, as it came: the client needs its `nonce` for CONNECT.
    ///
    /// Of the rest, what the server can do (`headers`, `max_payload` and the like) is what CONNECT is chosen by. The
    /// addresses in `connect_urls` are void until an INFO that comes over TLS repeats them.
    Nats {
        /// JSON.
        info: &'a str,
    },
    /// The security protocol that an RDP server selected: 1, PROTOCOL_SSL, or 2, PROTOCOL_HYBRID, with which CredSSP comes
    /// first after TLS.
    ///
    /// It may be used, since the client repeats it in its core data (`serverSelectedProtocol`), where a server finds out that
    /// someone changed it. A client that wants CredSSP must not go on with 1.
    Rdp {
        /// The number.
        selected: u32,
    },
    /// The subtype of VeNCrypt that was chosen of a VNC server's list: how the user is authenticated within TLS.
    ///
    /// It holds for the rest of the session. The list may have been cut down to what is weakest, so want no subtype that is
    /// too weak: [`Vnc::preferring`](crate::protocol::Vnc::preferring).
    Vnc {
        /// The subtype.
        subtype: Subtype,
    },
    /// Whether an XMPP server said that it insists on TLS: `<required/>`.
    ///
    /// It is of use when the server has declined, and in reports. All features are void after TLS.
    Xmpp {
        /// Whether it did.
        required: bool,
    },
}
