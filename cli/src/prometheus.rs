//! The report as metrics, in the text format of Prometheus.

use crate::report::{Outcome, Report, word};

type Labels = Vec<(&'static str, String)>;

/// The metrics of some checks, those of one name together.
pub fn metrics(reports: &[Report]) -> String {
    let one = |value: String| vec![(Labels::new(), value)];
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, samples: &dyn Fn(&Report) -> Vec<(Labels, String)>| {
        let all = reports.iter().flat_map(|report| samples(report).into_iter().map(move |sample| (report, sample)));
        for (number, (report, (labels, value))) in all.enumerate() {
            if number == 0 {
                text += &format!("# HELP starttls_{name} {help}\n# TYPE starttls_{name} gauge\n");
            }
            let (target, protocol) = (report.target.clone(), report.protocol.unwrap_or_default().to_owned());
            let labels = [("target", target), ("protocol", protocol)].into_iter().chain(labels);
            let labels: Vec<_> = labels.map(|(name, value)| format!("{name}=\"{}\"", escaped(&value))).collect();
            text += &format!("starttls_{name}{{{}}} {value}\n", labels.join(","));
        }
    };
    gauge("upgraded", "Whether the server upgraded to TLS.", &|report| {
        one(u8::from(report.outcome == Outcome::Upgraded).to_string())
    });
    gauge("verified", "Whether its certificate was verified.", &|report| {
        one(u8::from(report.tls.as_ref().is_some_and(|tls| tls.verified)).to_string())
    });
    gauge("round_trips", "Round trips before TLS.", &|report| one(report.cleartext.round_trips.to_string()));
    gauge("seconds", "How long the check took.", &|report| one(report.seconds.to_string()));
    gauge("certificate_not_after_seconds", "When a certificate expires, since 1970.", &|report| {
        let numbered = (1..).zip(report.certificates()).map(|(number, certificate): (u32, _)| {
            let subject = certificate.subject.clone().unwrap_or_default();
            (vec![("number", number.to_string()), ("subject", subject)], certificate.expires.to_string())
        });
        numbered.collect()
    });
    gauge("tls_info", "What TLS was agreed upon.", &|report| {
        let labels = report.tls.iter().map(|tls| {
            let labels =
                [("version", &tls.version), ("cipher_suite", &tls.cipher_suite), ("key_exchange", &tls.key_exchange)];
            labels.map(|(name, value)| (name, value.clone().unwrap_or_default())).to_vec()
        });
        labels.map(info).collect()
    });
    gauge("failure_info", "Why the check failed.", &|report| {
        let failure = report.failure.iter();
        let labels = failure.map(|failure| vec![("kind", word(failure.kind)), ("stage", failure.stage.to_owned())]);
        labels.map(info).collect()
    });
    gauge("finding_info", "What was found besides.", &|report| {
        let findings = report.findings.iter();
        let labels = findings.map(|found| vec![("id", found.id.to_owned()), ("severity", word(found.severity))]);
        labels.map(info).collect()
    });
    text
}

/// A sample whose labels are what it says.
fn info(labels: Labels) -> (Labels, String) {
    (labels, "1".to_owned())
}

/// The format's own escapes; line ends are escaped already.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"")
}
