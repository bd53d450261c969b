//! The hand-off to TLS.

use crate::Framing;

/// What a protocol asks of TLS, beyond what the caller's configuration says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tls {
    /// The application protocol to offer (RFC 7301), in place of those of the configuration.
    pub alpn: Option<&'static [u8]>,
    /// How the handshake travels, if not as it is.
    pub framing: Option<Framing>,
}

/// The server agreed: the next bytes on the connection, in both directions, are TLS.
///
/// Only a finished [`Negotiation`](crate::Negotiation) yields one, it can be used once, and it is the way to a TLS
/// connection, so no program can start TLS early, start it twice, or forget that it has to.
///
/// It cannot be made by hand:
///
/// ```compile_fail,E0423
/// let upgrade = starttls::Upgrade(Default::default());
/// ```
///
/// nor cloned:
///
/// ```compile_fail,E0599
/// fn twice(upgrade: starttls::Upgrade) -> [starttls::Upgrade; 2] {
///     [upgrade.clone(), upgrade]
/// }
/// ```
///
/// nor used twice:
///
/// ```compile_fail,E0382
/// fn twice(upgrade: starttls::Upgrade) -> [starttls::Upgrade; 2] {
///     [upgrade, upgrade]
/// }
/// ```
///
/// nor ignored:
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// fn forget(negotiation: starttls::Negotiation<starttls::protocol::Smtp, starttls::Required>) -> Result<(), starttls::Error> {
///     negotiation.finish()?;
///     Ok(())
/// }
/// ```
///
/// and a negotiation that has ended is gone:
///
/// ```compile_fail,E0382
/// fn again(mut negotiation: starttls::Negotiation<starttls::protocol::Smtp, starttls::Required>) {
///     let _upgrade = negotiation.finish();
///     negotiation.poll_transmit();
/// }
/// ```
///
/// The same programs without their mistake compile:
///
/// ```
/// #![deny(unused_must_use)]
/// fn once(upgrade: starttls::Upgrade) -> [starttls::Upgrade; 1] {
///     [upgrade]
/// }
/// fn end(mut negotiation: starttls::Negotiation<starttls::protocol::Smtp, starttls::Required>) -> Result<starttls::Upgrade, starttls::Error> {
///     negotiation.poll_transmit();
///     let upgrade = negotiation.finish()?;
///     Ok(upgrade)
/// }
/// ```
#[derive(Debug)]
#[must_use = "the server waits for the ClientHello: nothing but TLS may be sent now"]
pub struct Upgrade(Tls);

impl Upgrade {
    pub(crate) fn new(tls: Tls) -> Self {
        Self(tls)
    }

    /// What the protocol asks of TLS. The connection sees to its `alpn`, the caller to its `framing`.
    pub fn tls(&self) -> Tls {
        self.0
    }

    /// Makes the TLS connection for this upgrade.
    ///
    /// `name` is the name that the certificate must hold: the one that the user asked for, never one that the server
    /// gave in the clear.
    ///
    /// # Errors
    /// Those of [`rustls::ClientConnection::new`], for a configuration that cannot work.
    #[cfg(all(feature = "rustls", feature = "std"))]
    pub fn client_connection(
        self,
        config: alloc::sync::Arc<rustls::ClientConfig>,
        name: rustls::pki_types::ServerName<'static>,
    ) -> Result<rustls::ClientConnection, rustls::Error> {
        let alpn = self.alpn(&config);
        rustls::ClientConnection::new_with_alpn(config, name, alpn)
    }

    /// Makes the TLS connection for this upgrade, where there is no std: the caller owns its buffers.
    ///
    /// `name` is as for `client_connection`, its counterpart with std.
    ///
    /// # Errors
    /// Those of [`rustls::client::UnbufferedClientConnection::new`], for a configuration that cannot work.
    #[cfg(feature = "rustls")]
    pub fn unbuffered_client_connection(
        self,
        config: alloc::sync::Arc<rustls::ClientConfig>,
        name: rustls::pki_types::ServerName<'static>,
    ) -> Result<rustls::client::UnbufferedClientConnection, rustls::Error> {
        let alpn = self.alpn(&config);
        rustls::client::UnbufferedClientConnection::new_with_alpn(config, name, alpn)
    }

    #[cfg(feature = "rustls")]
    fn alpn(&self, config: &rustls::ClientConfig) -> alloc::vec::Vec<alloc::vec::Vec<u8>> {
        match self.0.alpn {
            Some(protocol) => alloc::vec![protocol.to_vec()],
            None => config.alpn_protocols.clone(),
        }
    }
}

/// The client asked and was told yes: the next bytes on the connection, in both directions, are TLS.
///
/// It is to a server what an [`Upgrade`] is to a client.
#[derive(Debug)]
#[must_use = "the client is about to send its ClientHello: nothing but TLS may be read now"]
pub struct Accept(Tls);

impl Accept {
    pub(crate) fn new(tls: Tls) -> Self {
        Self(tls)
    }

    /// What the protocol asks of TLS.
    pub fn tls(&self) -> Tls {
        self.0
    }

    /// Makes the TLS connection for this upgrade.
    ///
    /// # Errors
    /// Those of [`rustls::ServerConnection::new`], for a configuration that cannot work.
    #[cfg(all(feature = "rustls", feature = "std"))]
    pub fn server_connection(
        self,
        config: alloc::sync::Arc<rustls::ServerConfig>,
    ) -> Result<rustls::ServerConnection, rustls::Error> {
        rustls::ServerConnection::new(config)
    }
}
