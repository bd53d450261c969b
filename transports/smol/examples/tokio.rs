//! An upgrade under tokio: its socket goes in, and a stream of its kind comes out.
//!
//! Two adapters of `tokio-util` do it. The deadline is async-io's, which works under tokio as well.
//!
//! ```text
//! cargo run --release -p starttls-smol --example tokio
//! ```

use std::time::Duration;

use starttls::{Negotiation, Protocol};
use starttls_replay::{Authority, Flaw, Server, Transcript, play};
use starttls_smol::Upgrader;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::compat::{FuturesAsyncReadCompatExt, TokioAsyncReadCompatExt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let authority = Authority::default();
    for protocol in Protocol::all() {
        let transcript = Transcript::usual(protocol);
        let dialogue = protocol.dialogue(&transcript.identity())?;
        let config = authority.server_config(Flaw::None);
        let server = Server::start(move |stream| play(stream, &transcript, config.clone()))?;

        let upgrader = Upgrader::new(authority.client_config(), "localhost".try_into()?, Duration::from_secs(30));
        let socket = TcpStream::connect(server.address()).await?;
        socket.set_nodelay(true)?;
        let tls = upgrader.upgrade(socket.compat(), Negotiation::required(dialogue)).await?;
        let mut tls = tls.compat(); // tokio's `AsyncRead + AsyncWrite` again

        tls.write_all(b"a word over TLS").await?;
        tls.shutdown().await?; // close_notify, and the other direction stays open
        let mut answer = String::new();
        tls.read_to_string(&mut answer).await?;
        println!("{protocol:<12} {answer}");
        if answer != "a word over TLS" {
            return Err("not an echo".into());
        }
    }
    Ok(())
}
