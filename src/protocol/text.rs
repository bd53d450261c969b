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

/// The three digits that a reply begins with, and what stands behind them.
pub(super) fn code(line: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, rest) = line.split_first_chunk::<3>()?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some((digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0')), rest))
}

/// A word that this byte ended. Only the carriage return of a line's end is no part of it.
pub(super) fn ended(word: &[u8], by: u8) -> &[u8] {
    match word {
        [word @ .., b'\r'] if by == b'\n' => word,
        word => word,
    }
}
