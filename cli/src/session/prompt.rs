//! A question at the terminal whose answer is not shown.

use std::io;

use zeroize::Zeroizing;

#[cfg(unix)]
pub use unix::password;

/// There is no way to ask.
#[cfg(not(unix))]
pub fn password(_user: &str) -> io::Result<Zeroizing<String>> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(unix)]
mod unix {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::sync::{Arc, Mutex, PoisonError};
    use std::{process, thread};

    use async_signal::{Signal, Signals};
    use rustix::process::{getpgrp, getpid, getsid, kill_process};
    use rustix::termios::{
        LocalModes, OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcgetpgrp, tcsetattr,
    };
    use smol::stream;
    use starttls::Escaped;

    use super::*;
    use crate::SIGNALLED;

    /// Asks for the password of `user`.
    ///
    /// A signal that ends the program restores the terminal first. One that would suspend it has it ask again instead, and so
    /// it does if it was stopped and goes on. From here on, a thread has these signals until the end.
    pub fn password(user: &str) -> io::Result<Zeroizing<String>> {
        let terminal = File::options().read(true).write(true).open("/dev/tty")?;
        // In the background, this stops the program: it goes on when the terminal is its own.
        tcflush(&terminal, QueueSelector::IFlush)?;
        let usual = tcgetattr(&terminal)?;
        let question = format!("Password for {}: ", Escaped(user.as_bytes()));
        let prompt = Arc::new(Prompt { terminal, usual, question, over: Mutex::new(false) });
        use Signal::{Cont, Hup, Int, Quit, Term, Tstp};
        let signals = Signals::new([Hup, Int, Quit, Term, Tstp, Cont])?;
        let heeding = prompt.clone();
        thread::spawn(move || heeding.heed(signals));

        let mut line = Zeroizing::new([0; 1024]);
        let answer = prompt.ask().and_then(|()| (&prompt.terminal).read(&mut *line));
        let mut over = prompt.over.lock().unwrap_or_else(PoisonError::into_inner);
        prompt.restore();
        *over = true;
        match line[..answer?].split_last() {
            Some((b'\n', password)) => match str::from_utf8(password) {
                Ok(password) => Ok(Zeroizing::new(password.to_owned())),
                Err(_) => Err(io::Error::other("what was typed is not UTF-8")),
            },
            _ => Err(io::Error::other("none was typed")),
        }
    }

    struct Prompt {
        terminal: File,
        /// How the terminal was set.
        usual: Termios,
        question: String,
        /// Whether there is an answer. It stays so while this is locked.
        over: Mutex<bool>,
    }

    impl Prompt {
        fn ask(&self) -> io::Result<()> {
            let mut silent = self.usual.clone();
            silent.local_modes.remove(LocalModes::ECHO);
            tcsetattr(&self.terminal, OptionalActions::Flush, &silent)?;
            (&self.terminal).write_all(self.question.as_bytes())
        }

        /// Sets the terminal as it was. In the background, it is the shell's.
        fn restore(&self) {
            if self.is_in_foreground() && tcsetattr(&self.terminal, OptionalActions::Flush, &self.usual).is_ok() {
                // If that fails, there is nobody to see it.
                let _ = writeln!(&self.terminal);
            }
        }

        fn is_in_foreground(&self) -> bool {
            tcgetpgrp(&self.terminal).is_ok_and(|group| group == getpgrp())
        }

        /// Does what the signals mean.
        fn heed(&self, signals: Signals) {
            for signal in stream::block_on(signals).flatten() {
                let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
                match signal {
                    // What was typed is lost, and the shell may have set the terminal to show what is typed.
                    Signal::Cont | Signal::Tstp if !*over && self.is_in_foreground() => {
                        self.restore();
                        // If that fails, reading does as well.
                        let _ = self.ask();
                    }
                    // As by default, which does nothing where no shell can continue the program.
                    Signal::Tstp if *over && getsid(None) != Ok(getpgrp()) => {
                        let _ = kill_process(getpid(), rustix::process::Signal::STOP);
                    }
                    Signal::Cont | Signal::Tstp => {}
                    _ => {
                        if !*over {
                            self.restore();
                        }
                        process::exit(i32::from(SIGNALLED) + signal as i32);
                    }
                }
            }
        }
    }
}
