//! One check of one server.

use std::fmt::Display;
use std::io::Write;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use starttls::protocol::{Client, Knobs, Script};
use starttls::{Dialogue, Negotiation, Protocol};
use starttls_std::Upgrader;

use crate::CheckArguments;
use crate::failure::Error;
use crate::report::{Cleartext, Outcome, Report, Tls};
use crate::target::Target;
use crate::verify::{self, Recorder};

/// Checks the server that `arguments` name. Whatever goes wrong is in the report.
pub fn check(arguments: &CheckArguments) -> Report {
    let mut report = Report::new(&arguments.target);
    let result = prepare(arguments, &mut report).and_then(|prepared| {
        let started = Instant::now();
        let result = upgrade(prepared, &mut report);
        report.seconds = started.elapsed().as_secs_f64();
        result
    });
    match result {
        Ok(()) => report.outcome = Outcome::Upgraded,
        Err(error) => {
            report.outcome = error.outcome();
            report.failure = Some(error.into());
        }
    }
    report
}

/// The arguments, made into what an upgrade needs.
struct Prepared {
    target: Target,
    server_name: ServerName<'static>,
    config: Arc<ClientConfig>,
    recorder: Arc<Recorder>,
    timeout: Duration,
    seed: u64,
    speaks: Speaks,
}

enum Speaks {
    Now(Box<dyn Dialogue + Send>),
    /// What we are called depends on our address.
    OnceConnected(Protocol),
}

fn prepare(arguments: &CheckArguments, report: &mut Report) -> Result<Prepared, Error> {
    let target = match arguments.script {
        Some(_) => Target::scripted(&arguments.target),
        None => Target::parse(&arguments.target, arguments.starttls.as_deref()),
    }
    .map_err(Error::Config)?;
    report.protocol = target.protocol.map(Protocol::name);
    report.server_name = arguments.server_name.as_ref().unwrap_or(&target.host).clone();
    let server_name = ServerName::try_from(report.server_name.clone())
        .map_err(|_| Error::Config(format!("{} is not a name that a certificate can hold", report.server_name)))?;

    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut seed = [0; 8];
    provider.secure_random.fill(&mut seed).map_err(|_| Error::Config("the system has no random numbers".to_owned()))?;
    let seed = u64::from_ne_bytes(seed);
    let speaks = match (&arguments.script, target.protocol, &arguments.name) {
        (Some(path), ..) => Speaks::Now(Box::new(script_in(path)?)),
        (None, Some(protocol), Some(name)) => Speaks::Now(dialogue(protocol, name, &report.server_name, seed)?),
        (None, Some(protocol), None) => Speaks::OnceConnected(protocol),
        (None, None, _) => return Err(Error::Config("there is neither a protocol nor a script".to_owned())),
    };

    let roots = match &arguments.ca_file {
        Some(path) => roots_in(path)?,
        None => system_roots()?,
    };
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let recorder = Arc::new(Recorder::new(verifier.build().map_err(config_error)?));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(config_error)?
        .dangerous()
        .with_custom_certificate_verifier(recorder.clone())
        .with_no_client_auth();
    let config = Arc::new(config);
    Ok(Prepared { target, server_name, config, recorder, timeout: arguments.timeout, seed, speaks })
}

fn upgrade(prepared: Prepared, report: &mut Report) -> Result<(), Error> {
    let Prepared { target, server_name, config, recorder, timeout, seed, speaks } = prepared;
    let (sender, chunks) = mpsc::channel();
    let mut upgrader = Upgrader::new(config, server_name, timeout).tap(move |side, bytes| {
        // The receiver lives as long as the upgrader.
        let _ = sender.send((side, bytes.to_vec()));
    });
    let mut stream = upgrader.connect(&target.host, target.port)?;
    report.address = stream.peer_addr().ok();
    let dialogue = match speaks {
        Speaks::Now(dialogue) => dialogue,
        Speaks::OnceConnected(protocol) => {
            let address = stream.local_addr().map_err(config_error)?;
            dialogue(protocol, &address_literal(address.ip()), &report.server_name, seed)?
        }
    };

    let mut negotiation = Negotiation::required(dialogue);
    let negotiated = upgrader.negotiate(&mut stream, &mut negotiation);
    report.cleartext = Cleartext::new(&negotiation, chunks.try_iter());
    negotiated?;
    let awaiting = negotiation.awaiting();
    let upgrade = negotiation.finish().map_err(|source| starttls_std::Error::Negotiation { awaiting, source })?;

    let mut tls = upgrader.handshake(stream, upgrade)?;
    report.tls = Some(Tls::new(&tls.conn, recorder.error().map(verify::words)));
    // A farewell, for the server's log: there is nothing left that could fail.
    tls.conn.send_close_notify();
    let _ = tls.flush();
    recorder.error().map_or(Ok(()), |error| Err(Error::Verification(error.clone())))
}

fn dialogue(protocol: Protocol, name: &str, domain: &str, seed: u64) -> Result<Box<dyn Dialogue + Send>, Error> {
    protocol.dialogue(&Client { name, domain, seed, knobs: Knobs::default() }).map_err(config_error)
}

/// What a client calls itself that has no name (RFC 5321 §4.1.3).
fn address_literal(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => format!("[{address}]"),
        IpAddr::V6(address) => format!("[IPv6:{address}]"),
    }
}

fn script_in(path: &Path) -> Result<Script, Error> {
    let failed = |reason: &dyn Display| Error::Config(format!("cannot use the script {}: {reason}", path.display()));
    std::fs::read_to_string(path).map_err(|error| failed(&error))?.parse().map_err(|error| failed(&error))
}

fn roots_in(path: &Path) -> Result<RootCertStore, Error> {
    let failed = |reason: &dyn Display| Error::Config(format!("cannot use the CA file {}: {reason}", path.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(&error))? {
        roots.add(certificate.map_err(|error| failed(&error))?).map_err(|error| failed(&error))?;
    }
    if roots.is_empty() { Err(failed(&"there is no certificate in it")) } else { Ok(roots) }
}

fn system_roots() -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(Error::Config("the system trusts no authority: name one with --ca-file".to_owned()));
    }
    Ok(roots)
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
