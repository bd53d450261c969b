//! Makes what fuzzing starts from: of the transcripts, an input each, and a dictionary for each protocol.
//!
//! ```text
//! cargo run -p starttls-replay --example seeds -- FOLDER
//! ```

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

use starttls::Protocol;
use starttls_replay::{Input, Transcript};

fn main() -> io::Result<()> {
    let folder = std::env::args_os().nth(1).ok_or_else(|| io::Error::other("usage: seeds FOLDER"))?;
    let (seeds, dictionaries) = (Path::new(&folder).join("seeds"), Path::new(&folder).join("dictionaries"));
    fs::create_dir_all(&dictionaries)?;
    for protocol in Protocol::all() {
        let seeds = seeds.join(protocol.name());
        fs::create_dir_all(&seeds)?;
        let mut words = BTreeSet::new();
        for (number, transcript) in Transcript::all(protocol).iter().enumerate() {
            let input = Input::new(transcript, 1 + number % 16);
            let bytes = input.write();
            let turns = Input::read(&bytes).map(|input| input.turns);
            assert_eq!(turns.as_ref(), Some(&input.turns), "{} is read otherwise", transcript.name);
            let said = input.turns.iter().flat_map(|turn| turn.split(|byte| byte.is_ascii_whitespace()));
            words.extend(said.filter(|word| (2..=24).contains(&word.len())).map(<[u8]>::to_vec));
            fs::write(seeds.join(format!("{number:03}")), bytes)?;
        }
        words.extend([Input::TURN, b"\r\n"].map(<[u8]>::to_vec));
        fs::write(dictionaries.join(protocol.name()), dictionary(&words))?;
    }
    Ok(())
}

/// In the format of libFuzzer's.
fn dictionary(words: &BTreeSet<Vec<u8>>) -> String {
    let mut dictionary = String::new();
    for word in words {
        dictionary += "\"";
        for byte in word {
            let _ = match byte {
                b'"' | b'\\' => write!(dictionary, "\\{}", char::from(*byte)),
                b' '..=b'~' => write!(dictionary, "{}", char::from(*byte)),
                _ => write!(dictionary, "\\x{byte:02x}"),
            };
        }
        dictionary += "\"\n";
    }
    dictionary
}
