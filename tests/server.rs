//! A server's dialogue, at every split, alone and against a client's.

use bytes::Bytes;
use starttls::protocol::{Options, Smtp, Start};
use starttls::role::{Client, Server};
use starttls::{Accepting, Code, Dialogue, Error, Limit, Limits, Negotiation, Reply, Required, Step, Text};

/// A server of SMTP that takes mail over TLS only (RFC 3207 §4).
struct SmtpServer;

impl Dialogue<Server> for SmtpServer {
    fn open(&mut self) -> Step {
        Step::Send(Bytes::from_static(b"220 mail.example ESMTP\r\n"))
    }

    fn receive(&mut self, line: &[u8]) -> Result<Step, Error> {
        let verb = line.trim_ascii_end().split(|&byte| byte == b' ').next().unwrap_or_default();
        Ok(match &verb.to_ascii_uppercase()[..] {
            b"EHLO" => Step::Send(Bytes::from_static(b"250-mail.example\r\n250-PIPELINING\r\n250 STARTTLS\r\n")),
            b"HELO" => Step::Send(Bytes::from_static(b"250 mail.example\r\n")),
            b"NOOP" | b"RSET" => Step::Send(Bytes::from_static(b"250 2.0.0 Ok\r\n")),
            b"STARTTLS" if verb == line.trim_ascii_end() => {
                Step::SendThenUpgrade(Bytes::from_static(b"220 2.0.0 Ready to start TLS\r\n"))
            }
            b"QUIT" => {
                let reply = Reply { code: Code::Word("QUIT"), text: Text::new(b""), temporary: false };
                Step::SendThenEnd(Bytes::from_static(b"221 2.0.0 Bye\r\n"), Error::Closing(reply))
            }
            _ => Step::Send(Bytes::from_static(b"530 5.7.0 Must issue a STARTTLS command first\r\n")),
        })
    }

    fn awaiting(&self) -> &'static str {
        "STARTTLS"
    }
}

/// What the server says to these turns, each in these chunks, and how it ends.
fn drive(turns: &[Vec<&[u8]>]) -> (String, Result<(), Error>) {
    let mut negotiation: Negotiation<_, Accepting> = Negotiation::accepting(SmtpServer);
    let mut said = Vec::new();
    let mut failed = None;
    for chunks in turns {
        said.extend(negotiation.poll_transmit().into_iter().flatten());
        failed = chunks.iter().find_map(|chunk| negotiation.handle_input(chunk).err());
        if failed.is_some() {
            break;
        }
    }
    said.extend(negotiation.poll_transmit().into_iter().flatten());
    let end = negotiation.finish().map(drop);
    if let Some(error) = failed {
        assert_eq!(end, Err(error));
    }
    (String::from_utf8(said).expect("text"), end)
}

const GREETING: &str = "220 mail.example ESMTP\r\n";
const HELLO: &str = "250-mail.example\r\n250-PIPELINING\r\n250 STARTTLS\r\n";
const GO_AHEAD: &str = "220 2.0.0 Ready to start TLS\r\n";
const REFUSAL: &str = "530 5.7.0 Must issue a STARTTLS command first\r\n";

#[test]
fn a_server_ends_as_it_should_at_every_split() {
    let quit = Reply { code: Code::Word("QUIT"), text: Text::new(b""), temporary: false };
    type Row<'a> = (&'a [&'a [u8]], String, Result<(), Error>);
    let rows: [Row<'_>; 4] = [
        (&[b"EHLO client.example\r\n", b"STARTTLS\r\n"], [GREETING, HELLO, GO_AHEAD].concat(), Ok(())),
        // What was sent ahead of STARTTLS is answered (RFC 2920).
        (
            &[b"HELO x\nNOOP\r\nMAIL FROM:<a@b>\r\nrset\r\nStartTLS \r\n"],
            [GREETING, "250 mail.example\r\n250 2.0.0 Ok\r\n", REFUSAL, "250 2.0.0 Ok\r\n", GO_AHEAD].concat(),
            Ok(()),
        ),
        // CVE-2011-0411: what was sent behind it is not.
        (&[b"EHLO a\r\n", b"STARTTLS\r\nRSET\r\n"], [GREETING, HELLO].concat(), Err(Error::Injected)),
        (&[b"STARTTLS now\r\nQUIT\r\n"], [GREETING, REFUSAL, "221 2.0.0 Bye\r\n"].concat(), Err(Error::Closing(quit))),
    ];
    for (turns, said, end) in rows {
        let expected = (said, end);
        let whole: Vec<Vec<&[u8]>> = turns.iter().map(|turn| vec![*turn]).collect();
        assert_eq!(drive(&whole), expected);
        for number in 0..turns.len() {
            for at in 0..=turns[number].len() {
                let (front, back) = turns[number].split_at(at);
                let mut split = whole.clone();
                split[number] = vec![front, back];
                assert_eq!(drive(&split), expected, "turn {number} at {at}");
            }
        }
        let bytes: Vec<Vec<&[u8]>> = turns.iter().map(|turn| turn.chunks(1).collect()).collect();
        assert_eq!(drive(&bytes), expected, "byte by byte");
    }
}

/// Has a client and a server talk, so many bytes at a time.
fn talk(client: impl Dialogue<Client>, server: impl Dialogue<Server>, size: usize) -> [Result<(), Error>; 2] {
    let mut client: Negotiation<_, Required> = Negotiation::required(client);
    let mut server = Negotiation::accepting(server);
    loop {
        let (asked, answered) = (client.poll_transmit(), server.poll_transmit());
        if asked.is_none() && answered.is_none() {
            return [client.finish().map(drop), server.finish().map(drop)];
        }
        asked.unwrap_or_default().chunks(size).for_each(|chunk| server.handle_input(chunk).unwrap());
        answered.unwrap_or_default().chunks(size).for_each(|chunk| client.handle_input(chunk).unwrap());
    }
}

#[test]
fn a_client_and_a_server_understand_each_other() {
    for size in 1..80 {
        for insist in [false, true] {
            let options = Options { start: Start::Greeting, ask: false, insist };
            let client = Smtp::new("client.example").unwrap().options(options);
            assert_eq!(talk(client, SmtpServer, size), [Ok(()), Ok(())]);
        }
    }
}

#[test]
fn a_client_that_does_not_end_is_stopped() {
    for size in [1, 7, 1000] {
        let mut negotiation = Negotiation::accepting(SmtpServer);
        let error = loop {
            let _ = negotiation.poll_transmit();
            if let Err(error) = negotiation.handle_input(&b"NOOP\r\n".repeat(1000)[..size]) {
                break error;
            }
        };
        assert!(matches!(error, Error::Limit(Limit::Turns | Limit::Line)), "{error}");
    }
    let mut negotiation = Negotiation::accepting(SmtpServer).limits(Limits { line: 512, ..Limits::default() });
    assert_eq!(negotiation.handle_input(&[b'x'; 513]), Err(Error::Limit(Limit::Line)));
}
