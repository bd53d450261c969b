//! The responses of IMAP, ACAP and MUPDATE: `* STATUS text` and `tag STATUS text`.

use super::{begins_with_word, no, word};
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

/// Whom a response is for, its status, and all that stands behind the tag. The tag is `None` while no command is
/// outstanding.
pub(super) fn parse<'a>(line: &'a [u8], tag: Option<&[u8]>) -> (Origin, Status, &'a [u8]) {
    let (origin, response) = if let Some(response) = line.strip_prefix(b"* ") {
        (Origin::Untagged, response)
    } else if let Some(response) = tag.and_then(|tag| line.strip_prefix(tag)?.strip_prefix(b" ")) {
        (Origin::Tagged, response)
    } else {
        (Origin::Other, line)
    };
    let status = match () {
        _ if begins_with_word(response, b"OK") => Status::Ok,
        _ if no(response, b"NO").is_some() => Status::No,
        _ if no(response, b"BAD").is_some() => Status::Bad,
        _ if no(response, b"BYE").is_some() => Status::Bye,
        _ if no(response, b"PREAUTH").is_some() => Status::Preauth,
        _ => Status::Data,
    };
    (origin, status, response)
}

/// What stands behind the status.
pub(super) fn text(response: &[u8]) -> &[u8] {
    let end = response.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(response.len());
    match &response[end..] {
        [b' ' | b'\t', text @ ..] => text,
        text => text,
    }
}

/// A negative response, which is temporary if it bears the response code that says so.
pub(super) fn reply(status: Status, response: &[u8], temporary: Option<&[u8]>) -> Reply {
    let code = match status {
        Status::Bad => "BAD",
        Status::Bye => "BYE",
        _ => "NO",
    };
    let text = text(response);
    let temporary = temporary.is_some_and(|temporary| word(text).0.eq_ignore_ascii_case(temporary));
    Reply { code: Code::Word(code), text: Text::new(text), temporary }
}
