//! A question at the terminal whose answer is not shown.

use std::io;

use zeroize::Zeroizing;

/// Asks for the password of `user`.
#[cfg(unix)]
pub fn password(user: &str) -> io::Result<Zeroizing<String>> {
    use std::fs::File;
    use std::io::{Read, Write};

    use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};
    use starttls::Escaped;

    const INTERRUPT: u8 = 3;

    let mut terminal = File::options().read(true).write(true).open("/dev/tty")?;
    let usual = tcgetattr(&terminal)?;
    let mut silent = usual.clone();
    // Ctrl-C has to come through as the end of the line, or else it would leave a terminal behind that shows nothing.
    silent.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
    silent.special_codes[SpecialCodeIndex::VEOL] = INTERRUPT;
    tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
    let mut line = Zeroizing::new([0; 1024]);
    let answer =
        write!(terminal, "Password for {}: ", Escaped(user.as_bytes())).and_then(|()| terminal.read(&mut *line));
    tcsetattr(&terminal, OptionalActions::Flush, &usual)?;
    writeln!(terminal)?;
    match line[..answer?].split_last() {
        Some((b'\n', password)) => match str::from_utf8(password) {
            Ok(password) => Ok(Zeroizing::new(password.to_owned())),
            Err(_) => Err(io::Error::other("what was typed is not UTF-8")),
        },
        _ => Err(io::Error::other("none was typed")),
    }
}

/// There is no way to ask.
#[cfg(not(unix))]
pub fn password(_user: &str) -> io::Result<Zeroizing<String>> {
    Err(io::ErrorKind::Unsupported.into())
}
