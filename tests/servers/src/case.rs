//! What is tried, and what has to come of it.

use std::fmt;

/// One try: a port of a server that makes this offer.
pub struct Case {
    /// The scheme of the target, as the tool takes it.
    pub protocol: &'static str,
    /// What the server offers.
    pub offer: Offer,
    /// The port on 127.0.0.1.
    pub port: u16,
    /// Whether [`login::USER`](crate::login::USER) can log in.
    pub login: bool,
}

/// What a server offers to a client that asks for TLS.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// TLS with a certificate for localhost.
    Good,
    /// No TLS.
    Nothing,
    /// TLS by its capabilities, but it cannot read its own key.
    BrokenKey,
    /// A certificate that has expired.
    Expired,
    /// A certificate for another name.
    WrongName,
    /// A certificate by an authority that the client does not know.
    UnknownCa,
}

impl Offer {
    /// Every offer that a server can be configured for.
    pub const ALL: [Self; 6] =
        [Self::Good, Self::Nothing, Self::BrokenKey, Self::Expired, Self::WrongName, Self::UnknownCa];

    /// The name for files and the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Nothing => "not-offered",
            Self::BrokenKey => "broken-key",
            Self::Expired => "expired",
            Self::WrongName => "wrong-name",
            Self::UnknownCa => "unknown-ca",
        }
    }
}

/// What a client made of a case. A client that has no number for a column leaves it out.
pub struct Verdict {
    /// How it ended.
    pub outcome: Outcome,
    /// The server messages before the first byte of TLS.
    pub round_trips: Option<i64>,
    /// The exit code of a program.
    pub exit: Option<i64>,
}

/// How an upgrade ended.
#[derive(PartialEq, Eq)]
pub enum Outcome {
    /// In TLS, with a certificate that verifies.
    Verified,
    /// In TLS, with a certificate that does not verify: the result type of RFC 8460.
    Unverified(String),
    /// Not in TLS: the kind of failure.
    Failed(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verified => f.write_str("verified"),
            Self::Unverified(tlsrpt) => write!(f, "unverified: {tlsrpt}"),
            Self::Failed(kind) => write!(f, "failed: {kind}"),
        }
    }
}

/// What comes of a protocol with a server that keeps to it.
struct Usual {
    protocol: &'static str,
    /// How many messages of the server's come before TLS: the fewest that its dialogue allows.
    trips: i64,
    /// How a server without TLS declines, and after how many messages: one that ends the session does not count. Who
    /// lists capabilities does so unasked, but for POP3, NNTP and FTP.
    declines: (&'static str, i64),
    /// What a client may say first over TLS, which is nothing if the server speaks first, and how the answer begins. Both
    /// are empty where it would take more than a line of text.
    word: [&'static str; 2],
}

const fn usual(protocol: &'static str, trips: i64, declines: (&'static str, i64), word: [&'static str; 2]) -> Usual {
    Usual { protocol, trips, declines, word }
}

const HEADER: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
                      to='localhost' version='1.0'>";

const USUAL: [Usual; 21] = [
    usual("smtp", 3, ("not-advertised", 2), ["EHLO client.example\r\n", "250-"]),
    usual("lmtp", 3, ("not-advertised", 2), ["LHLO client.example\r\n", "250-"]),
    usual("imap", 2, ("not-advertised", 1), ["B1 CAPABILITY\r\n", "* CAPABILITY "]),
    usual("pop3", 2, ("refused", 2), ["CAPA\r\n", "+OK"]),
    usual("nntp", 2, ("refused", 2), ["CAPABILITIES\r\n", "101 "]),
    usual("ftp", 2, ("refused", 2), ["PBSZ 0\r\n", "200 "]),
    usual("xmpp", 2, ("not-advertised", 1), [HEADER, "<?xml "]),
    usual("xmpp-server", 2, ("not-advertised", 1), ["", ""]),
    usual("ldap", 1, ("refused", 1), ["", ""]),
    usual("http", 1, ("refused", 1), ["", ""]),
    usual("ipp", 1, ("refused", 1), ["", "HTTP/1.1 200 "]),
    usual("sieve", 2, ("not-advertised", 1), ["", "\"IMPLEMENTATION\" "]),
    usual("irc", 1, ("refused", 0), ["CAP LS\r\n", ":mail.example CAP "]),
    usual("postgres", 1, ("not-advertised", 1), ["\0\0\0\x17\0\x03\0\0user\0postgres\0\0", "R\0\0\0\x08\0\0\0\0"]),
    usual("mysql", 1, ("not-advertised", 1), ["", ""]),
    usual("nbd", 2, ("refused", 2), ["", ""]),
    usual("nats", 1, ("not-advertised", 1), ["CONNECT {}\r\n", "+OK"]),
    usual("rdp", 1, ("not-advertised", 1), ["", ""]),
    usual("vnc", 5, ("not-advertised", 2), ["", "\0\0\0\0"]),
    usual("nut", 1, ("refused", 1), ["VER\n", "Network UPS Tools upsd "]),
    usual("munin", 2, ("refused", 1), ["cap\n", "cap "]),
];

impl Case {
    fn usual(&self) -> &'static Usual {
        let usual = USUAL.iter().find(|usual| usual.protocol == self.protocol);
        usual.expect("each protocol of the servers stands in the table")
    }

    /// What every client has to make of this case.
    pub fn expected(&self) -> Verdict {
        let Usual { trips, declines: (kind, declined), .. } = *self.usual();
        let unverified = |tlsrpt: &str| (Outcome::Unverified(tlsrpt.into()), trips);
        let (outcome, round_trips) = match self.offer {
            Offer::Good => (Outcome::Verified, trips),
            Offer::Nothing => (Outcome::Failed(kind.into()), declined),
            Offer::BrokenKey => (Outcome::Failed("refused".into()), trips),
            Offer::Expired => unverified("certificate-expired"),
            Offer::WrongName => unverified("certificate-host-mismatch"),
            Offer::UnknownCa => unverified("certificate-not-trusted"),
        };
        let exit = if outcome == Outcome::Verified { 0 } else { 2 };
        Verdict { outcome, round_trips: Some(round_trips), exit: Some(exit) }
    }

    /// What a client may say first over TLS, and how the answer begins.
    pub fn word(&self) -> [&'static str; 2] {
        self.usual().word
    }
}

impl Verdict {
    /// Whether this is the expected verdict, in all that the client has told.
    pub fn meets(&self, expected: &Self) -> bool {
        let agrees = |told: Option<i64>, expected| told.is_none() || told == expected;
        self.outcome == expected.outcome
            && agrees(self.round_trips, expected.round_trips)
            && agrees(self.exit, expected.exit)
    }

    /// The cells of the table: outcome, round trips, exit code.
    pub fn cells(&self) -> [String; 3] {
        let number = |told: Option<i64>| told.map_or("-".into(), |number| number.to_string());
        [self.outcome.to_string(), number(self.round_trips), number(self.exit)]
    }
}
