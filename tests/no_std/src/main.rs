//! Goes from SMTP's greeting to an answer over TLS, without std. Its standard input is the connection.
//!
//! Exit codes: 0 for an answer that is the request; 2 for a server that declines, 3 for another fault before TLS, 4 for a
//! bad certificate, 5 for all else. `examples/no_std.rs` in `tests/replay` plays the servers.

#![no_std]
#![no_main]

extern crate alloc;

mod host;
mod session;

use alloc::format;
use alloc::sync::Arc;
use core::ffi::{CStr, c_char, c_int};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use host::{Clock, Counting, Socket};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use session::Error;
use starttls::{Negotiation, protocol::Smtp};

#[global_allocator]
static ALLOCATOR: Counting = Counting { now: AtomicUsize::new(0), most: AtomicUsize::new(0) };

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: it takes nothing and does not return.
    unsafe { libc::abort() }
}

/// The prebuilt `alloc` refers to these two, although nothing unwinds here.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() {}

const REQUEST: &[u8] = b"a word over TLS";

fn run(authority: &[u8]) -> c_int {
    let Ok(config) = config(authority) else { return 5 };
    let Ok(dialogue) = Smtp::new("client.example") else { return 5 };
    let Ok(name) = "localhost".try_into() else { return 5 };
    let mut answer = [0; REQUEST.len()];
    let heard = session::upgrade(&mut Socket, Negotiation::required(dialogue))
        .and_then(|upgrade| session::ask(&mut Socket, upgrade, config, name, REQUEST, &mut answer));
    let code = match &heard {
        Ok(length) if *length == REQUEST.len() && answer == REQUEST => 0,
        Err(Error::Negotiation(starttls::Error::Declined(_))) => 2,
        Err(Error::Negotiation(_)) => 3,
        Err(Error::Tls(rustls::Error::InvalidCertificate(_))) => 4,
        Ok(_) | Err(Error::Tls(_) | Error::Buffer | Error::Truncated | Error::Stream(_)) => 5,
    };
    host::print(&format!("{heard:?}, {} bytes of heap at most\n", ALLOCATOR.most.load(Relaxed)));
    code
}

fn config(authority: &[u8]) -> Result<Arc<ClientConfig>, ()> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority).map_err(drop)?).map_err(drop)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_details(provider, Arc::new(Clock));
    let config = config.with_safe_default_protocol_versions().map_err(drop)?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// The C runtime of the host calls it. The first argument is the certification authority, in PEM.
#[unsafe(no_mangle)]
extern "C" fn main(count: c_int, arguments: *const *const c_char) -> c_int {
    if count != 2 {
        return 5;
    }
    // SAFETY: C says that there are `count` arguments, each a string that ends in NUL and lives as long as the program.
    let authority = unsafe { CStr::from_ptr(*arguments.add(1)) };
    run(authority.to_bytes())
}
