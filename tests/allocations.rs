//! Nothing is allocated between the construction of a negotiation and its `Upgrade`.

use allocation_counter::measure;
use starttls::{Negotiation, Protocol};
use starttls_replay::{Transcript, Turn};

/// Plays a transcript that ends in an upgrade, and counts the allocations.
fn allocations(protocol: Protocol, transcript: &Transcript) -> u64 {
    let dialogue = protocol.dialogue(&transcript.identity()).expect("a valid client");
    let mut negotiation = Negotiation::required(dialogue);
    let mut end = None;
    let count = measure(|| {
        for turn in &transcript.turns {
            match turn {
                Turn::Server(bytes) => bytes.chunks(7).for_each(|chunk| negotiation.handle_input(chunk).unwrap()),
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
        let most = upgrading.iter().map(|transcript| allocations(protocol, transcript)).max();
        println!("{protocol}: {most:?} allocations, in {} transcripts", upgrading.len());
        match protocol {
            // Its parser allocates names, values and events; tests/limits.rs has how much it may hold at a time.
            Protocol::Xmpp | Protocol::XmppServer => assert!(most <= Some(200), "{protocol}: {most:?}"),
            _ => assert_eq!(most, Some(0), "{protocol}"),
        }
    }
}

#[test]
fn the_counter_counts() {
    assert_eq!(measure(|| drop(std::hint::black_box(vec![0; 100]))).count_total, 1);
}
