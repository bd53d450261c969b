//! The crates, each as its documentation has it: connect, upgrade, handshake, end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use io_imap::codec::fragmentizer::Fragmentizer;
use io_imap::coroutine::{ImapCoroutine, ImapCoroutineState, ImapYield};
use io_imap::rfc3501::starttls::ImapStartTls;
use io_smtp::client::{SmtpClient as _, SmtpClientError};
use io_smtp::coroutine::{SmtpCoroutine, SmtpCoroutineState, SmtpYield};
use io_smtp::rfc5321::{SmtpDomain, SmtpEhloDomain};
use lettre::transport::smtp::client::{Certificate, CertificateStore, SmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use starttls::Protocol;
use starttls_benches::way::{Failure, Target, Upgrade, Way};
use starttls_benches::ways::{NAME, echo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

/// A crate, or what it is measured against.
pub struct Peer {
    /// How it upgrades.
    pub way: Way,
    /// Whose TLS it has, and what else one should know.
    pub tls: &'static str,
}

/// TLS from the first byte on, over a socket of tokio.
pub const TOKIO_FLOOR: Way = Way { name: "tokio floor", protocol: None, prepare: tokio_floor };

/// All of them.
pub const PEERS: [Peer; 11] = [
    peer("lettre", Protocol::Smtp, lettre, "rustls, its own configuration: it offers resumption, EHLO within TLS"),
    peer("async-smtp", Protocol::Smtp, async_smtp, "the caller's: tokio-rustls"),
    peer("mail-send", Protocol::Smtp, mail_send, "tokio-rustls, EHLO within TLS"),
    peer("io-smtp", Protocol::Smtp, io_smtp, "the caller's: rustls"),
    peer("async-imap", Protocol::Imap, async_imap, "the caller's: tokio-rustls"),
    peer(
        "imap",
        Protocol::Imap,
        imap,
        "rustls 0.22 with ring, a configuration for each connection: cheaper, and no measure of the dialogue",
    ),
    peer("rip-starttls", Protocol::Imap, rip_starttls, "the caller's: rustls"),
    peer("io-imap", Protocol::Imap, io_imap, "the caller's: rustls"),
    peer("ldap3", Protocol::Ldap, ldap3, "tokio-rustls, bind within TLS"),
    peer("tokio-postgres", Protocol::Postgres, tokio_postgres, "tokio-postgres-rustls, start-up within TLS"),
    peer("suppaftp", Protocol::Ftp, suppaftp, "rustls, PBSZ and PROT within TLS"),
];

const fn peer(
    name: &'static str,
    protocol: Protocol,
    prepare: fn(Target) -> Result<Upgrade, Failure>,
    tls: &'static str,
) -> Peer {
    Peer { way: Way { name, protocol: Some(protocol), prepare }, tls }
}

fn tokio_floor(target: Target) -> Result<Upgrade, Failure> {
    let (runtime, tls) = (runtime()?, TlsConnector::from(target.config));
    Ok(Box::new(move || {
        runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(target.address).await?;
            stream.set_nodelay(true)?;
            echo_tokio(tls.connect(ServerName::try_from(NAME)?, stream).await?).await
        })
    }))
}

fn lettre(target: Target) -> Result<Upgrade, Failure> {
    let tls = TlsParameters::builder(NAME.to_owned())
        .certificate_store(CertificateStore::None)
        .add_root_certificate(Certificate::from_der(target.ca.to_vec())?)
        .build_rustls()?;
    let hello = ClientId::Domain("client.example".to_owned());
    Ok(Box::new(move || {
        let mut connection = SmtpConnection::connect(target.address, None, &hello, None, None)?;
        Ok(connection.starttls(&tls, &hello)?)
    }))
}

fn async_smtp(target: Target) -> Result<Upgrade, Failure> {
    let (runtime, tls) = (runtime()?, TlsConnector::from(target.config));
    Ok(Box::new(move || {
        runtime.block_on(async {
            let stream = BufStream::new(tokio::net::TcpStream::connect(target.address).await?);
            stream.get_ref().set_nodelay(true)?;
            let client = async_smtp::SmtpClient::new();
            let client = client.hello_name(async_smtp::extension::ClientId::Domain("client.example".to_owned()));
            let stream = async_smtp::SmtpTransport::new(client, stream).await?.starttls().await?.into_inner();
            echo_tokio(tls.connect(ServerName::try_from(NAME)?, stream).await?).await
        })
    }))
}

fn mail_send(target: Target) -> Result<Upgrade, Failure> {
    let (runtime, tls) = (runtime()?, TlsConnector::from(target.config));
    let client = mail_send::SmtpClientBuilder::new_with_tls_connector(NAME, target.address.port(), tls);
    let mut client = client.implicit_tls(false).helo_host("client.example");
    // So that no name is resolved.
    client.addr = target.address.to_string();
    Ok(Box::new(move || runtime.block_on(async { Ok(client.connect().await.map(drop)?) })))
}

fn io_smtp(target: Target) -> Result<Upgrade, Failure> {
    Ok(Box::new(move || {
        let mut client = IoSmtp(TcpStream::connect(target.address)?);
        client.0.set_nodelay(true)?;
        client.upgrade()?;
        handshake(&target, client.0)
    }))
}

/// The loop of io-smtp's own client, which keeps its stream to itself.
pub struct IoSmtp<S>(pub S);

impl<S: Read + Write> IoSmtp<S> {
    /// The dialogue.
    pub fn upgrade(&mut self) -> Result<(), Failure> {
        self.greeting()?;
        self.ehlo(SmtpEhloDomain::SmtpDomain(SmtpDomain("client.example".into())))?;
        if self.starttls()?.is_empty() { Ok(()) } else { Err("bytes behind the go-ahead".into()) }
    }
}

impl<S: Read + Write> io_smtp::client::SmtpClient for IoSmtp<S> {
    fn run<C, T, E>(&mut self, mut coroutine: C) -> Result<T, SmtpClientError>
    where
        C: SmtpCoroutine<Yield = SmtpYield, Return = Result<T, E>>,
        SmtpClientError: From<E>,
    {
        let mut buffer = [0; 2048];
        let mut read = None;
        loop {
            match coroutine.resume(read.take().map(|length| &buffer[..length])) {
                SmtpCoroutineState::Complete(result) => return Ok(result?),
                SmtpCoroutineState::Yielded(SmtpYield::WantsRead) => read = Some(self.0.read(&mut buffer)?),
                SmtpCoroutineState::Yielded(SmtpYield::WantsWrite(bytes)) => self.0.write_all(&bytes)?,
            }
        }
    }
}

fn async_imap(target: Target) -> Result<Upgrade, Failure> {
    let (runtime, tls) = (runtime()?, TlsConnector::from(target.config));
    Ok(Box::new(move || {
        runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(target.address).await?;
            stream.set_nodelay(true)?;
            let mut client = async_imap::Client::new(stream);
            client.read_response().await?.ok_or("no greeting")?;
            client.run_command_and_check_ok("STARTTLS", None).await?;
            echo_tokio(tls.connect(ServerName::try_from(NAME)?, client.into_inner()).await?).await
        })
    }))
}

fn imap(target: Target) -> Result<Upgrade, Failure> {
    // It trusts the system's certificates, which are those of SSL_CERT_FILE.
    let address = target.address.ip().to_string();
    let client = imap::ClientBuilder::new(address, target.address.port());
    let client = client.mode(imap::ConnectionMode::StartTls);
    Ok(Box::new(move || Ok(client.connect().map(drop)?)))
}

fn rip_starttls(target: Target) -> Result<Upgrade, Failure> {
    Ok(Box::new(move || {
        let stream = TcpStream::connect(target.address)?;
        stream.set_nodelay(true)?;
        handshake(&target, rip_starttls::imap::std::RipStarttls::new(false).do_starttls_prefix(stream)?)
    }))
}

fn io_imap(target: Target) -> Result<Upgrade, Failure> {
    Ok(Box::new(move || {
        let mut stream = TcpStream::connect(target.address)?;
        stream.set_nodelay(true)?;
        io_imap_upgrade(&mut stream)?;
        handshake(&target, stream)
    }))
}

/// The loop of io-imap's own client, which keeps its stream to itself.
pub fn io_imap_upgrade(stream: &mut (impl Read + Write)) -> Result<(), Failure> {
    let mut coroutine = ImapStartTls::new();
    let mut fragmentizer = Fragmentizer::new(64 * 1024);
    let mut buffer = [0; 2048];
    let mut read = None;
    loop {
        match coroutine.resume(&mut fragmentizer, read.take().map(|length| &buffer[..length])) {
            ImapCoroutineState::Complete(rest) => {
                return if rest?.is_empty() { Ok(()) } else { Err("bytes behind the go-ahead".into()) };
            }
            ImapCoroutineState::Yielded(ImapYield::WantsRead) => read = Some(stream.read(&mut buffer)?),
            ImapCoroutineState::Yielded(ImapYield::WantsWrite(bytes)) => stream.write_all(&bytes)?,
        }
    }
}

fn ldap3(target: Target) -> Result<Upgrade, Failure> {
    let runtime = runtime()?;
    let url = format!("ldap://{}", target.address);
    Ok(Box::new(move || {
        runtime.block_on(async {
            let settings = ldap3::LdapConnSettings::new().set_config(target.config.clone()).set_starttls(true);
            let (connection, mut ldap) = ldap3::LdapConnAsync::with_settings(settings, &url).await?;
            let driver = tokio::spawn(async move { connection.drive().await });
            ldap.simple_bind("", "").await?.success()?;
            ldap.unbind().await?;
            Ok(driver.await??)
        })
    }))
}

fn tokio_postgres(target: Target) -> Result<Upgrade, Failure> {
    let runtime = runtime()?;
    let tls = tokio_postgres_rustls::MakeRustlsConnect::new((*target.config).clone());
    let mut config = tokio_postgres::Config::new();
    config.user("client").host(NAME).hostaddr(target.address.ip()).port(target.address.port());
    config.ssl_mode(tokio_postgres::config::SslMode::Require);
    Ok(Box::new(move || runtime.block_on(async { Ok(config.connect(tls.clone()).await.map(drop)?) })))
}

fn suppaftp(target: Target) -> Result<Upgrade, Failure> {
    Ok(Box::new(move || {
        let plain = suppaftp::RustlsFtpStream::connect(target.address)?;
        Ok(plain.into_secure(suppaftp::RustlsConnector::from(Arc::clone(&target.config)), NAME).map(drop)?)
    }))
}

/// The end of every way whose TLS is the caller's.
fn handshake(target: &Target, mut stream: TcpStream) -> Result<(), Failure> {
    let mut connection = ClientConnection::new(target.config.clone(), ServerName::try_from(NAME)?)?;
    connection.complete_io(&mut stream)?;
    echo(StreamOwned::new(connection, stream))
}

/// A runtime of one thread, as all the others have one.
pub fn runtime() -> Result<Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

async fn echo_tokio(mut tls: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), Failure> {
    tls.write_all(b"A NOOP\r\n").await?;
    tls.flush().await?;
    match tls.read(&mut [0; 512]).await? {
        0 => Err("no answer within TLS".into()),
        _ => Ok(()),
    }
}
