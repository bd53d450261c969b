//! A TLS 1.3 server that sends any records behind its handshake, for as long as its client stays.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::crypto::{CryptoProvider, aws_lc_rs as provider};
use rustls::pki_types::PrivateKeyDer;
use rustls::version::TLS13;
use rustls::{KeyLog, ServerConfig, ServerConnection};
use starttls::Framing;
use starttls::transport::Handshake;
use starttls_replay::{Authority, Flaw};

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk};

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

/// What the server sends without end. None of it is data for the client's program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flood {
    /// As many session tickets as fit into each record.
    Tickets,
    /// Records of application data that hold none.
    Empty,
    /// Requests to update the keys. Clients allow a number of them in a row, so a record without data stands between.
    KeyUpdates,
    /// Warnings that the user cancelled something, the only ones that TLS 1.3 has.
    Alerts,
}

impl Flood {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Tickets, Self::Empty, Self::KeyUpdates, Self::Alerts];

    /// Completes a handshake on `stream`, with a certificate of `authority` for `localhost`, and floods the client.
    ///
    /// # Errors
    /// Those of the connection: there is always one, when the client leaves.
    pub fn serve(self, mut stream: TcpStream, authority: &Authority) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut records = Records::accept(&mut stream, authority)?;
        loop {
            let mut flood = Vec::new();
            while flood.len() < 1 << 16 {
                match self {
                    Self::Tickets => flood.extend(records.seal(HANDSHAKE, &TICKET.repeat(16_000 / TICKET.len()))),
                    Self::Empty => flood.extend(records.seal(APPLICATION_DATA, b"")),
                    Self::KeyUpdates => {
                        flood.extend(records.seal(APPLICATION_DATA, b""));
                        flood.extend(records.update_key());
                    }
                    Self::Alerts => flood.extend(records.seal(ALERT, &[1, 90])),
                }
            }
            stream.write_all(&flood)?;
        }
    }
}

/// NewSessionTicket (RFC 8446 §4.6.1): no lifetime, no age, no nonce, a ticket of one byte, no extensions.
const TICKET: &[u8] = &[4, 0, 0, 14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0];

/// The sending side of a connection (RFC 8446 §5.2), with TLS_AES_128_GCM_SHA256.
struct Records {
    secret: Vec<u8>,
    sequence: u64,
}

impl Records {
    fn accept(stream: &mut TcpStream, authority: &Authority) -> io::Result<Self> {
        let (certificate, key) = authority.issue(Flaw::None);
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(io::Error::other)?;
        let provider = CryptoProvider { cipher_suites: vec![TLS13_AES_128_GCM_SHA256], ..provider::default_provider() };
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .map_err(io::Error::other)?;
        let secrets = Arc::new(Secrets::default());
        config.key_log = secrets.clone();
        config.send_tls13_tickets = 0;
        let mut connection = ServerConnection::new(Arc::new(config)).map_err(io::Error::other)?;
        Handshake::new(None::<Framing>).complete(&mut connection, stream)?;
        let secret = secrets.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Self { secret, sequence: 0 })
    }

    fn seal(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        let key = UnboundKey::new(&AES_128_GCM, &expand(&self.secret, "key", 16)).expect("a key of 16 bytes");
        let mut nonce: [u8; 12] = expand(&self.secret, "iv", 12).try_into().expect("12 bytes");
        nonce.iter_mut().rev().zip(self.sequence.to_le_bytes()).for_each(|(byte, number)| *byte ^= number);
        self.sequence += 1;
        let mut sealed = [content, &[kind]].concat();
        let [high, low] = ((sealed.len() + 16) as u16).to_be_bytes();
        let header = [APPLICATION_DATA, 3, 3, high, low];
        LessSafeKey::new(key)
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(header), &mut sealed)
            .expect("it is short enough");
        [&header[..], &sealed].concat()
    }

    /// Asks the client to update its key, and updates this one (RFC 8446 §4.6.3, §7.2).
    fn update_key(&mut self) -> Vec<u8> {
        let update = self.seal(HANDSHAKE, &[24, 0, 0, 1, 1]);
        *self = Self { secret: expand(&self.secret, "traffic upd", 32), sequence: 0 };
        update
    }
}

/// HKDF-Expand-Label without a context (RFC 8446 §7.1).
fn expand(secret: &[u8], label: &str, length: usize) -> Vec<u8> {
    struct Length(usize);

    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }

    let label = format!("tls13 {label}");
    let info = [&(length as u16).to_be_bytes()[..], &[label.len() as u8], label.as_bytes(), &[0]];
    let mut key = vec![0; length];
    let prk = Prk::new_less_safe(HKDF_SHA256, secret);
    prk.expand(&info, Length(length)).and_then(|okm| okm.fill(&mut key)).expect("it is short enough");
    key
}

/// Keeps the secret that the server's traffic begins with.
#[derive(Debug, Default)]
struct Secrets(Mutex<Vec<u8>>);

impl KeyLog for Secrets {
    fn log(&self, label: &str, _client_random: &[u8], secret: &[u8]) {
        if label == "SERVER_TRAFFIC_SECRET_0" {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = secret.to_vec();
        }
    }
}
