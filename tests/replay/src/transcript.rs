//! Transcripts as data.

use std::str::FromStr;

use include_dir::{Dir, include_dir};
use starttls::protocol::{Client, Options, Start};
use starttls::{Framing, Protocol};

/// Dialogues with real servers, and what else is legal.
static TRANSCRIPTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../transcripts");
/// What hostile servers say.
static HOSTILE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../hostile");

/// One recorded dialogue.
#[derive(Clone, Debug)]
pub struct Transcript {
    /// The file's name, with its folder.
    pub name: String,
    /// The real server that it was recorded from, if it shows the usual dialogue with it.
    pub server: Option<String>,
    /// How the protocol's handshake travels.
    pub framing: Option<Framing>,
    /// The comments: where the dialogue is from.
    pub source: Vec<String>,
    /// How the client is set up.
    pub options: Options,
    /// What was said, neighbouring lines of one side in one turn.
    pub turns: Vec<Turn>,
    /// `upgraded`, or the text of the reason or error that it ends in.
    pub outcome: String,
}

/// What one side said before the other answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The client spoke.
    Client(Vec<u8>),
    /// The server spoke.
    Server(Vec<u8>),
}

impl Transcript {
    /// Every transcript of a protocol, the hostile ones last.
    ///
    /// # Panics
    /// If there is none, or one that cannot be read.
    pub fn all(protocol: Protocol) -> Vec<Transcript> {
        let mut all = Self::within(&TRANSCRIPTS, "", protocol);
        all.extend(Self::hostile(protocol));
        all
    }

    /// What hostile servers of a protocol say: `tests/hostile`.
    ///
    /// # Panics
    /// If there is none, or one that cannot be read.
    pub fn hostile(protocol: Protocol) -> Vec<Transcript> {
        Self::within(&HOSTILE, "hostile/", protocol)
    }

    fn within(tree: &Dir<'_>, prefix: &str, protocol: Protocol) -> Vec<Transcript> {
        let folder = tree.get_dir(protocol.name()).unwrap_or_else(|| panic!("{protocol} has no transcripts"));
        let read = |file: &include_dir::File<'_>| {
            let name = format!("{prefix}{}", file.path().display());
            let text = file.contents_utf8().unwrap_or_else(|| panic!("{name}: not UTF-8"));
            let transcript: Transcript = text.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
            let dialogue = protocol.dialogue(&transcript.identity()).expect("a valid client");
            Transcript { name, framing: dialogue.tls().framing, ..transcript }
        };
        folder.files().map(read).collect()
    }

    /// The dialogue with a real server that shows how the protocol usually goes.
    ///
    /// # Panics
    /// If there is none.
    pub fn usual(protocol: Protocol) -> Transcript {
        let usual = Self::all(protocol).into_iter().find(|transcript| transcript.server.is_some());
        usual.unwrap_or_else(|| panic!("no transcript of {protocol} names its server"))
    }

    /// The client that the transcripts were recorded with.
    pub fn identity(&self) -> Client<'static> {
        client(self.options)
    }

    /// The turns of the server.
    pub fn server(&self) -> impl Iterator<Item = &[u8]> {
        self.turns.iter().filter_map(|turn| if let Turn::Server(bytes) = turn { Some(&bytes[..]) } else { None })
    }

    /// The turns of the client.
    pub fn client(&self) -> impl Iterator<Item = &[u8]> {
        self.turns.iter().filter_map(|turn| if let Turn::Client(bytes) = turn { Some(&bytes[..]) } else { None })
    }

    fn push(&mut self, turn: Turn) {
        match (self.turns.last_mut(), turn) {
            (Some(Turn::Client(said)), Turn::Client(more)) | (Some(Turn::Server(said)), Turn::Server(more)) => {
                said.extend(more);
            }
            (_, turn) => self.turns.push(turn),
        }
    }
}

impl FromStr for Transcript {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut transcript = Transcript {
            name: String::new(),
            server: None,
            framing: None,
            source: Vec::new(),
            options: Options::default(),
            turns: Vec::new(),
            outcome: String::new(),
        };
        for (number, line) in text.lines().enumerate() {
            let at = |error: &str| format!("line {}: {error}: {line}", number + 1);
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            match key {
                "" => {}
                "#" => transcript.source.push(value.to_owned()),
                "options:" => transcript.options = options(value).ok_or_else(|| at("unknown option"))?,
                "server:" => transcript.server = Some(value.to_owned()),
                "C:" | "C." | "C#" | "S:" | "S." | "S#" => {
                    let bytes = if key.ends_with('#') { unhex(value) } else { unescape(value) };
                    let mut bytes = bytes.ok_or_else(|| at("not bytes"))?;
                    if key.ends_with(':') {
                        bytes.extend(b"\r\n");
                    }
                    transcript.push(if key.starts_with('C') { Turn::Client(bytes) } else { Turn::Server(bytes) });
                }
                "=" => transcript.outcome = value.to_owned(),
                _ => return Err(at("unknown key")),
            }
        }
        if transcript.outcome.is_empty() { Err("no outcome".to_owned()) } else { Ok(transcript) }
    }
}

/// The client that the transcripts were recorded with, set up as is wanted.
pub fn client(options: Options) -> Client<'static> {
    Client { options, ..Client::new("client.example", "mail.example", 0xA7F3) }
}

fn options(words: &str) -> Option<Options> {
    let mut options = Options::default();
    for word in words.split_whitespace() {
        match word {
            "ask" => options.ask = true,
            "insist" => options.insist = true,
            "after-greeting" => options.start = Start::AfterGreeting,
            "at-command" => options.start = Start::Command,
            _ => return None,
        }
    }
    Some(options)
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next()? {
                b'r' => b'\r',
                b'n' => b'\n',
                b't' => b'\t',
                b'\\' => b'\\',
                b'x' => {
                    let digits = [rest.next()?, rest.next()?];
                    u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
                }
                _ => return None,
            },
            byte => byte,
        });
    }
    Some(bytes)
}

/// Pairs of hexadecimal digits, with any spaces between them.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').collect();
    let pairs = digits.chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?, 16).ok())
        .collect()
}
