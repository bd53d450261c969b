//! The errors that transports have in common.

use std::io::{self, ErrorKind};

use starttls::transport::Error;

#[test]
fn an_error_tells_how_far_the_upgrade_got() {
    let refused = || io::Error::from(ErrorKind::ConnectionRefused);
    let [one, two] = ["192.0.2.1:25", "[2001:db8::1]:25"].map(|address| address.parse().expect("an address"));
    let tls = rustls::Error::DecryptError;
    let rows = [
        (Error::Resolve { host: "mail.example".into(), source: refused() }, "resolve", "cannot resolve mail.example: "),
        (Error::Connect { failures: vec![] }, "connect", "cannot connect: the host has no address"),
        (Error::Connect { failures: vec![(one, refused())] }, "connect", "cannot connect: 192.0.2.1:25: "),
        (Error::Timeout { stage: "EHLO" }, "EHLO", "EHLO: the deadline passed"),
        (Error::Io { stage: "STLS", source: refused() }, "STLS", "STLS: "),
        (
            Error::Negotiation { awaiting: "CAPA", source: starttls::Error::Closed },
            "CAPA",
            "CAPA: the server closed the connection",
        ),
        (Error::Tls(tls), "TLS", "TLS: cannot decrypt peer's message"),
    ];
    for (error, stage, words) in rows {
        assert_eq!(error.stage(), stage);
        assert!(error.to_string().starts_with(words), "{error}");
    }
    let both = Error::Connect { failures: vec![(one, refused()), (two, refused())] }.to_string();
    assert_eq!(both, format!("cannot connect: {one}: {0}; {two}: {0}", refused()));
}

#[test]
fn what_a_stream_gave_is_told_apart() {
    let during = |source| Error::during("EHLO")(source);
    assert!(matches!(during(ErrorKind::TimedOut.into()), Error::Timeout { stage: "EHLO" }));
    assert!(matches!(during(ErrorKind::BrokenPipe.into()), Error::Io { stage: "EHLO", .. }));
    let tls = during(io::Error::new(ErrorKind::InvalidData, rustls::Error::DecryptError));
    assert!(matches!(tls, Error::Tls(rustls::Error::DecryptError)), "{tls}");
    let frames = during(io::Error::other(starttls::Error::Injected));
    assert!(matches!(frames, Error::Negotiation { awaiting: "EHLO", source: starttls::Error::Injected }), "{frames}");
}
