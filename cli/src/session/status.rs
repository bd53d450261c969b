//! What may be shown of the reply to a login: its status.
//!
//! A server can repeat the password in any spelling, and no search would find them all. So nothing that it says behind a
//! secret is shown. What is shown are words from this file: the reply only chooses among them.

use std::fmt::{self, Display, Formatter};
use std::io;

use serde::{Serialize, Serializer};
use starttls::Protocol;

use super::conversation;

/// The status of a reply, or why there is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Status {
    word: &'static str,
    /// What tells more, in the form that the protocol has for it.
    code: &'static str,
}

/// The reply codes of RFC 4954 §4 and §6 and of RFC 5321 §4.2.3, and others that IANA's registry of enhanced codes has for them.
const REPLY_CODES: &[&str] = &[
    "235", "334", "421", "432", "450", "451", "452", "454", "500", "501", "502", "503", "504", "521", "523", "524",
    "525", "530", "534", "535", "538", "550", "553", "554", "571",
];

/// The enhanced status codes of RFC 4954 §6, others of IANA's registry that may answer any command, and two of Exchange's.
const ENHANCED_CODES: &[&str] = &[
    "2.0.0", "2.7.0", "4.0.0", "4.3.0", "4.3.2", "4.4.2", "4.5.0", "4.7.0", "4.7.1", "4.7.12", "4.7.13", "5.0.0",
    "5.3.0", "5.3.2", "5.5.0", "5.5.1", "5.5.2", "5.5.4", "5.5.6", "5.7.0", "5.7.1", "5.7.3", "5.7.8", "5.7.9",
    "5.7.10", "5.7.11", "5.7.12", "5.7.13", "5.7.14", "5.7.57", "5.7.139",
];

/// The statuses of RFC 9051 §7.1.
const IMAP: &[&str] = &["OK", "NO", "BAD"];

/// RFC 9051 §7.6.
const IMAP_UNTAGGED: &[&str] = &["+"];

/// Those response codes of RFC 9051 §7.1, which has those of RFC 5530, that may answer a login, and have no arguments.
const IMAP_CODES: &[&str] = &[
    "[ALERT]",
    "[AUTHENTICATIONFAILED]",
    "[AUTHORIZATIONFAILED]",
    "[CANNOT]",
    "[CLIENTBUG]",
    "[CONTACTADMIN]",
    "[EXPIRED]",
    "[INUSE]",
    "[LIMIT]",
    "[NOPERM]",
    "[PARSE]",
    "[PRIVACYREQUIRED]",
    "[SERVERBUG]",
    "[UNAVAILABLE]",
];

/// RFC 1939 §3.
const POP3: &[&str] = &["+OK", "-ERR"];

/// RFC 2449 §8, RFC 3206 §4, RFC 6856 §5.
const POP3_CODES: &[&str] = &["[LOGIN-DELAY]", "[IN-USE]", "[SYS/TEMP]", "[SYS/PERM]", "[AUTH]", "[UTF8]"];

impl Status {
    /// Of the last line of a reply, which is under this tag if the protocol has tags.
    pub fn of(protocol: Protocol, tag: &str, line: &[u8]) -> Self {
        let mut words = line.trim_ascii_end().split(|byte| *byte == b' ').peekable();
        let (statuses, codes) = match protocol {
            Protocol::Imap if words.next_if_eq(&tag.as_bytes()).is_some() => (IMAP, IMAP_CODES),
            Protocol::Imap => (IMAP_UNTAGGED, IMAP_CODES),
            Protocol::Pop3 => (POP3, POP3_CODES),
            _ => (REPLY_CODES, ENHANCED_CODES),
        };
        let word = words.next().unwrap_or_default();
        Self {
            word: one_of(statuses, word).unwrap_or("an unknown status"),
            code: one_of(codes, words.next().unwrap_or_default()).unwrap_or_default(),
        }
    }

    /// Of a reply that did not come.
    pub fn missing(error: &io::Error) -> Self {
        Self { word: conversation::reason(error), code: "" }
    }

    /// Whether it is this.
    pub fn is(self, word: &str) -> bool {
        self.word == word
    }
}

fn one_of(all: &'static [&'static str], word: &[u8]) -> Option<&'static str> {
    all.iter().copied().find(|one| one.as_bytes().eq_ignore_ascii_case(word))
}

impl Display for Status {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.word)?;
        if self.code.is_empty() { Ok(()) } else { write!(f, " {}", self.code) }
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
