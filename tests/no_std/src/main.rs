//! Upgrades once from SMTP's greeting to its go-ahead, without std. Exits with 0 if that yields an `Upgrade`.

#![no_std]
#![no_main]

use starttls::{Error, Negotiation, protocol::Smtp};

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The prebuilt `alloc` refers to it, although nothing unwinds here.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

const SERVER: [&[u8]; 3] = [b"220 mail.example\r\n", b"250-mail.example\r\n250 STARTTLS\r\n", b"220 go\r\n"];

fn upgrade() -> Result<starttls::Upgrade, Error> {
    let Ok(dialogue) = Smtp::new("client.example") else { return Err(Error::Closed) };
    let mut negotiation = Negotiation::required(dialogue);
    for turn in SERVER {
        negotiation.poll_transmit();
        negotiation.handle_input(turn)?;
    }
    negotiation.finish()
}

/// The C runtime of the host calls it.
#[unsafe(no_mangle)]
pub extern "C" fn main() -> libc::c_int {
    libc::c_int::from(upgrade().is_err())
}
