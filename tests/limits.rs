//! A server that does not stop talking is stopped, in constant memory, exactly at the limit.

use allocation_counter::measure;
use starttls::protocol::{Acap, Ftp, Imap, Irc, Knobs, Munin, Mupdate, Nntp, Nut, Pop3, Sieve, Smtp, Start};
use starttls::{Dialogue, Error, Limit, Limits, Negotiation, Protocol};
use starttls_replay::Transcript;

const ASK: Knobs = Knobs { start: Start::AfterGreeting, ask: true, insist: false };

/// Feeds `first` once and `again` for ever, in chunks of `size`. Returns the error, after how many bytes it came, and
/// how many bytes of memory it took.
fn endless(dialogue: impl Dialogue, limits: Limits, first: &[u8], again: &[u8], size: usize) -> (Error, usize, u64) {
    let mut negotiation = Negotiation::required(dialogue).limits(limits);
    let mut bytes = first.iter().chain(again.iter().cycle()).copied();
    let mut chunk = vec![0; size];
    let mut fed = 0;
    let mut failure = None;
    let memory = measure(|| {
        while failure.is_none() {
            let _ = negotiation.poll_transmit();
            chunk.fill_with(|| bytes.next().expect("endless"));
            failure = negotiation.handle_input(&chunk).err();
            fed += size;
        }
    });
    (failure.expect("it failed"), fed, memory.bytes_max)
}

#[test]
fn endless_replies_are_refused() {
    let smtp = || Smtp::new("client.example").unwrap();
    let lmtp = || Smtp::lmtp("client.example").unwrap();
    let imap = || Imap::new("A7F3").unwrap();
    let acap = || Acap::new("A7F3").unwrap();
    let mupdate = || Mupdate::new("A7F3").unwrap();
    let Limits { line, lines, .. } = Limits::default();
    let (line, lines) = (line as usize, lines as usize);
    // The byte that is one too many is the one behind the longest line, or the end of the line behind the last.
    type Row = (&'static str, Limit, usize, Box<dyn Dialogue>, &'static str, &'static str);
    let rows: [Row; 30] = [
        ("smtp line", Limit::Line, line + 1, Box::new(smtp()), "220 ", "x"),
        ("smtp line without a code", Limit::Line, line + 1, Box::new(smtp()), "", "\0"),
        ("smtp greeting", Limit::Lines, (lines + 1) * 7, Box::new(smtp()), "", "220-a\r\n"),
        ("smtp hello", Limit::Lines, (lines + 1) * 8, Box::new(smtp().knobs(ASK)), "", "250-ab\r\n"),
        ("lmtp hello", Limit::Lines, (lines + 1) * 8, Box::new(lmtp().knobs(ASK)), "", "250-ab\r\n"),
        ("imap line", Limit::Line, line + 1, Box::new(imap()), "* OK ", "x"),
        ("imap untagged", Limit::Lines, (lines + 1) * 6, Box::new(imap().knobs(ASK)), "", "* OK\r\n"),
        ("imap capability", Limit::Line, line + 1, Box::new(imap().knobs(ASK)), "* CAPABILITY", " X"),
        (
            "imap literal",
            Limit::Line,
            18 + line + 1,
            Box::new(imap().knobs(ASK)),
            "* A {99999999999}\n",
            "A7F3C OK\r\n",
        ),
        ("imap literals", Limit::Lines, 4 + lines * 6 + 5, Box::new(imap().knobs(ASK)), "* A ", "{0}\r\n "),
        ("pop3 line", Limit::Line, line + 1, Box::new(Pop3::new()), "+OK ", "x"),
        ("pop3 list", Limit::Lines, 5 + lines * 3, Box::new(Pop3::new().knobs(ASK)), "+OK\r\n", "A\r\n"),
        ("nntp line", Limit::Line, line + 1, Box::new(Nntp::new()), "200 ", "x"),
        ("nntp list", Limit::Lines, 5 + lines * 3, Box::new(Nntp::new().knobs(ASK)), "101\r\n", "A\r\n"),
        ("ftp line", Limit::Line, line + 1, Box::new(Ftp::new()), "220-", "x"),
        ("ftp greeting", Limit::Lines, (lines + 1) * 6, Box::new(Ftp::new()), "220-\r\n", "220-\r\n"),
        ("ftp delays", Limit::Turns, 9 * 5, Box::new(Ftp::new()), "", "120\r\n"),
        ("sieve line", Limit::Line, line + 1, Box::new(Sieve::new()), "\"A\" ", "x"),
        ("sieve capabilities", Limit::Lines, (lines + 1) * 5, Box::new(Sieve::new()), "", "\"A\"\r\n"),
        ("sieve literal", Limit::Line, 15 + line + 1, Box::new(Sieve::new()), "{99999999999}\r\n", "\"A\"\r\n"),
        ("sieve literals", Limit::Lines, (lines + 1) * 5, Box::new(Sieve::new()), "", "{0+}\n"),
        ("irc line", Limit::Line, line + 1, Box::new(Irc::new()), "NOTICE ", "x"),
        ("irc notices", Limit::Lines, (lines + 1) * 8, Box::new(Irc::new()), "", "NOTICE\r\n"),
        ("irc capabilities", Limit::Lines, (lines + 1) * 14, Box::new(Irc::new().knobs(ASK)), "", "CAP * LS * :\r\n"),
        ("acap line", Limit::Line, line + 1, Box::new(acap()), "* ACAP ", "(A) "),
        ("acap untagged", Limit::Lines, (lines + 1) * 6, Box::new(acap().knobs(ASK)), "", "* OK\r\n"),
        ("mupdate line", Limit::Line, line + 1, Box::new(mupdate()), "* AUTH ", "A "),
        ("mupdate greeting", Limit::Lines, (lines + 1) * 6, Box::new(mupdate()), "", "* OK\r\n"),
        ("nut line", Limit::Line, line + 1, Box::new(Nut::new()), "OK STARTTLS", " "),
        ("munin line", Limit::Line, line + 1, Box::new(Munin::new()), "# munin node at ", "x"),
    ];
    for (name, limit, at, dialogue, first, again) in rows {
        assert_eq!(
            endless(dialogue, Limits::default(), first.as_bytes(), again.as_bytes(), 1),
            (Error::Limit(limit), at, 0),
            "{name}"
        );
    }
}

#[test]
fn no_protocol_listens_for_ever() {
    for protocol in Protocol::all() {
        for transcript in Transcript::all(protocol) {
            // What the server says in one turn, said again and again; and its beginning, which never comes to an end.
            for turn in transcript.server() {
                for again in [turn, &turn[..1], b"\r\n", b"\0", b" "] {
                    let dialogue = protocol.dialogue(&transcript.identity()).expect("a valid client");
                    let (_, fed, memory) = endless(dialogue, Limits::default(), turn, again, 1);
                    assert!(fed <= Limits::default().bytes as usize + 1, "{}: {fed} bytes", transcript.name);
                    assert!(memory <= 1024, "{}: {memory} bytes of memory", transcript.name);
                }
            }
        }
    }
}

#[test]
fn the_chunking_of_an_endless_reply_does_not_matter() {
    for size in [1, 2, 3, 7, 64, 4096, 100_000] {
        let (error, ..) = endless(Pop3::new(), Limits::default(), b"+OK", b" ", size);
        assert_eq!(error, Error::Limit(Limit::Line), "chunks of {size}");
    }
}

/// The dialogue that each limit is tried on: 18 + 34 + 8 = 60 bytes, lines of 18, 17, 17 and 8, three replies.
const DIALOGUE: [&str; 3] = ["220 mail.example\r\n", "250-mail.example\r\n250 STARTTLS ab\r\n", "220 go\r\n"];

fn outcome(limits: Limits) -> Result<(), Error> {
    let mut negotiation = Negotiation::required(Smtp::new("client.example").unwrap()).limits(limits);
    for turn in DIALOGUE {
        let _ = negotiation.poll_transmit();
        negotiation.handle_input(turn.as_bytes())?;
    }
    negotiation.finish().map(drop)
}

#[test]
fn limits_hold_exactly_at_their_edge() {
    let all = DIALOGUE.concat();
    let bytes = all.len() as u32;
    let line = all.split_inclusive('\n').map(str::len).max().unwrap() as u32;
    let exact = Limits { bytes, line, lines: 2, turns: 3 };
    assert_eq!(outcome(exact), Ok(()));
    assert_eq!(outcome(Limits { bytes: bytes - 1, ..exact }), Err(Error::Limit(Limit::Bytes)));
    assert_eq!(outcome(Limits { line: line - 1, ..exact }), Err(Error::Limit(Limit::Line)));
    assert_eq!(outcome(Limits { lines: 1, ..exact }), Err(Error::Limit(Limit::Lines)));
    assert_eq!(outcome(Limits { turns: 2, ..exact }), Err(Error::Limit(Limit::Turns)));
}
