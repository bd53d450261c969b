//! What is made from the definition of the command line: completions and manual pages.

use std::io;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::arguments::Arguments;

/// The completions for this shell.
pub fn completions(shell: Shell) -> Vec<u8> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "starttls", &mut text);
    text
}

/// The manual page of a subcommand, or of all; `None` if there is no such subcommand.
pub fn manual(subcommand: Option<&str>) -> Option<io::Result<Vec<u8>>> {
    let mut all = Arguments::command().disable_help_subcommand(true);
    all.build();
    let page = match subcommand {
        None => all,
        Some(name) => all.find_subcommand(name)?.clone(),
    };
    let mut text = Vec::new();
    let source = concat!("starttls ", env!("CARGO_PKG_VERSION"));
    Some(Man::new(page).source(source).render(&mut text).map(|()| text))
}
