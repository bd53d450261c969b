//! Our ways, and the floors below them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use futures_rustls::TlsConnector;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use smol::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use starttls::protocol::Postgres;
use starttls::{Negotiation, Protocol};

use crate::talk::{imap, smtp};
use crate::way::{Failure, Target, Upgrade, Way};

/// TLS from the first byte on, over a blocking socket.
pub const FLOOR: Way = Way { name: "floor", protocol: None, prepare: |target| floor(target, true, &[]) };

/// The same without TCP_NODELAY, to see what that would cost.
pub const FLOOR_DELAYED: Way =
    Way { name: "floor, TCP_NODELAY off", protocol: None, prepare: |target| floor(target, false, &[]) };

/// The system calls of a dialogue, and then TLS: what is read is not looked at.
pub const BLIND: [Way; 3] = [
    Way { name: "floor and SMTP unread", protocol: Some(Protocol::Smtp), prepare: |target| floor(target, true, SMTP) },
    Way { name: "floor and IMAP unread", protocol: Some(Protocol::Imap), prepare: |target| floor(target, true, IMAP) },
    Way {
        name: "floor and PostgreSQL unread",
        protocol: Some(Protocol::Postgres),
        prepare: |target| floor(target, true, POSTGRES),
    },
];

/// STARTTLS over a blocking socket.
pub const STD: [Way; 3] = [
    Way { name: "std, SMTP", protocol: Some(Protocol::Smtp), prepare: |target| blocking(target, smtp) },
    Way { name: "std, IMAP", protocol: Some(Protocol::Imap), prepare: |target| blocking(target, imap) },
    Way {
        name: "std, PostgreSQL",
        protocol: Some(Protocol::Postgres),
        prepare: |target| blocking(target, Postgres::new),
    },
];

/// TLS from the first byte on, over an async socket.
pub const SMOL_FLOOR: Way = Way { name: "smol floor", protocol: None, prepare: |target| smol_floor(target, &[]) };

/// The system calls of a dialogue over an async socket, and then TLS.
pub const SMOL_BLIND: [Way; 3] = [
    Way {
        name: "smol floor and SMTP unread",
        protocol: Some(Protocol::Smtp),
        prepare: |target| smol_floor(target, SMTP),
    },
    Way {
        name: "smol floor and IMAP unread",
        protocol: Some(Protocol::Imap),
        prepare: |target| smol_floor(target, IMAP),
    },
    Way {
        name: "smol floor and PostgreSQL unread",
        protocol: Some(Protocol::Postgres),
        prepare: |target| smol_floor(target, POSTGRES),
    },
];

/// STARTTLS over an async socket.
pub const SMOL: [Way; 3] = [
    Way { name: "smol, SMTP", protocol: Some(Protocol::Smtp), prepare: |target| asynchronous(target, smtp) },
    Way { name: "smol, IMAP", protocol: Some(Protocol::Imap), prepare: |target| asynchronous(target, imap) },
    Way {
        name: "smol, PostgreSQL",
        protocol: Some(Protocol::Postgres),
        prepare: |target| asynchronous(target, Postgres::new),
    },
];

/// What is sent each time before the server speaks, and nobody reads.
const SMTP: &[&[u8]] = &[b"", b"EHLO client.example\r\n", b"STARTTLS\r\n"];
const IMAP: &[&[u8]] = &[b"", b"A7F3 STARTTLS\r\n"];
const POSTGRES: &[&[u8]] = &[b"\0\0\0\x08\x04\xd2\x16\x2f"];

/// The name in the server's certificate.
pub const NAME: &str = "localhost";

/// What is said within TLS, and answered with a line, in IMAP too.
const LINE: &[u8] = b"A NOOP\r\n";

const TIMEOUT: Duration = Duration::from_secs(30);

fn floor(target: Target, nodelay: bool, requests: &'static [&'static [u8]]) -> Result<Upgrade, Failure> {
    let name = ServerName::try_from(NAME)?;
    Ok(Box::new(move || {
        let mut stream = TcpStream::connect(target.address)?;
        if nodelay {
            stream.set_nodelay(true)?;
        }
        for request in requests {
            stream.write_all(request)?;
            line(stream.read(&mut [0; 2048])?)?;
        }
        let mut connection = ClientConnection::new(target.config.clone(), name.clone())?;
        connection.complete_io(&mut stream)?;
        echo(StreamOwned::new(connection, stream))
    }))
}

/// The preparation of STARTTLS over a blocking socket.
///
/// # Errors
/// None.
pub fn blocking<D: starttls::Dialogue + 'static>(target: Target, dialogue: fn() -> D) -> Result<Upgrade, Failure> {
    let name = ServerName::try_from(NAME)?;
    Ok(Box::new(move || {
        let upgrader = starttls_std::Upgrader::new(target.config.clone(), name.clone(), TIMEOUT);
        let stream = upgrader.connect_to(&[target.address])?;
        echo(upgrader.upgrade(stream, Negotiation::required(dialogue()))?)
    }))
}

fn smol_floor(target: Target, requests: &'static [&'static [u8]]) -> Result<Upgrade, Failure> {
    let name = ServerName::try_from(NAME)?;
    Ok(Box::new(move || {
        smol::block_on(async {
            let mut stream = smol::net::TcpStream::connect(target.address).await?;
            stream.set_nodelay(true)?;
            for request in requests {
                stream.write_all(request).await?;
                line(stream.read(&mut [0; 2048]).await?)?;
            }
            echo_async(TlsConnector::from(target.config.clone()).connect(name.clone(), stream).await?).await
        })
    }))
}

fn asynchronous<D: starttls::Dialogue + 'static>(target: Target, dialogue: fn() -> D) -> Result<Upgrade, Failure> {
    let name = ServerName::try_from(NAME)?;
    Ok(Box::new(move || {
        smol::block_on(async {
            let upgrader = starttls_smol::Upgrader::new(target.config.clone(), name.clone(), TIMEOUT);
            let stream = upgrader.connect_to(&[target.address]).await?;
            echo_async(upgrader.upgrade(stream, Negotiation::required(dialogue())).await?).await
        })
    }))
}

/// One line there and back.
///
/// # Errors
/// Those of the stream.
pub fn echo(mut tls: impl Read + Write) -> Result<(), Failure> {
    tls.write_all(LINE)?;
    tls.flush()?;
    line(tls.read(&mut [0; 512])?)
}

/// One line there and back.
///
/// # Errors
/// Those of the stream.
pub async fn echo_async(mut tls: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), Failure> {
    tls.write_all(LINE).await?;
    tls.flush().await?;
    line(tls.read(&mut [0; 512]).await?)
}

fn line(length: usize) -> Result<(), Failure> {
    if length == 0 { Err("no answer within TLS".into()) } else { Ok(()) }
}
