//! What a client brings to its dialogue, and the check of the names in it.

use crate::InvalidName;

/// What a client brings to the dialogue, for a protocol that is chosen at run time.
///
/// ```
/// use starttls::protocol::{Client, Options};
/// use starttls::{Negotiation, Protocol};
///
/// # let random = || 0xA7F3;
/// let client = Client::new("client.example", "mail.example", random());
/// let asking = Client { options: Options { ask: true, ..Options::default() }, ..client };
/// let negotiation = Negotiation::required(Protocol::Imap.dialogue(&asking)?);
/// # let _ = negotiation;
/// # Ok::<(), starttls::InvalidName>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// The name that the client calls itself: in SMTP's EHLO, for example.
    pub name: &'a str,
    /// The domain that the client wants to talk to, which need not be the host that it connects to: XMPP's `to`, for
    /// example, and HTTP's `Host`.
    pub domain: &'a str,
    /// A number that nobody outside can guess, new for each connection. IMAP makes its tag from it, RPC its xid.
    pub seed: u64,
    /// Where to start, and what to ask.
    pub options: Options,
}

impl<'a> Client<'a> {
    /// A client that calls itself `name`, wants to talk to `domain`, and has the shortest dialogue that there is.
    pub fn new(name: &'a str, domain: &'a str, seed: u64) -> Self {
        Self { name, domain, seed, options: Options::default() }
    }
}

/// A client without names, for protocols that need none: both are `localhost`. The seed is random.
#[cfg(feature = "std")]
impl Default for Client<'_> {
    fn default() -> Self {
        use std::hash::{BuildHasher, RandomState};

        Self::new("localhost", "localhost", RandomState::new().hash_one(()))
    }
}

/// How a dialogue differs from the shortest one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Where to start.
    pub start: Start,
    /// Ask for the capabilities before the command, where the protocol does not need it: for diagnosis.
    pub ask: bool,
    /// Send the command although the server did not list it.
    pub insist: bool,
}

/// Where a dialogue starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// On a new connection.
    #[default]
    Greeting,
    /// The caller has read the greeting.
    AfterGreeting,
    /// The caller knows the capabilities, or repeats a command that was refused for a while.
    Command,
}

/// Passes a name of the caller's on, if all its characters may get onto the wire.
pub(crate) fn check<'a>(
    what: &'static str,
    most: usize,
    allowed: &'static str,
    is_allowed: impl Fn(u8) -> bool,
    name: &'a str,
) -> Result<&'a str, InvalidName> {
    if (1..=most).contains(&name.len()) && name.bytes().all(is_allowed) {
        Ok(name)
    } else {
        Err(InvalidName { what, most, allowed })
    }
}

/// Passes the name of a host on: a domain name, or an address, bare or in brackets, with a port or without.
pub(super) fn host<'a>(what: &'static str, name: &'a str) -> Result<&'a str, InvalidName> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    check(what, 255, "letters, digits and .-_:[]", allowed, name)
}
