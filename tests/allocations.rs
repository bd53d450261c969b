//! Nothing is allocated between the construction of a negotiation and its `Upgrade` if replies come whole, but for what is
//! odd about them, and for what a client can have afterwards.

use allocation_counter::measure;
use starttls::{Negotiation, Protocol};
use starttls_replay::{Transcript, Turn};

/// Plays a transcript that ends in an upgrade, so many bytes at a time, and counts the allocations.
fn allocations(protocol: Protocol, transcript: &Transcript, size: usize) -> u64 {
    let dialogue = protocol.dialogue(&transcript.identity()).expect("a valid client");
    let mut negotiation = Negotiation::required(dialogue);
    let mut end = None;
    let count = measure(|| {
        for turn in &transcript.turns {
            match turn {
                Turn::Server(bytes) => bytes.chunks(size).for_each(|chunk| negotiation.handle_input(chunk).unwrap()),
                Turn::Client(bytes) => assert_eq!(negotiation.poll_transmit().unwrap(), bytes),
            }
        }
        end = Some(negotiation.finish());
    });
    let _upgrade = end.expect("it was driven").expect("it upgrades");
    count.count_total
}

#[test]
fn an_upgrade_allocates_nothing() {
    for protocol in Protocol::all() {
        let transcripts = Transcript::all(protocol);
        let upgrading: Vec<_> = transcripts.iter().filter(|transcript| transcript.outcome == "upgraded").collect();
        let most = |size| upgrading.iter().map(|transcript| allocations(protocol, transcript, size)).max().unwrap();
        let (whole, split) = (most(usize::MAX), most(7));
        println!("{protocol}: {whole} allocations, {split} in chunks of 7, in {} transcripts", upgrading.len());
        let expected = match protocol {
            // The parser allocates names, values and events; tests/limits.rs has how much it may hold at a time.
            Protocol::Xmpp | Protocol::XmppServer => {
                assert!(split <= 200, "{protocol}: {split}");
                continue;
            }
            // Folded fields are read from a copy, once for where the response ends, and once for what it says.
            Protocol::Http => 2,
            // Escapes in names, and brackets within brackets; and INFO, which is kept.
            Protocol::Nats => 6,
            // The greeting, and in it the version, the challenge, and the method of authentication.
            Protocol::Mysql => 4,
            // A record of many fragments.
            Protocol::Rpc => 4,
            // A name with a backslash in it.
            Protocol::Sieve => 1,
            _ => 0,
        };
        assert_eq!(whole, expected, "{protocol}");
        // A buffer for each reply that was split, and whenever its room doubles.
        assert!(split <= expected + 5, "{protocol}: {split}");
    }
}

#[test]
fn the_counter_counts() {
    assert_eq!(measure(|| drop(std::hint::black_box(vec![0; 100]))).count_total, 1);
}
