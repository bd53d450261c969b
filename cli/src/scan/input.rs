//! The targets of a scan, read as they are needed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::iter;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use starttls::Escaped;

use crate::arguments::ScanArguments;
use crate::target::{self, Target};

/// How long a line may be. A name has 253 bytes.
const LONGEST: usize = 4096;
/// How many addresses a network may have, in bits: as many as 10.0.0.0/8.
const LARGEST: u32 = 24;

/// One line, or one address of its network.
#[derive(Debug)]
pub struct Entry {
    /// Escaped, as the results have it.
    pub text: String,
    /// Escaped as well.
    pub tag: Option<String>,
    pub target: Result<Target, Bad>,
}

/// A line that is no target.
#[derive(Debug)]
pub struct Bad {
    pub line: String,
    pub reason: String,
}

/// What lines are read from.
pub type Source = Box<dyn BufRead + Send>;

/// Where targets come from, and how to read them.
pub struct Input {
    targets: Vec<String>,
    file: Option<PathBuf>,
    starttls: Option<String>,
    /// Whether a script stands in for a protocol.
    scripted: bool,
}

impl Input {
    /// # Errors
    /// If no target could be right.
    pub fn new(arguments: &ScanArguments) -> Result<Self, String> {
        let client = &arguments.client;
        client.starttls.as_deref().map(target::protocol).transpose()?;
        let (targets, file) = (arguments.targets.clone(), arguments.file.clone());
        Ok(Self { targets, file, starttls: client.starttls.clone(), scripted: client.script.is_some() })
    }

    /// Whether there is an end that can be told ahead, by reading it all once more.
    pub fn is_finite(&self) -> bool {
        self.file.as_ref().is_none_or(|file| file.is_file())
    }

    /// Opens the file. There is nothing in it if there is none.
    ///
    /// # Errors
    /// Those of opening it.
    pub fn open(&self) -> io::Result<Source> {
        Ok(match &self.file {
            None => Box::new(io::empty()),
            Some(file) if file == Path::new("-") => Box::new(BufReader::new(io::stdin())),
            Some(file) if file.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Some(file) => Box::new(BufReader::new(File::open(file)?)),
        })
    }

    /// All targets. An error is the last of them.
    pub fn entries(&self, source: Source) -> impl Iterator<Item = io::Result<Entry>> {
        let lines = self.targets.iter().cloned().map(Ok).chain(Lines { reader: Some(source) });
        lines.flat_map(|line| -> Box<dyn Iterator<Item = _>> {
            match line {
                Ok(line) => Box::new(self.line(&line).map(Ok)),
                Err(error) => Box::new(iter::once(Err(error))),
            }
        })
    }

    /// What a line stands for: mostly one target.
    fn line(&self, line: &str) -> Box<dyn Iterator<Item = Entry> + '_> {
        let line = line.trim();
        let read = if line.len() > LONGEST {
            Err(format!("the line is longer than {LONGEST} bytes"))
        } else if !line.contains("://") && line.contains([',', '/']) {
            self.record(line)
        } else {
            self.parse(line).map(|target| Box::new(iter::once(entry(line, None, Ok(target)))) as _)
        };
        read.unwrap_or_else(|reason| {
            let bad = Bad { line: line.to_owned(), reason };
            Box::new(iter::once(entry(line, None, Err(bad))))
        })
    }

    /// Reads `IP, DOMAIN, TAG, PORT`: the address or the network to connect to, the name that the certificate must hold. If
    /// there is no address, the domain tells it. What is missing at the end may be left out.
    fn record(&self, line: &str) -> Result<Box<dyn Iterator<Item = Entry> + '_>, String> {
        let fields: Vec<_> = line.split(',').map(|field| field.trim().to_owned()).collect();
        let field = |index: usize| fields.get(index).filter(|field| !field.is_empty()).cloned();
        if fields.len() > 4 {
            return Err("there are more than the four fields IP, DOMAIN, TAG, PORT".to_owned());
        }
        let (domain, tag, port) = (field(1), field(2), field(3));
        let Some(network) = field(0) else {
            let text = fields.join(",");
            let host = domain.ok_or("there is neither an IP nor a DOMAIN")?;
            let target = self.at(&host, port.as_deref(), None, &text)?;
            return Ok(Box::new(iter::once(entry(&text, tag, Ok(target)))));
        };
        let (first, count) = network_in(&network)?;
        // What is wrong with the port or the protocol is wrong for each of them, and said once.
        let at = move |address: IpAddr| {
            let mut fields = fields.clone();
            fields[0] = address.to_string();
            let text = fields.join(",");
            let host = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
            Ok::<_, String>(entry(&text, tag.clone(), Ok(self.at(&host, port.as_deref(), domain.clone(), &text)?)))
        };
        at(first)?;
        Ok(Box::new((0..count).filter_map(move |number| at(plus(first, number)).ok())))
    }

    fn at(&self, host: &str, port: Option<&str>, server_name: Option<String>, text: &str) -> Result<Target, String> {
        let typed = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Ok(Target { text: text.to_owned(), server_name, ..self.parse(&typed)? })
    }

    fn parse(&self, text: &str) -> Result<Target, String> {
        if self.scripted { Target::scripted(text) } else { Target::parse(text, self.starttls.as_deref()) }
    }
}

fn entry(text: &str, tag: Option<String>, target: Result<Target, Bad>) -> Entry {
    let escaped = |text: &str| Escaped(text.as_bytes()).to_string();
    Entry { text: escaped(text), tag: tag.as_deref().map(escaped), target }
}

/// The lines that have something in them, of bounded length: of a longer one it gives one byte more than it may have.
struct Lines {
    /// `None` behind an error.
    reader: Option<Source>,
}

impl Iterator for Lines {
    type Item = io::Result<String>;

    fn next(&mut self) -> Option<io::Result<String>> {
        loop {
            let line = match line(self.reader.as_mut()?) {
                Ok(line) if line.is_empty() => return None,
                Ok(line) => line,
                Err(error) => {
                    self.reader = None;
                    return Some(Err(error));
                }
            };
            let line = String::from_utf8_lossy(&line);
            if !line.trim().is_empty() && !line.trim_start().starts_with('#') {
                return Some(Ok(line.into_owned()));
            }
        }
    }
}

fn line(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    reader.take(LONGEST as u64 + 1).read_until(b'\n', &mut line)?;
    if line.len() > LONGEST && !line.ends_with(b"\n") {
        reader.skip_until(b'\n')?;
    }
    Ok(line)
}

/// The first address of a network, and how many there are.
fn network_in(text: &str) -> Result<(IpAddr, u32), String> {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let address: IpAddr = address.parse().map_err(|_| format!("{text} is neither an address nor a network"))?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix.map(str::parse) {
        None => bits,
        Some(Ok(prefix)) if prefix <= bits => prefix,
        Some(_) => return Err(format!("{text} is not a network: behind its / stands a number up to {bits}")),
    };
    let host = bits - prefix;
    if host > LARGEST {
        return Err(format!("{text} is too large: the smallest prefix that is taken is /{}", bits - LARGEST));
    }
    let clear = |number: u128| number >> host << host;
    let first = match address {
        IpAddr::V4(address) => Ipv4Addr::from_bits(clear(address.to_bits().into()) as u32).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(clear(address.to_bits())).into(),
    };
    Ok((first, 1 << host))
}

/// The address so many behind this one, of the same network.
fn plus(first: IpAddr, number: u32) -> IpAddr {
    match first {
        IpAddr::V4(first) => Ipv4Addr::from_bits(first.to_bits() + number).into(),
        IpAddr::V6(first) => Ipv6Addr::from_bits(first.to_bits() + u128::from(number)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Vec<String> {
        let input = Input { targets: vec![line.to_owned()], file: None, starttls: None, scripted: false };
        let shown = |entry: Entry| match entry.target {
            Ok(Target { host, port, server_name, .. }) => {
                format!("{} {host} {port} {} {}", entry.text, name(server_name), name(entry.tag))
            }
            Err(bad) => format!("{} {}", entry.text, bad.reason),
        };
        input.entries(input.open().unwrap()).map(|entry| shown(entry.unwrap())).collect()
    }

    fn name(name: Option<String>) -> String {
        name.unwrap_or("-".to_owned())
    }

    #[test]
    fn a_record_has_its_fields_where_zgrab2_has_them() {
        for (line, expected) in [
            (" smtp://mail.example ", "smtp://mail.example mail.example 25 - -"),
            ("192.0.2.1, mail.example, blue, 587", "192.0.2.1,mail.example,blue,587 192.0.2.1 587 mail.example blue"),
            ("192.0.2.1,,,25", "192.0.2.1,,,25 192.0.2.1 25 - -"),
            (",mail.example,,25", ",mail.example,,25 mail.example 25 - -"),
            ("2001:db8::1,,,25", "2001:db8::1,,,25 2001:db8::1 25 - -"),
            ("192.0.2.1/32,,,25", "192.0.2.1,,,25 192.0.2.1 25 - -"),
        ] {
            assert_eq!(read(line), [expected]);
            // What the results have is a target again.
            assert_eq!(read(expected.split(' ').next().unwrap()), [expected]);
        }
    }

    #[test]
    fn a_network_is_each_of_its_addresses() {
        let hosts =
            |line| -> Vec<String> { read(line).iter().map(|shown| shown.split(',').next().unwrap().into()).collect() };
        assert_eq!(hosts("192.0.2.5/30,,,25"), ["192.0.2.4", "192.0.2.5", "192.0.2.6", "192.0.2.7"]);
        assert_eq!(hosts("2001:db8::ff/127,,,25"), ["2001:db8::fe", "2001:db8::ff"]);
        assert_eq!(hosts("255.255.255.254/31,,,25"), ["255.255.255.254", "255.255.255.255"]);
        // The last takes no time and no memory, since nobody asks for the others.
        let input = Input { targets: vec!["10.0.0.0/8,,,25".to_owned()], file: None, starttls: None, scripted: false };
        assert_eq!(input.entries(input.open().unwrap()).next().unwrap().unwrap().text, "10.0.0.0,,,25");
    }

    #[test]
    fn what_is_no_target_says_why_once() {
        for (line, reason) in [
            ("192.0.2.0/24", "cannot tell the protocol of 192.0.2.0: "),
            ("192.0.2.0/24,,,x", "\"x\" is not a port"),
            ("192.0.2.0/24,,,2500", "cannot tell the protocol of 192.0.2.0:2500: "),
            ("192.0.2.0/33,,,25", "a number up to 32"),
            ("192.0.2.0/,,,25", "a number up to 32"),
            ("10.0.0.0/7,,,25", "too large: the smallest prefix that is taken is /8"),
            ("2001:db8::/64,,,25", "too large: the smallest prefix that is taken is /104"),
            ("mail.example,,,25", "neither an address nor a network"),
            (",,,25", "neither an IP nor a DOMAIN"),
            ("192.0.2.1,,,25,", "more than the four fields"),
            (&"x".repeat(LONGEST + 1), "longer than 4096 bytes"),
        ] {
            let [shown] = &read(line)[..] else { panic!("{line}: more than one") };
            assert!(shown.contains(reason), "{shown}");
        }
    }

    #[test]
    fn lines_are_bounded_and_the_next_begins_behind_them() {
        let mut text = vec![b'x'; 3 * LONGEST];
        text.extend(b"\n\r\n  # no\n b \r\n\xff\nlast");
        let lines = Lines { reader: Some(Box::new(io::Cursor::new(text))) };
        let lines: Vec<_> = lines.map(Result::unwrap).collect();
        assert_eq!(lines[0].len(), LONGEST + 1);
        assert_eq!(lines[1..], [" b \r\n", "\u{fffd}\n", "last"]);
    }
}
