//! The core and the naive reference agree on any server.

#![no_main]

use libfuzzer_sys::fuzz_target;
use starttls_fuzz::{Dialogue, PROTOCOL};
use starttls_reference::compare;

fuzz_target!(|input: &[u8]| {
    if let Some(dialogue) = Dialogue::read(input) {
        compare(*PROTOCOL, dialogue.client(), &dialogue.turns, &[dialogue.chunk]);
    }
});
