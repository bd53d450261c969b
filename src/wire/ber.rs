//! Elements of BER (X.690 §8.1): tags of one byte, definite lengths in any form of up to four bytes.

use crate::Frame;

/// How an element goes on that has this tag.
pub fn frame(begun: &[u8], tag: u8) -> Frame {
    match begun {
        [] => Frame::Exactly(2),
        [first, rest @ ..] if *first == tag => match (rest, length(rest)) {
            (_, Some((length, []))) => Frame::body(length),
            ([0x81..=0x84], None) => Frame::Exactly(u32::from(rest[0] - 0x80)),
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

/// Whether these are elements of any tag, and none is within another.
pub fn are_flat(mut bytes: &[u8]) -> bool {
    while let [tag, ..] = bytes
        && tag & 0x1f != 0x1f
        && let Some((content, rest)) = element(bytes, *tag)
        && (tag & 0x20 == 0 || content.is_empty())
    {
        bytes = rest;
    }
    bytes.is_empty()
}

/// A length, and what stands behind it.
fn length(bytes: &[u8]) -> Option<(u32, &[u8])> {
    match bytes {
        [short @ 0..=0x7f, rest @ ..] => Some((u32::from(*short), rest)),
        [long @ 0x81..=0x84, rest @ ..] => {
            let (digits, rest) = rest.split_at_checked(usize::from(long - 0x80))?;
            Some((digits.iter().fold(0, |length, digit| length << 8 | u32::from(*digit)), rest))
        }
        _ => None,
    }
}
