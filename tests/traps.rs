//! What an earlier shape of the core let a dialogue, or whoever writes one, get wrong.

use starttls::protocol::Imap;
use starttls::{Dialogue, Error, Frame, Negotiation, Part, Protocol, Step};
use starttls_replay::{Transcript, client};

/// A line protocol whose server says OK.
struct Okay;

impl Dialogue for Okay {
    fn open(&mut self) -> Step {
        Step::More
    }

    fn receive(&mut self, line: &[u8]) -> Result<Step, Error> {
        if line == b"OK" { Ok(Step::Upgrade) } else { Err(Error::unexpected(line)) }
    }

    fn awaiting(&self) -> &'static str {
        "greeting"
    }
}

#[test]
fn the_beginning_of_a_line_is_never_taken_for_the_line() {
    for line in ["OK, but no\r\n", "OK \r\n", "OK\r\r\n", "OK\0\n"] {
        for size in 1..=line.len() {
            let mut negotiation = Negotiation::required(Okay);
            let heard = line.as_bytes().chunks(size).try_for_each(|chunk| negotiation.handle_input(chunk));
            assert!(matches!(heard, Err(Error::Unexpected(_))), "{line:?}, {size} bytes at a time: {heard:?}");
        }
    }
}

/// A packet protocol whose header is a length, which counts itself.
struct Counted;

impl Dialogue for Counted {
    fn open(&mut self) -> Step {
        Step::More
    }

    fn frame(&self, begun: &[u8], _: Part<'_>) -> Frame {
        match *begun {
            [] => Frame::Exactly(2),
            [high, low] => match u16::from_be_bytes([high, low]).checked_sub(2) {
                Some(length) => Frame::body(length.into()),
                None => Frame::Unexpected,
            },
            _ => Frame::Whole,
        }
    }

    fn receive(&mut self, _: &[u8]) -> Result<Step, Error> {
        Ok(Step::Upgrade)
    }

    fn awaiting(&self) -> &'static str {
        "greeting"
    }
}

#[test]
fn what_comes_behind_a_bad_length_meets_the_same_error() {
    let behind_its_header = |mut negotiation: Negotiation<Box<dyn Dialogue>, _>, header: &[u8]| {
        let _ = negotiation.poll_transmit();
        if let Err(error) = header.chunks(1).try_for_each(|byte| negotiation.handle_input(byte)) {
            for more in [&b"\0"[..], b"\xff\xff", header] {
                assert_eq!(negotiation.handle_input(more), Err(error.clone()));
            }
        }
    };
    for length in 0..=u8::MAX {
        behind_its_header(Negotiation::required(Box::new(Counted)), &[0, length]);
    }
    // Each byte of a first packet, or line, with any value: lengths that are too small for what they count are among them.
    for protocol in Protocol::all() {
        let usual = Transcript::usual(protocol);
        let turn = usual.server().next().expect("a turn");
        for at in 0..turn.len().min(12) {
            for value in 0..=u8::MAX {
                let mut header = turn[..at].to_vec();
                header.push(value);
                let dialogue: Box<dyn Dialogue> = protocol.dialogue(&client(usual.options)).expect("a valid client");
                behind_its_header(Negotiation::required(dialogue), &header);
            }
        }
    }
}

#[test]
fn a_long_list_that_is_no_greeting_is_read_alike_however_it_was_split() {
    let line = format!("* CAPABILITY{} STARTTLS\r\n", " WORD".repeat(60));
    let advertised = |size| {
        let mut negotiation = Negotiation::required(Imap::new("A7F3").unwrap());
        let heard = line.as_bytes().chunks(size).try_for_each(|chunk| negotiation.handle_input(chunk));
        assert!(matches!(heard, Err(Error::Unexpected(_))), "{size} bytes at a time: {heard:?}");
        negotiation.advertised()
    };
    for size in 1..line.len() {
        assert_eq!(advertised(size), advertised(line.len()), "{size} bytes at a time");
    }
}
