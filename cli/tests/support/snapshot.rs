//! Output that is compared with a file, but for what differs between runs.

use std::fs;
use std::path::Path;

/// Compares `text` with `tests/snapshots/NAME.txt`. With BLESS in the environment, writes it there.
///
/// # Panics
/// If they differ.
pub fn assert_snapshot(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/snapshots/{name}.txt"));
    let text = constant(text);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &text).expect("a writable directory");
    }
    let expected = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(text == expected, "not as in {} (BLESS=1 accepts it):\n{text}", path.display());
}

/// Stands words in for ports, times, hashes and serial numbers: for each run of digits that is one.
fn constant(text: &str) -> String {
    let mut constant = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|character: char| character.is_ascii_hexdigit()) {
        let run = rest[start..].find(|character: char| !(character.is_ascii_hexdigit() || character == '.'));
        let (digits, behind) = rest[start..].split_at(run.unwrap_or(rest.len() - start));
        constant += &rest[..start];
        constant += match digits {
            // 2099 is far away.
            _ if behind.starts_with(" days") => "MANY",
            _ if behind.starts_with(" ms") => "SOME",
            _ if constant.ends_with("127.0.0.1:") => "PORT",
            _ if constant.ends_with("\"} ") && digits.contains('.') => "SOME",
            _ if digits.len() >= 36 => "HASH",
            _ => digits,
        };
        rest = behind;
    }
    constant + rest
}
