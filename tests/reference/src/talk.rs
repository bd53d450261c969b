//! A talk with a server all of whose words are known beforehand.

use starttls::Escaped;
use starttls::protocol::Client;

use crate::Verdict;

/// How a dialogue ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// TLS is to start.
    Upgraded,
    /// The server does not list it.
    NotAdvertised,
    /// The server refuses, with this status.
    Refused {
        /// As it is shown.
        code: String,
        /// Whether it may succeed later.
        temporary: bool,
    },
    /// The session is authenticated.
    Preauthenticated,
    /// The server ends the session, with this status.
    Closing {
        /// As it is shown.
        code: String,
        /// Whether it may succeed later.
        temporary: bool,
    },
    /// The protocol does not allow what the server said.
    Unexpected,
    /// The server said something while it was the client's turn.
    Injected,
    /// The server has said all, and something is missing.
    Pending,
}

/// A dialogue that upgrades, or ends otherwise.
pub(crate) type Outcome = Result<(), End>;

pub(crate) struct Talk<'a> {
    pub(crate) client: Client<'a>,
    /// To be set as soon as the server has made it known.
    pub(crate) advertised: Option<bool>,
    turns: std::slice::Iter<'a, Vec<u8>>,
    /// What has arrived of the turns so far and was not heard yet.
    arrived: Vec<u8>,
    sent: Vec<String>,
}

impl<'a> Talk<'a> {
    pub(crate) fn new(client: Client<'a>, turns: &'a [Vec<u8>]) -> Self {
        Self { client, advertised: None, turns: turns.iter(), arrived: Vec::new(), sent: Vec::new() }
    }

    /// Hears so many bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Result<Vec<u8>, End> {
        while self.arrived.len() < count {
            self.arrived.extend(self.turns.next().ok_or(End::Pending)?);
        }
        Ok(self.arrived.drain(..count).collect())
    }

    /// Hears a line, and gives it without its end, CR LF or LF.
    pub(crate) fn line(&mut self) -> Result<Vec<u8>, End> {
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            line.extend(self.bytes(1)?);
        }
        line.pop();
        line.pop_if(|last| *last == b'\r');
        Ok(line)
    }

    /// Says something, for which the server has to be silent.
    pub(crate) fn say(&mut self, request: impl AsRef<[u8]>) -> Outcome {
        if !self.arrived.is_empty() {
            return Err(End::Injected);
        }
        self.sent.push(Escaped(request.as_ref()).to_string());
        Ok(())
    }

    /// The verdict on a dialogue that ended like this. Behind an agreement the server has nothing more to say.
    pub(crate) fn verdict(self, outcome: Outcome) -> Verdict {
        let silent = self.arrived.is_empty() && self.turns.as_slice().iter().all(Vec::is_empty);
        let end = match outcome {
            Ok(()) if silent => End::Upgraded,
            Ok(()) => End::Injected,
            Err(end) => end,
        };
        Verdict { sent: self.sent, advertised: self.advertised, end }
    }
}

/// What stands in front of the first space, and what behind it.
pub(crate) fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let mut halves = text.splitn(2, |byte| *byte == b' ');
    (halves.next().unwrap_or_default(), halves.next().unwrap_or_default())
}
