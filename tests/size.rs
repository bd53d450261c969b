//! The state of a negotiation is a few hundred bytes, whatever the server says.

use starttls::protocol::{Acap, Ftp, Imap, Irc, Munin, Mupdate, Nntp, Nut, Pop3, Sieve, Smtp};
use starttls::{Dialogue, Negotiation, Protocol, Required};
use starttls_replay::Transcript;

#[test]
fn a_negotiation_is_small() {
    let around = size_of::<Negotiation<Box<dyn Dialogue + Send>, Required>>() - size_of::<Box<dyn Dialogue + Send>>();
    for protocol in Protocol::all() {
        let dialogue = protocol.dialogue(&Transcript::usual(protocol).identity()).expect("a valid client");
        let size = around + size_of_val(&*dialogue);
        println!("{protocol}: {size} bytes");
        assert!(size < 512, "{protocol}: {size}");
    }
}

#[test]
fn the_static_types_are_as_small() {
    assert!(size_of::<Negotiation<Smtp, Required>>() < 512);
    assert!(size_of::<Negotiation<Imap, Required>>() < 512);
    assert!(size_of::<Negotiation<Pop3, Required>>() < 512);
    assert!(size_of::<Negotiation<Sieve, Required>>() < 512);
    assert!(size_of::<Negotiation<Nntp, Required>>() < 512);
    assert!(size_of::<Negotiation<Ftp, Required>>() < 512);
    assert!(size_of::<Negotiation<Irc, Required>>() < 512);
    assert!(size_of::<Negotiation<Acap, Required>>() < 512);
    assert!(size_of::<Negotiation<Mupdate, Required>>() < 512);
    assert!(size_of::<Negotiation<Nut, Required>>() < 512);
    assert!(size_of::<Negotiation<Munin, Required>>() < 512);
}
