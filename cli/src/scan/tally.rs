//! How a scan goes: a bar while it does, and a line at the end.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};

use crate::failure::Kind;
use crate::report::{Outcome, Report};

/// What has become of how many.
#[derive(Default)]
pub struct Tally {
    verified: u64,
    unverified: u64,
    plaintext: BTreeMap<Kind, u64>,
    failed: BTreeMap<Kind, u64>,
}

impl Tally {
    pub fn count(&mut self, report: &Report) {
        let kind = report.failure.as_ref().map(|failure| failure.kind);
        let count = match (report.outcome, kind) {
            (Outcome::Plaintext, Some(kind)) => self.plaintext.entry(kind).or_default(),
            (_, None) => &mut self.verified,
            (Outcome::Upgraded, Some(_)) => &mut self.unverified,
            (Outcome::Failed, Some(kind)) => self.failed.entry(kind).or_default(),
        };
        *count += 1;
    }

    pub fn total(&self) -> u64 {
        self.verified + self.unverified + sum(&self.plaintext) + sum(&self.failed)
    }
}

fn sum(kinds: &BTreeMap<Kind, u64>) -> u64 {
    kinds.values().sum()
}

fn list(kinds: &BTreeMap<Kind, u64>) -> String {
    kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect::<Vec<_>>().join(", ")
}

/// On one line; with `#` on two that are short.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "verified {}, unverified {}", self.verified, self.unverified)?;
        for (name, kinds) in [("plaintext", &self.plaintext), ("failed", &self.failed)] {
            write!(f, ", {name} {}", sum(kinds))?;
            if !f.alternate() && !kinds.is_empty() {
                write!(f, " ({})", list(kinds))?;
            }
        }
        if f.alternate() {
            let mut all = self.plaintext.clone();
            self.failed.iter().for_each(|(kind, count)| *all.entry(*kind).or_default() += count);
            write!(f, "\n{}", list(&all))?;
        }
        Ok(())
    }
}

/// A bar that shows itself only on a terminal, and knows no end until it is told one.
pub fn bar() -> ProgressBar {
    let bar = ProgressBar::no_length();
    style(&bar, "{pos} checked  {elapsed}  {rate}\n{msg}");
    bar.set_message(format!("{:#}", Tally::default()));
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

/// Tells the bar how many targets there are.
pub fn set_total(bar: &ProgressBar, total: u64) {
    style(bar, "{bar:24} {pos} of {len}  {percent} %  {rate}  ETA {left}\n{msg}");
    bar.set_length(total);
}

fn style(bar: &ProgressBar, template: &str) {
    let style = ProgressStyle::with_template(template).expect("a template as indicatif has them");
    let rate = |state: &ProgressState, f: &mut dyn fmt::Write| {
        let _ = write!(f, "{:.0}/s", state.per_sec());
    };
    let left = |state: &ProgressState, f: &mut dyn fmt::Write| {
        let _ = match state.pos() {
            0 => f.write_str("unknown"),
            _ => write!(f, "{:#}", HumanDuration(state.eta())),
        };
    };
    bar.set_style(style.progress_chars("━━╌").with_key("rate", rate).with_key("left", left));
}
