//! Makes the seeds and the dictionaries from the transcripts.
//!
//! ```text
//! cargo run --manifest-path fuzz/Cargo.toml --example seed -- fuzz
//! ```

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use starttls::Protocol;
use starttls_fuzz::Dialogue;
use starttls_replay::Transcript;

fn main() -> io::Result<()> {
    let folder = std::env::args_os().nth(1).ok_or_else(|| io::Error::other("usage: seed FOLDER"))?;
    let folder = Path::new(&folder);
    let dictionaries = folder.join("dictionaries");
    std::fs::create_dir_all(&dictionaries)?;
    for protocol in Protocol::all() {
        let corpus = folder.join("corpus").join(protocol.name());
        std::fs::create_dir_all(&corpus)?;
        let mut tokens = BTreeSet::new();
        for (number, transcript) in Transcript::all(protocol).into_iter().enumerate() {
            let turns: Vec<Vec<u8>> = transcript.server().map(<[u8]>::to_vec).collect();
            let words = turns.iter().flat_map(|turn| turn.split(|byte| byte.is_ascii_whitespace()));
            tokens.extend(words.filter(|word| (2..=24).contains(&word.len())).map(<[u8]>::to_vec));
            let dialogue = Dialogue { knobs: transcript.knobs, chunk: 1 + number % 16, turns };
            std::fs::write(corpus.join(format!("{number:03}")), dialogue.write())?;
        }
        let mut dictionary = "\"\\x1d\\x1e\"\n\"\\x0d\\x0a\"\n".to_owned();
        for token in tokens {
            dictionary += "\"";
            for byte in token {
                // The format is libFuzzer's.
                let _ = match byte {
                    b'"' | b'\\' => write!(dictionary, "\\{}", byte as char),
                    b' '..=b'~' => write!(dictionary, "{}", byte as char),
                    _ => write!(dictionary, "\\x{byte:02x}"),
                };
            }
            dictionary += "\"\n";
        }
        std::fs::write(dictionaries.join(format!("{protocol}.dict")), dictionary)?;
    }
    Ok(())
}
