//! The protocols once more, written from their grammars, as naive as can be, and independent of the core.
//!
//! Each is a function that reads top to bottom: it hears whole lines and packets, in buffers that grow, and says what a
//! client says. [`judge`] gives its verdict on a server; [`compare`] asks the core as well, and panics if they disagree.
//! Then one of them is wrong, and the specification says which.
//!
//! Limits are no matter of the reference's: a dialogue that goes beyond one is not compared.

mod acap;
mod amqp;
mod ftp;
mod http;
mod imap;
mod irc;
mod json;
mod ldap;
mod mssql;
mod munin;
mod mupdate;
mod mysql;
mod mysqlx;
mod nats;
mod nbd;
mod nntp;
mod nsq;
mod nut;
mod pcep;
mod pop3;
mod postgres;
mod rdp;
mod rpc;
mod sieve;
mod smtp;
mod talk;
mod telnet;
mod vnc;
mod xmpp;

use arbitrary::Unstructured;
use starttls::protocol::Client;
use starttls::{Error, Escaped, Negotiation, Protocol, Reason, Reply};
use starttls_replay::drive;

pub use talk::End;
use talk::Talk;

/// What became of a dialogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What the client said, a request an element, escaped.
    pub sent: Vec<String>,
    /// Whether the server listed the upgrade.
    pub advertised: Option<bool>,
    /// How it ended.
    pub end: End,
}

/// The reference's verdict on a server that says these turns, each when the client has said what it has to.
///
/// # Panics
/// For a protocol that has no reference.
pub fn judge(protocol: Protocol, client: Client<'_>, turns: &[Vec<u8>]) -> Verdict {
    let mut talk = Talk::new(client, turns);
    let outcome = match protocol {
        Protocol::Smtp => smtp::dialogue(&mut talk, "EHLO"),
        Protocol::Lmtp => smtp::dialogue(&mut talk, "LHLO"),
        Protocol::Imap => imap::dialogue(&mut talk),
        Protocol::Pop3 => pop3::dialogue(&mut talk),
        Protocol::Nntp => nntp::dialogue(&mut talk),
        Protocol::Ftp => ftp::dialogue(&mut talk),
        Protocol::Irc => irc::dialogue(&mut talk),
        Protocol::Sieve => sieve::dialogue(&mut talk),
        Protocol::Acap => acap::dialogue(&mut talk),
        Protocol::Mupdate => mupdate::dialogue(&mut talk),
        Protocol::Nut => nut::dialogue(&mut talk),
        Protocol::Munin => munin::dialogue(&mut talk),
        Protocol::Http => http::dialogue(&mut talk),
        Protocol::Telnet => telnet::dialogue(&mut talk),
        Protocol::Vnc => vnc::dialogue(&mut talk),
        Protocol::Nats => nats::dialogue(&mut talk),
        Protocol::Nsq => nsq::dialogue(&mut talk),
        Protocol::Xmpp => xmpp::dialogue(&mut talk, false),
        Protocol::XmppServer => xmpp::dialogue(&mut talk, true),
        Protocol::Ldap => ldap::dialogue(&mut talk),
        Protocol::Postgres => postgres::dialogue(&mut talk),
        Protocol::Mysql => mysql::dialogue(&mut talk),
        Protocol::MysqlX => mysqlx::dialogue(&mut talk),
        Protocol::Mssql => mssql::dialogue(&mut talk),
        Protocol::Rdp => rdp::dialogue(&mut talk),
        Protocol::Amqp => amqp::dialogue(&mut talk),
        Protocol::Rpc => rpc::dialogue(&mut talk),
        Protocol::Pcep => pcep::dialogue(&mut talk),
        Protocol::Nbd => nbd::dialogue(&mut talk),
        _ => panic!("{protocol} has no reference"),
    };
    talk.verdict(outcome)
}

/// What a server may say that upgrades, turn by turn: one of the dialogues that the grammar allows, by the choice of these
/// bytes.
///
/// # Panics
/// For a protocol that has no reference.
pub fn legal(protocol: Protocol, client: Client<'_>, choice: &[u8]) -> Vec<Vec<u8>> {
    let choice = &mut Unstructured::new(choice);
    let turns = match protocol {
        Protocol::Smtp | Protocol::Lmtp => smtp::legal(client, choice),
        Protocol::Imap => imap::legal(client, choice),
        Protocol::Pop3 => pop3::legal(client, choice),
        Protocol::Nntp => nntp::legal(client, choice),
        Protocol::Ftp => ftp::legal(client, choice),
        Protocol::Irc => irc::legal(client, choice),
        Protocol::Sieve => sieve::legal(client, choice),
        Protocol::Acap => acap::legal(client, choice),
        Protocol::Mupdate => mupdate::legal(client, choice),
        Protocol::Nut => nut::legal(client, choice),
        Protocol::Munin => munin::legal(client, choice),
        Protocol::Http => http::legal(client, choice),
        Protocol::Telnet => telnet::legal(client, choice),
        Protocol::Vnc => vnc::legal(client, choice),
        Protocol::Nats => nats::legal(client, choice),
        Protocol::Nsq => nsq::legal(client, choice),
        Protocol::Xmpp | Protocol::XmppServer => xmpp::legal(client, choice),
        Protocol::Ldap => ldap::legal(client, choice),
        Protocol::Postgres => postgres::legal(client, choice),
        Protocol::Mysql => mysql::legal(client, choice),
        Protocol::MysqlX => mysqlx::legal(client, choice),
        Protocol::Mssql => mssql::legal(client, choice),
        Protocol::Rdp => rdp::legal(client, choice),
        Protocol::Amqp => amqp::legal(client, choice),
        Protocol::Rpc => rpc::legal(client, choice),
        Protocol::Pcep => pcep::legal(client, choice),
        Protocol::Nbd => nbd::legal(client, choice),
        _ => panic!("{protocol} has no reference"),
    };
    turns.expect("a choice that has run dry takes the first of everything")
}

/// The verdict that the core and the reference agree on. The core gets each turn in chunks of these sizes, over and over.
///
/// # Panics
/// If they disagree.
pub fn compare(protocol: Protocol, client: Client<'_>, turns: &[Vec<u8>], sizes: &[usize]) -> Verdict {
    let expected = judge(protocol, client, turns);
    let mut sizes = sizes.iter().copied().cycle();
    let chunks: Vec<Vec<&[u8]>> = turns.iter().map(|turn| cut(turn, &mut sizes)).collect();
    let dialogue = protocol.dialogue(&client).expect("a valid client");
    let verdict = drive(Negotiation::required(dialogue), &chunks, false);
    if let Err(Error::Limit(_)) = verdict.end {
        return expected;
    }
    let sent = verdict.sent.iter().map(|request| Escaped(request).to_string()).collect();
    let mut found = Verdict { sent, advertised: verdict.advertised, end: end(verdict.end.map(drop)) };
    if matches!(found.end, End::Closing { .. } | End::Unexpected | End::Injected | End::Pending) {
        // What half a reply listed is nobody's business.
        found.advertised = expected.advertised;
    }
    if found != expected {
        let turns: Vec<String> = turns.iter().map(|turn| Escaped(turn).to_string()).collect();
        panic!("{protocol}, {:?}, {turns:#?}\nthe core: {found:?}\nthe reference: {expected:?}", client.options);
    }
    expected
}

fn cut<'a>(mut turn: &'a [u8], sizes: &mut impl Iterator<Item = usize>) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    while !turn.is_empty() {
        let size = sizes.next().unwrap_or(usize::MAX).clamp(1, turn.len());
        let (chunk, rest) = turn.split_at(size);
        chunks.push(chunk);
        turn = rest;
    }
    chunks
}

/// An error of the core's, in the reference's terms.
fn end(end: Result<(), Error>) -> End {
    let code = |reply: Reply| reply.code.to_string();
    match end {
        Ok(()) => End::Upgraded,
        Err(Error::Declined(Reason::NotAdvertised)) => End::NotAdvertised,
        Err(Error::Declined(Reason::Preauthenticated(_))) => End::Preauthenticated,
        Err(Error::Declined(Reason::Refused(reply))) => End::Refused { temporary: reply.temporary, code: code(reply) },
        Err(Error::Closing(reply)) => End::Closing { temporary: reply.temporary, code: code(reply) },
        Err(Error::Unexpected(_)) => End::Unexpected,
        Err(Error::Injected) => End::Injected,
        Err(Error::Unfinished) => End::Pending,
        Err(error) => panic!("no server brings about {error:?} here"),
    }
}
