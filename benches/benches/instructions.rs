//! Instructions, as callgrind counts them. `--bin instructions` makes them a table, and a gate.

#![allow(missing_docs)] // The macros write some that have none.

use std::hint::black_box;

use gungraun::{library_benchmark, library_benchmark_group, main};
use starttls::protocol::{Client, Imap, Smtp};
use starttls::{Dialogue, Negotiation, Protocol, Required};
use starttls_benches::talk::{Dynamic, Had, Talk};
use starttls_replay::Transcript;

const WHOLE: usize = usize::MAX;

/// What is done once in a process, such as to find out what the processor can do, is no part of a talk.
fn second<D: Dialogue>(talk: impl Fn() -> Talk<D>) -> Talk<D> {
    drop(black_box(talk().have()));
    talk()
}

fn usual((protocol, chunk): (Protocol, usize)) -> Talk<Dynamic> {
    second(|| Talk::usual(protocol, chunk))
}

fn smtp(chunk: usize) -> Talk<Smtp> {
    second(|| Talk::smtp(chunk))
}

fn imap(chunk: usize) -> Talk<Imap> {
    second(|| Talk::imap(chunk))
}

fn smtp_of((bytes, chunk): (usize, usize)) -> Talk<Smtp> {
    second(|| Talk::smtp_of(bytes, chunk))
}

fn imap_of((bytes, chunk): (usize, usize)) -> Talk<Imap> {
    second(|| Talk::imap_of(bytes, chunk))
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
fn talk<D: Dialogue>(talk: Talk<D>) -> Had {
    talk.have()
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
main!(library_benchmark_groups = negotiation);
