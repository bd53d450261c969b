//! What a client says, as somebody on the path sees it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use crate::Server;

/// Passes bytes on between its clients and the server at `address`, and keeps those of the clients.
///
/// # Errors
/// Those of binding.
pub fn relay(address: SocketAddr) -> io::Result<(Server, Arc<Mutex<Vec<u8>>>)> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = seen.clone();
    let relay = Server::start(move |mut client| {
        let mut server = TcpStream::connect(address)?;
        server.set_nodelay(true)?;
        client.set_nodelay(true)?;
        let (mut from, mut to) = (server.try_clone()?, client.try_clone()?);
        std::thread::spawn(move || io::copy(&mut from, &mut to).and_then(|_| to.shutdown(Shutdown::Write)));
        let mut buffer = [0; 4096];
        loop {
            let length = client.read(&mut buffer)?;
            if length == 0 {
                return server.shutdown(Shutdown::Write);
            }
            kept.lock().map_err(|_| io::ErrorKind::Other)?.extend(&buffer[..length]);
            server.write_all(&buffer[..length])?;
        }
    })?;
    Ok((relay, seen))
}
