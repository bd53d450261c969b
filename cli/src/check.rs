//! One check of one server.

use std::fmt::Display;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use smol::future;
use smol::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use starttls::Error::Declined;
use starttls::protocol::{Client, Options, Script};
use starttls::{Dialogue, Negotiation, Protocol, transport};
use starttls_smol::{TlsStream, Upgrader};

use crate::arguments::{ClientArguments, SessionArguments};
use crate::dns::Resolver;
use crate::exposure::{self, Exposure};
use crate::failure::Error;
use crate::findings::{self, Expected};
use crate::implicit::Implicit;
use crate::report::{Cleartext, Outcome, Recording, Report, Tls};
use crate::session::active::{self, Test};
use crate::session::capabilities::Speech;
use crate::session::{self, Credentials};
use crate::socket::Socket;
use crate::target::{Target, host_and_port, host_name};
use crate::trust::Trust;

/// What the checks of one run have in common.
pub struct Checker {
    trust: Trust,
    /// The text of a script: each dialogue is parsed from it.
    script: Option<String>,
    name: Option<String>,
    /// Where to connect, if not to the target.
    place: Option<(String, Option<u16>)>,
    /// `Some(true)` for IPv6 alone, `Some(false)` for IPv4 alone.
    ipv6: Option<bool>,
    server_name: Option<String>,
    sni: Option<String>,
    options: Options,
    /// If it is not the system's.
    resolver: Option<Resolver>,
    timeout: Duration,
    expected: Expected,
    goes_on: bool,
    credentials: Option<Credentials>,
    active: bool,
}

impl Checker {
    /// Reads the files that the arguments name.
    pub fn new(arguments: &ClientArguments) -> Result<Self, Error> {
        Ok(Self {
            trust: Trust::new(&arguments.tls)?,
            script: arguments.script.as_deref().map(script_in).transpose()?,
            name: arguments.name.clone(),
            place: arguments.connect.as_deref().map(host_and_port).transpose().map_err(Error::Config)?,
            ipv6: (arguments.ipv4 || arguments.ipv6).then_some(arguments.ipv6),
            server_name: arguments.tls.server_name.clone(),
            resolver: arguments.resolver.map(Resolver::new),
            sni: arguments.tls.sni.clone(),
            options: Options { ask: arguments.ask, insist: arguments.insist, ..Options::default() },
            timeout: arguments.timeout,
            expected: Expected::new(&arguments.tls),
            goes_on: false,
            credentials: None,
            active: false,
        })
    }

    /// The mail servers of the target, which is a domain. The time that it takes to ask is gone for their checks.
    pub async fn mail_servers(&mut self, target: &Target) -> Result<Vec<Target>, Error> {
        let started = Instant::now();
        let system;
        let resolver = match &self.resolver {
            Some(resolver) => resolver,
            None => {
                system = Resolver::system()
                    .map_err(|error| Error::Config(format!("cannot read /etc/resolv.conf: {error}: use --resolver")))?;
                &system
            }
        };
        let hosts = resolver.mail_servers(&target.host, started + self.timeout).await?;
        self.timeout = self.timeout.saturating_sub(started.elapsed());
        for host in &hosts {
            host_name(host).map_err(Error::Config)?;
        }
        Ok(hosts.iter().map(|host| Target::at(host, target.port, Protocol::Smtp, false)).collect())
    }

    /// Prepares for many checks at once: names are resolved without a thread for each, where the system has the files for it.
    pub fn for_many(self) -> Self {
        let resolver = self.resolver.or_else(|| Resolver::system().ok());
        Self { resolver, ..self }
    }

    /// Makes every check go on after TLS: it greets again, and does what the arguments say.
    pub fn going_on(self, arguments: &SessionArguments) -> Result<Self, Error> {
        let credentials = arguments.auth.as_deref().map(Credentials::of).transpose()?;
        let options = Options { ask: self.options.ask || arguments.active, ..self.options };
        Ok(Self { options, goes_on: true, credentials, active: arguments.active, ..self })
    }

    /// Checks one server. Whatever goes wrong is in the report.
    pub async fn check<S: Socket>(&self, target: &Target) -> Report {
        if self.credentials.is_some() && !Credentials::fit(target.protocol) {
            let mut report = Report::new(&target.text, target.protocol);
            report.fail(Error::Config("logins are tried with smtp, imap and pop3 alone".to_owned()));
            return report;
        }
        let deadline = Instant::now() + self.timeout;
        let (mut report, tls) = self.connect_by::<S>(target, deadline, None).await;
        if let Some(mut tls) = tls {
            // A server that has TLS from the first byte greets within it, which is not what goes on after an upgrade.
            let goes_on = self.goes_on && !target.implicit;
            if let (true, Some(speech)) = (goes_on, target.protocol.and_then(Speech::of)) {
                // Boxed, since a scan has thousands of these futures that do not come to it.
                Box::pin(session::resume(speech, self.credentials.as_ref(), &mut tls, deadline, &mut report)).await;
            }
            if target.protocol == Some(Protocol::Mysql) {
                let deadline = session::mysql::deadline(deadline);
                tls.get_ref().until(deadline);
                Box::pin(self.fail_to_log_in(&mut tls, true, deadline)).await;
            }
            // A farewell, for the server's log. A server that does not read is not waited for.
            let _ = future::poll_once(tls.close()).await;
            if self.active && !target.implicit {
                Box::pin(active::run::<S>(self, target, deadline, &mut report)).await;
            }
        }
        report
    }

    /// Upgrades, and leaves the stream open. There is one whatever the certificate: the report says whether it holds.
    pub async fn connect<S: Socket>(&self, target: &Target) -> (Report, Option<TlsStream<S>>) {
        self.connect_by::<S>(target, Instant::now() + self.timeout, None).await
    }

    /// The same by a given time. A test puts a command behind the request for TLS.
    pub async fn connect_by<S: Socket>(
        &self,
        target: &Target,
        deadline: Instant,
        test: Option<&'static Test>,
    ) -> (Report, Option<TlsStream<S>>) {
        let mut report = Report::new(&target.text, target.protocol);
        report.implicit = target.implicit;
        let started = Instant::now();
        let upgraded = self.upgrade::<S>(target, deadline, test, &mut report).await;
        report.seconds = started.elapsed().as_secs_f64();
        let tls = match upgraded {
            Ok((tls, error)) => {
                report.outcome = Outcome::Upgraded;
                if let Some(error) = error {
                    report.fail(Error::Verification(error));
                }
                Some(tls)
            }
            Err(error) => {
                report.fail(error);
                None
            }
        };
        let findings = findings::of(&report, &self.expected);
        report.findings.extend(findings);
        (report, tls)
    }

    /// The upgrade, and what is wrong with the certificate.
    async fn upgrade<S: Socket>(
        &self,
        target: &Target,
        deadline: Instant,
        test: Option<&'static Test>,
        report: &mut Report,
    ) -> Result<(TlsStream<S>, Option<rustls::Error>), Error> {
        let server_name = target.server_name.as_ref().or(self.server_name.as_ref());
        report.server_name.clone_from(server_name.unwrap_or(&target.host));
        let server_name = certified(&report.server_name)?;
        let sni = self.sni.as_deref().map_or(Ok(server_name.clone()), certified)?;
        // XMPP and HTTP want a domain, of which an address is none.
        let domain = if target.host.parse::<IpAddr>().is_ok() { &report.server_name } else { &target.host }.clone();
        // Bad names are told before anybody is spoken to.
        if let Some(name) = &self.name {
            self.dialogue(target, name, &domain)?;
        }
        let recorder = Arc::new(self.trust.recorder(server_name));
        let config = self.trust.config(recorder.clone());
        let recording = Recording::default();
        let timeout = deadline.saturating_duration_since(Instant::now());
        let mut upgrader = Upgrader::new(config.clone(), sni.clone(), timeout).tap(recording.tap());
        let addresses = self.addresses(&upgrader, target, deadline).await?;
        let mut socket = S::connect(config.clone(), sni.clone(), &addresses, deadline).await?;
        let [peer, own] = socket.ends();
        report.address = peer.ok();
        let own = own.map_err(config_error)?.ip().to_canonical();
        let name = self.name.clone().unwrap_or_else(|| address_literal(own));

        let mut dialogue = self.dialogue(target, &name, &domain)?;
        if let Some(test) = test {
            dialogue = test.around(dialogue);
        }
        let mut negotiation = Negotiation::required(dialogue);
        let negotiated = upgrader.negotiate(&mut socket, &mut negotiation).await;
        report.cleartext = Cleartext::new(&negotiation, &recording);
        report.exposure = exposure::of_dialogue(target.protocol, &report.cleartext.dialogue, &name, &domain, own);
        if let Some(speech) = target.protocol.and_then(Speech::of) {
            session::look_at_offers(speech, report.address.is_some_and(|server| server.ip() == own), report);
        }
        if let (Some(Protocol::Mysql), Err(transport::Error::Negotiation { source: Declined(_), .. })) =
            (target.protocol, &negotiated)
        {
            let deadline = session::mysql::deadline(deadline);
            socket.until(deadline);
            Box::pin(self.fail_to_log_in(&mut socket, false, deadline)).await;
        }
        negotiated?;
        let awaiting = negotiation.awaiting();
        let upgrade = negotiation.finish().map_err(|source| transport::Error::Negotiation { awaiting, source })?;

        report.exposure.extend(exposure::of_hello(&config, &sni, upgrade.tls().alpn));
        let tls = match upgrader.handshake(socket, upgrade).await {
            Ok(tls) => tls,
            Err(error) => {
                report.refused = recorder.certificates();
                return Err(error.into());
            }
        };
        let agreed = report.tls.insert(Tls::new(tls.connection(), Some(&recorder)));
        report.exposure.extend(Exposure::of_certificate(agreed));
        Ok((tls, recorder.error().cloned()))
    }

    /// Ends a session of MySQL's so that the server does not count it as an error of this host.
    async fn fail_to_log_in<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        within_tls: bool,
        deadline: Instant,
    ) {
        let number = self.trust.random().unwrap_or_default() as u16;
        session::mysql::fail_to_log_in(stream, within_tls, number, deadline).await;
    }

    /// Where to connect.
    async fn addresses(
        &self,
        upgrader: &Upgrader,
        target: &Target,
        deadline: Instant,
    ) -> Result<Vec<SocketAddr>, Error> {
        let (host, port) = match &self.place {
            Some((host, port)) => (host, port.unwrap_or(target.port)),
            None => (&target.host, target.port),
        };
        let mut addresses = match &self.resolver {
            None => upgrader.resolve(host, port).await?,
            Some(resolver) => {
                let addresses = resolver.addresses(host, deadline).await?;
                addresses.into_iter().map(|address| (address, port).into()).collect()
            }
        };
        if let Some(ipv6) = self.ipv6 {
            addresses.retain(|address| address.is_ipv6() == ipv6);
            if addresses.is_empty() {
                let source = io::Error::other(if ipv6 { "it has no IPv6 address" } else { "it has no IPv4 address" });
                return Err(transport::Error::Resolve { host: host.clone(), source }.into());
            }
        }
        Ok(addresses)
    }

    fn dialogue(&self, target: &Target, name: &str, domain: &str) -> Result<Box<dyn Dialogue + Send>, Error> {
        match (&self.script, target.protocol) {
            _ if target.implicit => Ok(Box::new(Implicit)),
            (Some(script), _) => Ok(Box::new(script.parse::<Script>().map_err(config_error)?)),
            (None, Some(protocol)) => {
                let client = Client { name, domain, seed: self.trust.random()?, options: self.options };
                protocol.dialogue(&client).map_err(config_error)
            }
            (None, None) => Err(Error::Config("there is neither a protocol nor a script".to_owned())),
        }
    }
}

fn certified(name: &str) -> Result<ServerName<'static>, Error> {
    let no_name = |_| Error::Config(format!("{name} is not a name that a certificate can hold"));
    ServerName::try_from(name.to_owned()).map_err(no_name)
}

/// The text of a script that can be read.
fn script_in(path: &Path) -> Result<String, Error> {
    let failed = |reason: &dyn Display| Error::Config(format!("cannot use the script {}: {reason}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
    text.parse::<Script>().map_err(|error| failed(&error))?;
    Ok(text)
}

/// What a client calls itself that has no name (RFC 5321 §4.1.3).
fn address_literal(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => format!("[{address}]"),
        IpAddr::V6(address) => format!("[IPv6:{address}]"),
    }
}

fn config_error(error: impl Display) -> Error {
    Error::Config(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_stands_for_a_name_as_rfc_5321_has_it() {
        let literal = |address: &str| address_literal(address.parse().unwrap());
        assert_eq!(literal("192.0.2.1"), "[192.0.2.1]");
        assert_eq!(literal("::ffff:192.0.2.1"), "[192.0.2.1]");
        assert_eq!(literal("2001:db8::1"), "[IPv6:2001:db8::1]");
    }
}
