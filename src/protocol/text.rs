//! Commands and replies that are text.

use bytes::Bytes;

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
#[inline]
pub(super) fn begins_with_word<const N: usize>(line: &[u8], word: &[u8; N]) -> bool {
    matches!(strip_word(line, word), Some([] | [b' ', ..]))
}

/// What stands behind these letters, which are given as capitals, in any case.
#[inline]
pub(super) fn strip_word<'a, const N: usize>(line: &'a [u8], capitals: &[u8; N]) -> Option<&'a [u8]> {
    let (first, rest) = line.split_first_chunk::<N>()?;
    // Small letters differ from capitals in this bit alone.
    (first.map(|byte| byte & !0x20) == *capitals).then_some(rest)
}

/// The three digits that a reply begins with, and what stands behind them.
#[inline]
pub(super) fn code(line: &[u8]) -> Option<(u16, &[u8])> {
    let [hundreds @ b'0'..=b'9', tens @ b'0'..=b'9', ones @ b'0'..=b'9', rest @ ..] = line else { return None };
    let [hundreds, tens, ones] = [hundreds, tens, ones].map(|digit| u16::from(digit - b'0'));
    Some((hundreds * 100 + tens * 10 + ones, rest))
}

/// A word that this byte ended. Only the carriage return of a line's end is no part of it.
pub(super) fn ended(word: &[u8], by: u8) -> &[u8] {
    match word {
        [word @ .., b'\r'] if by == b'\n' => word,
        word => word,
    }
}
