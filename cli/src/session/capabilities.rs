//! How each protocol lists its capabilities: one row a protocol, and the reading of what comes.

use starttls::{Escaped, Protocol, Side};

use crate::bounded::List;
use crate::report::Turn;

/// What one protocol says after TLS.
pub struct Speech {
    pub protocol: Protocol,
    /// Asks for the capabilities. It is empty where the server lists them by itself, and a beginning where it goes on with
    /// names: the request is then the one that was sent before TLS.
    ask: &'static str,
    form: Form,
    /// How the upgrade is listed, if its specification forbids to list or take it within TLS.
    pub upgrade: Option<&'static str>,
}

/// How capabilities come, and how their list ends.
#[derive(Clone, Copy)]
enum Form {
    /// Lines that begin with this code, the first a greeting: RFC 5321 §4.2.
    Code(&'static str),
    /// The same, but the last line says nothing: RFC 2389 §3.2.
    Feat,
    /// A line that begins so, then one each, then a dot: RFC 2449 §5, RFC 3977 §5.2.
    Dot(&'static str),
    /// `* CAPABILITY …` or `* OK [CAPABILITY …]` until the tagged response: RFC 9051 §6.1.1.
    Tagged,
    /// A line each behind this, up to OK: RFC 5804 §2.4, RFC 3656 §3.8.
    Ok(&'static str),
    /// `* ACAP (…) (…)`: RFC 2244 §6.2.1.
    Acap,
    /// `CAP * LS * :…`, where an asterisk says that there is more: IRCv3.
    Cap,
    /// The children of `<stream:features>`: RFC 6120 §4.3.2.
    Features,
}

/// The tag of the question, where there are tags.
pub const TAG: &str = "S1";

#[rustfmt::skip]
const SPEECHES: [Speech; 12] = [
    speech(Protocol::Smtp, "EHLO ", Form::Code("250"), Some("STARTTLS")),
    speech(Protocol::Lmtp, "LHLO ", Form::Code("250"), Some("STARTTLS")),
    speech(Protocol::Imap, "S1 CAPABILITY\r\n", Form::Tagged, Some("STARTTLS")),
    speech(Protocol::Pop3, "CAPA\r\n", Form::Dot("+OK"), Some("STLS")),
    speech(Protocol::Nntp, "CAPABILITIES\r\n", Form::Dot("101"), Some("STARTTLS")),
    // What FEAT lists, it lists within TLS as well; and AUTH may be repeated (RFC 2228 §3).
    speech(Protocol::Ftp, "FEAT\r\n", Form::Feat, None),
    speech(Protocol::Sieve, "", Form::Ok(""), Some("STARTTLS")),
    speech(Protocol::Xmpp, "<?xml ", Form::Features, Some("starttls")),
    speech(Protocol::XmppServer, "<?xml ", Form::Features, Some("starttls")),
    speech(Protocol::Irc, "CAP LS 302\r\n", Form::Cap, None),
    speech(Protocol::Acap, "", Form::Acap, Some("STARTTLS")),
    speech(Protocol::Mupdate, "", Form::Ok("* "), Some("STARTTLS")),
];

const fn speech(protocol: Protocol, ask: &'static str, form: Form, upgrade: Option<&'static str>) -> Speech {
    Speech { protocol, ask, form, upgrade }
}

impl Speech {
    /// `None` for a protocol whose servers list nothing in text.
    pub fn of(protocol: Protocol) -> Option<&'static Self> {
        SPEECHES.iter().find(|speech| speech.protocol == protocol)
    }

    /// What to ask within TLS, which is nothing if the server lists its capabilities by itself.
    pub fn request<'a>(&self, dialogue: &'a [Turn]) -> &'a [u8] {
        if self.ask.is_empty() || self.ask.ends_with('\n') {
            return self.ask.as_bytes();
        }
        let asked = |turn: &&Turn| turn.from == Side::Client && turn.text.starts_with(self.ask.as_bytes());
        dialogue.iter().find(asked).map_or(b"", |turn| &turn.text)
    }

    /// What the server listed before TLS, in its greeting or when it was asked.
    pub fn before(&self, dialogue: &[Turn]) -> Option<List> {
        let ask = self.ask.strip_prefix(TAG).unwrap_or(self.ask).trim_ascii();
        let mut asked = true;
        let mut before = None;
        for turn in dialogue {
            if turn.from == Side::Client {
                asked = String::from_utf8_lossy(&turn.text).contains(ask);
            } else if asked {
                let mut listing = Listing::new(self);
                let end = listing.end();
                let mut units = turn.text.split_inclusive(|byte| *byte == end);
                let read = units.try_for_each(|unit| listing.push(unit).map(drop));
                if read.is_ok() && !listing.capabilities.entries.is_empty() {
                    before = Some(listing.capabilities);
                }
            }
        }
        before
    }
}

/// A list of capabilities as it arrives.
pub struct Listing {
    form: Form,
    /// Escaped.
    pub capabilities: List,
    begun: bool,
    /// How many XML elements are open.
    depth: usize,
}

/// The server answers, but lists nothing.
pub struct Refused;

impl Listing {
    pub fn new(speech: &Speech) -> Self {
        Self { form: speech.form, capabilities: List::default(), begun: false, depth: 0 }
    }

    /// What a unit ends with.
    pub fn end(&self) -> u8 {
        if matches!(self.form, Form::Features) { b'>' } else { b'\n' }
    }

    /// Takes a line, or a tag with the text before it. True if it was the last.
    pub fn push(&mut self, unit: &[u8]) -> Result<bool, Refused> {
        let line = Escaped(unit.trim_ascii_end()).to_string();
        let first = !std::mem::replace(&mut self.begun, true);
        match self.form {
            Form::Code(code) => {
                let (last, text) = coded(&line, code).ok_or(Refused)?;
                self.extend((!first).then_some(text));
                Ok(last)
            }
            Form::Feat => match coded(&line, "211") {
                None if first => Err(Refused),
                None => Ok(self.extend([line.trim_start()])),
                Some((last, _)) => Ok(last),
            },
            Form::Dot(yes) if first => {
                if line.starts_with(yes) {
                    Ok(false)
                } else {
                    Err(Refused)
                }
            }
            Form::Dot(_) if line == "." => Ok(true),
            Form::Dot(_) => Ok(self.extend([line.as_str()])),
            Form::Tagged => self.tagged(&line),
            Form::Ok(start) => match line.strip_prefix(start).ok_or(Refused)? {
                text if is(text, "OK") => Ok(true),
                text if is(text, "NO") || is(text, "BYE") => Err(Refused),
                text => Ok(self.extend([text])),
            },
            Form::Acap => {
                let list = line.strip_prefix("* ACAP (").ok_or(Refused)?;
                self.extend(list.trim_end_matches(')').split(") ("));
                Ok(true)
            }
            Form::Cap => self.cap(&line),
            Form::Features => self.tag(&line),
        }
    }

    fn tagged(&mut self, line: &str) -> Result<bool, Refused> {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["*", "BYE", ..] | [_, "NO" | "BAD", ..] => Err(Refused),
            ["*", "CAPABILITY", ref listed @ ..] => {
                self.capabilities = List::default();
                Ok(self.extend(listed.iter().copied()))
            }
            ["*", "OK", "[CAPABILITY", ref listed @ ..] => {
                let listed = listed.join(" ");
                self.capabilities = List::default();
                Ok(self.extend(listed.split(']').next().unwrap_or_default().split(' ')))
            }
            ["*" | "+", ..] => Ok(false),
            [_, "OK", ..] => Ok(true),
            _ => Ok(false),
        }
    }

    fn cap(&mut self, line: &str) -> Result<bool, Refused> {
        let words: Vec<_> = line.split(' ').skip_while(|word| word.starts_with(':')).collect();
        match words[..] {
            ["CAP", _, "LS", ref listed @ ..] => {
                let more = listed.first() == Some(&"*");
                self.extend(listed[usize::from(more)..].iter().map(|word| word.trim_start_matches(':')));
                Ok(!more)
            }
            ["ERROR", ..] => Err(Refused),
            [code, ..] if code.len() == 3 && code.starts_with(['4', '5']) => Err(Refused),
            _ => Ok(false),
        }
    }

    /// Features have a name, and some have a text, as `<mechanism>PLAIN</mechanism>` has.
    fn tag(&mut self, unit: &str) -> Result<bool, Refused> {
        let (text, tag) = unit.split_once('<').ok_or(Refused)?;
        let closed = tag.ends_with("/>");
        let qualified = tag.split([' ', '>', '/']).find(|word| !word.is_empty()).unwrap_or_default();
        let name = qualified.rsplit(':').next().unwrap_or_default();
        let ends = name == "features" && (closed || tag.starts_with('/'));
        match tag.as_bytes().first() {
            Some(b'?') => {}
            Some(b'/') => {
                self.depth = self.depth.saturating_sub(1);
                let text = text.trim();
                self.extend((!text.is_empty()).then(|| format!("{name} {text}")).as_deref());
            }
            _ if name == "error" => return Err(Refused),
            _ => {
                // Within the stream, and within its features.
                self.extend((self.depth == 2).then_some(name));
                self.depth += usize::from(!closed);
            }
        }
        Ok(ends)
    }

    /// There is more to come.
    fn extend<'a>(&mut self, listed: impl IntoIterator<Item = &'a str>) -> bool {
        listed.into_iter().filter(|word| !word.is_empty()).for_each(|word| self.capabilities.push(word));
        false
    }
}

/// The text of a line with this code: `250-text`, `250 text` or `250`, and whether it is the last.
fn coded<'a>(line: &'a str, code: &str) -> Option<(bool, &'a str)> {
    let rest = line.strip_prefix(code)?;
    match rest.split_at_checked(1) {
        None => Some((true, "")),
        Some((" ", text)) => Some((true, text)),
        Some(("-", text)) => Some((false, text)),
        Some(_) => None,
    }
}

/// Whether the first word of a capability or response is this.
fn is(text: &str, word: &str) -> bool {
    words(text).next().is_some_and(|first| first.eq_ignore_ascii_case(word))
}

/// Whether a later word of it is this.
fn holds(text: &str, word: &str) -> bool {
    words(text).skip(1).any(|other| other.eq_ignore_ascii_case(word))
}

/// The words of a capability, whatever stands between them: `AUTH PLAIN`, `"SASL" "PLAIN"`, `sasl=PLAIN`.
fn words(capability: &str) -> impl Iterator<Item = &str> {
    capability.split([' ', '=', ',', '"', '(']).filter(|word| !word.is_empty())
}

/// Whether one of the capabilities is this.
pub fn lists(capabilities: &[String], capability: &str) -> bool {
    capabilities.iter().any(|listed| is(listed, capability))
}

/// Whether a login by this mechanism is offered.
pub fn offers(capabilities: &[String], mechanism: &str) -> bool {
    let kinds = ["AUTH", "SASL", "mechanism"];
    let mut auths = capabilities.iter().filter(|listed| kinds.iter().any(|kind| is(listed, kind)));
    auths.any(|listed| holds(listed, mechanism))
}

/// The ways to log in that show the password, or what is as good, to everybody who listens.
pub fn bare_logins(protocol: Protocol, capabilities: &[String]) -> Vec<&'static str> {
    let mechanisms = ["PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"].into_iter();
    let mut bare: Vec<_> = mechanisms.filter(|mechanism| offers(capabilities, mechanism)).collect();
    bare.extend(match protocol {
        Protocol::Imap if !lists(capabilities, "LOGINDISABLED") => Some("the command LOGIN"),
        Protocol::Pop3 if lists(capabilities, "USER") => Some("USER and PASS"),
        Protocol::Nntp
            if lists(capabilities, "AUTHINFO")
                && capabilities.iter().any(|listed| words(listed).any(|word| word.eq_ignore_ascii_case("USER"))) =>
        {
            Some("AUTHINFO USER")
        }
        _ => None,
    });
    bare
}

#[cfg(test)]
mod tests {
    use starttls_replay::Transcript;

    use super::*;

    fn before(protocol: Protocol, name: &str) -> Vec<String> {
        let transcript = Transcript::all(protocol).into_iter().find(|transcript| transcript.name == name).expect(name);
        let turns = transcript.turns.into_iter().map(|turn| match turn {
            starttls_replay::Turn::Client(text) => Turn { from: Side::Client, text },
            starttls_replay::Turn::Server(text) => Turn { from: Side::Server, text },
        });
        let before = Speech::of(protocol).expect("a speech").before(&turns.collect::<Vec<_>>());
        before.unwrap_or_default().entries
    }

    #[test]
    fn what_real_servers_list_is_read() {
        use Protocol::{Acap, Ftp, Imap, Irc, Lmtp, Mupdate, Pop3, Smtp, Xmpp, XmppServer};
        const IMAP: &[&str] =
            &["IMAP4rev1", "SASL-IR", "LOGIN-REFERRALS", "ID", "ENABLE", "IDLE", "LITERAL+", "STARTTLS", "AUTH=PLAIN"];
        let rows: &[(Protocol, &str, &[&str])] = &[
            (
                Smtp,
                "smtp/postfix.txt",
                &[
                    "PIPELINING",
                    "SIZE 10240000",
                    "VRFY",
                    "ETRN",
                    "STARTTLS",
                    "ENHANCEDSTATUSCODES",
                    "8BITMIME",
                    "DSN",
                    "SMTPUTF8",
                    "CHUNKING",
                ],
            ),
            (Lmtp, "lmtp/dovecot.txt", &["8BITMIME", "CHUNKING", "ENHANCEDSTATUSCODES", "PIPELINING", "STARTTLS"]),
            (Imap, "imap/dovecot.txt", IMAP),
            (Pop3, "pop3/dovecot.txt", &[]),
            (
                Pop3,
                "pop3/dovecot-ask.txt",
                &["CAPA", "TOP", "UIDL", "RESP-CODES", "PIPELINING", "AUTH-RESP-CODE", "STLS", "USER", "SASL PLAIN"],
            ),
            (Imap, "imap/dovecot-ask.txt", IMAP),
            (
                Xmpp,
                "xmpp/prosody-optional.txt",
                &["mechanisms", "mechanism SCRAM-SHA-1", "mechanism PLAIN", "starttls"],
            ),
            (
                Ftp,
                "ftp/vsftpd-ask.txt",
                &["AUTH TLS", "EPRT", "EPSV", "MDTM", "PASV", "PBSZ", "PROT", "REST STREAM", "SIZE", "TVFS"],
            ),
            (Xmpp, "xmpp/prosody.txt", &["starttls"]),
            (Irc, "irc/ask-lines.txt", &["multi-prefix", "tls", "account-notify", "sasl=PLAIN"]),
            (Irc, "irc/inspircd-ask.txt", &["inspircd.org/poison", "inspircd.org/standard-replies", "tls"]),
            (Acap, "acap/ask.txt", &["IMPLEMENTATION \"Example 1.0\"", "SASL \"CRAM-MD5\"", "STARTTLS"]),
            (Mupdate, "mupdate/ask.txt", &["AUTH KERBEROS_V4 GSSAPI", "STARTTLS"]),
            (XmppServer, "xmpp-server/prosody.txt", &["starttls", "dialback"]),
        ];
        for (protocol, name, expected) in rows {
            assert_eq!(before(*protocol, name), *expected, "{name}");
        }
    }

    #[test]
    fn what_shows_a_password_is_told_from_what_does_not() {
        use Protocol::{Imap, Irc, Nntp, Pop3, Sieve, Smtp, Xmpp};
        for (protocol, listed, expected) in [
            (Smtp, "SIZE 10|AUTH PLAIN LOGIN", "PLAIN, LOGIN"),
            (Smtp, "AUTH=LOGIN CRAM-MD5", "LOGIN"),
            (Smtp, "AUTH CRAM-MD5 SCRAM-SHA-256|SIZE PLAIN", ""),
            (Imap, "IMAP4rev1|AUTH=PLAIN|LOGINDISABLED", "PLAIN"),
            (Imap, "IMAP4rev1|LOGINDISABLED", ""),
            (Imap, "IMAP4rev1", "the command LOGIN"),
            (Pop3, "USER|SASL PLAIN", "PLAIN, USER and PASS"),
            (Pop3, "TOP|SASL SCRAM-SHA-1", ""),
            (Nntp, "AUTHINFO USER SASL", "AUTHINFO USER"),
            (Nntp, "AUTHINFO SASL|SASL DIGEST-MD5", ""),
            (Sieve, "\"SASL\" \"XOAUTH2 PLAIN\"|\"USER\"", "PLAIN, XOAUTH2"),
            (Xmpp, "mechanisms|mechanism SCRAM-SHA-1|mechanism PLAIN", "PLAIN"),
            (Irc, "tls|sasl=PLAIN,EXTERNAL", "PLAIN"),
        ] {
            let capabilities: Vec<_> = listed.split('|').map(str::to_owned).collect();
            assert_eq!(bare_logins(protocol, &capabilities).join(", "), expected, "{protocol}: {listed}");
        }
    }
}
