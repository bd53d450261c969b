//! The core and the naive reference agree on any server.

#![no_main]

use libfuzzer_sys::fuzz_target;
use starttls_fuzz::PROTOCOL;
use starttls_reference::compare;
use starttls_replay::{Input, client};

fuzz_target!(|input: &[u8]| {
    if let Some(input) = Input::read(input) {
        compare(*PROTOCOL, client(input.options), &input.turns, &[input.chunk]);
    }
});
