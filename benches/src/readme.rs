//! The sections of `benches/README.md`, each made by a command.

use std::io;

/// Replaces the section `name`: what stands between `<!-- name -->` and `<!-- end of name -->`.
///
/// # Errors
/// The file cannot be read or written, or has no such section.
pub fn replace(name: &str, body: &str) -> io::Result<()> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let text = std::fs::read_to_string(path)?;
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let section = || {
        let (before, rest) = text.split_once(&begin)?;
        Some((before, rest.split_once(&end)?.1))
    };
    let (before, after) = section().ok_or_else(|| io::Error::other(format!("no section {name} in {path}")))?;
    std::fs::write(path, [before, &begin, "\n", body.trim(), "\n\n", &end, after].concat())
}
