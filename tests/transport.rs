//! The errors that transports have in common.

use std::io::{self, ErrorKind};

use starttls::transport::Error;

#[test]
fn an_error_tells_how_far_the_upgrade_got() {
    let refused = || io::Error::from(ErrorKind::ConnectionRefused);
    let [one, two] = ["192.0.2.1:25", "[2001:db8::1]:25"].map(|address| address.parse().expect("an address"));
    let tls = rustls::Error::DecryptError;
    let rows = [
        (Error::Resolve { host: "mail.example".into(), source: refused() }, "resolve", "cannot resolve mail.example"),
        (Error::Connect { failures: vec![] }, "connect", "cannot connect: the host has no address"),
        (Error::Timeout { stage: "EHLO" }, "EHLO", "the deadline passed at EHLO"),
        (Error::Io { stage: "STLS", source: refused() }, "STLS", "the connection failed at STLS"),
        (
            Error::Negotiation { awaiting: "CAPA", source: starttls::Error::Closed },
            "CAPA",
            "the negotiation failed at CAPA",
        ),
        (Error::Tls(tls), "TLS", "the TLS handshake failed"),
    ];
    for (error, stage, words) in rows {
        assert_eq!((error.stage(), error.to_string().as_str()), (stage, words));
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
    // What the operating system says is no deadline of ours.
    let timed_out = io::Error::from_raw_os_error(110);
    #[cfg(target_os = "linux")]
    assert_eq!(timed_out.kind(), ErrorKind::TimedOut);
    let broken = during(timed_out);
    assert!(matches!(broken, Error::Io { stage: "EHLO", .. }), "{broken}");
    let frames = during(io::Error::other(starttls::Error::Injected));
    assert!(matches!(frames, Error::Negotiation { awaiting: "EHLO", source: starttls::Error::Injected }), "{frames}");
}
