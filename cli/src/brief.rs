//! The report in a few lines: the verdict first, and each line whole, however long.

use crate::report::Report;
use crate::verdict::{style, styled};
use crate::verify::days;

/// The lines.
pub fn lines(report: &Report) -> String {
    let (head, rest) = report.verdict();
    let head = styled(head, head, style(report.exit_code()));
    let mut lines = format!("{}: {head}{rest}\n", report.target);
    if let Some(tls) = &report.tls {
        let facts = [&tls.version, &tls.cipher_suite, &tls.key_exchange].into_iter().flatten().cloned();
        let left = tls.certificates.first().filter(|own| own.left >= 0);
        let left = left.map(|own| format!("certificate valid for {}", days(own.left.unsigned_abs())));
        lines += &format!("{}\n", facts.chain(left).collect::<Vec<_>>().join(", "));
    }
    for finding in &report.findings {
        let word = finding.severity.word();
        let word = styled(word, word, finding.severity.style());
        lines += &format!("{word}: {}. Try: {}\n", finding.message, finding.advice);
    }
    if let Some(advice) = report.advice() {
        lines += &format!("Try: {advice}\n");
    }
    lines
}
