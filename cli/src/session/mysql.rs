//! How a check of MySQL or MariaDB ends: with a login that fails.
//!
//! The server counts a connection that ends before a login was accepted or refused as a connect error of the client's host.
//! After `max_connect_errors` of them, 100 by default, it blocks the host until its host cache is flushed. A refused login
//! is no connect error. It leaves a higher `Aborted_connects` behind, and a line in the log if the server logs them.

use std::io;
use std::time::{Duration, Instant};

use smol::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::conversation::within;

/// CLIENT_LONG_PASSWORD, CLIENT_PROTOCOL_41, CLIENT_SECURE_CONNECTION, CLIENT_PLUGIN_AUTH.
const CAPABILITIES: u32 = 0x0008_8201;
const CLIENT_SSL: u32 = 0x0800;
/// The most bytes that a server may say.
const MOST: usize = 4096;
/// How long it may take to answer, if the check has so long.
const PATIENCE: Duration = Duration::from_secs(2);

/// When a login has to be over, if the check has until then.
pub fn deadline(check: Instant) -> Instant {
    check.min(Instant::now() + PATIENCE)
}

/// Logs in as a user that does not exist, and reads the answer, whatever it is.
///
/// The user's name ends in `number`, which is random. MySQL's connection_control delays a user for longer after each failed
/// login: it rarely sees the same name twice, and has no more than 65,536 of them to remember.
pub async fn fail_to_log_in<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    within_tls: bool,
    number: u16,
    deadline: Instant,
) {
    let user = format!("starttls-check-{number:04x}");
    // The check is over, and has its result.
    let _ = within(deadline, log_in(stream, within_tls, &user)).await;
}

async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, within_tls: bool, user: &str) -> io::Result<()> {
    // SSLRequest was packet 1.
    let (capabilities, number) = if within_tls { (CAPABILITIES | CLIENT_SSL, 2) } else { (CAPABILITIES, 1) };
    // HandshakeResponse41: the greatest packet is 16 MiB, the character set utf8mb4_general_ci, the password empty.
    let mut response = [capabilities.to_le_bytes(), (1_u32 << 24).to_le_bytes()].concat();
    response.push(45);
    response.extend([0; 23]);
    response.extend(user.bytes());
    response.extend(b"\0\0mysql_native_password\0");
    send(stream, number, &response).await?;
    let mut left = MOST;
    loop {
        let mut header = [0; 4];
        stream.read_exact(&mut header).await?;
        let [low, middle, high, number] = header;
        let length = u32::from_le_bytes([low, middle, high, 0]) as usize;
        left = left.checked_sub(header.len() + length).ok_or(io::ErrorKind::QuotaExceeded)?;
        let mut packet = vec![0; length];
        stream.read_exact(&mut packet).await?;
        let answer = match packet.split_first() {
            // ERR_Packet: the server ends the session.
            Some((0xff, _)) => return Ok(()),
            // OK_Packet: anybody may log in. COM_QUIT begins a new exchange.
            Some((0, _)) => return send(stream, 0, &[1]).await,
            Some((0xfe, plugin)) => wrong_password(plugin.split(|byte| *byte == 0).next().unwrap_or_default()),
            _ => &[],
        };
        send(stream, number.wrapping_add(1), answer).await?;
    }
}

/// What an authentication plugin takes for a wrong password. What it takes for a broken handshake is a connect error.
fn wrong_password(plugin: &[u8]) -> &'static [u8] {
    match plugin {
        // A signature has this length.
        b"client_ed25519" | b"parsec" => &[0; 64],
        // Most take an empty password for one.
        _ => &[],
    }
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, number: u8, payload: &[u8]) -> io::Result<()> {
    let [low, middle, high, _] = (payload.len() as u32).to_le_bytes();
    stream.write_all(&[&[low, middle, high, number], payload].concat()).await?;
    stream.flush().await
}
