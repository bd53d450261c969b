//! MUPDATE (RFC 3656), between the servers of one mail cluster.

use bytes::Bytes;

use super::tagged::{self, Origin, Status};
use super::{Options, Start, begins_with_word, check, is_text, line, lines, long_line, word};
use crate::wire::Excerpt;
use crate::{Dialogue, Error, Frame, InvalidName, Part, Reason, Reply, Step};

/// The dialogue of a MUPDATE client.
///
/// `NO` and `BAD` to STARTTLS are refusals; `BYE` ends the session ([`Error::Closing`]).
///
/// # The dialogue
///
/// ```text
/// S: * AUTH GSSAPI
/// S: * STARTTLS
/// S: * OK MUPDATE "mupdate.example" "Example" "1.0" "(master)"
/// C: A7F3 STARTTLS
/// S: A7F3 OK "Begin TLS negotiation now"
/// ```
///
/// The greeting lists the capabilities, a line each, so there is nothing to ask. Lines in it that mean nothing to the
/// client are passed over (RFC 3656 §3.8). Strings are quoted, or literals.
///
/// While the command is outstanding the server has one thing to say besides: an untagged `BAD`, for a command whose tag it
/// could not make out (§3.3). `BYE`, with the tag or without, ends the session.
///
/// # After TLS
///
/// The server speaks first: it sends the whole greeting again, and the client has to forget the first one
/// (§4.10).
///
/// # Example
///
/// ```
/// use starttls::{Negotiation, protocol::Mupdate};
///
/// let mut negotiation = Negotiation::required(Mupdate::new("A7F3")?);
/// negotiation.handle_input(b"* AUTH KERBEROS_V4 GSSAPI\r\n\
///     * STARTTLS\r\n\
///     * OK MUPDATE \"mupdate.example.org\" \"Cyrus\" \"v2.1.2\" \"(master)\"\r\n")?;
/// assert_eq!(negotiation.poll_transmit().unwrap(), b"A7F3 STARTTLS\r\n"[..]);
/// negotiation.handle_input(b"A7F3 OK \"Begin TLS negotiation now\"\r\n")?;
/// let upgrade: starttls::Upgrade = negotiation.finish()?;
/// # let _ = upgrade;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Mupdate {
    starttls: Bytes,
    tag: Excerpt<16>,
    options: Options,
    awaiting: Awaiting,
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
            options: Options::default(),
            awaiting: Awaiting::Greeting,
            advertised: None,
        })
    }

    /// Sets where to start, and whether to insist. The greeting lists the capabilities, so `ask` changes nothing.
    #[must_use]
    pub fn options(self, options: Options) -> Self {
        Self { options, ..self }
    }

    fn send_starttls(&mut self) -> Step {
        self.awaiting = Awaiting::StartTls;
        Step::Send(core::mem::take(&mut self.starttls))
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
        match self.options.start {
            Start::Greeting => Step::More,
            Start::AfterGreeting | Start::Command => self.send_starttls(),
        }
    }

    fn frame(&self, _: &[u8], last: Part<'_>) -> Frame {
        long_line(last)
    }

    fn receive(&mut self, line: &[u8]) -> Result<Step, Error> {
        let tag = (self.awaiting != Awaiting::Greeting).then(|| self.tag.as_bytes());
        let (origin, status, response) = tagged::parse(line, tag);
        match (self.awaiting, origin, status) {
            (_, Origin::Untagged | Origin::Tagged, Status::Bye) => Err(Error::Closing(reply(status, response))),
            (Awaiting::Greeting, Origin::Untagged, Status::Ok) if is_mupdate(tagged::text(response)) => {
                let advertised = *self.advertised.get_or_insert(false);
                let declines = !advertised && !self.options.insist;
                Ok(if declines { Step::Decline(Reason::NotAdvertised) } else { self.send_starttls() })
            }
            (Awaiting::Greeting, Origin::Untagged, _) => {
                if begins_with_word(response, b"STARTTLS") {
                    self.advertised = Some(true);
                }
                Ok(Step::Next)
            }
            (Awaiting::StartTls, Origin::Tagged, Status::Ok) if lines(line).next().is_some_and(is_text) => {
                Ok(Step::Upgrade)
            }
            (Awaiting::StartTls, Origin::Tagged, Status::No | Status::Bad)
            | (Awaiting::StartTls, Origin::Untagged, Status::Bad) => {
                Ok(Step::Decline(Reason::Refused(reply(status, response))))
            }
            _ => Err(Error::unexpected(line)),
        }
    }

    /// `BYE`, untagged.
    fn speaks_unasked(&self) -> bool {
        true
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
