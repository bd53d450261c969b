//! Joins standard input and output with a TLS stream, as `openssl s_client` does. No letter has a special meaning.

use std::io::{self, ErrorKind, IsTerminal, Write, stdin, stdout};

use smol::Unblock;
use smol::future;
use smol::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use smol::net::TcpStream;
use starttls::{Escaped, transport};

use crate::arguments::ConnectArguments;
use crate::check::Checker;
use crate::failure::Error;
use crate::{CRITICAL, UNKNOWN, brief, complain, complain_of_nothing_to_report, prepare};

/// What is read at once.
const CHUNK: usize = 1 << 16;

/// How a session can end otherwise than by the server's close_notify, or by nobody reading on.
#[derive(Debug)]
enum Broken {
    /// What the server or the path to it did.
    Session(String),
    /// Standard input or output.
    Local(io::Error),
}

/// Upgrades, and joins the streams if the certificate holds; the exit code.
pub fn run(arguments: &ConnectArguments) -> u8 {
    let (checker, target) = match prepare(&arguments.target, &arguments.client, || Checker::new(&arguments.client)) {
        Ok(prepared) => prepared,
        Err(report) => {
            complain_of_nothing_to_report(&report);
            return report.exit_code();
        }
    };
    let (report, tls) = smol::block_on(checker.connect::<TcpStream>(&target));
    let code = report.exit_code();
    complain_of_nothing_to_report(&report);
    let tls = tls.filter(|_| report.failure.is_none() || arguments.unverified);
    if code != UNKNOWN && (tls.is_none() || !arguments.quiet) {
        // There is nowhere left to complain about stderr.
        let _ = anstream::stderr().write_all(brief::lines(&report).as_bytes());
    }
    let Some(tls) = tls else {
        if report.tls.is_some() {
            complain("nothing was passed on; with --unverified it is, whoever is at the other end");
        }
        return code;
    };
    match smol::block_on(join(tls, arguments.crlf || stdin().is_terminal())) {
        Ok(()) => code,
        Err(Broken::Session(message)) => {
            complain(&message);
            CRITICAL
        }
        Err(Broken::Local(error)) => {
            complain(&format!("cannot pass on what was said: {error}"));
            UNKNOWN
        }
    }
}

/// Passes the bytes on, both ways at once, until the server closes. At the end of standard input it says close_notify,
/// and goes on with what the server still has to say.
///
/// Lines are sent with CR LF if `crlf`. What a terminal is shown has its control characters escaped.
async fn join(tls: impl AsyncRead + AsyncWrite + Unpin, crlf: bool) -> Result<(), Broken> {
    let (reader, writer) = split(tls);
    let shown = stdout().is_terminal();
    let up = send(Unblock::with_capacity(CHUNK, stdin()), writer, crlf);
    let down = receive(reader, Unblock::with_capacity(CHUNK, stdout()), shown);
    future::or(down, async {
        up.await?;
        // All was said: the server ends the session, also one that took no more.
        future::pending().await
    })
    .await
}

async fn send(mut stdin: impl AsyncRead + Unpin, mut tls: impl AsyncWrite + Unpin, crlf: bool) -> Result<(), Broken> {
    let mut buffer = vec![0; CHUNK];
    let mut lines = Lines::default();
    loop {
        let sent = match stdin.read(&mut buffer).await.map_err(Broken::Local)? {
            0 => {
                // The server may be gone, which reading finds out.
                let _ = tls.close().await;
                return Ok(());
            }
            n if crlf => tls.write_all(&lines.wire(&buffer[..n])).await,
            n => tls.write_all(&buffer[..n]).await,
        };
        if sent.is_err() || tls.flush().await.is_err() {
            // What the server said last is still to be read, and that reading ends tells how.
            return Ok(());
        }
    }
}

async fn receive(
    mut tls: impl AsyncRead + Unpin,
    mut stdout: impl AsyncWrite + Unpin,
    escaped: bool,
) -> Result<(), Broken> {
    let mut buffer = vec![0; CHUNK];
    let mut lines = Lines::default();
    loop {
        let written = match tls.read(&mut buffer).await.map_err(broken)? {
            0 => return Ok(()),
            n if escaped => stdout.write_all(&lines.shown(&buffer[..n])).await,
            n => stdout.write_all(&buffer[..n]).await,
        };
        let flushed = match written {
            Ok(()) => stdout.flush().await,
            Err(error) => Err(error),
        };
        match flushed {
            // Who closes the pipe has read enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            flushed => flushed.map_err(Broken::Local)?,
        }
    }
}

fn broken(error: io::Error) -> Broken {
    Broken::Session(match error.kind() {
        ErrorKind::UnexpectedEof => {
            "the server cut the connection off without close_notify: the end may be missing".to_owned()
        }
        _ => Error::from(transport::Error::during("TLS")(error)).message(),
    })
}

/// Lines on their way from one chunk to the next.
#[derive(Default)]
struct Lines {
    after_cr: bool,
}

impl Lines {
    /// CR LF for each LF that has no CR yet.
    fn wire(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut wire = Vec::with_capacity(bytes.len() + 16);
        for &byte in bytes {
            if byte == b'\n' && !self.after_cr {
                wire.push(b'\r');
            }
            wire.push(byte);
            self.after_cr = byte == b'\r';
        }
        wire
    }

    /// Lines, tabs and printable ASCII as they are, and the rest escaped. CR LF ends a line as well.
    fn shown(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(bytes.len() + 16);
        for &byte in bytes {
            if self.after_cr && byte != b'\n' {
                text.extend(b"\\r");
            }
            self.after_cr = byte == b'\r';
            match byte {
                b'\r' => {}
                b'\n' | b'\t' | b' '..=b'~' => text.push(byte),
                _ => text.extend(Escaped(&[byte]).to_string().into_bytes()),
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of `bytes` in chunks of `size`.
    fn chunked(bytes: &[u8], size: usize, convert: fn(&mut Lines, &[u8]) -> Vec<u8>) -> Vec<u8> {
        let mut lines = Lines::default();
        bytes.chunks(size).flat_map(|chunk| convert(&mut lines, chunk)).collect()
    }

    #[test]
    fn lines_are_sent_with_cr_lf_however_they_were_split() {
        for size in 1..9 {
            assert_eq!(chunked(b"a\nb\r\n\n\rc\n", size, Lines::wire), b"a\r\nb\r\n\r\n\rc\r\n", "{size}");
        }
    }

    #[test]
    fn a_terminal_gets_no_control_character_but_tab_and_line_feed() {
        for size in 1..9 {
            let shown = chunked(b"\x1b[2J\\Seen\ta\r\nb\rc\x9b\xc3\xa4\x7f\n", size, Lines::shown);
            assert_eq!(shown, b"\\x1b[2J\\Seen\ta\nb\\rc\\x9b\\xc3\\xa4\\x7f\n", "{size}");
        }
    }
}
