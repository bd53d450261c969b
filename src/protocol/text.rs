//! Commands and replies that are text.

use bytes::Bytes;
use memchr::{memchr, memchr_iter, memchr2, memrchr};

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

/// The code and the text of a reply of one line. A *yes* is `234 text` or `234`; between a *no* and its text may stand anything
/// but a letter or a digit.
pub(super) fn status(line: &[u8]) -> Option<(u16, &[u8])> {
    match code(line)? {
        (code, []) => Some((code, b"")),
        (code, [b' ', text @ ..]) => Some((code, text)),
        (code @ 400..=599, [other, text @ ..]) if !other.is_ascii_alphanumeric() => {
            Some((code, text.trim_ascii_start()))
        }
        _ => None,
    }
}

/// The code and the text of a reply of several lines. The code is that of the last line, and the text that of all lines, unless
/// the first has another code.
pub(super) fn reply_status(reply: &[u8]) -> Option<(u16, &[u8])> {
    let last = last_line(reply);
    let (code, text) = status(last)?;
    Some((code, if reply.starts_with(&last[..3]) { reply.get(4..).unwrap_or_default() } else { text }))
}

/// Whether a line of a list begins with this keyword, which is given in capitals. `None` if none does, but the list has lines that do
/// not begin with a keyword at all: it was not understood, and the keyword may be in it.
pub(super) fn lists<'a, const N: usize>(
    list: impl Iterator<Item = &'a [u8]> + Clone,
    keyword: &[u8; N],
) -> Option<bool> {
    let is_known = |line: &[u8]| match word(line).0 {
        [first, rest @ ..] => first.is_ascii_alphanumeric() && rest.iter().all(u8::is_ascii_graphic),
        [] => line.is_empty(),
    };
    match list.clone().any(|line| begins_with_word(line, keyword)) {
        true => Some(true),
        false => list.clone().all(is_known).then_some(false),
    }
}

/// What stands behind a word that says *no*, which is given in capitals: in any case, and with anything but a letter or a digit
/// behind it.
pub(super) fn no<'a, const N: usize>(line: &'a [u8], word: &[u8; N]) -> Option<&'a [u8]> {
    match strip_word(line, word)? {
        [b' ' | b'\t', text @ ..] => Some(text),
        [other, ..] if other.is_ascii_alphanumeric() => None,
        text => Some(text),
    }
}

/// Whether neither NUL nor a carriage return stands within a line. What says *yes* is no more than text.
pub(super) fn is_text(reply: &[u8]) -> bool {
    lines(reply).all(|line| memchr2(0, b'\r', line).is_none())
}

/// The lines of a reply, without their ends, which the last lacks already.
pub(crate) fn lines(reply: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
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
