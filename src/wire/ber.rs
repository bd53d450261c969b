//! Elements of BER (X.690 §8.1): tags of one byte, and definite lengths in any form. A length that overflows is over any limit: it
//! stays at the most that there is.

use crate::Frame;

/// How an element goes on that has this tag.
pub fn frame(begun: &[u8], tag: u8) -> Frame {
    match begun {
        [] => Frame::Exactly(2),
        [first, rest @ ..] if *first == tag => match (rest, length(rest)) {
            (_, Some((length, []))) => Frame::body(length),
            ([count @ 0x81..=0xfe], None) => Frame::Exactly(u32::from(count - 0x80)),
            (_, Some(_)) => Frame::Whole,
            (_, None) => Frame::Unexpected,
        },
        _ => Frame::Unexpected,
    }
}

/// Takes an element off the front, if it has this tag: its content, and what stands behind it.
pub fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (length, rest) = length(bytes.strip_prefix(&[tag])?)?;
    rest.split_at_checked(length as usize)
}

/// Takes an element off the front that may be missing.
pub fn optional<'a>(bytes: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (content, rest) = element(bytes, tag)?;
    *bytes = rest;
    Some(content)
}

/// Whether these are elements that have this tag, and contents like that.
pub fn are(mut bytes: &[u8], tag: u8, fits: impl Fn(&[u8]) -> bool) -> bool {
    while let Some((content, rest)) = element(bytes, tag) {
        if !fits(content) {
            return false;
        }
        bytes = rest;
    }
    bytes.is_empty()
}

/// Whether these are elements of other tags than these.
pub fn are_others(mut bytes: &[u8], known: &[u8]) -> bool {
    while let [tag, ..] = bytes
        && tag & 0x1f != 0x1f
        && !known.contains(tag)
        && let Some((_, rest)) = element(bytes, *tag)
    {
        bytes = rest;
    }
    bytes.is_empty()
}

/// A length, and what stands behind it.
fn length(bytes: &[u8]) -> Option<(u32, &[u8])> {
    match bytes {
        [short @ 0..=0x7f, rest @ ..] => Some((u32::from(*short), rest)),
        [long @ 0x81..=0xfe, rest @ ..] => {
            let (digits, rest) = rest.split_at_checked(usize::from(long - 0x80))?;
            let digit =
                |length: u32, digit: &u8| length.checked_mul(256).map_or(u32::MAX, |length| length | u32::from(*digit));
            Some((digits.iter().fold(0, digit), rest))
        }
        _ => None,
    }
}
