//! Time, as criterion measures it.

#![allow(missing_docs)] // The macros write some that have none.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use starttls::protocol::Smtp;
use starttls::{Dialogue, Negotiation, Protocol, Required};
use starttls_benches::talk::{Talk, dynamic, imap, smtp, usual};
use starttls_replay::Turn;

const WHOLE: usize = usize::MAX;

fn have<D: Dialogue>(criterion: &mut Criterion, name: &str, dialogue: impl Fn() -> D, turns: &[Turn], chunk: usize) {
    criterion.bench_function(name, |bencher| {
        let talk = || (Talk::new(dialogue(), turns, chunk), Vec::with_capacity(turns.len()));
        let had = |(talk, mut sent): (Talk<D>, Vec<Option<Bytes>>)| {
            (black_box(talk.have(|request| sent.push(request))), sent)
        };
        bencher.iter_batched(talk, had, BatchSize::SmallInput);
    });
}

fn talks(criterion: &mut Criterion) {
    for protocol in Protocol::all() {
        let turns = usual(protocol);
        have(criterion, &format!("whole/{protocol}"), || dynamic(protocol), &turns, WHOLE);
        have(criterion, &format!("bytewise/{protocol}"), || dynamic(protocol), &turns, 1);
    }
    let turns = usual(Protocol::Smtp);
    have(criterion, "static/smtp", smtp, &turns, WHOLE);
    have(criterion, "static/smtp-bytewise", smtp, &turns, 1);
    let turns = usual(Protocol::Imap);
    have(criterion, "static/imap", imap, &turns, WHOLE);
    have(criterion, "static/imap-bytewise", imap, &turns, 1);
}

/// So many clients of SMTP at once: all take their first turn before any takes the second.
fn crowds(criterion: &mut Criterion) {
    let turns = usual(Protocol::Smtp);
    let mut group = criterion.benchmark_group("crowd");
    for count in [1, 10, 100, 1000, 10_000] {
        group.throughput(Throughput::Elements(count as u64));
        let crowd = || (0..count).map(|_| Negotiation::required(smtp())).collect::<Vec<_>>();
        let all = |mut crowd: Vec<Negotiation<Smtp, Required>>| {
            for turn in &turns {
                for negotiation in &mut crowd {
                    match turn {
                        Turn::Server(bytes) => negotiation.handle_input(bytes).expect("a server that keeps to SMTP"),
                        Turn::Client(_) => drop(black_box(negotiation.poll_transmit())),
                    }
                }
            }
            crowd
        };
        group.bench_function(count.to_string(), |bencher| bencher.iter_batched(crowd, all, BatchSize::LargeInput));
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1));
    targets = talks, crowds
}
criterion_main!(benches);
