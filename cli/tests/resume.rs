//! `starttls scan --resume`: what it adds to, what it removes, and what it refuses.

mod support;

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use starttls_replay::{Authority, Flaw};
use support::{Run, ca_file, file, good_server, serve, tool, wait};
use wait4::Wait4;

/// A scan, whose targets need not be there.
fn scan() -> Command {
    let mut command = tool();
    command.args(["scan", "--name", "client.example", "--ca-file"]).arg(ca_file(&Authority::default()));
    command
}

fn output(command: &mut Command) -> Run {
    command.output().expect("the tool starts").into()
}

#[test]
fn a_scan_is_resumed_where_its_file_ends() {
    let targets: Vec<_> = (1..=9).map(|host| format!("smtp://127.0.0.{host}:1")).collect();
    let path = file("results", "");
    let resume = |targets: &[String]| output(scan().arg("--resume").arg(&path).args(targets));
    let lines = || fs::read_to_string(&path).expect("results").lines().map(str::to_owned).collect::<Vec<_>>();

    // One that stands twice is done by then.
    let run = resume(&[&targets[..4], &targets[..2]].concat());
    assert_eq!((run.code, run.stdout.as_str(), lines().len()), (0, "", 4), "{}", run.stderr);
    // The last line is cut off in its middle.
    let whole = fs::read_to_string(&path).expect("results");
    let torn = &whole[..whole.len() - 40];
    fs::write(&path, torn).expect("disk");
    let run = resume(&targets);
    assert!(run.stderr.starts_with("starttls: 6 checked in "), "{}", run.stderr);
    assert!(run.stderr.contains("/s, 3 before: "), "{}", run.stderr);
    let lines = lines();
    let mut done: Vec<_> =
        lines.iter().map(|line| serde_json::from_str::<Value>(line).expect(line)["target"].clone()).collect();
    done.sort_by_key(Value::to_string);
    assert_eq!(done, targets);
    assert_eq!(lines[..3].join("\n"), torn[..torn.rfind('\n').expect("lines")]);
}

#[test]
fn a_last_result_without_its_newline_is_not_lost() {
    let targets = [1, 2].map(|host| format!("smtp://127.0.0.{host}:1"));
    for layout in [None, Some("--zgrab2")] {
        let path = file("results", "");
        let resume = |targets: &[String]| output(scan().args(layout).arg("--resume").arg(&path).args(targets));
        resume(&targets[..1]);
        let whole = fs::read_to_string(&path).expect("results");
        fs::write(&path, whole.trim_end()).expect("disk");
        let run = resume(&targets);
        assert!(run.stderr.starts_with("starttls: 1 checked in "), "{}", run.stderr);
        let both = fs::read_to_string(&path).expect("results");
        assert_eq!((run.code, both.strip_prefix(&whole).expect("the first result").matches('\n').count()), (0, 1));
    }
}

#[test]
fn what_is_not_provably_a_scans_own_is_refused_and_stays_as_it_was() {
    let target = "smtp://127.0.0.1:1";
    let [result, grab] = [None, Some("--zgrab2")].map(|layout| output(scan().args(layout).arg(target)).stdout);
    let path = file("results", "");
    let refused = |layout: Option<&str>, content: &str| {
        fs::write(&path, content).expect("disk");
        let run = output(scan().args(layout).arg("--resume").arg(&path).arg(target));
        assert_eq!((run.code, run.stdout.as_str()), (3, ""), "{content}");
        assert_eq!(fs::read_to_string(&path).expect("a file"), content);
        run.complaint().to_owned()
    };
    let not_a_result = [
        "smtp://mail.example\n",
        "{}\n",
        "\n",
        r#"{"target":"mine","note":"a list of my own"}"#,
        "{\"target\":\"mine\"}\n",
        "{\"note\":\"mine\"}",
    ];
    let no_beginning =
        [r#"{"note":"mine, and not finis"#, r#"{"target":"mine","note":"#, r#"{"target":"mine"#, "{", "mine"];
    for (layout, own, other, advice) in
        [(None, &result, &grab, "add --zgrab2"), (Some("--zgrab2"), &grab, &result, "leave --zgrab2 out")]
    {
        for content in not_a_result.into_iter().chain(no_beginning) {
            let complaint = refused(layout, content);
            assert!(complaint.contains("cannot resume ") && complaint.contains(": line 1 is n"), "{complaint}");
            // Behind results, one that is torn so early is certain.
            if !["{", r#"{"target":"mine"#].contains(&content) {
                let complaint = refused(layout, &format!("{own}{own}{content}"));
                assert!(complaint.contains(": line 3 is n"), "{content}: {complaint}");
            }
        }
        let complaint = refused(layout, &format!("{own}{other}"));
        assert!(
            complaint.contains(": line 2 is a result in another layout: ") && complaint.contains(advice),
            "{complaint}"
        );
    }
}

#[test]
fn a_line_that_is_too_long_is_not_read_to_its_end() {
    let path = file("results", "");
    // It has no blocks on the disk.
    File::options().write(true).open(&path).and_then(|file| file.set_len(10 << 30)).expect("a sparse file");
    let mut command = scan();
    command.arg("--resume").arg(&path).arg("smtp://127.0.0.1:1").stderr(Stdio::piped());
    let mut child = command.spawn().expect("the tool starts");
    let used = child.wait4().expect("it ends");
    let mut complaint = String::new();
    child.stderr.expect("a pipe").read_to_string(&mut complaint).expect("text");
    assert!(complaint.contains(": line 1 is longer than any result"), "{complaint}");
    assert!(used.rusage.maxrss < 64 << 20, "{} bytes", used.rusage.maxrss);
    assert_eq!((used.status.code(), fs::metadata(&path).expect("a file").len()), (Some(3), 10 << 30));
    fs::remove_file(path).expect("a file");
}

#[cfg(unix)]
#[test]
fn two_scans_do_not_write_to_the_same_results() {
    let authority = Authority::default();
    let [good, silent] = [good_server("smtp", &authority, Flaw::None), serve(|mut stream| wait(&mut stream))]
        .map(|server| (format!("smtp://{}", server.address()), server));
    let results = file("results", "");
    let content = || fs::read_to_string(&results).expect("results");
    let resume = || {
        let mut command = scan();
        command
            .args(["--timeout", "60", &good.0, &silent.0, "--resume"])
            .arg(&results)
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    };
    let print = || {
        let mut command = scan();
        command
            .args(["--timeout", "60", &good.0, &silent.0])
            .stdout(File::options().append(true).create(true).open(&results).expect("disk"))
            .stderr(Stdio::piped());
        command
    };
    let words = ["another scan is writing to it", "another scan is resuming this file"];
    // Whether the one that is at work resumes the results, and whether the other does.
    for (first, second, words) in [(true, true, words[0]), (false, true, words[0]), (true, false, words[1])] {
        fs::write(&results, "").expect("disk");
        let mut first = if first { resume() } else { print() }.spawn().expect("the tool starts");
        // It is at work until the silent server ends, or itself.
        while !content().ends_with('\n') {
            assert_eq!(first.try_wait().expect("it runs"), None);
            std::thread::yield_now();
        }
        let before = content();
        let second = Run::from(if second { resume() } else { print() }.output().expect("the tool starts"));
        assert!(second.complaint().contains(words), "{}", second.stderr);
        assert_eq!((second.code, content()), (3, before));
        // The lock is not left behind by a scan that is killed.
        first.kill().expect("it runs");
        first.wait().expect("it ends");
        let third = output(scan().args([&good.0, "--resume"]).arg(&results));
        assert!(third.stderr.contains("0 checked in ") && third.stderr.contains(", 1 before"), "{}", third.stderr);
        assert_eq!(third.code, 0);
    }
}

#[cfg(unix)]
#[test]
fn only_a_regular_file_is_resumed() {
    let directory = file("directory", "");
    fs::remove_file(&directory).and_then(|()| fs::create_dir(&directory)).expect("disk");
    let [pipe, link, dangling, target] = ["pipe", "link", "dangling", "target"].map(|name| directory.join(name));
    fs::write(&target, "").expect("disk");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    std::os::unix::fs::symlink(&target, &link).expect("disk");
    std::os::unix::fs::symlink(directory.join("nothing"), &dangling).expect("disk");
    for path in [&pipe, &link, &dangling, &directory, Path::new("/dev/null")] {
        let run = output(scan().args(["smtp://127.0.0.1:1", "--resume"]).arg(path));
        assert!(run.complaint().contains(": it is not a regular file"), "{path:?}: {}", run.stderr);
        assert_eq!(run.code, 3, "{path:?}");
    }
    assert_eq!(fs::read(&target).expect("a file"), b"");
    assert!(!directory.join("nothing").exists());
    fs::remove_dir_all(directory).expect("disk");
}
