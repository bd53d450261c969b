//! `starttls connect`: standard input and output joined with TLS.

mod support;

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use rustls::{ServerConnection, StreamOwned};
use starttls::Protocol;
use starttls_replay::{Authority, Flaw, Server, Transcript, play};
use support::{Run, arguments, line, replay, serve, tool};

/// A test that fails is not to hang.
const PATIENCE: Duration = Duration::from_secs(60);

type Tls = StreamOwned<ServerConnection, TcpStream>;

/// A POP3 server that goes on with `handler` over TLS.
fn tls_server(
    authority: &Authority,
    flaw: Flaw,
    handler: impl Fn(Tls) -> io::Result<()> + Send + Sync + 'static,
) -> Server {
    let config = authority.server_config(flaw);
    serve(move |mut stream| {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"+OK\r\n")?;
        line(&mut stream)?;
        stream.write_all(b"+OK\r\n")?;
        let mut tls = StreamOwned::new(ServerConnection::new(config.clone()).map_err(io::Error::other)?, stream);
        tls.conn.complete_io(&mut tls.sock)?;
        handler(tls)
    })
}

/// Says close_notify, and nothing behind it.
fn close(mut tls: Tls) -> io::Result<()> {
    tls.conn.send_close_notify();
    tls.flush()?;
    tls.sock.shutdown(Shutdown::Write)
}

/// The tool, about to connect to a POP3 server.
fn connect(server: &Server, authority: &Authority, more: &[&str]) -> Command {
    let mut arguments = arguments("pop3", server, authority);
    arguments[0] = "connect".to_owned();
    let mut command = tool();
    command.args(arguments).args(more);
    command
}

fn start(mut command: Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the tool starts")
}

/// Runs it to its end with this input.
fn run(command: Command, input: &[u8]) -> Run {
    let mut child = start(command);
    // It may end without having read all.
    let _ = child.stdin.take().expect("a pipe").write_all(input);
    child.wait_with_output().expect("it ends").into()
}

/// Bytes that look like chance, and are the same each time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes
}

/// A server that echoes what it reads within TLS.
fn echoing(authority: &Authority, flaw: Flaw) -> Server {
    let (transcript, config) = (Transcript::usual(Protocol::Pop3), authority.server_config(flaw));
    serve(move |stream| play(stream, &transcript, config.clone()))
}

#[test]
fn bytes_pass_unchanged_both_ways_at_once() {
    let authority = Authority::default();
    // It echoes as it reads, so it stops reading unless it is read.
    let server = echoing(&authority, Flaw::None);
    let mut child = start(connect(&server, &authority, &["--quiet"]));
    let (mut stdin, sent) = (child.stdin.take().expect("a pipe"), noise(64 << 20));
    let (output, sent) = thread::scope(|scope| {
        let writer = scope.spawn(move || {
            stdin.write_all(&sent).expect("it reads all");
            sent
        });
        (child.wait_with_output().expect("it ends"), writer.join().expect("all was sent"))
    });
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
    assert_eq!(output.stdout.len(), sent.len());
    assert!(output.stdout == sent, "what came back is something else");
}

#[test]
fn the_verdict_is_on_stderr_and_all_else_is_the_servers() {
    let authority = Authority::default();
    let run = run(connect(&echoing(&authority, Flaw::None), &authority, &[]), b"Q\nR\r\n\x1b[2J.\n");
    assert_eq!((run.code, run.stdout.as_str()), (0, "Q\nR\r\n\x1b[2J.\n"));
    let (verdict, tls) = run.stderr.split_once('\n').expect("two lines");
    assert!(verdict.ends_with(": UPGRADED, certificate verified for localhost"), "{}", run.stderr);
    assert!(tls.starts_with("TLSv1.3, ") && tls.matches('\n').count() == 1, "{}", run.stderr);
}

#[test]
fn lines_end_in_cr_lf_if_asked_to() {
    let authority = Authority::default();
    let server = echoing(&authority, Flaw::None);
    let run = run(connect(&server, &authority, &["--crlf", "--quiet"]), b"Q\nR\r\n\n");
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (0, "Q\r\nR\r\n\r\n", ""));
}

#[test]
fn what_the_server_says_first_is_there_at_once_and_it_may_close_first() {
    let authority = Authority::default();
    let (go_on, held) = mpsc::channel();
    let held = Mutex::new(held);
    let server = tls_server(&authority, Flaw::None, move |mut tls| {
        tls.write_all(b"* ready")?;
        held.lock().map_err(|_| io::ErrorKind::Other)?.recv_timeout(PATIENCE).map_err(io::Error::other)?;
        tls.write_all(b", and gone\r\n")?;
        close(tls)
    });
    let mut child = start(connect(&server, &authority, &["--quiet"]));
    let _open = child.stdin.take();
    let mut stdout = child.stdout.take().expect("a pipe");
    let mut said = [0; 7];
    stdout.read_exact(&mut said).expect("the first words");
    assert_eq!(&said, b"* ready");
    go_on.send(()).expect("the server waits");
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).expect("the rest");
    assert_eq!(rest, ", and gone\r\n");
    let run = Run::from(child.wait_with_output().expect("it ends"));
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
}

#[test]
fn the_answer_to_the_end_of_the_input_still_arrives() {
    let authority = Authority::default();
    let server = tls_server(&authority, Flaw::None, |mut tls| {
        let mut said = String::new();
        // To the end, which only close_notify makes a proper one.
        tls.read_to_string(&mut said)?;
        tls.write_all(format!("{} bytes", said.len()).as_bytes())?;
        close(tls)
    });
    let run = run(connect(&server, &authority, &[]), b"twelve bytes");
    assert_eq!((run.code, run.stdout.as_str()), (0, "12 bytes"), "{}", run.stderr);
}

#[test]
fn nothing_is_passed_on_to_a_server_that_does_not_verify() {
    for more in [&[][..], &["--quiet"]] {
        let authority = Authority::default();
        let (tell, told) = mpsc::channel();
        let server = tls_server(&authority, Flaw::WrongName, move |mut tls| {
            let mut said = Vec::new();
            let _ = tls.read_to_end(&mut said);
            tell.send(said).map_err(io::Error::other)
        });
        let run = run(connect(&server, &authority, more), b"PASS secret\r\n");
        assert_eq!((run.code, run.stdout.as_str()), (2, ""));
        assert!(run.stderr.contains(": UPGRADED, certificate NOT VERIFIED for localhost: "), "{}", run.stderr);
        assert!(run.stderr.ends_with("with --unverified it is, whoever is at the other end\n"), "{}", run.stderr);
        assert_eq!(told.recv_timeout(PATIENCE).expect("the server heard the end"), b"", "{more:?}");
    }
}

#[test]
fn who_insists_is_connected_unverified() {
    let authority = Authority::default();
    let server = echoing(&authority, Flaw::Expired);
    let said = run(connect(&server, &authority, &["--unverified"]), b"hello");
    assert_eq!((said.code, said.stdout.as_str()), (2, "hello"));
    assert!(said.stderr.contains(": UPGRADED, certificate NOT VERIFIED for localhost: "), "{}", said.stderr);
    let quiet = run(connect(&server, &authority, &["--unverified", "--quiet"]), b"hello");
    assert_eq!((quiet.code, quiet.stdout.as_str(), quiet.stderr.as_str()), (2, "hello", ""));
}

#[test]
fn without_an_upgrade_there_is_only_the_reason() {
    let authority = Authority::default();
    let refusing = replay("pop3/dovecot-not-offered.txt", authority.server_config(Flaw::None));
    let refused = run(connect(&refusing, &authority, &["--quiet"]), b"hello");
    assert_eq!((refused.code, refused.stdout.as_str()), (2, ""));
    assert!(refused.stderr.contains(": NOT UPGRADED at STLS: the server refused"), "{}", refused.stderr);

    let gone = refusing.address();
    drop(refusing);
    for (target, words) in
        [(format!("pop3://{gone}"), "cannot connect"), (gone.to_string(), "cannot tell the protocol")]
    {
        let run = support::run(&["connect", "--quiet", &target]);
        assert_eq!((run.code, run.stdout.as_str()), (3, ""));
        assert!(run.complaint().contains(words), "{}", run.stderr);
    }
}

#[test]
fn a_connection_that_is_cut_off_is_told_from_one_that_ends() {
    let authority = Authority::default();
    let server = tls_server(&authority, Flaw::None, |mut tls| {
        tls.write_all(b"all your ma")?;
        tls.sock.shutdown(Shutdown::Write)?;
        io::copy(&mut tls.sock, &mut io::sink()).map(drop)
    });
    let run = run(connect(&server, &authority, &["--quiet"]), b"");
    assert_eq!((run.code, run.stdout.as_str()), (2, "all your ma"));
    assert!(run.complaint().contains("without close_notify"), "{}", run.stderr);
}

#[test]
fn a_reader_that_has_read_enough_ends_it() {
    let authority = Authority::default();
    let server = tls_server(&authority, Flaw::None, |mut tls| {
        // Until the client is gone.
        while tls.write_all(&[b'x'; 4096]).is_ok() {}
        Ok(())
    });
    let mut child = start(connect(&server, &authority, &["--quiet"]));
    let _open = child.stdin.take();
    child.stdout.take().expect("a pipe").read_exact(&mut [0; 4096]).expect("the beginning");
    let run = Run::from(child.wait_with_output().expect("it ends"));
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
}

/// What a shell in a terminal prints that runs `script`, with `{}` for the tool's command line, while `typed` is typed.
#[cfg(target_os = "linux")]
fn in_a_terminal(command: &Command, script: &str, typed: impl FnOnce(&mut dyn Write, &mut dyn Read)) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| format!("'{}'", word.to_str().expect("UTF-8"))).collect();
    // An interrupt that is ignored, as in a job in the background, would be in the terminal, too: no shell takes it back.
    let mut terminal = Command::new("env");
    terminal.args(["--default-signal=INT", "script", "-qec", &script.replace("{}", &words.join(" ")), "/dev/null"]);
    let mut child = start(terminal);
    let (mut stdin, mut stdout) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    typed(&mut stdin, &mut stdout);
    let mut shown = String::new();
    stdout.read_to_string(&mut shown).expect("UTF-8");
    child.wait().expect("it ends");
    shown
}

/// Reads on until what was read ends so.
#[cfg(target_os = "linux")]
fn read_until(reader: &mut dyn Read, end: &str) -> String {
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        let mut byte = [0];
        reader.read_exact(&mut byte).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&read)));
        read.extend(byte);
    }
    String::from_utf8(read).expect("UTF-8")
}

#[cfg(target_os = "linux")]
#[test]
fn at_a_terminal_lines_are_lines_and_control_characters_are_shown() {
    let authority = Authority::default();
    let (tell, told) = mpsc::channel();
    let server = tls_server(&authority, Flaw::None, move |mut tls| {
        tls.write_all(b"+OK \x1b]0;owned\x07 \\Seen\r\n")?;
        let mut said = [0; 6];
        tls.read_exact(&mut said)?;
        tell.send(said).map_err(io::Error::other)?;
        close(tls)
    });
    in_a_terminal(&connect(&server, &authority, &[]), "{}", |stdin, stdout| {
        let shown = read_until(stdout, "\\Seen\r\n");
        assert!(shown.ends_with("+OK \\x1b]0;owned\\x07 \\Seen\r\n"), "{shown:?}");
        stdin.write_all(b"Quit\n").expect("a terminal");
    });
    assert_eq!(&told.recv_timeout(PATIENCE).expect("a line"), b"Quit\r\n");
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupt_leaves_the_terminal_as_it_was() {
    let authority = Authority::default();
    let server = tls_server(&authority, Flaw::None, |mut tls| {
        tls.write_all(b"ready\r\n")?;
        io::copy(&mut tls, &mut io::sink()).map(drop)
    });
    let script = "trap : INT; stty -g; {} --quiet; echo \"code $?\"; stty -g";
    let shown = in_a_terminal(&connect(&server, &authority, &[]), script, |stdin, stdout| {
        let shown = read_until(stdout, "ready\r\n");
        stdin.write_all(b"\x03").expect("a terminal");
        let rest = read_until(stdout, "code 130\r\n");
        let after = read_until(stdout, "\r\n");
        assert_eq!(shown.lines().next(), after.lines().next(), "{rest}");
    });
    assert_eq!(shown, "");
}
