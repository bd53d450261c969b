//! How much of what a peer says gets into a report. What is left out is counted, and every output says so.

use starttls::Escaped;

/// Characters of one text, escapes included: a name, a reply, a message.
pub const TEXT: usize = 512;
/// Entries of one list.
pub const ENTRIES: usize = 256;
/// Characters of all entries of one list.
pub const LIST: usize = 8 << 10;
/// Bytes of the plaintext dialogue, before they are escaped.
pub const DIALOGUE: usize = 16 << 10;

/// Any bytes, escaped, and no more than [`TEXT`] of it.
pub fn text(bytes: &[u8]) -> String {
    cut(&Escaped(bytes).to_string())
}

/// The first [`TEXT`] characters of what is escaped already.
pub fn cut(text: &str) -> String {
    match text.char_indices().nth(TEXT) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}... ({} more characters)", &text[..end], text[end..].chars().count()),
    }
}

/// The beginning of a list of escaped texts.
#[derive(Debug)]
pub struct List {
    pub entries: Vec<String>,
    /// How many more there are.
    pub omitted: usize,
    /// For how many characters there is room.
    pub room: usize,
}

impl Default for List {
    fn default() -> Self {
        Self::new(LIST)
    }
}

impl List {
    pub fn new(room: usize) -> Self {
        Self { entries: Vec::new(), omitted: 0, room }
    }

    /// Adds an entry; or counts it, if there is no room for it or was none for one before it.
    pub fn push(&mut self, entry: &str) {
        let entry = cut(entry);
        match self.room.checked_sub(entry.len()) {
            Some(room) if self.omitted == 0 && self.entries.len() < ENTRIES => {
                self.room = room;
                self.entries.push(entry);
            }
            _ => self.omitted += 1,
        }
    }
}

/// What to say behind a list of which so many entries are left out, if any are.
pub fn and_more(omitted: usize) -> String {
    if omitted == 0 { String::new() } else { format!(" and {omitted} more") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_and_says_so() {
        assert_eq!(text(b"a\x1b\n"), "a\\x1b\\n");
        assert_eq!(text(&[b'x'; TEXT]), "x".repeat(TEXT));
        assert_eq!(text(&[b'x'; TEXT + 1]), "x".repeat(TEXT) + "... (1 more characters)");
        assert_eq!(text(&[0; TEXT]), "\\x00".repeat(TEXT / 4) + "... (1536 more characters)");
        assert_eq!(cut(&"\u{fc}".repeat(TEXT + 2)), "\u{fc}".repeat(TEXT) + "... (2 more characters)");
    }

    #[test]
    fn a_list_is_cut_in_number_and_in_length() {
        let mut list = List::default();
        (0..2 * ENTRIES).for_each(|number| list.push(&number.to_string()));
        assert_eq!((list.entries.len(), list.omitted), (ENTRIES, ENTRIES));
        let mut list = List::new(10);
        ["four", "five5", "six", ""].iter().for_each(|entry| list.push(entry));
        assert_eq!((list.entries, list.omitted, list.room), (vec!["four".to_owned(), "five5".to_owned()], 2, 1));
    }
}
