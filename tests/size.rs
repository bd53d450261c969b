//! The state of a negotiation is a few hundred bytes, whatever the server says.

use starttls::protocol::{Imap, Pop3, Smtp};
use starttls::{Negotiation, Required};

#[test]
fn a_negotiation_is_small() {
    let sizes = [
        ("Smtp", size_of::<Negotiation<Smtp, Required>>()),
        ("Imap", size_of::<Negotiation<Imap, Required>>()),
        ("Pop3", size_of::<Negotiation<Pop3, Required>>()),
    ];
    for (name, size) in sizes {
        println!("size_of Negotiation<{name}>: {size} bytes");
        assert!(size < 512, "{name}: {size}");
    }
}
