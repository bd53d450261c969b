//! MUPDATE (RFC 3656), between the servers of one mail cluster.
//!
//! ```text
//! S: * AUTH GSSAPI
//! S: * STARTTLS
//! S: * OK MUPDATE "mupdate.example" "Example" "1.0" "(master)"
//! C: A7F3 STARTTLS
//! S: A7F3 OK "Begin TLS negotiation now"
//! ```
//!
//! The greeting lists the capabilities, a line each, so there is nothing to ask. Lines in it that mean nothing to the
//! client are passed over (RFC 3656 §3.8). Strings are quoted, or literals.
//!
//! While the command is outstanding the server has one thing to say besides: an untagged `BAD`, for a command whose tag it
//! could not make out (§3.3). `BYE`, with the tag or without, ends the session.
//!
//! After TLS the server speaks first: it sends the whole greeting again, and the client has to forget the first one
//! (§4.10).

use bytes::Bytes;

use super::tagged::{self, Origin, Status};
use super::{Knobs, Start, check, line, word};
use crate::wire::{Excerpt, LongLine, Progress};
use crate::{Dialogue, Error, InvalidName, Reason, Reply, Step, Text};

/// The dialogue of a MUPDATE client.
///
/// `NO` and `BAD` to STARTTLS are refusals; `BYE` ends the session ([`Error::Closing`]).
#[derive(Debug)]
pub struct Mupdate {
    starttls: Bytes,
    tag: Excerpt<16>,
    knobs: Knobs,
    awaiting: Awaiting,
    line: LongLine,
    advertised: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Awaiting {
    Greeting,
    StartTls,
}

impl Mupdate {
    /// A client whose command bears `tag`: 1 to 14 ASCII letters and digits (RFC 3656 §2.1).
    ///
    /// Who can guess the tag can write the answer before the question is asked. Take it from a random source, anew for
    /// each connection.
    ///
    /// # Errors
    /// [`InvalidName`] for any other character or length.
    pub fn new(tag: &str) -> Result<Self, InvalidName> {
        let tag = check("a MUPDATE tag", 14, "letters and digits", |byte| byte.is_ascii_alphanumeric(), tag)?;
        Ok(Self {
            starttls: line(&[tag, " STARTTLS"]),
            tag: Excerpt::of(tag.as_bytes()),
            knobs: Knobs::default(),
            awaiting: Awaiting::Greeting,
            line: LongLine::default(),
            advertised: None,
        })
    }

    /// Sets where to start, and whether to insist. The greeting lists the capabilities, so `ask` changes nothing.
    #[must_use]
    pub fn knobs(self, knobs: Knobs) -> Self {
        Self { knobs, ..self }
    }

    fn send_starttls(&mut self) -> Bytes {
        self.awaiting = Awaiting::StartTls;
        core::mem::take(&mut self.starttls)
    }

    /// Takes a whole line, with its literals.
    fn line(&mut self) -> Result<Step, Error> {
        let tag = self.tag.as_bytes();
        let tag = (self.awaiting != Awaiting::Greeting).then_some(tag);
        let line = self.line.head();
        let (origin, status, response) = tagged::parse(line, tag);
        match (self.awaiting, origin, status) {
            (_, Origin::Untagged | Origin::Tagged, Status::Bye) => Err(Error::Closing(reply(status, response))),
            (Awaiting::Greeting, Origin::Untagged, Status::Ok) if is_mupdate(tagged::text(response)) => {
                let advertised = *self.advertised.get_or_insert(false);
                if advertised || self.knobs.insist {
                    Ok(Step::Send(self.send_starttls()))
                } else {
                    Ok(Step::Decline(Reason::NotAdvertised))
                }
            }
            (Awaiting::Greeting, Origin::Untagged, _) => {
                if line.eq_ignore_ascii_case(b"* STARTTLS") {
                    self.advertised = Some(true);
                }
                Ok(Step::Next)
            }
            (Awaiting::StartTls, Origin::Tagged, Status::Ok) => Ok(Step::Upgrade),
            (Awaiting::StartTls, Origin::Tagged, Status::No | Status::Bad)
            | (Awaiting::StartTls, Origin::Untagged, Status::Bad) => {
                Ok(Step::Decline(Reason::Refused(reply(status, response))))
            }
            _ => Err(Error::Unexpected(Text::new(line))),
        }
    }
}

fn is_mupdate(text: &[u8]) -> bool {
    word(text).0.eq_ignore_ascii_case(b"MUPDATE")
}

fn reply(status: Status, response: &[u8]) -> Reply {
    // No response code promises that the condition will pass.
    tagged::reply(status, response, None)
}

impl Dialogue for Mupdate {
    fn open(&mut self) -> Step {
        match self.knobs.start {
            Start::Greeting => Step::More,
            Start::AfterGreeting | Start::Command => Step::Send(self.send_starttls()),
        }
    }

    fn receive(&mut self, byte: u8) -> Result<Step, Error> {
        match self.line.push(byte) {
            Progress::More => Ok(Step::More),
            Progress::Literal => Ok(Step::Next),
            Progress::Ended => self.line(),
        }
    }

    fn skim(&mut self, input: &[u8]) -> usize {
        self.line.skim(input)
    }

    fn awaiting(&self) -> &'static str {
        match self.awaiting {
            Awaiting::Greeting => "greeting",
            Awaiting::StartTls => "STARTTLS",
        }
    }

    fn advertised(&self) -> Option<bool> {
        self.advertised
    }
}
