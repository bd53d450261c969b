//! Arguments that no shell can give.

use clap::CommandFactory;
use smol::future;

use super::*;
use crate::check::Checker;
use crate::failure::Error;
use crate::report::Report;
use crate::scan::Input;
use crate::socket::Blocking;
use crate::{one_line, prepare};

/// What becomes of a command, as far as its names and files go.
fn outcome(command: Command) -> String {
    let checked = |text: &str, client: &ClientArguments| match prepare(text, client, || Checker::new(client)) {
        Ok((checker, target)) => future::block_on(checker.check::<Blocking>(&target)),
        Err(report) => *report,
    };
    let told = |report: Report| report.failure.map_or_else(String::new, |failure| failure.message);
    match command {
        Command::Check(arguments) => told(checked(&arguments.target, &arguments.client)),
        Command::Connect(arguments) => told(checked(&arguments.target, &arguments.client)),
        Command::Scan(arguments) => {
            let checker = Checker::new(&arguments.client).map(drop).map_err(|error| error.message());
            let input = Input::new(&arguments).map_err(|error| Error::Config(error).message());
            let opened = input.and_then(|input| match input.open() {
                Ok(source) => {
                    Ok(input.entries(source).map(|entry| format!("{:?}", entry.map(|entry| entry.text))).collect())
                }
                Err(error) => Err(error.to_string()),
            });
            checker.and(opened).unwrap_or_else(|error| error)
        }
        _ => String::new(),
    }
}

/// No program can be started with a NUL, but one may get here by another way. The other values are tried on the tool itself.
#[test]
fn a_nul_in_any_argument_is_told_and_nothing_worse() {
    let mut tried = 0;
    for subcommand in Arguments::command().get_subcommands_mut() {
        let name = subcommand.get_name().to_owned();
        subcommand.build();
        for argument in subcommand.get_arguments().filter(|argument| argument.get_action().takes_values()) {
            let mut words = vec!["starttls".to_owned(), name.clone()];
            match argument.get_long() {
                Some(long) if ["check", "connect", "scan"].contains(&name.as_str()) => {
                    words.extend(["smtp://127.0.0.1:1".to_owned(), format!("--{long}"), "a\0b".to_owned()]);
                }
                Some(long) => words.extend([format!("--{long}"), "a\0b".to_owned()]),
                None => words.push("a\0b".to_owned()),
            }
            let told = match Arguments::try_parse_from(&words) {
                Ok(parsed) => outcome(parsed.command),
                Err(error) => one_line(&error),
            };
            assert!(!told.contains(char::is_control), "{words:?}: {told:?}");
            tried += 1;
        }
    }
    println!("{tried} arguments");
    assert!(tried > 50, "{tried} arguments");
}
