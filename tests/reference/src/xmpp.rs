//! XMPP: RFC 6120 §4.7, §4.9, §5.4, §11.1. The XML is read by the library that the core uses; what it means is not.
//!
//! - The server opens a stream. One whose version, an attribute of no namespace, is not 1.0 or later need have no features: it is asked
//!   at once, and features that come behind it are passed over.
//! - Else come its features, which have `starttls` among them, or not.
//! - `proceed`, empty and with no attribute twice, is yes, and `failure` ends the session, as the end of the stream does, and an error
//!   of it, by the name of its condition. These two may be of any namespace.
//! - White space may stand in the stream, among the features and in `proceed`; anything may stand within a feature, a
//!   failure or an error. No element is nested deeper than 16.

use arbitrary::Unstructured;
use rxml::error::EndOrError;
use rxml::{AttrMap, Event, Parse, Parser, WithOptions};
use starttls::protocol::{Client, Start};

use crate::talk::{End, Outcome, Talk};

const STREAMS: &str = "http://etherx.jabber.org/streams";
const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
const ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";

pub(crate) fn dialogue(talk: &mut Talk<'_>, server: bool) -> Outcome {
    let Client { name, domain, options, .. } = talk.client;
    let (namespace, from) =
        if server { ("jabber:server", format!("from='{name}' ")) } else { ("jabber:client", String::new()) };
    let header = format!(
        "<?xml version='1.0'?><stream:stream {from}to='{domain}' version='1.0' xmlns='{namespace}' xmlns:stream='{STREAMS}'>"
    );
    let mut parser = Parser::with_options(rxml::Options { max_token_length: 1024, ..rxml::Options::default() });
    parser.set_text_buffering(false);
    let mut xml = Xml { talk, parser, depth: 0, in_tag: false, raw: Vec::new() };
    if options.start == Start::Command {
        let mut rest = header.as_bytes();
        while let Ok(Some(_)) = xml.parser.parse(&mut rest, false) {}
        xml.depth = 1;
    } else {
        xml.talk.ask(header)?;
        xml.talk.advertised = xml.features()?;
        if xml.talk.advertised == Some(false) && !options.insist {
            return Err(End::NotAdvertised);
        }
    }
    xml.talk.ask(format!("<starttls xmlns='{TLS}'/>"))?;
    loop {
        let (namespace, name) = xml.child(Text::Space)?.ok_or(End::closing("</stream>"))?;
        return match (&*namespace, &*name) {
            (STREAMS, "features") if xml.talk.advertised.is_none() => {
                xml.skip()?;
                xml.talk.pass();
                continue;
            }
            (TLS, "proceed") if !xml.declares_twice() => match xml.child(Text::Space)? {
                None => Ok(()),
                Some(_) => Err(End::Unexpected),
            },
            (_, "failure") => {
                xml.skip()?;
                Err(End::closing("failure"))
            }
            _ => Err(xml.error(&name)?),
        };
    }
}

/// What may stand between tags.
#[derive(Clone, Copy, PartialEq)]
enum Text {
    Space,
    Anything,
}

struct Xml<'a, 'b> {
    talk: &'a mut Talk<'b>,
    parser: Parser,
    depth: usize,
    /// What was read of the event that came last, or is to come.
    raw: Vec<u8>,
    /// Whether a tag has begun and not ended.
    in_tag: bool,
}

impl Xml<'_, '_> {
    /// The next child of the element that is open, by namespace and name, or `None` at its end.
    fn child(&mut self, allowed: Text) -> Result<Option<(String, String)>, End> {
        Ok(self.tag(allowed)?.map(|(namespace, name, _)| (namespace, name)))
    }

    fn tag(&mut self, allowed: Text) -> Result<Option<(String, String, AttrMap)>, End> {
        loop {
            match self.event()? {
                Event::XmlDeclaration(..) => {}
                Event::StartElement(_, (namespace, name), attributes) => {
                    self.depth += 1;
                    if self.depth > 16 {
                        return Err(End::Unexpected);
                    }
                    return Ok(Some((namespace.as_str().to_owned(), name.as_str().to_owned(), attributes)));
                }
                Event::EndElement(_) => {
                    self.depth -= 1;
                    return Ok(None);
                }
                Event::Text(_, text) => {
                    if allowed == Text::Space && !text.trim_ascii().is_empty() {
                        return Err(End::Unexpected);
                    }
                }
            }
        }
    }

    fn event(&mut self) -> Result<Event, End> {
        let mut byte = Vec::new();
        let mut raw = Vec::new();
        loop {
            match self.parser.parse(&mut &byte[..], false) {
                Ok(Some(event)) => {
                    self.in_tag &= matches!(event, Event::Text(..));
                    self.raw = raw;
                    return Ok(event);
                }
                Err(EndOrError::NeedMoreData) => {
                    byte = self.talk.bytes(1)?;
                    raw.extend(&byte);
                    self.in_tag |= !byte.trim_ascii().is_empty();
                    if self.depth == 1 && !self.in_tag {
                        self.talk.pass();
                    }
                }
                Ok(None) | Err(EndOrError::Error(_)) => return Err(End::Unexpected),
            }
        }
    }

    /// Passes over what is left of the element that is open.
    fn skip(&mut self) -> Outcome {
        while self.child(Text::Anything)?.is_some() {
            self.skip()?;
        }
        Ok(())
    }

    /// Whether the tag that was read last has `xmlns` twice, to which the parser is blind.
    fn declares_twice(&self) -> bool {
        let mut quote = None;
        let mut names = String::new();
        for byte in &self.raw {
            match quote {
                Some(end) if end == *byte => quote = None,
                Some(_) => {}
                None if b"'\"".contains(byte) => quote = Some(*byte),
                None => names.push(if b"=<>/".contains(byte) { ' ' } else { char::from(*byte) }),
            }
        }
        names.split_ascii_whitespace().filter(|name| *name == "xmlns").count() > 1
    }

    /// Hears the stream's header and its features: whether TLS is among them. An old stream has none.
    fn features(&mut self) -> Result<Option<bool>, End> {
        let Some((namespace, name, attributes)) = self.tag(Text::Space)? else { return Err(End::Unexpected) };
        if namespace != STREAMS || name != "stream" {
            return Err(End::Unexpected);
        }
        let version = attributes.iter().find(|((namespace, name), version)| {
            namespace.is_none() && name.as_str() == "version" && is_modern(version)
        });
        if version.is_none() {
            // `<stream:stream/>` ends what it begins.
            let ended = matches!(self.parser.parse(&mut &[][..], false), Ok(Some(Event::EndElement(_))));
            return if ended { Err(End::closing("</stream>")) } else { Ok(None) };
        }
        let child = self.child(Text::Space)?.ok_or(End::closing("</stream>"))?;
        if child != (STREAMS.to_owned(), "features".to_owned()) {
            return Err(self.error(&child.1)?);
        }
        let mut listed = false;
        while let Some((namespace, name)) = self.child(Text::Space)? {
            listed |= namespace == TLS && name == "starttls";
            self.skip()?;
        }
        Ok(Some(listed))
    }

    /// What else may stand in the stream: its error.
    fn error(&mut self, name: &str) -> Result<End, End> {
        if name != "error" {
            return Err(End::Unexpected);
        }
        let mut condition = "error".to_owned();
        while let Some((namespace, name)) = self.child(Text::Anything)? {
            if namespace == ERRORS && CONDITIONS.contains(&&*name) {
                condition = name;
            }
            self.skip()?;
        }
        let passing =
            ["connection-timeout", "remote-connection-failed", "reset", "resource-constraint", "system-shutdown"];
        let temporary = passing.contains(&&*condition);
        Ok(End::Closing { code: condition, temporary })
    }
}

fn is_modern(version: &str) -> bool {
    version.split_once('.').and_then(|(major, _)| major.parse().ok()).is_some_and(|major: u32| major > 0)
}

/// RFC 6120 §4.9.3, and two of RFC 3920.
const CONDITIONS: [&str; 27] = [
    "bad-format",
    "bad-namespace-prefix",
    "conflict",
    "connection-timeout",
    "host-gone",
    "host-unknown",
    "improper-addressing",
    "internal-server-error",
    "invalid-from",
    "invalid-id",
    "invalid-namespace",
    "invalid-xml",
    "not-authorized",
    "not-well-formed",
    "policy-violation",
    "remote-connection-failed",
    "reset",
    "resource-constraint",
    "restricted-xml",
    "see-other-host",
    "system-shutdown",
    "undefined-condition",
    "unsupported-encoding",
    "unsupported-feature",
    "unsupported-stanza-type",
    "unsupported-version",
    "xml-not-well-formed",
];

pub(crate) fn legal(client: Client<'_>, choice: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Vec<u8>>> {
    let mut turns = Vec::new();
    let prefix = if client.options.start == Start::Command { "stream" } else { *choice.choose(&["stream", "s"])? };
    if client.options.start != Start::Command {
        let mut turn =
            choice.choose(&["<?xml version='1.0'?>", "", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"])?.to_string();
        turn += &format!("<{prefix}:stream xmlns:{prefix}='{STREAMS}' xmlns='jabber:client' id='x>' version='1.0'>");
        turn += choice.choose(&["", " \n"])?;
        turn += &format!("<{prefix}:features>");
        for _ in 0..choice.int_in_range(0..=3)? {
            turn += choice.choose(&[
                "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN &lt;starttls/></mechanism></mechanisms>",
                "<starttls/>",
                "<x xmlns='y'><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><a><b><c/></b></a></x>\n",
                "<x xmlns='y'><![CDATA[</x>]]></x>",
            ])?;
        }
        turn += choice.choose(&[
            "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
            "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>",
            "<t:starttls xmlns:t='urn:ietf:params:xml:ns:xmpp-tls'> x <t:required/> </t:starttls>\r\n",
        ])?;
        turn += &format!("</{prefix}:features>");
        turns.push(turn.into_bytes());
    }
    turns.push(
        choice
            .choose(&[
                "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
                " <proceed xmlns=\"urn:ietf:params:xml:ns:xmpp-tls\"></proceed>",
                "<t:proceed xmlns:t='urn:ietf:params:xml:ns:xmpp-tls'  > </t:proceed >",
            ])?
            .as_bytes()
            .to_vec(),
    );
    Ok(turns)
}
