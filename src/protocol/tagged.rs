//! The responses of IMAP, ACAP and MUPDATE: `* STATUS text` and `tag STATUS text`.

use super::word;
use crate::{Code, Reply, Text};

/// Whom a response is for.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Origin {
    /// `*`: no command in particular.
    Untagged,
    /// The command that bears our tag.
    Tagged,
    Other,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Status {
    Ok,
    No,
    Bad,
    Bye,
    Preauth,
    Data,
}

/// Splits a response. The tag is `None` while no command is outstanding.
#[inline]
pub(super) fn parse<'a>(line: &'a [u8], tag: Option<&[u8]>) -> (Origin, Status, &'a [u8]) {
    let (origin, response) = if let Some(response) = line.strip_prefix(b"* ") {
        (Origin::Untagged, response)
    } else if let Some(response) = tag.and_then(|tag| line.strip_prefix(tag)?.strip_prefix(b" ")) {
        (Origin::Tagged, response)
    } else {
        (Origin::Other, line)
    };
    let (status, text) = word(response);
    let status = match () {
        _ if status.eq_ignore_ascii_case(b"OK") => Status::Ok,
        _ if status.eq_ignore_ascii_case(b"NO") => Status::No,
        _ if status.eq_ignore_ascii_case(b"BAD") => Status::Bad,
        _ if status.eq_ignore_ascii_case(b"BYE") => Status::Bye,
        _ if status.eq_ignore_ascii_case(b"PREAUTH") => Status::Preauth,
        _ => Status::Data,
    };
    (origin, status, text)
}

/// A negative response, which is temporary if it bears the response code that says so.
pub(super) fn reply(status: Status, text: &[u8], temporary: Option<&[u8]>) -> Reply {
    let code = match status {
        Status::Bad => "BAD",
        Status::Bye => "BYE",
        _ => "NO",
    };
    let temporary = temporary.is_some_and(|temporary| word(text).0.eq_ignore_ascii_case(temporary));
    Reply { code: Code::Word(code), text: Text::new(text), temporary }
}
