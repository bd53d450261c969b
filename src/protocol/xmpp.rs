//! XMPP between client and server, and between servers (RFC 6120 §4, §5.4).

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;
use rxml::error::EndOrError;
use rxml::{AttrMap, Event, Parse, Parser, QName, RawEvent, RawParser, WithOptions};

use super::{Options, Start, host};
use crate::wire::Excerpt;
use crate::{Code, Dialogue, Error, Findings, Frame, InvalidName, Limit, Part, Reason, Reply, Step, Text};

const STREAMS: &str = "http://etherx.jabber.org/streams";
const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
const ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";

/// The longest name or attribute value. A domain has at most 1,023 bytes (RFC 7622 §3.2).
const LONGEST_TOKEN: usize = 1024;

/// The longest tag. What the parser holds of its attributes is twenty times as much.
const LONGEST_TAG: usize = 4096;

/// How deep elements may be nested. Features are nested to a depth of five.
const DEEPEST: u8 = 16;

/// The dialogue of an XMPP client, or of a server that calls another.
///
/// `<failure/>` and `<stream:error>` end the session ([`Error::Closing`]): the server has to close the stream behind
/// either (RFC 6120 §5.4.2.2, §4.9.1.1). A stream error has the name of its condition for its code.
///
/// The parser allocates: what it holds grows with the element that it reads, which [`Limits::line`](crate::Limits::line)
/// bounds.
///
/// # The dialogue
///
/// ```text
/// C: <?xml version='1.0'?><stream:stream to='mail.example' version='1.0' xmlns='jabber:client' …>
/// S: <?xml version='1.0'?><stream:stream from='mail.example' id='t7AM' version='1.0' …>
/// S: <stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>
/// C: <starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>
/// S: <proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>
/// ```
///
/// It is XML, and read as such: elements count by namespace and local name, whatever their prefix, and the go-ahead ends
/// with the `>` that closes it. Comments, processing instructions, document types and undeclared entities are refused
/// (§11.1). Besides the replies the server may send white space between elements (§4.6.1), `<stream:error>`, and
/// `</stream:stream>`; behind `<proceed/>` nothing, white space neither (§5.4.3.3).
///
/// A stream whose header has no version (§4.7.5) is sent `<starttls/>` at once: its server may have no features to send, or an
/// error, which is then the answer.
///
/// # After TLS
///
/// The client speaks first: it opens a new stream, and drops the id and the features of the old one (§5.4.3.3).
/// The domain addressed, the host connected to and the name that the certificate must hold are three things: only the
/// first gets here.
///
/// # Example
///
/// ```
/// use starttls::{Negotiation, protocol::Xmpp};
///
/// let mut negotiation = Negotiation::required(Xmpp::client("mail.example")?);
/// assert_eq!(negotiation.poll_transmit().unwrap(), b"<?xml version='1.0'?><stream:stream to='mail.example' version='1.0' xmlns='j\
///     abber:client' xmlns:stream='http://etherx.jabber.org/streams'>"[..]);
/// negotiation.handle_input(b"<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/s\
///     treams' xmlns='jabber:client' version='1.0' xml:lang='en' id='39b2c2f0-44fa-\
///     4a69-af08-1ab283cde9ae' from='mail.example'><stream:features><starttls xmlns\
///     ='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>")?;
/// assert_eq!(negotiation.poll_transmit().unwrap(), b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"[..]);
/// negotiation.handle_input(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")?;
/// let upgrade: starttls::Upgrade = negotiation.finish()?;
/// # let _ = upgrade;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Xmpp {
    header: Bytes,
    options: Options,
    awaiting: Awaiting,
    parser: Box<Parser>,
    depth: u8,
    /// What the open elements are, up to the first that means nothing here.
    open: Open,
    /// What has arrived since the header of the stream, or the last feature.
    said: Excerpt<128>,
    /// What has arrived of a tag.
    tag: Vec<u8>,
    condition: &'static str,
    text: Excerpt<128>,
    required: bool,
    advertised: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Awaiting {
    Features,
    Proceed,
}

/// An element that means something, by its place and its name.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Open {
    Nothing,
    Stream,
    Features,
    /// A child of the features.
    Feature,
    StartTls,
    Proceed,
    Failure,
    Error,
    /// Features that come behind the header of an old stream.
    Late,
}

impl Xmpp {
    /// A client that wants to talk to `domain`, which need not be the host that it connects to. An internationalised
    /// name is to be given in its ASCII form.
    ///
    /// # Errors
    /// [`InvalidName`] for anything that cannot stand in a domain name.
    pub fn client(domain: &str) -> Result<Self, InvalidName> {
        let domain = host("the domain of an XMPP server", domain)?;
        Ok(Self::new("jabber:client", &[" to='", domain, "'"]))
    }

    /// A server for the domain `from` that calls the one for `domain`.
    ///
    /// # Errors
    /// [`InvalidName`], as for [`client`](Self::client).
    pub fn server(domain: &str, from: &str) -> Result<Self, InvalidName> {
        let domain = host("the domain of an XMPP server", domain)?;
        let from = host("the domain of an XMPP server", from)?;
        Ok(Self::new("jabber:server", &[" from='", from, "' to='", domain, "'"]))
    }

    fn new(namespace: &str, addresses: &[&str]) -> Self {
        let namespaces = ["xmlns='", namespace, "' xmlns:stream='", STREAMS, "'>"].concat();
        let addresses = addresses.concat();
        let header = ["<?xml version='1.0'?><stream:stream", &addresses, " version='1.0' ", &namespaces].concat();
        let options = rxml::Options { max_token_length: LONGEST_TOKEN, ..rxml::Options::default() };
        let mut parser = Box::new(Parser::with_options(options));
        // Else what is not white space would go unnoticed until the next tag.
        parser.set_text_buffering(false);
        Self {
            header: Bytes::from(header),
            options: Options::default(),
            awaiting: Awaiting::Features,
            parser,
            depth: 0,
            open: Open::Nothing,
            said: Excerpt::new(),
            tag: Vec::new(),
            condition: "error",
            text: Excerpt::new(),
            required: false,
            advertised: None,
        }
    }

    /// Sets where to start, and whether to insist. The features come unasked, so `ask` changes nothing; there is no
    /// greeting, so [`Start::AfterGreeting`] does not either. At [`Start::Command`] the stream is open, and its prefix
    /// is taken to be the usual one.
    #[must_use]
    pub fn options(self, options: Options) -> Self {
        Self { options, ..self }
    }

    /// Whether the server said that it insists on TLS: `<required/>`.
    pub fn required(&self) -> bool {
        self.required
    }

    fn send_starttls(&mut self) -> Bytes {
        self.awaiting = Awaiting::Proceed;
        Bytes::from_static(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    }

    /// The command, or none: the features are known.
    fn next(&mut self) -> Step {
        if *self.advertised.get_or_insert(false) || self.options.insist {
            Step::Send(self.send_starttls())
        } else {
            Step::Decline(Reason::NotAdvertised)
        }
    }

    fn event(&mut self, event: &Event) -> Result<Step, Error> {
        match event {
            Event::XmlDeclaration(..) => Ok(Step::More),
            Event::StartElement(_, name, attributes) => self.start(name, attributes),
            Event::EndElement(_) => self.end(),
            Event::Text(_, text) => self.characters(text.as_bytes()),
        }
    }

    fn start(&mut self, (namespace, name): &QName, attributes: &AttrMap) -> Result<Step, Error> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.unexpected());
        }
        self.open = match (self.awaiting, self.depth, self.open, namespace.as_str(), name.as_str()) {
            (Awaiting::Features, 1, Open::Nothing, STREAMS, "stream") => {
                let mut attributes = attributes.iter();
                let is_modern = attributes.any(|((namespace, name), version)| {
                    namespace.is_none() && name.as_str() == "version" && is_modern(version)
                });
                // A server of before 1.0 sends no features, and one that refuses may leave out its version.
                if !is_modern {
                    self.open = Open::Stream;
                    return Ok(Step::Send(self.send_starttls()));
                }
                Open::Stream
            }
            (_, 2, Open::Stream, _, "error") => Open::Error,
            (Awaiting::Features, 2, Open::Stream, STREAMS, "features") => Open::Features,
            (Awaiting::Features, 3, Open::Features, TLS, "starttls") => {
                self.advertised = Some(true);
                Open::StartTls
            }
            (Awaiting::Features, 3, Open::Features, ..) => Open::Feature,
            (Awaiting::Features, 4, Open::StartTls, TLS, "required") => {
                self.required = true;
                Open::StartTls
            }
            (Awaiting::Features, 4.., open @ (Open::Feature | Open::StartTls), ..) => open,
            (Awaiting::Proceed, 2, Open::Stream, STREAMS, "features") if self.advertised.is_none() => Open::Late,
            (Awaiting::Proceed, 2, Open::Stream, TLS, "proceed") if !declares_twice(&self.tag) => Open::Proceed,
            (Awaiting::Proceed, 2, Open::Stream, _, "failure") => Open::Failure,
            (_, 3, Open::Error, ERRORS, name) => {
                self.condition = CONDITIONS.split(' ').find(|condition| *condition == name).unwrap_or(self.condition);
                Open::Error
            }
            (_, 3.., open @ (Open::Error | Open::Failure | Open::Late), ..) => open,
            _ => return Err(self.unexpected()),
        };
        Ok(if self.open == Open::Stream { Step::Next } else { Step::More })
    }

    fn end(&mut self) -> Result<Step, Error> {
        self.depth -= 1;
        match (self.depth, self.open) {
            (0, _) => Err(self.closing("</stream>")),
            (1, Open::Features) => {
                self.open = Open::Stream;
                Ok(self.next())
            }
            (1, Open::Late) => {
                self.open = Open::Stream;
                Ok(Step::Unasked)
            }
            (1, Open::Proceed) => Ok(Step::Upgrade),
            (1, Open::Failure) => Err(self.closing("failure")),
            (1, Open::Error) => Err(self.closing(self.condition)),
            (2, Open::Feature | Open::StartTls) => {
                self.open = Open::Features;
                Ok(Step::Next)
            }
            _ => Ok(Step::More),
        }
    }

    fn characters(&mut self, text: &[u8]) -> Result<Step, Error> {
        match self.open {
            Open::Feature | Open::StartTls | Open::Late => {}
            Open::Error | Open::Failure => self.text.extend(text),
            _ if text.trim_ascii().is_empty() => {}
            _ => return Err(self.unexpected()),
        }
        Ok(Step::More)
    }

    fn closing(&self, condition: &'static str) -> Error {
        let text = Text::new(self.text.as_bytes().trim_ascii());
        Error::Closing(Reply { code: Code::Word(condition), text, temporary: PASSING.contains(&condition) })
    }

    fn unexpected(&self) -> Error {
        Error::Unexpected(Text::new(self.said.as_bytes().trim_ascii()))
    }
}

/// Whether a tag has the attribute `xmlns` twice, of which the parser takes the last.
fn declares_twice(mut tag: &[u8]) -> bool {
    let (mut parser, mut declarations) = (RawParser::new(), 0);
    while let Ok(Some(event)) = parser.parse(&mut tag, true) {
        let is_declaration = matches!(&event, RawEvent::Attribute(_, (None, name), _) if name == "xmlns");
        declarations += u8::from(is_declaration);
    }
    declarations > 1
}

/// Whether a version is 1.0 or later (§4.7.5).
fn is_modern(version: &str) -> bool {
    version.split_once('.').and_then(|(major, _)| major.parse::<u32>().ok()).is_some_and(|major| major > 0)
}

/// The conditions of stream errors (§4.9.3), and two of RFC 3920 that servers still send.
const CONDITIONS: &str = "bad-format bad-namespace-prefix conflict connection-timeout host-gone host-unknown improper-addressing \
    internal-server-error invalid-from invalid-id invalid-namespace invalid-xml not-authorized not-well-formed \
    policy-violation remote-connection-failed reset resource-constraint restricted-xml see-other-host \
    system-shutdown undefined-condition unsupported-encoding unsupported-feature unsupported-stanza-type \
    unsupported-version xml-not-well-formed";

/// Those that pass.
const PASSING: [&str; 5] =
    ["connection-timeout", "remote-connection-failed", "reset", "resource-constraint", "system-shutdown"];

impl Dialogue for Xmpp {
    fn open(&mut self) -> Step {
        let header = core::mem::take(&mut self.header);
        if self.options.start != Start::Command {
            return Step::Send(header);
        }
        // The server's header was as good as ours, but for what does not matter here.
        let mut rest = &header[..];
        while let Ok(Some(_)) = self.parser.parse(&mut rest, false) {}
        (self.depth, self.open) = (1, Open::Stream);
        Step::Send(self.send_starttls())
    }

    fn frame(&self, _: &[u8], last: Part<'_>) -> Frame {
        Frame::byte(last)
    }

    fn receive(&mut self, mut byte: &[u8]) -> Result<Step, Error> {
        self.said.extend(byte);
        self.tag.extend(byte);
        if self.tag.len() > LONGEST_TAG {
            return Err(Error::Limit(Limit::Line));
        }
        let mut step = Step::More;
        // A byte may end two things, as that of `<proceed/>` does. The first never leads anywhere.
        loop {
            match self.parser.parse(&mut byte, false) {
                Ok(Some(event)) => {
                    step = self.event(&event)?;
                    self.tag.clear();
                }
                Err(EndOrError::NeedMoreData) => break,
                Ok(None) | Err(EndOrError::Error(_)) => return Err(self.unexpected()),
            }
        }
        if self.open == Open::Stream && matches!(step, Step::More) && self.said.as_bytes().trim_ascii().is_empty() {
            step = Step::Unasked;
        }
        if !matches!(step, Step::More) {
            self.said.clear();
        }
        Ok(step)
    }

    /// White space between elements (§4.6.1), an error of the stream (§4.9), and its end (§4.4).
    fn speaks_unasked(&self) -> bool {
        true
    }

    fn awaiting(&self) -> &'static str {
        match self.awaiting {
            Awaiting::Features => "stream",
            Awaiting::Proceed => "starttls",
        }
    }

    fn advertised(&self) -> Option<bool> {
        self.advertised
    }

    fn findings(&self) -> Option<Findings<'_>> {
        self.advertised.map(|_| Findings::Xmpp { required: self.required })
    }
}
