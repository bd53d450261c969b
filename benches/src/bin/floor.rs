//! The least that a program can do that checks a certificate: `floor CA_FILE ADDRESS` connects to TLS without a dialogue,
//! verifies the certificate for localhost, and prints its length.

use std::error::Error;
use std::io::Write;
use std::net::TcpStream;

use rustls::ClientConnection;
use starttls_benches::client_config;

fn main() -> Result<(), Box<dyn Error>> {
    let [_, ca_file, address] = &std::env::args().collect::<Vec<_>>()[..] else { return Err("two arguments".into()) };
    let mut connection = ClientConnection::new(client_config(ca_file)?, "localhost".try_into()?)?;
    let mut socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    connection.complete_io(&mut socket)?;
    connection.send_close_notify();
    connection.complete_io(&mut socket)?;
    let own = connection.peer_certificates().and_then(<[_]>::first).ok_or("no certificate")?;
    writeln!(std::io::stdout(), "{} bytes", own.len())?;
    Ok(())
}
