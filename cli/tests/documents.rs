//! Completions and manual pages, as their readers take them.

mod support;

use std::io::Write;
use std::process::{Command, Stdio};

use support::run;

/// What a program makes of `text` on its standard input; `None` if the program is not there.
fn read_by(program: &[&str], text: &str) -> Option<String> {
    let mut command = Command::new(program[0]);
    command.args(&program[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        println!("skipped: there is no {}", program[0]);
        return None;
    };
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads all");
    let output = child.wait_with_output().expect("it ends");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{program:?}: {complaints}");
    Some(String::from_utf8(output.stdout).expect("UTF-8"))
}

#[test]
fn each_shell_takes_its_completions() {
    for (shell, check) in [
        ("bash", &["bash", "-n"][..]),
        ("zsh", &["zsh", "-n"]),
        ("fish", &["fish", "--no-execute"]),
        ("elvish", &["elvish", "-compileonly"]),
    ] {
        let run = run(&["completions", shell]);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{shell}");
        assert!(run.stdout.contains("connect") && run.stdout.contains("ca-file"), "{shell}: {}", run.stdout);
        read_by(check, &run.stdout);
    }
    let unknown = run(&["completions", "command.com"]);
    assert_eq!((unknown.code, unknown.stdout.as_str()), (3, ""));
    assert!(unknown.complaint().contains("command.com"), "{}", unknown.stderr);
}

#[test]
fn bash_completes_subcommands_and_options() {
    let completions = run(&["completions", "bash"]).stdout;
    for (words, expected) in [("starttls conn", "connect"), ("starttls check --ca-f", "--ca-file")] {
        let last = words.rsplit(' ').next().expect("a word");
        let script = format!(
            "{completions}\nCOMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))\n\
             _starttls starttls '{last}' starttls; echo \"${{COMPREPLY[@]}}\""
        );
        if let Some(replies) = read_by(&["bash"], &script) {
            assert_eq!(replies, format!("{expected}\n"));
        }
    }
}

#[test]
fn the_manual_has_all_that_help_has() {
    for (arguments, words) in [
        (&["man"][..], &["SYNOPSIS", "starttls-check(1)", "Exit codes", "3  could not tell"][..]),
        (&["man", "connect"], &["starttls-connect", "--unverified", "printf 'QUIT\\r\\n' | starttls connect --quiet"]),
    ] {
        let page = run(arguments);
        assert_eq!((page.code, page.stderr.as_str()), (0, ""));
        let roff = ["groff", "-man", "-Tutf8", "-Kutf8", "-P-cbou", "-wall", "-rLL=110n"];
        if let Some(shown) = read_by(&roff, &page.stdout) {
            for word in words {
                assert!(shown.contains(word), "{word}: {shown}");
            }
        }
    }
    let unknown = run(&["man", "woman\x1b"]);
    assert_eq!((unknown.code, unknown.stdout.as_str()), (3, ""));
    assert!(unknown.complaint().contains(r"no subcommand woman\x1b"), "{}", unknown.stderr);
}
