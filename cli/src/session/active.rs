//! The self-test of `--active`: whether a server lets others put commands into its TLS sessions, or starts TLS twice.

use std::fmt::{self, Display, Formatter};
use std::io;
use std::time::Instant;

use serde::Serialize;
use starttls::{Dialogue, Error, Findings, Frame, Part, Protocol, Step, Tls};

use super::capabilities::Speech;
use super::conversation::{Conversation, half};
use super::greet;
use crate::check::Checker;
use crate::failure::Kind;
use crate::finding::{Finding, Severity};
use crate::report::Report;
use crate::socket::Socket;
use crate::target::Target;

/// What the self-test says in one protocol.
pub struct Test {
    protocol: Protocol,
    /// The end of the request for TLS.
    starttls: &'static str,
    /// What is put behind it: anything that is always answered, and changes nothing.
    behind: &'static str,
    /// Ends the session.
    quit: &'static str,
    /// Asks for TLS within TLS.
    again: &'static str,
    /// How the answer begins that agrees to it.
    yes: &'static str,
    /// How many answers come within TLS, the one to `quit` included.
    answers: usize,
}

const fn test(protocol: Protocol, [starttls, behind, quit, again, yes]: [&'static str; 5], answers: usize) -> Test {
    Test { protocol, starttls, behind, quit, again, yes, answers }
}

#[rustfmt::skip]
const TESTS: [Test; 7] = [
    test(Protocol::Smtp, ["STARTTLS\r\n", "NOOP\r\n", "QUIT\r\n", "STARTTLS\r\n", "220"], 1),
    test(Protocol::Lmtp, ["STARTTLS\r\n", "NOOP\r\n", "QUIT\r\n", "STARTTLS\r\n", "220"], 1),
    test(Protocol::Imap, [" STARTTLS\r\n", "S0 NOOP\r\n", "S3 LOGOUT\r\n", "S2 STARTTLS\r\n", "S2 OK"], 1),
    test(Protocol::Pop3, ["STLS\r\n", "NOOP\r\n", "QUIT\r\n", "STLS\r\n", "+OK"], 1),
    test(Protocol::Nntp, ["STARTTLS\r\n", "DATE\r\n", "QUIT\r\n", "STARTTLS\r\n", "382"], 1),
    test(Protocol::Ftp, ["AUTH TLS\r\n", "NOOP\r\n", "QUIT\r\n", "AUTH TLS\r\n", "234"], 1),
    // The capabilities, which come unasked, end in an answer of their own.
    test(Protocol::Sieve, ["STARTTLS\r\n", "NOOP\r\n", "LOGOUT\r\n", "STARTTLS\r\n", "OK"], 2),
];

/// What the self-test found.
#[derive(Debug, Serialize)]
pub struct Active {
    /// What became of a command behind STARTTLS.
    pub pipelined: Pipelined,
    /// What became of STARTTLS within TLS.
    pub second_starttls: Second,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pipelined {
    /// It got no answer.
    Discarded,
    /// There was no session with it, whatever the server said in the clear.
    Refused,
    /// It was answered within TLS: CVE-2011-0411.
    Executed,
    /// There was no end of it in time.
    Unclear,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Second {
    Refused,
    Accepted,
    /// The server did not answer, or there was no session.
    Unclear,
}

/// Tests the server over connections of its own, and notes in the report what comes of it.
pub async fn run<S: Socket>(checker: &Checker, target: &Target, deadline: Instant, report: &mut Report) {
    let speech = target.protocol.and_then(Speech::of);
    let known = |speech: &'static Speech| Some((speech, TESTS.iter().find(|test| test.protocol == speech.protocol)?));
    let Some((speech, test)) = speech.and_then(known) else {
        report.findings.push(Finding {
            severity: Severity::Info,
            id: "not-tested",
            message: "there is no self-test for this protocol".to_owned(),
            advice: "leave --active out",
        });
        return;
    };
    let pipelined = test.pipeline::<S>(checker, target, half(deadline)).await;
    let second_starttls = test.ask_again::<S>(speech, checker, target, deadline).await;
    if pipelined == Pipelined::Executed {
        report.findings.push(Finding {
            severity: Severity::Critical,
            id: "command-injection",
            message: "the server answers within TLS a command that came in the clear, behind STARTTLS".to_owned(),
            advice: "update the server: anybody on the path can put commands into its sessions (CVE-2011-0411)",
        });
    }
    // Where the specification allows it, there is nothing to say.
    if second_starttls == Second::Accepted && speech.upgrade.is_some() {
        report.findings.push(Finding {
            severity: Severity::Warning,
            id: "second-starttls",
            message: "the server agrees to start TLS within TLS".to_owned(),
            advice: "update the server: its protocol forbids that",
        });
    }
    report.active = Some(Active { pipelined, second_starttls });
}

impl Test {
    /// Puts a command behind STARTTLS, ends the session within TLS, and counts the answers.
    async fn pipeline<S: Socket>(&'static self, checker: &Checker, target: &Target, deadline: Instant) -> Pipelined {
        let (report, tls) = checker.connect_by::<S>(target, deadline, Some(self)).await;
        let Some(mut tls) = tls else {
            return match report.failure.map(|failure| failure.kind) {
                Some(Kind::Connect | Kind::Timeout) => Pipelined::Unclear,
                _ => Pipelined::Refused,
            };
        };
        let mut conversation = Conversation::new(&mut tls, deadline);
        // Whether that worked, the end tells.
        let _ = conversation.say(self.quit.as_bytes()).await;
        let mut answers = 0;
        let end = loop {
            match conversation.answer().await {
                Ok(_) => answers += 1,
                Err(error) => break error.kind(),
            }
        };
        match end {
            _ if answers > self.answers => Pipelined::Executed,
            io::ErrorKind::TimedOut => Pipelined::Unclear,
            _ if answers == self.answers => Pipelined::Discarded,
            _ => Pipelined::Refused,
        }
    }

    /// Asks for TLS within TLS.
    async fn ask_again<S: Socket>(
        &self,
        speech: &Speech,
        checker: &Checker,
        target: &Target,
        deadline: Instant,
    ) -> Second {
        let (report, tls) = checker.connect_by::<S>(target, deadline, None).await;
        let Some(mut tls) = tls else { return Second::Unclear };
        let mut conversation = Conversation::new(&mut tls, deadline);
        if greet(speech, &mut conversation, &report.cleartext.dialogue).await.is_err() {
            return Second::Unclear;
        }
        match conversation.ask(self.again.as_bytes()).await {
            Ok(answer) if answer.starts_with(self.yes.as_bytes()) => Second::Accepted,
            Ok(_) => Second::Refused,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Second::Unclear,
            Err(_) => Second::Refused,
        }
    }

    /// A dialogue that sends the command behind its request for TLS, in the same segment.
    pub fn around(&'static self, dialogue: Box<dyn Dialogue + Send>) -> Box<dyn Dialogue + Send> {
        Box::new(Behind { dialogue, test: self })
    }
}

struct Behind {
    dialogue: Box<dyn Dialogue + Send>,
    test: &'static Test,
}

impl Behind {
    fn behind(&self, step: Step) -> Step {
        match step {
            Step::Send(request) if request.ends_with(self.test.starttls.as_bytes()) => {
                Step::Send([&request, self.test.behind.as_bytes()].concat().into())
            }
            step => step,
        }
    }
}

impl Dialogue for Behind {
    fn open(&mut self) -> Step {
        let step = self.dialogue.open();
        self.behind(step)
    }

    fn frame(&self, begun: &[u8], last: Part<'_>) -> Frame {
        self.dialogue.frame(begun, last)
    }

    fn receive(&mut self, unit: &[u8]) -> Result<Step, Error> {
        let step = self.dialogue.receive(unit)?;
        Ok(self.behind(step))
    }

    fn speaks_unasked(&self) -> bool {
        self.dialogue.speaks_unasked()
    }

    fn awaiting(&self) -> &'static str {
        self.dialogue.awaiting()
    }

    fn advertised(&self) -> Option<bool> {
        self.dialogue.advertised()
    }

    fn tls(&self) -> Tls {
        self.dialogue.tls()
    }

    fn findings(&self) -> Option<Findings<'_>> {
        self.dialogue.findings()
    }
}

impl Display for Active {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let pipelined = match self.pipelined {
            Pipelined::Discarded => "discarded",
            Pipelined::Refused => "refused",
            Pipelined::Executed => "EXECUTED within TLS",
            Pipelined::Unclear => "no answer in time",
        };
        let second = match self.second_starttls {
            Second::Refused => "refused",
            Second::Accepted => "ACCEPTED",
            Second::Unclear => "no answer",
        };
        writeln!(f, "Self-test")?;
        writeln!(f, "  A command behind STARTTLS: {pipelined}")?;
        writeln!(f, "  STARTTLS within TLS: {second}\n")
    }
}
