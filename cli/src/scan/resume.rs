//! The file that a scan resumes.
//!
//! It is the user's. A scan adds to it only if every line in it is a result, and removes nothing from it but the end of a
//! result that was torn off when a scan was killed. The bytes themselves have to prove both:
//!
//! - A **result** is a JSON object without white space between its tokens, whose fields are those that a scan writes in this
//!   layout, all of them, in this order. It stays, and its target is not checked again, also if its newline is missing.
//! - A **torn result** is a last line without its newline that is not a whole object, but would be a result if it went on:
//!   its fields are the first ones of a result, in this order. If no result stands before it, it must show two of these
//!   fields, since `{"` is the beginning of any object.
//!
//! If there is anything else in the file, the scan does not begin, and the file stays as it is, byte for byte.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use fs4::{FileExt, TryLockError};
use serde::Deserialize;
use serde_json::Value;

use super::shard::Key;

/// The fields of a result in their order, and whether every result has them.
type Layout = &'static [(&'static str, bool)];

/// As [`Line`](super::Line) writes it.
const REPORT: Layout = &[
    ("target", true),
    ("protocol", true),
    ("address", true),
    ("outcome", true),
    ("failure", true),
    ("cleartext", true),
    ("tls", true),
    ("seconds", true),
    ("findings", true),
    ("implicit", true),
    ("session", true),
    ("active", true),
    ("exposure", true),
    ("tag", false),
];

/// As [`Grab`](super::Grab) writes it.
const GRAB: Layout = &[("ip", false), ("domain", false), ("target", true), ("tag", false), ("data", true)];

/// How long a line may be. A scan writes far shorter ones.
const LONGEST: usize = 8 << 20;

/// Opens results to add to them, locks them for as long as they are open, and reads which targets they have.
///
/// # Errors
/// In words, if they cannot be added to. The file is then as it was.
pub fn open(path: &Path, zgrab2: bool) -> Result<(File, HashSet<Key>), String> {
    let failed = |error: io::Error| error.to_string();
    match path.symlink_metadata() {
        Ok(metadata) if !metadata.is_file() => return Err("it is not a regular file".to_owned()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(failed)?;
    FileExt::try_lock(&file).map_err(|error| match error {
        TryLockError::WouldBlock => "another scan is writing to it".to_owned(),
        TryLockError::Error(error) => format!("it cannot be locked: {error}"),
    })?;
    let (done, end) = read(BufReader::new(&file), zgrab2)?;
    match end {
        End::Whole => {}
        End::Unterminated => file.write_all(b"\n").map_err(failed)?,
        End::Torn { at } => file.set_len(at).map_err(failed)?,
    }
    Ok((file, done))
}

/// Keeps others from resuming the file that standard output goes to, if it is one, while this scan writes to it.
///
/// # Errors
/// In words, if another is resuming it.
#[cfg(unix)]
pub fn share_stdout() -> Result<(), String> {
    use std::os::fd::AsFd;

    // The lock belongs to the open file, which all of its descriptors share.
    let stdout = io::stdout().as_fd().try_clone_to_owned().map(File::from);
    match stdout.as_ref().map(FileExt::try_lock_shared) {
        Ok(Err(TryLockError::WouldBlock)) => Err("cannot write the results: another scan is resuming this file".into()),
        // What cannot be locked cannot be resumed either.
        _ => Ok(()),
    }
}

/// There is no telling.
#[cfg(not(unix))]
pub fn share_stdout() -> Result<(), String> {
    Ok(())
}

/// How the results end.
#[derive(Debug, PartialEq)]
enum End {
    Whole,
    /// The last one lacks its newline.
    Unterminated,
    /// The last one, which begins here, is torn.
    Torn {
        at: u64,
    },
}

fn read(mut results: impl BufRead, zgrab2: bool) -> Result<(HashSet<Key>, End), String> {
    #[derive(Deserialize)]
    struct Object {
        target: String,
    }
    let (layout, other) = if zgrab2 { (GRAB, REPORT) } else { (REPORT, GRAB) };
    let (mut done, mut at, mut text) = (HashSet::new(), 0, Vec::new());
    for number in 1.. {
        text.clear();
        let read = results.by_ref().take(LONGEST as u64).read_until(b'\n', &mut text);
        let terminated = match read.map_err(|error| error.to_string())? {
            0 => break,
            _ if text.ends_with(b"\n") => true,
            LONGEST => return Err(format!("line {number} is longer than any result")),
            _ => false,
        };
        let json = text.strip_suffix(b"\n").unwrap_or(&text);
        match (serde_json::from_slice::<Object>(json), Line::new(json)) {
            (Ok(Object { target }), Some(line)) if line.is_result(layout) => {
                done.insert(Key::new(&target));
                if !terminated {
                    return Ok((done, End::Unterminated));
                }
            }
            (Ok(_), Some(line)) if line.is_result(other) => {
                let advice = if zgrab2 { "leave --zgrab2 out" } else { "add --zgrab2" };
                return Err(format!("line {number} is a result in another layout: {advice}, or name another file"));
            }
            (Err(_), Some(line)) if !terminated && line.begins_result(layout, number > 1) && is_torn(json) => {
                return Ok((done, End::Torn { at }));
            }
            _ if terminated => return Err(format!("line {number} is not a result of a scan")),
            _ => return Err(format!("line {number} is neither a result of a scan nor the beginning of one")),
        }
        at += text.len() as u64;
    }
    Ok((done, End::Whole))
}

/// Whether this is the beginning of JSON.
fn is_torn(json: &[u8]) -> bool {
    // What passes over values takes a number that ends in its middle for a wrong one.
    serde_json::from_slice::<Value>(json).is_err_and(|error| error.is_eof())
}

/// The fields of an object that may be torn.
struct Line<'a> {
    names: Vec<&'a [u8]>,
    /// If it is torn where a name stands: what there is of the name.
    torn: Option<&'a [u8]>,
}

impl<'a> Line<'a> {
    /// `None` if it is no object, or has white space between its tokens. Whether it is JSON otherwise is not looked at.
    fn new(json: &'a [u8]) -> Option<Self> {
        let rest = json.strip_prefix(b"{")?;
        let (mut names, mut torn) = (Vec::new(), Some(&rest[..0]));
        let (mut depth, mut string, mut escaped) = (1_usize, None, false);
        for (at, byte) in rest.iter().enumerate() {
            match (string, byte) {
                (Some(_), _) if escaped => escaped = false,
                (Some(_), b'\\') => escaped = true,
                (Some(start), b'"') => {
                    string = None;
                    names.extend(torn.take().map(|_| &rest[start..at]));
                }
                (Some(_), _) => {}
                (None, b'"') => string = Some(at + 1),
                (None, b'{' | b'[') => depth += 1,
                (None, b'}' | b']') => depth = depth.saturating_sub(1),
                (None, b',') if depth == 1 => torn = Some(&rest[..0]),
                (None, byte) if byte.is_ascii_whitespace() => return None,
                (None, _) => {}
            }
        }
        let torn = torn.map(|nothing| string.map_or(nothing, |start| &rest[start..]));
        Some(Self { names, torn })
    }

    /// What may stand behind its fields, if these stand so in the layout.
    fn rest(&self, layout: Layout) -> Option<Layout> {
        self.names.iter().try_fold(layout, |rest, name| {
            let at = rest.iter().position(|(field, required)| field.as_bytes() == *name || *required)?;
            (rest[at].0.as_bytes() == *name).then_some(&rest[at + 1..])
        })
    }

    /// Whether its fields are those of a result.
    fn is_result(&self, layout: Layout) -> bool {
        self.rest(layout).is_some_and(|rest| rest.iter().all(|(_, required)| !required))
    }

    /// Whether its fields are the first ones of a result, and enough to tell that if there is nothing `before` it.
    fn begins_result(&self, layout: Layout, before: bool) -> bool {
        let Some(rest) = self.rest(layout).filter(|_| before || self.names.len() > 1) else { return false };
        let required = rest.iter().position(|(_, required)| *required);
        let next = required.map_or(rest, |required| &rest[..=required]);
        self.torn.is_none_or(|torn| next.iter().any(|(field, _)| field.as_bytes().starts_with(torn)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::input::{Bad, Entry};
    use super::super::{Grab, Line as Tagged};
    use super::*;
    use crate::report::Report;
    use crate::target::Target;

    const MOST: &str = r#"a",{" }"#;

    /// Results in a layout, each with its newline: with all fields that one can have, and with the fewest.
    fn results(zgrab2: bool) -> [Vec<u8>; 2] {
        let target = Target { server_name: Some("mail.example".into()), ..Target::scripted("192.0.2.1:25").unwrap() };
        let bad = Bad { line: String::new(), reason: String::new() };
        [(MOST, Ok(target), Some("blue".into())), ("b", Err(bad), None)].map(|(text, target, tag)| {
            let (report, entry) = (Report::new(text, None), Entry { text: text.into(), target, tag });
            let json = match zgrab2 {
                true => serde_json::to_string(&Grab::new(&entry, &report)),
                false => serde_json::to_string(&Tagged { report: &report, tag: entry.tag.as_deref() }),
            };
            (json.unwrap() + "\n").into_bytes()
        })
    }

    fn keys<const N: usize>(targets: [&str; N]) -> HashSet<Key> {
        targets.map(Key::new).into()
    }

    #[test]
    fn what_a_scan_writes_is_known_wherever_it_was_cut_off() {
        for zgrab2 in [false, true] {
            let [most, least] = results(zgrab2);
            let both = [&*most, &*least].concat();
            assert_eq!(read(&*both, zgrab2), Ok((keys([MOST, "b"]), End::Whole)));
            assert_eq!(read(&both[..both.len() - 1], zgrab2), Ok((keys([MOST, "b"]), End::Unterminated)));
            for (first, second) in [(&most, &least), (&least, &most)] {
                let both = [&**first, second].concat();
                for end in first.len() + 1..both.len() - 1 {
                    let (done, end) = read(&both[..end], zgrab2).unwrap_or_else(|error| panic!("{end}: {error}"));
                    assert_eq!((done.len(), end), (1, End::Torn { at: first.len() as u64 }));
                }
                // The first one has to show two of its fields.
                let torn = (1..first.len() - 1).map(|end| read(&first[..end], zgrab2).is_ok());
                let enough = first.windows(2).enumerate().filter(|(_, bytes)| bytes == b"\":").nth(1).unwrap().0;
                assert_eq!(torn.clone().position(|torn| torn), Some(enough));
                assert!(torn.skip(enough).all(|torn| torn));
            }
        }
    }

    #[test]
    fn what_a_scan_does_not_write_is_none_of_its_own() {
        for zgrab2 in [false, true] {
            let [most, least] = results(zgrab2).map(|line| String::from_utf8(line).unwrap());
            let (_, tail) = least.split_once(',').unwrap();
            let foreign = [
                "\n",
                "\0",
                "1",
                "[",
                "[\"b\"",
                "\"target",
                "{}",
                r#"{"#,
                r#"{"target":"b"}"#,
                r#"{"target":"b","note":"mine"#,
                r#"{"target":"b","not"#,
                r#"{"note"#,
                &least.replace(':', ": "),
                &least.replace("\n", "\r\n"),
                &least.replace("\n", "{"),
                &least.replace("}\n", ",\"more\":1}\n"),
                &least.replace("}\n", ",\"more"),
                &format!("{{{tail}"),
                &format!("{}\0\0", &most[..most.len() - 9]),
                &format!("{{\"more\":1,{}", &least[1..]),
            ];
            for text in foreign.into_iter().filter(|text| *text != "{") {
                for before in ["", &most] {
                    for end in ["", "\n"] {
                        let all = format!("{before}{text}{end}");
                        let number = 1 + usize::from(!before.is_empty());
                        let error = read(all.as_bytes(), zgrab2).expect_err(&all);
                        assert!(error.starts_with(&format!("line {number} is ")), "{error}");
                    }
                }
            }
        }
    }
}
