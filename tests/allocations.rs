//! Nothing is allocated between the construction of a negotiation and its `Upgrade`.

use std::path::Path;

use allocation_counter::measure;
use starttls::protocol::{Imap, Pop3, Smtp};
use starttls::{Dialogue, Negotiation};
use starttls_replay::{Transcript, Turn};

/// Plays a transcript that ends in an upgrade, and counts the allocations.
fn allocations<D: Dialogue>(name: &str, dialogue: impl Fn(&Transcript) -> D) -> u64 {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts").join(name);
    let transcript: Transcript = std::fs::read_to_string(path).expect(name).parse().expect(name);
    let mut negotiation = Negotiation::required(dialogue(&transcript));
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
    println!("{name}: {} allocations", count.count_total);
    count.count_total
}

#[test]
fn an_upgrade_allocates_nothing() {
    let smtp = |t: &Transcript| Smtp::new("client.example").unwrap().knobs(t.knobs);
    let lmtp = |t: &Transcript| Smtp::lmtp("client.example").unwrap().knobs(t.knobs);
    let imap = |t: &Transcript| Imap::new("A7F3").unwrap().knobs(t.knobs);
    let pop3 = |t: &Transcript| Pop3::new().knobs(t.knobs);
    for count in [
        allocations("smtp/postfix.txt", smtp),
        allocations("smtp/postfix-postscreen.txt", smtp),
        allocations("smtp/odd-but-legal.txt", smtp),
        allocations("lmtp/dovecot.txt", lmtp),
        allocations("imap/dovecot.txt", imap),
        allocations("imap/dovecot-ask.txt", imap),
        allocations("imap/odd-but-legal.txt", imap),
        allocations("pop3/dovecot.txt", pop3),
        allocations("pop3/dovecot-ask.txt", pop3),
        allocations("pop3/odd-but-legal.txt", pop3),
    ] {
        assert_eq!(count, 0);
    }
}

#[test]
fn the_counter_counts() {
    assert_eq!(measure(|| drop(std::hint::black_box(vec![0; 100]))).count_total, 1);
}
