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

impl Case {
    /// What every client has to make of this case.
    pub fn expected(&self) -> Verdict {
        // Who lists capabilities, and with which message; POP3 does so only when asked.
        let (listed, upgrade) = match self.protocol {
            "pop3" => (None, 2),
            "imap" => (Some(1), 2),
            _ => (Some(2), 3),
        };
        let unverified = |tlsrpt: &str| (Outcome::Unverified(tlsrpt.into()), upgrade);
        let failed = |kind: &str, round_trips| (Outcome::Failed(kind.into()), round_trips);
        let (outcome, round_trips) = match (self.offer, listed) {
            (Offer::Good, _) => (Outcome::Verified, upgrade),
            (Offer::Nothing, Some(listed)) => failed("not-advertised", listed),
            (Offer::Nothing, None) | (Offer::BrokenKey, _) => failed("refused", upgrade),
            (Offer::Expired, _) => unverified("certificate-expired"),
            (Offer::WrongName, _) => unverified("certificate-host-mismatch"),
            (Offer::UnknownCa, _) => unverified("certificate-not-trusted"),
        };
        let exit = if outcome == Outcome::Verified { 0 } else { 2 };
        Verdict { outcome, round_trips: Some(round_trips), exit: Some(exit) }
    }

    /// What a client may say first over TLS, and how the answer begins.
    pub fn word(&self) -> [&'static str; 2] {
        match self.protocol {
            "smtp" => ["EHLO client.example\r\n", "250-"],
            "lmtp" => ["LHLO client.example\r\n", "250-"],
            "imap" => ["B1 CAPABILITY\r\n", "* CAPABILITY "],
            _ => ["CAPA\r\n", "+OK"],
        }
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
