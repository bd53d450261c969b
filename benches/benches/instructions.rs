//! Instructions, as callgrind counts them.

use gungraun::{library_benchmark, library_benchmark_group, main};
use starttls::protocol::{Imap, Smtp};
use starttls::{Dialogue, Protocol};
use starttls_benches::talk::{Had, Talk};
use starttls_replay::Transcript;

fn dynamic((protocol, chunk): (Protocol, usize)) -> Talk<Box<dyn Dialogue + Send>> {
    // What is done once in a process, such as to find out what the processor can do, is no part of it.
    Talk::new(protocol, chunk).have();
    Talk::new(protocol, chunk)
}

fn smtp(chunk: usize) -> Talk<Smtp> {
    let talk = || Talk::with(Smtp::new("client.example").unwrap(), Transcript::usual(Protocol::Smtp), chunk);
    talk().have();
    talk()
}

fn imap(chunk: usize) -> Talk<Imap> {
    let talk = || Talk::with(Imap::new("A7F3").unwrap(), Transcript::usual(Protocol::Imap), chunk);
    talk().have();
    talk()
}

fn all(chunk: usize) -> impl Iterator<Item = (Protocol, usize)> {
    Protocol::all().map(move |protocol| (protocol, chunk))
}

#[library_benchmark]
#[benches::whole(iter = all(usize::MAX), setup = dynamic)]
#[benches::bytewise(iter = all(1), setup = dynamic)]
#[benches::chunks(iter = all(1024), setup = dynamic)]
#[benches::smtp(args = [usize::MAX, 1, 1024], setup = smtp)]
#[benches::imap(args = [usize::MAX, 1, 1024], setup = imap)]
fn negotiation<D: Dialogue>(talk: Talk<D>) -> Had {
    talk.have()
}

library_benchmark_group!(name = negotiations, benchmarks = negotiation);
main!(library_benchmark_groups = negotiations);
