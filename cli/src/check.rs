//! One check of one server.

use std::fmt::Display;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use smol::io::AsyncWriteExt;
use starttls::protocol::{Client, Knobs, Script};
use starttls::{Dialogue, Negotiation, transport};
use starttls_smol::Upgrader;

use crate::arguments::ClientArguments;
use crate::failure::Error;
use crate::report::{Cleartext, Outcome, Report, Tls};
use crate::target::Target;
use crate::trust::Trust;
use crate::verify;

/// What the checks of one run have in common.
pub struct Checker {
    trust: Trust,
    /// The text of a script: each dialogue is parsed from it.
    script: Option<String>,
    name: Option<String>,
    server_name: Option<String>,
    timeout: Duration,
}

impl Checker {
    /// Reads the files that the arguments name.
    pub fn new(arguments: &ClientArguments) -> Result<Self, Error> {
        Ok(Self {
            trust: Trust::new(&arguments.tls)?,
            script: arguments.script.as_deref().map(script_in).transpose()?,
            name: arguments.name.clone(),
            server_name: arguments.tls.server_name.clone(),
            timeout: arguments.timeout,
        })
    }

    /// Checks one server. Whatever goes wrong is in the report.
    pub async fn check(&self, target: &Target) -> Report {
        let mut report = Report::new(&target.text, target.protocol);
        let started = Instant::now();
        let result = self.upgrade(target, &mut report).await;
        report.seconds = started.elapsed().as_secs_f64();
        match result {
            Ok(()) => report.outcome = Outcome::Upgraded,
            Err(error) => report.fail(error),
        }
        report
    }

    async fn upgrade(&self, target: &Target, report: &mut Report) -> Result<(), Error> {
        let server_name = target.server_name.as_ref().or(self.server_name.as_ref());
        report.server_name.clone_from(server_name.unwrap_or(&target.host));
        let server_name = ServerName::try_from(report.server_name.clone())
            .map_err(|_| Error::Config(format!("{} is not a name that a certificate can hold", report.server_name)))?;
        // Bad names are told before anybody is spoken to.
        if let Some(name) = &self.name {
            self.dialogue(target, name, &report.server_name)?;
        }
        let recorder = Arc::new(self.trust.recorder());
        let (sender, chunks) = mpsc::channel();
        let mut upgrader =
            Upgrader::new(self.trust.config(recorder.clone()), server_name, self.timeout).tap(move |side, bytes| {
                // The receiver lives as long as the upgrader.
                let _ = sender.send((side, bytes.to_vec()));
            });
        let mut stream = upgrader.connect(&target.host, target.port).await?;
        report.address = stream.peer_addr().ok();
        let own = stream.local_addr().map_err(config_error)?.ip();
        let name = self.name.clone().unwrap_or_else(|| address_literal(own));

        let mut negotiation = Negotiation::required(self.dialogue(target, &name, &report.server_name)?);
        let negotiated = upgrader.negotiate(&mut stream, &mut negotiation).await;
        report.cleartext = Cleartext::new(&negotiation, chunks.try_iter());
        negotiated?;
        let awaiting = negotiation.awaiting();
        let upgrade = negotiation.finish().map_err(|source| transport::Error::Negotiation { awaiting, source })?;

        let mut tls = upgrader.handshake(stream, upgrade).await?;
        report.tls = Some(Tls::new(tls.connection(), recorder.error().map(verify::words)));
        // A farewell, for the server's log: there is nothing left that could fail.
        let _ = tls.close().await;
        recorder.error().map_or(Ok(()), |error| Err(Error::Verification(error.clone())))
    }

    fn dialogue(&self, target: &Target, name: &str, domain: &str) -> Result<Box<dyn Dialogue + Send>, Error> {
        match (&self.script, target.protocol) {
            (Some(script), _) => Ok(Box::new(script.parse::<Script>().map_err(config_error)?)),
            (None, Some(protocol)) => {
                let client = Client { name, domain, seed: self.trust.random()?, knobs: Knobs::default() };
                protocol.dialogue(&client).map_err(config_error)
            }
            (None, None) => Err(Error::Config("there is neither a protocol nor a script".to_owned())),
        }
    }
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
