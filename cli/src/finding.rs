//! What is worth a word beside the outcome, and what to do about it.

use serde::Serialize;

/// Something that an operator should know. What the peer had a hand in is escaped.
#[derive(Debug, Serialize)]
pub struct Finding {
    pub severity: Severity,
    /// What kind of finding it is, in one word for programs.
    pub id: &'static str,
    /// What was found, in a sentence.
    pub message: String,
    /// What to do about it, in a sentence.
    pub advice: &'static str,
}

/// How bad a finding is: what it makes of the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know; the exit code stays as it is.
    Info,
    /// Exit code 1.
    Warning,
    /// Exit code 2.
    Critical,
}
