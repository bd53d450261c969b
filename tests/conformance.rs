//! Plays every transcript under `tests/transcripts` whole, split at every point, byte by byte, and cut off at every byte.

use std::collections::BTreeSet;

use starttls::{Dialogue, Error, Escaped, Negotiation, Protocol};
use starttls_replay::{Transcript, Verdict, drive};

struct Case {
    protocol: Protocol,
    transcript: Transcript,
}

impl Case {
    fn dialogue(&self) -> Box<dyn Dialogue + Send> {
        self.protocol.dialogue(&self.transcript.identity()).expect("a valid client")
    }

    fn required(&self, turns: &[Vec<&[u8]>], eof: bool) -> Verdict {
        drive(Negotiation::required(self.dialogue()), turns, eof)
    }

    fn whole(&self) -> Vec<Vec<&[u8]>> {
        self.transcript.server().map(|turn| vec![turn]).collect()
    }
}

fn cases() -> Vec<Case> {
    let of = |protocol| Transcript::all(protocol).into_iter().map(move |transcript| Case { protocol, transcript });
    Protocol::all().flat_map(of).collect()
}

/// The words of a transcript's last line.
fn words(end: &Result<String, Error>) -> String {
    match end {
        Ok(_) => "upgraded".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// With RECORD set, writes down how a transcript ends now: to be looked at in the diff.
fn record(name: &str, words: &str) {
    if std::env::var_os("RECORD").is_some() {
        let folder = if name.starts_with("hostile/") { "tests" } else { "tests/transcripts" };
        let path = format!("{}/{folder}/{name}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).expect("it was read before");
        let (kept, _) = text.rsplit_once("= ").expect("an outcome");
        std::fs::write(path, format!("{kept}= {words}\n")).expect("it can be written");
    }
}

#[test]
fn every_transcript_ends_as_it_says() {
    let cases = cases();
    let mut wrong = 0;
    for case in &cases {
        let verdict = case.required(&case.whole(), false);
        let said: Vec<_> = case.transcript.client().collect();
        let turns = case.transcript.server().count();
        // Every turn of the server's counts, but for a last one that is an error. Some hold two replies (FTP's 120 and 220).
        let error = matches!(&verdict.end, Err(error) if !matches!(error, Error::Declined(_)));
        let complete = error || verdict.round_trips as usize >= turns;
        if words(&verdict.end) != case.transcript.outcome || verdict.sent != said || !complete {
            println!("{} ends otherwise:\n{verdict:#?}\n", case.transcript.name);
            record(&case.transcript.name, &words(&verdict.end));
            wrong += 1;
        }
    }
    println!("{} transcripts", cases.len());
    assert!(cases.len() >= 100, "transcripts are missing");
    assert_eq!(wrong, 0, "transcripts that end otherwise");
}

#[test]
fn every_protocol_takes_as_few_replies_as_its_specification_allows() {
    for protocol in Protocol::all() {
        let case = Case { protocol, transcript: Transcript::usual(protocol) };
        let verdict = case.required(&case.whole(), false);
        assert!(verdict.end.is_ok(), "{}: {verdict:?}", case.transcript.name);
        assert_eq!(verdict.round_trips, protocol.round_trips(), "{}", case.transcript.name);
    }
}

#[test]
fn every_protocol_has_transcripts_of_every_kind() {
    let rows: Vec<_> = Protocol::all().map(|protocol| (protocol, kinds(protocol))).collect();
    println!("protocol     upgraded declined  closing injected  unexpected");
    for (protocol, kinds) in &rows {
        println!("{:<12} {:>8} {:>8} {:>8} {:>8} {:>11}", protocol, kinds[0], kinds[1], kinds[2], kinds[3], kinds[4]);
    }
    for (protocol, [upgraded, declined, closing, injected, unexpected]) in rows {
        assert!(upgraded >= 1 && injected >= 2 && unexpected >= 1, "{protocol}");
        assert!(declined + closing >= 1, "{protocol} is never turned away");
    }
}

/// How many transcripts end in an upgrade, a declined one, the end of the session, injected bytes, and what is unexpected.
fn kinds(protocol: Protocol) -> [usize; 5] {
    let mut kinds = [0; 5];
    for transcript in Transcript::all(protocol) {
        let case = Case { protocol, transcript };
        let kind = match case.required(&case.whole(), false).end {
            Ok(_) => 0,
            Err(Error::Declined(_)) => 1,
            Err(Error::Closing(_)) => 2,
            Err(Error::Injected) => 3,
            Err(_) => 4,
        };
        kinds[kind] += 1;
    }
    kinds
}

#[test]
fn a_server_that_declines_leaves_an_opportunistic_client_in_plaintext() {
    let mut declined = 0;
    for case in cases() {
        let verdict = drive(Negotiation::opportunistic(case.dialogue()), &case.whole(), false);
        let required = case.required(&case.whole(), false);
        match required.end {
            Err(Error::Declined(reason)) => {
                declined += 1;
                assert_eq!(verdict.end, Ok(format!("Declined({reason:?})")), "{}", case.transcript.name);
            }
            Ok(upgrade) => assert_eq!(verdict.end, Ok(format!("Upgraded({upgrade})")), "{}", case.transcript.name),
            Err(error) => assert_eq!(verdict.end, Err(error), "{}", case.transcript.name),
        }
    }
    assert!(declined >= 5, "only {declined} transcripts decline");
}

#[test]
fn splitting_never_changes_the_outcome() {
    let mut splits = 0;
    for case in cases() {
        let expected = case.required(&case.whole(), false);
        for (number, turn) in case.transcript.server().enumerate() {
            for at in 0..=turn.len() {
                let (front, back) = turn.split_at(at);
                let mut turns = case.whole();
                turns[number] = vec![front, back];
                assert_eq!(case.required(&turns, false), expected, "{} turn {number} at {at}", case.transcript.name);
                splits += 1;
            }
        }
        let bytes: Vec<Vec<&[u8]>> = case.transcript.server().map(|turn| turn.chunks(1).collect()).collect();
        assert_eq!(case.required(&bytes, false), expected, "{} byte by byte", case.transcript.name);
    }
    println!("{splits} splits");
    assert!(splits > 1000);
}

#[test]
fn a_stream_that_is_cut_off_is_closed() {
    let mut cuts = 0;
    for case in cases() {
        let verdict = case.required(&case.whole(), false);
        let turns: Vec<&[u8]> = case.transcript.server().collect();
        for number in 0..turns.len() {
            for at in 0..=turns[number].len() {
                let mut cut: Vec<Vec<&[u8]>> = turns[..number].iter().map(|turn| vec![*turn]).collect();
                cut.push(vec![&turns[number][..at]]);
                let end = case.required(&cut, true).end;
                let whole = number == turns.len() - 1 && at == turns[number].len();
                // Bytes out of turn and limits may end a dialogue early. All else is decided by its very last byte.
                let early = matches!(verdict.end, Err(Error::Injected | Error::Limit(_))) && end == verdict.end;
                let expected = if whole && verdict.end.is_err() { &verdict.end } else { &Err(Error::Closed) };
                assert!(early || end == *expected, "{} turn {number} cut at {at}: {end:?}", case.transcript.name);
                cuts += 1;
            }
        }
    }
    println!("{cuts} cuts");
    assert!(cuts > 1000);
}

/// A *no* in place of any reply, and with another one behind it. A client that insists does not wait for all that an old
/// server has to say.
#[test]
fn a_refusal_is_never_called_an_injection() {
    let refuses = |case: &&Case| {
        case.transcript.outcome.starts_with("the server refused")
            || case.transcript.outcome.starts_with("the server ended")
    };
    // A line may stand anywhere, and what is no line in place of the reply that it is to.
    let is_text = |turn: &[u8]| turn.iter().all(|byte| matches!(byte, b'\r' | b'\n' | b' '..=b'~'));
    let is_line =
        |turn: &[u8]| is_text(turn) && turn.iter().position(|byte| *byte == b'\n') == turn.len().checked_sub(1);
    let (mut once, mut twice) = (0, 0);
    let cases = cases();
    for case in cases.iter().filter(|case| case.transcript.outcome == "upgraded" && !case.transcript.options.insist) {
        let refusing = cases.iter().filter(|other| other.protocol == case.protocol).filter(refuses);
        let refusals: BTreeSet<_> = refusing.filter_map(|case| case.transcript.server().enumerate().last()).collect();
        for (place, (own, refusal)) in
            (0..case.whole().len()).flat_map(|place| refusals.iter().map(move |refusal| (place, refusal)))
        {
            if place != *own && !is_line(refusal) {
                continue;
            }
            let end = |behind: &[u8]| {
                let said = [refusal, behind].concat();
                let mut turns = case.whole();
                turns.truncate(place);
                turns.push(vec![&said]);
                let required = case.required(&turns, false).end;
                let opportunistic = drive(Negotiation::opportunistic(case.dialogue()), &turns, false).end;
                let ends = [required.map(drop), opportunistic.map(drop)];
                assert!(
                    !ends.contains(&Err(Error::Injected)),
                    "{} turn {place}: {}",
                    case.transcript.name,
                    Escaped(&said)
                );
                ends
            };
            once += 1;
            if !end(b"").contains(&Err(Error::Unfinished)) {
                for (_, behind) in &refusals {
                    drop(end(behind));
                    twice += 1;
                }
            }
        }
    }
    println!("{once} refusals, and {twice} of two");
    assert!(once > 1000 && twice > 1000);
}

/// What a client tells of a dialogue: the reply that it awaits, turn by turn, and what the server listed in the end.
#[test]
fn what_is_awaited_and_what_was_advertised_are_told() {
    type Row = (&'static str, &'static [&'static str], Option<bool>);
    let rows: &[Row] = &[
        ("smtp/dovecot-submission-broken-key", &["greeting", "EHLO", "STARTTLS"], Some(true)),
        ("smtp/at-command", &["STARTTLS"], None),
        ("smtp/dovecot-submission-not-offered-insist", &["greeting", "EHLO", "STARTTLS"], Some(false)),
        ("lmtp/dovecot-not-offered-insist", &["greeting", "LHLO", "STARTTLS"], Some(false)),
        ("lmtp/after-greeting", &["LHLO", "STARTTLS"], Some(true)),
        ("lmtp/at-command", &["STARTTLS"], None),
        ("imap/dovecot-ask", &["greeting", "CAPABILITY", "STARTTLS"], Some(true)),
        ("imap/after-greeting", &["STARTTLS"], None),
        ("imap/dovecot-not-offered-ask", &["greeting", "CAPABILITY"], Some(false)),
        ("pop3/dovecot-ask", &["greeting", "CAPA", "STLS"], Some(true)),
        ("pop3/after-greeting", &["STLS"], None),
        ("pop3/dovecot-not-offered-ask", &["greeting", "CAPA"], Some(false)),
        ("xmpp/after-greeting", &["stream", "starttls"], Some(true)),
        ("xmpp/at-command", &["starttls"], None),
        ("xmpp/not-offered-insist", &["stream", "starttls"], Some(false)),
        ("xmpp-server/not-offered-insist", &["stream", "starttls"], Some(false)),
        ("xmpp-server/optional", &["stream", "starttls"], Some(true)),
        ("xmpp-server/prosody-host-unknown", &["stream"], None),
        ("http/apache-not-offered", &["OPTIONS"], None),
        ("telnet/long-parameters", &["DO START_TLS", "WILL START_TLS"], Some(true)),
        ("telnet/after-greeting", &["WILL START_TLS"], None),
        ("mssql/odd-but-legal", &["PRELOGIN"], Some(true)),
        ("hostile/mssql/error", &["PRELOGIN"], None),
        ("hostile/mssql/not-supported", &["PRELOGIN"], Some(false)),
        ("ldap/odd-but-legal-everything", &["StartTLS"], None),
        ("postgres/closing-error-empty", &["SSLRequest"], None),
        ("postgres/not-offered", &["SSLRequest"], Some(false)),
        ("postgres/postgresql", &["SSLRequest"], Some(true)),
        ("mysql/closing-host-blocked", &["greeting"], None),
        ("mysql/mariadb-not-offered", &["greeting"], Some(false)),
        ("mysql/mariadb", &["greeting"], Some(true)),
        ("nbd/closing-shutdown", &["greeting", "NBD_OPT_STARTTLS"], None),
        ("nbd/not-offered-no-flags", &["greeting"], Some(false)),
        ("rdp/not-offered-no-negotiation", &["X.224 Connection Request"], Some(false)),
        ("rdp/odd-but-legal-hybrid", &["X.224 Connection Request"], Some(true)),
        ("hostile/rdp/class", &["X.224 Connection Request"], None),
        (
            "vnc/closing-subtype-other",
            &["greeting", "ProtocolVersion", "VeNCrypt", "VeNCrypt 0.2", "subtype"],
            Some(true),
        ),
        ("vnc/closing-no-reason", &["greeting", "ProtocolVersion"], None),
        ("vnc/not-offered-18", &["greeting", "ProtocolVersion"], Some(false)),
        ("nats/closing-error-empty", &["greeting"], None),
        ("nats/nats-server-not-offered", &["greeting"], Some(false)),
        ("nats/nats-server-optional", &["greeting"], Some(true)),
        ("amqp/closing-0-10", &["TLS protocol header"], None),
        ("mysqlx/closing-fatal", &["CapabilitiesSet"], None),
        ("rpc/not-offered", &["AUTH_TLS"], Some(false)),
        ("rpc/odd-but-legal-fragments", &["AUTH_TLS"], Some(true)),
        ("hostile/rpc/accept-behind-byte", &["AUTH_TLS"], None),
        ("pcep/closing-1-1", &["StartTLS"], None),
        ("nsq/closing-e-bad-body", &["IDENTIFY"], None),
        ("nsq/not-offered-after-heartbeat", &["IDENTIFY"], Some(false)),
        ("nsq/odd-but-legal-heartbeat", &["IDENTIFY"], Some(true)),
        ("sieve/after-greeting-ask", &["CAPABILITY", "STARTTLS"], Some(true)),
        ("sieve/bye-greeting", &["greeting"], None),
        ("sieve/dovecot-not-offered-insist", &["greeting", "STARTTLS"], Some(false)),
        ("nntp/ask", &["greeting", "CAPABILITIES", "STARTTLS"], Some(true)),
        ("nntp/after-greeting", &["STARTTLS"], None),
        ("nntp/insist", &["greeting", "CAPABILITIES", "STARTTLS"], Some(false)),
        ("ftp/ask-list", &["greeting", "FEAT", "AUTH TLS"], Some(true)),
        ("ftp/after-greeting", &["AUTH TLS"], None),
        ("ftp/insist", &["greeting", "FEAT", "AUTH TLS"], Some(false)),
        ("irc/after-greeting-ask", &["CAP LS", "STARTTLS"], Some(true)),
        ("irc/after-greeting", &["STARTTLS"], None),
        ("irc/insist", &["CAP LS", "STARTTLS"], Some(false)),
        ("acap/ask", &["greeting", "STARTTLS"], Some(true)),
        ("acap/after-greeting", &["STARTTLS"], None),
        ("acap/insist", &["greeting", "STARTTLS"], Some(false)),
        ("mupdate/ask", &["greeting", "STARTTLS"], Some(true)),
        ("mupdate/after-greeting", &["STARTTLS"], None),
        ("mupdate/insist", &["greeting", "STARTTLS"], Some(false)),
        ("nut/after-greeting", &["STARTTLS"], None),
        ("munin/ask", &["greeting", "STARTTLS"], None),
    ];
    let cases = cases();
    for (name, awaited, advertised) in rows {
        let named = |case: &&Case| case.transcript.name == format!("{name}.txt");
        let case = cases.iter().find(named).unwrap_or_else(|| panic!("{name}"));
        let mut negotiation = Negotiation::required(case.dialogue());
        for (turn, reply) in case.transcript.server().zip(*awaited) {
            let _ = negotiation.poll_transmit();
            assert_eq!(negotiation.awaiting(), *reply, "{name}");
            // How it ends is for the tests above.
            let _ = negotiation.handle_input(turn);
        }
        assert_eq!(
            (case.transcript.server().count(), negotiation.advertised()),
            (awaited.len(), *advertised),
            "{name}"
        );
    }
    let told: BTreeSet<_> =
        rows.iter().filter_map(|(name, ..)| name.trim_start_matches("hostile/").split('/').next()).collect();
    assert_eq!(told.len(), Protocol::all().count(), "protocols are missing");
}
