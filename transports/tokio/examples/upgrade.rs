//! An upgrade for each protocol: tokio's socket goes in, and a stream of tokio-rustls comes out.
//!
//! ```text
//! cargo run --release -p starttls-tokio --example upgrade
//! ```

use std::time::Duration;

use starttls::{Negotiation, Protocol};
use starttls_replay::{Authority, Flaw, Server, Transcript, play};
use starttls_tokio::Upgrader;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let authority = Authority::default();
    for protocol in Protocol::all() {
        let transcript = Transcript::usual(protocol);
        let dialogue = protocol.dialogue(&transcript.identity())?;
        let config = authority.server_config(Flaw::None);
        let server = Server::start(move |stream| play(stream, &transcript, config.clone()))?;

        let upgrader = Upgrader::new(authority.client_config(), "localhost".try_into()?, Duration::from_secs(30));
        let socket = upgrader.connect_to(&[server.address()]).await?;
        let mut tls = upgrader.upgrade(socket, Negotiation::required(dialogue)).await?;
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
