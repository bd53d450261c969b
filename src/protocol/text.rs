//! Commands and replies that are text.

use bytes::Bytes;
use memchr::{memchr, memchr_iter, memrchr};

use crate::{Frame, Part};

/// A command line, built before the dialogue begins.
pub(super) fn line(parts: &[&str]) -> Bytes {
    Bytes::from([&parts.concat(), "\r\n"].concat())
}

/// The first word, and what stands behind its space.
pub(super) fn word(line: &[u8]) -> (&[u8], &[u8]) {
    match line.iter().position(|&byte| byte == b' ') {
        Some(space) => (&line[..space], &line[space + 1..]),
        None => (line, b""),
    }
}

/// Whether a line begins with this word, whose letters are given as capitals, in any case.
pub(super) fn begins_with_word<const N: usize>(line: &[u8], word: &[u8; N]) -> bool {
    matches!(strip_word(line, word), Some([] | [b' ', ..]))
}

/// What stands behind these letters, which are given as capitals, in any case.
pub(super) fn strip_word<'a, const N: usize>(line: &'a [u8], capitals: &[u8; N]) -> Option<&'a [u8]> {
    let (first, rest) = line.split_first_chunk::<N>()?;
    // Small letters differ from capitals in this bit alone.
    (first.map(|byte| byte & !0x20) == *capitals).then_some(rest)
}

/// The three digits that a reply begins with, and what stands behind them.
pub(crate) fn code(line: &[u8]) -> Option<(u16, &[u8])> {
    let [hundreds @ b'0'..=b'9', tens @ b'0'..=b'9', ones @ b'0'..=b'9', rest @ ..] = line else { return None };
    let [hundreds, tens, ones] = [hundreds, tens, ones].map(|digit| u16::from(digit - b'0'));
    Some((hundreds * 100 + tens * 10 + ones, rest))
}

/// The lines of a reply, without their ends, which the last lacks already.
pub(crate) fn lines(reply: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    memchr_iter(b'\n', reply).chain([reply.len()]).map(move |end| {
        let line = &reply[start..end];
        start = end + 1;
        if end == reply.len() { line } else { line.strip_suffix(b"\r").unwrap_or(line) }
    })
}

/// The last line of a reply.
pub(super) fn last_line(reply: &[u8]) -> &[u8] {
    &reply[memrchr(b'\n', reply).map_or(0, |end| end + 1)..]
}

/// How a line goes on that may hold literals: each is announced at the end of what stands ahead of it.
pub(super) fn long_line(last: Part<'_>) -> Frame {
    match last {
        Part::Line(line) => literal(line, true).map_or(Frame::Whole, Frame::Exactly),
        Part::Nothing | Part::Bytes(_) => Frame::Line,
    }
}

/// The length of the literal that a line announces: `{n}` (RFC 9051 §4.3) or, if it may ask for no leave, `{n+}` (RFC 7888).
/// A length that overflows is over any limit: it stays at the most that there is.
pub(super) fn literal(line: &[u8], or_plus: bool) -> Option<u32> {
    announced(line, or_plus).map(|(_, length)| length)
}

/// The pieces of a line that stand between its literals.
pub(super) fn outside_literals(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    core::iter::from_fn(move || {
        let line = rest?;
        let Some(end) = memchr(b'\n', line) else { return rest.take() };
        let piece = line[..end].strip_suffix(b"\r").unwrap_or(&line[..end]);
        rest = line.get(end + 1 + literal(piece, true).unwrap_or(0) as usize..);
        Some(piece)
    })
}

/// The octets of the literal that a text begins with, and what stands behind them.
pub(super) fn strip_literal(text: &[u8]) -> Option<(&[u8], &[u8])> {
    if !text.starts_with(b"{") {
        return None;
    }
    let end = text.iter().position(|&byte| byte == b'\n')? + 1;
    let (ahead, length) = announced(lines(&text[..end]).next()?, true)?;
    text[end..].split_at_checked(length as usize).filter(|_| ahead.is_empty())
}

fn announced(line: &[u8], or_plus: bool) -> Option<(&[u8], u32)> {
    let line = line.strip_suffix(b"}")?;
    let line = if or_plus { line.strip_suffix(b"+").unwrap_or(line) } else { line };
    let brace = line.iter().rposition(|byte| !byte.is_ascii_digit())?;
    let digit = |length: u32, digit: &u8| length.saturating_mul(10).saturating_add(u32::from(digit - b'0'));
    match &line[brace..] {
        [b'{', digits @ ..] if !digits.is_empty() => Some((&line[..brace], digits.iter().fold(0, digit))),
        _ => None,
    }
}
