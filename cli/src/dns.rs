//! A stub resolver: for MX records, which the system's resolver does not look up, and for many names at once, since the
//! system's resolver needs a thread for each, and cannot be interrupted.
//!
//! Servers are asked over UDP, and over TCP if the answer is truncated (RFC 1035 §4.2). Nothing is validated: whoever can
//! answer in a server's place names the mail servers, unless that server validates DNSSEC.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use aws_lc_rs::rand;
use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Name, ParseRecordData, ParsedName, Rtype};
use domain::rdata::{A, Aaaa, Mx};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::{TcpStream, UdpSocket};
use smol::{Timer, future};
use starttls::transport::Error;

/// How long one server may take before the next is asked.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most that UDP carries if nobody asks for more.
const LONGEST: usize = 512;
/// Who names more mail servers wants something else than mail.
const MOST_SERVERS: usize = 100;

type Answer = Message<Vec<u8>>;

/// The addresses that the system knows without the DNS.
const HOSTS: &str = "/etc/hosts";

/// Which servers to ask, one after the other.
pub struct Resolver {
    servers: Vec<SocketAddr>,
    /// Known addresses, by names in lower case.
    hosts: HashMap<String, Vec<IpAddr>>,
}

impl Resolver {
    /// Asks this server only.
    pub fn new(server: SocketAddr) -> Self {
        Self { servers: vec![server], hosts: HashMap::new() }
    }

    /// Looks names up in `/etc/hosts`, and asks the servers of `/etc/resolv.conf`. Names are taken as they are: the search
    /// list is for those that a person types.
    ///
    /// # Errors
    /// Those of reading `/etc/resolv.conf`, which not every system has.
    pub fn system() -> io::Result<Self> {
        let servers = servers_in(&fs::read_to_string("/etc/resolv.conf")?);
        Ok(Self { servers, hosts: hosts_in(&fs::read_to_string(HOSTS).unwrap_or_default()) })
    }

    /// The addresses of `host`.
    ///
    /// # Errors
    /// [`Error::Resolve`], [`Error::Timeout`].
    pub async fn addresses(&self, host: &str, deadline: Instant) -> Result<Vec<IpAddr>, Error> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        if let Some(known) = self.hosts.get(&host.to_ascii_lowercase()) {
            return Ok(known.clone());
        }
        within(deadline, host, async {
            let v6 = async {
                let found = self.query(host, Rtype::AAAA).await?;
                Ok(records(&found)?.iter().map(|record: &Aaaa| record.addr().into()).collect())
            };
            let v4 = async {
                let found = self.query(host, Rtype::A).await?;
                Ok(records(&found)?.iter().map(|record: &A| record.addr().into()).collect())
            };
            let (v6, v4): (Result<Vec<_>, String>, Result<Vec<_>, String>) = future::zip(v6, v4).await;
            match (v6, v4) {
                (Ok(v6), Ok(v4)) if v6.is_empty() && v4.is_empty() => Err("it has no address".to_owned()),
                (Ok(v6), Ok(v4)) => Ok([v6, v4].concat()),
                // There are servers that know nothing of one of them.
                (Ok(found), Err(_)) | (Err(_), Ok(found)) if !found.is_empty() => Ok(found),
                (Err(error), _) | (_, Err(error)) => Err(error),
            }
        })
        .await
    }

    /// The hosts that take mail for `domain`, the preferred ones first (RFC 5321 §5.1).
    ///
    /// # Errors
    /// [`Error::Resolve`], [`Error::Timeout`].
    pub async fn mail_servers(&self, domain: &str, deadline: Instant) -> Result<Vec<String>, Error> {
        within(deadline, domain, async {
            let answer = self.query(domain, Rtype::MX).await?;
            if answer.header().rcode() == Rcode::NXDOMAIN {
                return Err("there is no such domain".to_owned());
            }
            let records = records::<Mx<ParsedName<&[u8]>>>(&answer)?;
            let mut servers: Vec<_> = records.iter().map(|mx| (mx.preference(), mx.exchange().to_string())).collect();
            servers.sort();
            let mut hosts: Vec<_> = servers.into_iter().map(|(_, host)| host).collect();
            match &hosts[..] {
                // The domain itself then is its mail server.
                [] => return Ok(vec![domain.to_owned()]),
                [root] if root.is_empty() => return Err("it takes no mail, says its null MX (RFC 7505)".to_owned()),
                _ if hosts.len() > MOST_SERVERS => {
                    return Err(format!(
                        "it has {} mail servers, and no more than {MOST_SERVERS} are checked",
                        hosts.len()
                    ));
                }
                _ => {}
            }
            let mut known = HashSet::new();
            hosts.retain(|host| !host.is_empty() && known.insert(host.to_ascii_lowercase()));
            Ok(hosts)
        })
        .await
    }

    /// What the first server says that knows anything. If all are silent, they are asked again.
    async fn query(&self, name: &str, kind: Rtype) -> Result<Answer, String> {
        let name = Name::vec_from_str(name).map_err(|error| error.to_string())?;
        let mut failure = None;
        while failure.is_none() {
            for &server in &self.servers {
                let late = async {
                    Timer::after(PATIENCE).await;
                    Err(io::ErrorKind::TimedOut.into())
                };
                match future::or(ask(server, &name, kind), late).await {
                    Ok(answer) => match answer.header().rcode() {
                        Rcode::NOERROR | Rcode::NXDOMAIN => return Ok(answer),
                        code => failure = Some(format!("the DNS server {server} answers {code}")),
                    },
                    Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                    Err(error) => failure = Some(format!("the DNS server {server}: {error}")),
                }
            }
        }
        Err(failure.unwrap_or_default())
    }
}

/// Asks one server. Only what has our number and our question, and comes from there, is an answer (RFC 5452 §9.1).
async fn ask(server: SocketAddr, name: &Name<Vec<u8>>, kind: Rtype) -> io::Result<Answer> {
    let query = query(name, kind)?;
    let unspecified = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // The system chooses the port, by chance, and leaves out what comes from elsewhere.
    let socket = UdpSocket::bind(SocketAddr::new(unspecified, 0)).await?;
    socket.connect(server).await?;
    socket.send(query.as_slice()).await?;
    let mut buffer = [0; LONGEST];
    let answer = loop {
        let length = socket.recv(&mut buffer).await?;
        match Message::from_octets(buffer[..length].to_vec()) {
            Ok(answer) if answer.is_answer(&query) => break answer,
            // There may be no end of what is none.
            _ => future::yield_now().await,
        }
    };
    if answer.header().tc() { ask_over_tcp(server, &query).await } else { Ok(answer) }
}

/// A message stands behind its length (RFC 1035 §4.2.2).
async fn ask_over_tcp(server: SocketAddr, query: &Answer) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(server).await?;
    let length = (query.as_slice().len() as u16).to_be_bytes();
    stream.write_all(&[&length, query.as_slice()].concat()).await?;
    let mut length = [0; 2];
    stream.read_exact(&mut length).await?;
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut answer).await?;
    match Message::from_octets(answer) {
        Ok(answer) if answer.is_answer(query) => Ok(answer),
        _ => Err(io::Error::other("what it says over TCP is no answer")),
    }
}

fn query(name: &Name<Vec<u8>>, kind: Rtype) -> io::Result<Answer> {
    let mut number = [0; 2];
    rand::fill(&mut number).map_err(|_| io::Error::other("the system has no random numbers"))?;
    let mut query = MessageBuilder::new_vec();
    query.header_mut().set_id(u16::from_ne_bytes(number));
    query.header_mut().set_rd(true);
    let mut query = query.question();
    query.push((name, kind)).map_err(io::Error::other)?;
    Ok(query.into_message())
}

/// The records of one kind that belong to the name asked for, or to the one that it is an alias of.
fn records<'a, D: ParseRecordData<'a, Vec<u8>>>(answer: &'a Answer) -> Result<Vec<D>, String> {
    let unreadable = |_| "the answer of the DNS server cannot be read".to_owned();
    let owner = answer.canonical_name().ok_or("the aliases in the answer of the DNS server do not end")?;
    let mut records = Vec::new();
    for record in answer.answer().map_err(unreadable)?.limit_to::<D>() {
        let record = record.map_err(unreadable)?;
        if owner == record.owner() {
            records.push(record.into_data());
        }
    }
    Ok(records)
}

async fn within<T>(deadline: Instant, host: &str, work: impl Future<Output = Result<T, String>>) -> Result<T, Error> {
    let late = async {
        Timer::at(deadline).await;
        Err(Error::Timeout { stage: "resolve" })
    };
    let work = async {
        work.await.map_err(|reason| Error::Resolve { host: host.to_owned(), source: io::Error::other(reason) })
    };
    future::or(late, work).await
}

/// The name servers in the text of resolv.conf; if it names none, there is one on this machine.
fn servers_in(text: &str) -> Vec<SocketAddr> {
    let words = text.lines().map(str::split_whitespace);
    let named = words.filter_map(|mut words| words.next().filter(|&word| word == "nameserver").and(words.next()));
    let mut servers: Vec<_> =
        named.filter_map(|address| address.parse().ok()).map(|ip| SocketAddr::new(ip, 53)).collect();
    if servers.is_empty() {
        servers.push((Ipv4Addr::LOCALHOST, 53).into());
    }
    servers
}

/// The addresses of each name in the text of a hosts file, in its order.
fn hosts_in(text: &str) -> HashMap<String, Vec<IpAddr>> {
    let mut hosts: HashMap<_, Vec<_>> = HashMap::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        if let Some(address) = words.next().and_then(|word| word.parse().ok()) {
            words.for_each(|name| hosts.entry(name.to_ascii_lowercase()).or_default().push(address));
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_servers_are_those_of_resolv_conf() {
        let text = "# nameserver 192.0.2.9\nsearch example\nnameserver 192.0.2.1\n  nameserver\t2001:db8::1 # two\n\
                    nameserver\nnameserver fe80::1%eth0\nnameservers 192.0.2.3\noptions edns0\n";
        assert_eq!(servers_in(text), ["192.0.2.1:53".parse().unwrap(), "[2001:db8::1]:53".parse().unwrap()]);
        assert_eq!(servers_in("search example\n"), ["127.0.0.1:53".parse().unwrap()]);
    }

    #[test]
    fn the_addresses_of_a_host_are_those_of_its_lines() {
        let text =
            "127.0.0.1\tlocalhost mail\n# 192.0.2.9 mail\n\n::1 localhost # Mail\nfe80::1%lo0 mail\n192.0.2.1 Mail\n";
        let hosts = hosts_in(text);
        let of = |name| hosts.get(name).map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(of("localhost"), Some(vec!["127.0.0.1".to_owned(), "::1".to_owned()]));
        assert_eq!(of("mail"), Some(vec!["127.0.0.1".to_owned(), "192.0.2.1".to_owned()]));
        assert_eq!(of("#"), None);
    }

    #[test]
    fn each_query_has_another_number() {
        let name = Name::vec_from_str("example.org").unwrap();
        let numbers: HashSet<_> = (0..64).map(|_| query(&name, Rtype::MX).unwrap().header().id()).collect();
        assert!(numbers.len() > 32, "{numbers:?}");
    }
}
