//! Instructions, as callgrind counts them. `--bin instructions` makes them a table, and a gate.

#![allow(missing_docs)] // The macros write some that have none.

use std::hint::black_box;
use std::mem::forget;

use gungraun::{LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};
use starttls::protocol::{Client, Imap, Smtp};
use starttls::{Dialogue, Error, Negotiation, Protocol, Required, Upgrade};
use starttls_benches::talk::{self as talks, Dynamic, Talk, dynamic};
use starttls_replay::{Transcript, Turn};

const WHOLE: usize = usize::MAX;

/// What is done once in a process, such as to find out what the processor can do, is no part of a talk.
fn second<D: Dialogue>(dialogue: impl Fn() -> D, turns: Vec<Turn>, chunk: usize) -> Talk<'static, D> {
    let turns = turns.leak();
    // None of what is sent is freed here: that is no part of it, either.
    let _ = black_box(Talk::new(dialogue(), turns, chunk).have(forget));
    Talk::new(dialogue(), turns, chunk)
}

fn usual((protocol, chunk): (Protocol, usize)) -> Talk<'static, Dynamic> {
    second(|| dynamic(protocol), talks::usual(protocol), chunk)
}

fn smtp(chunk: usize) -> Talk<'static, Smtp> {
    second(talks::smtp, talks::usual(Protocol::Smtp), chunk)
}

fn imap(chunk: usize) -> Talk<'static, Imap> {
    second(talks::imap, talks::usual(Protocol::Imap), chunk)
}

fn smtp_of((bytes, chunk): (usize, usize)) -> Talk<'static, Smtp> {
    second(talks::smtp, talks::smtp_of(bytes), chunk).of_any_length()
}

fn imap_of((bytes, chunk): (usize, usize)) -> Talk<'static, Imap> {
    second(talks::imap, talks::imap_of(bytes), chunk).of_any_length()
}

/// From a kibibyte to twice the most that a server may say, and in the end in chunks, too.
fn sizes() -> impl Iterator<Item = (usize, usize)> {
    let whole = (10..=17).map(|power| (1 << power, WHOLE));
    whole.chain([(1 << 17, 1024), (1 << 17, 1)])
}

fn protocols(chunk: usize) -> impl Iterator<Item = (Protocol, usize)> {
    Protocol::all().map(move |protocol| (protocol, chunk))
}

#[library_benchmark]
#[benches::whole(iter = protocols(WHOLE), setup = usual)]
#[benches::bytewise(iter = protocols(1), setup = usual)]
#[benches::smtp(args = [WHOLE, 1], setup = smtp)]
#[benches::imap(args = [WHOLE, 1], setup = imap)]
#[benches::smtp_of(iter = sizes(), setup = smtp_of)]
#[benches::imap_of(iter = sizes(), setup = imap_of)]
fn talk<D: Dialogue>(talk: Talk<'static, D>) -> Result<Upgrade, Error> {
    talk.have(forget)
}

fn client(protocol: Protocol) -> (Protocol, Client<'static>) {
    (protocol, Transcript::usual(protocol).identity())
}

#[library_benchmark]
#[benches::protocol(iter = Protocol::all(), setup = client)]
fn construction((protocol, client): (Protocol, Client<'static>)) -> Negotiation<Dynamic, Required> {
    Negotiation::required(protocol.dialogue(&client).expect("valid names"))
}

library_benchmark_group!(name = negotiation, benchmarks = [talk, construction]);
main!(
    // What is freed is kept for who asks for as much, or else what malloc takes would depend on all that was allocated
    // before, as on the length of the path that this is at.
    config = LibraryBenchmarkConfig::default()
        .env("GLIBC_TUNABLES", "glibc.malloc.tcache_max=1048576:glibc.malloc.tcache_count=65535"),
    library_benchmark_groups = negotiation
);
