//! Many checks at once, in one thread. Another reads the targets, and a third writes the results, so that neither a slow
//! source nor a slow reader of the results takes time from the checks.

mod input;
mod pace;
mod resume;
mod shard;
mod tally;
mod zgrab2;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::io::{self, IsTerminal, Write};
use std::iter;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use async_signal::{Signal, Signals};
use indicatif::ProgressBar;
use serde::Serialize;
use smol::channel::{self, Receiver, Sender};
use smol::net::TcpStream;
use smol::stream::StreamExt;
use smol::{LocalExecutor, future};

use crate::arguments::ScanArguments;
use crate::bounded;
use crate::check::Checker;
use crate::failure::Error;
use crate::rationed::Rationed;
use crate::report::Report;
use crate::{SIGNALLED, UNKNOWN, complain, exit};
use input::{Entry, Source};
use pace::{Hosts, Rate};
use shard::Key;
use tally::Tally;
use zgrab2::Grab;

pub use input::Input;
pub use shard::Shard;

/// How many targets are read at once, twice at most ahead of the checks, and how many results may wait to be passed on.
const AHEAD: usize = 32;
/// How many checks go on before it is looked which others can. With more, async-io has a thread of its own look meanwhile,
/// and the two wake each other for every reply.
const TURN: usize = 4;

/// Checks all targets.
///
/// # Errors
/// In words, if it cannot begin.
pub fn run(arguments: &ScanArguments) -> Result<ExitCode, String> {
    let checker = Checker::new(&arguments.client).map_err(|error| error.message())?.for_many();
    let input = Input::new(arguments).map_err(|error| Error::Config(error).message())?;
    let name = |path: &Path| bounded::text(path.as_os_str().as_encoded_bytes());
    let file = name(arguments.file.as_deref().unwrap_or(Path::new("-")));
    let unreadable = |error| format!("cannot read {file}: {error}");
    let source = input.open().map_err(unreadable)?;
    let (output, done): (Box<dyn Write + Send>, _) = match &arguments.resume {
        None => {
            resume::share_stdout()?;
            (Box::new(io::stdout()), None)
        }
        Some(path) => {
            let resumed = resume::open(path, arguments.zgrab2);
            let (file, done) = resumed.map_err(|error| format!("cannot resume {}: {error}", name(path)))?;
            (Box::new(file), Some(done))
        }
    };
    let mut signals = Signals::new([Signal::Int, Signal::Term]).map_err(|error| error.to_string())?;
    let jobs = affordable(arguments.jobs as usize);

    let before = done.as_ref().map_or(0, HashSet::len);
    let bar = tally::bar();
    let (entry, entries) = channel::unbounded();
    let (room, rooms) = channel::bounded(2);
    // Twice, so that it reads while the others are taken.
    let _ = (room.try_send(()), room.try_send(()));
    let (results, ended) = channel::bounded(AHEAD);
    let (batches, batch) = channel::bounded(1);
    let mut reader = Reader { shard: arguments.shard, done, bar: bar.clone() };
    // Nobody waits for this one: it may be waiting for input.
    thread::spawn(move || reader.read(&input, source, &entry, &rooms));
    let started = Instant::now();
    let mut writer = Writer { output, zgrab2: arguments.zgrab2, bar, tally: Tally::default() };
    let writer = thread::spawn(move || (writer.write(&batch), writer));

    let scan = Scan {
        checker,
        rate: arguments.rate.map(Rate::new),
        hosts: arguments.per_host.map(Hosts::new),
        entries,
        taken: Cell::new(0),
        room,
        results,
        ended,
        writer: batches,
        failure: RefCell::new(None),
    };
    let signal = scan.run(jobs, async { signals.next().await?.ok() });
    let Scan { failure, writer: batches, .. } = scan;
    drop(batches);
    let (written, Writer { bar, tally, .. }) = writer.join().map_err(|_| "the results cannot be written")?;
    let shown = if bar.is_hidden() { format!(": {tally}") } else { format!("\n{tally:#}") };
    bar.finish_and_clear();

    let code = match failure.into_inner() {
        Some(error) => {
            complain(&unreadable(error));
            UNKNOWN
        }
        None => signal.map_or(0, |signal| SIGNALLED + signal as u8),
    };
    if written.is_ok() {
        let seconds = started.elapsed().as_secs_f64();
        let total = tally.total();
        let before = if before > 0 { format!(", {before} before") } else { String::new() };
        complain(&format!("{total} checked in {seconds:.1} s, {:.0}/s{before}{shown}", total as f64 / seconds));
    }
    Ok(exit(written, code))
}

/// What reads the targets, in a thread of its own.
struct Reader {
    shard: Option<Shard>,
    /// If a scan is resumed, the targets that have been read, now or before.
    done: Option<HashSet<Key>>,
    bar: ProgressBar,
}

impl Reader {
    /// Reads as many at once as there is room for, so that nobody is woken for each.
    fn read(&mut self, input: &Input, source: Source, sender: &Sender<io::Result<Entry>>, rooms: &Receiver<()>) {
        if !self.bar.is_hidden()
            && input.is_finite()
            && let Ok(source) = input.open()
        {
            let entries = input.entries(source).map_while(io::Result::ok);
            let total = entries.filter(|entry| self.is_ours(&entry.text)).count();
            tally::set_total(&self.bar, total as u64);
        }
        let entries = input
            .entries(source)
            .filter(|entry| entry.as_ref().map_or(true, |entry| self.is_ours(&entry.text) && self.is_new(&entry.text)));
        for (number, entry) in entries.enumerate() {
            // There is nobody at the other end any more if the scan is over.
            if number % AHEAD == 0 && rooms.recv_blocking().is_err() || sender.try_send(entry).is_err() {
                return;
            }
        }
    }

    fn is_ours(&self, text: &str) -> bool {
        self.shard.is_none_or(|shard| shard.has(Key::new(text)))
    }

    fn is_new(&mut self, text: &str) -> bool {
        let new = self.done.as_mut().is_none_or(|done| done.insert(Key::new(text)));
        if !new {
            self.bar.dec_length(1);
        }
        new
    }
}

/// What writes the results, in a thread of its own.
struct Writer {
    output: Box<dyn Write + Send>,
    zgrab2: bool,
    bar: ProgressBar,
    tally: Tally,
}

/// The line of a result.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    report: &'a Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<&'a str>,
}

impl Writer {
    fn write(&mut self, results: &Receiver<Vec<(Entry, Report)>>) -> io::Result<()> {
        let aside = io::stdout().is_terminal();
        while let Ok(results) = results.recv_blocking() {
            let mut lines = Vec::new();
            for (entry, report) in &results {
                if self.zgrab2 {
                    serde_json::to_writer(&mut lines, &Grab::new(entry, report))?;
                } else {
                    serde_json::to_writer(&mut lines, &Line { report, tag: entry.tag.as_deref() })?;
                }
                lines.push(b'\n');
            }
            // One write for whole lines, so that no line is ever half another's.
            if aside {
                self.bar.suspend(|| self.output.write_all(&lines))?;
            } else {
                self.output.write_all(&lines)?;
            }
            results.iter().for_each(|(_, report)| self.tally.count(report));
            self.bar.inc(results.len() as u64);
            if !self.bar.is_hidden() {
                self.bar.set_message(format!("{:#}", self.tally));
            }
        }
        Ok(())
    }
}

/// The checks.
struct Scan {
    checker: Checker,
    rate: Option<Rate>,
    hosts: Option<Hosts<Entry>>,
    entries: Receiver<io::Result<Entry>>,
    /// How many since the reader was told last.
    taken: Cell<usize>,
    room: Sender<()>,
    results: Sender<(Entry, Report)>,
    ended: Receiver<(Entry, Report)>,
    writer: Sender<Vec<(Entry, Report)>>,
    /// Why there are no more targets, if not because that was all.
    failure: RefCell<Option<io::Error>>,
}

impl Scan {
    /// Checks until there are no more targets, the results cannot be written any more, or `signal`, which it returns.
    fn run(&self, jobs: usize, signal: impl Future<Output = Option<Signal>>) -> Option<Signal> {
        let executor = LocalExecutor::new();
        let workers: Vec<_> = (0..jobs).map(|_| executor.spawn(self.work())).collect();
        let passing = executor.spawn(self.pass_on());
        let all = async {
            for worker in workers {
                worker.await;
            }
            None
        };
        let unwritten = async {
            self.writer.closed().await;
            None
        };
        let turns = async {
            loop {
                for _ in 0..TURN {
                    executor.tick().await;
                }
                future::yield_now().await;
            }
        };
        let signal = smol::block_on(future::or(turns, future::or(signal, future::or(unwritten, all))));
        // What has ended is written, whatever ends the scan.
        self.results.close();
        smol::block_on(executor.run(passing));
        signal
    }

    /// Passes on what has ended since the writer was last given something, so that it is not woken for each.
    async fn pass_on(&self) {
        while let Ok(first) = self.ended.recv().await {
            let mut batch = vec![first];
            batch.extend(iter::from_fn(|| self.ended.try_recv().ok()));
            if self.writer.send(batch).await.is_err() {
                return;
            }
        }
    }

    /// The next entry. The reader is told when there is room for as many again.
    async fn next(&self) -> Option<io::Result<Entry>> {
        let entry = self.entries.recv().await.ok()?;
        self.taken.set((self.taken.get() + 1) % AHEAD);
        if self.taken.get() == 0 {
            // It may be at the end already.
            let _ = self.room.try_send(());
        }
        Some(entry)
    }

    async fn work(&self) {
        while let Some(entry) = self.next().await {
            let mut next = match entry {
                Ok(entry) => self.enter(entry).await,
                Err(error) => {
                    self.failure.replace(Some(error));
                    None
                }
            };
            while let Some(entry) = next {
                let report = self.check(&entry).await;
                next = self.leave(&entry);
                if self.results.send((entry, report)).await.is_err() {
                    return;
                }
            }
        }
    }

    async fn check(&self, entry: &Entry) -> Report {
        match &entry.target {
            Ok(target) => {
                if let Some(rate) = &self.rate {
                    rate.wait().await;
                }
                // Boxed, so that it has its memory only as long as it is at work.
                Box::pin(self.checker.check::<Rationed<TcpStream>>(target)).await
            }
            Err(bad) => {
                let mut report = Report::new(&bad.line, None);
                report.fail(Error::Config(bad.reason.clone()));
                report
            }
        }
    }

    /// Gives the entry back unless its host is busy: then who is there takes it over.
    async fn enter(&self, entry: Entry) -> Option<Entry> {
        match (&self.hosts, &entry.target) {
            (Some(hosts), Ok(target)) => hosts.enter(&target.host.clone(), entry).await,
            _ => Some(entry),
        }
    }

    fn leave(&self, entry: &Entry) -> Option<Entry> {
        self.hosts.as_ref()?.leave(&entry.target.as_ref().ok()?.host)
    }
}

/// How many checks at once the system has descriptors for: one for a connection, and as many for names being resolved.
#[cfg(unix)]
fn affordable(jobs: usize) -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    const OTHERS: u64 = 64;
    let needed = 2 * jobs as u64 + OTHERS;
    let mut limit = getrlimit(Resource::Nofile);
    let allowed = limit.maximum.unwrap_or(needed).min(needed);
    if limit.current.is_some_and(|current| current < allowed) {
        limit.current = Some(allowed);
        // If that fails, the sum below is for the limit as it is.
        let _ = setrlimit(Resource::Nofile, limit);
    }
    match getrlimit(Resource::Nofile).current {
        Some(allowed) if allowed < needed => {
            let fewer = (allowed.saturating_sub(OTHERS) / 2).max(1) as usize;
            complain(&format!(
                "{fewer} jobs instead of {jobs}: they need {needed} descriptors, and {allowed} are allowed"
            ));
            fewer
        }
        _ => jobs,
    }
}

#[cfg(not(unix))]
fn affordable(jobs: usize) -> usize {
    jobs
}
