//! What an upgrade costs with the crates and tools of today, beside ours, against one server.
//!
//! Without arguments it makes the sections `peers` and `round trips` of `benches/README.md`.

mod crates;
mod memory;
mod report;
mod tools;

use starttls_benches::allocator;
use starttls_benches::way::{Failure, client};

#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [] => report::write(),
        [launch, command @ ..] if launch == "--launch" => tools::launch(command),
        _ => client(&report::ways(), &arguments),
    }
}
