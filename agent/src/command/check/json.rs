//! The report for programs.

use std::collections::{BTreeMap, BTreeSet};

use agent::machine;
use crypto::Digest;
use evidence::check::Check;
use evidence::fact::{Facts, Source};
use evidence::id::{CheckId, ControlId, ProbeId};
use evidence::outcome::{Judgement, Outcome, Reason, Severity};
use evidence::time::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::Report;

#[derive(Serialize)]
struct Document<'r> {
    host: HostPart<'r>,
    time: TimePart,
    bundle: BundlePart<'r>,
    outcomes: Vec<OutcomePart<'r>>,
}

#[derive(Serialize)]
struct HostPart<'r> {
    hostname: &'r str,
    os: &'r str,
    live: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    architecture: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<String>,
}

/// When the first probe began and the last one ended; the end is `now` of the rules.
#[derive(Serialize)]
struct TimePart {
    start: Timestamp,
    end: Timestamp,
}

#[derive(Serialize)]
struct BundlePart<'r> {
    sha256: Digest,
    version: u64,
    name: Option<&'r str>,
}

#[derive(Serialize)]
struct OutcomePart<'r> {
    check: &'r CheckId,
    outcome: Outcome,
    reason: Option<Reason>,
    severity: Severity,
    topic: &'r str,
    title: &'r str,
    observed: &'r Value,
    expected: String,
    sources: BTreeSet<Source>,
    remediation: &'r str,
    controls: Vec<ControlPart>,
    facts: BTreeMap<&'r ProbeId, &'r Facts>,
}

#[derive(Serialize)]
struct ControlPart {
    id: ControlId,
    role: evidence::check::Role,
}

/// The report as one JSON document.
pub(super) fn render(report: &Report) -> serde_json::Result<String> {
    // An unpacked root runs on no kernel and no processor, and a recording not on ours.
    let here = report.here;
    let document = Document {
        host: HostPart {
            hostname: &report.hostname,
            os: &report.os,
            live: report.live,
            kernel: here.then(machine::kernel).flatten(),
            architecture: here.then(machine::architecture),
            root: report.root.as_ref().map(|root| root.display().to_string()),
        },
        time: TimePart {
            start: report.start,
            end: report.end,
        },
        bundle: BundlePart {
            sha256: report.digest,
            version: report.bundle.version,
            name: report.bundle.name.as_deref(),
        },
        outcomes: report
            .judged()
            .map(|(id, check, judgement)| outcome(report, id, check, judgement))
            .collect(),
    };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn outcome<'r>(
    report: &'r Report,
    id: &'r CheckId,
    check: &'r Check,
    judgement: Judgement,
) -> OutcomePart<'r> {
    let facts: BTreeMap<&ProbeId, &Facts> = check
        .probes
        .iter()
        .filter_map(|probe| Some((probe, report.facts.get(probe)?)))
        .collect();
    OutcomePart {
        check: id,
        outcome: judgement.outcome,
        reason: judgement.reason,
        severity: check.severity,
        topic: &check.topic,
        title: &check.title,
        observed: report.observed.get(id).unwrap_or(&Value::Null),
        expected: check.expected_text(),
        sources: facts.values().flat_map(|facts| facts.sources()).collect(),
        remediation: &check.remediation,
        controls: check
            .control_links()
            .into_iter()
            .map(|(id, role)| ControlPart { id, role })
            .collect(),
        facts,
    }
}
