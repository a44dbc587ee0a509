//! A host of a trial: its facts, the time, and what is expected.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use evidence::baseline;
use evidence::bundle::{Bundle, MAX_BUNDLE_BYTES};
use evidence::fact::{FactSet, Facts};
use evidence::id::{CheckId, ProbeId};
use evidence::outcome::Judgement;
use evidence::time::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::command::bundle::text;
use crate::command::quickstart::agent_program;

/// Largest report of an agent that is read.
const MAX_REPORT_BYTES: usize = 64 * 1024 * 1024;

/// A host whose facts are known.
pub(super) struct TrialHost {
    path: PathBuf,
    /// Its facts.
    pub(super) facts: FactSet,
    /// The time of the look.
    pub(super) now: Timestamp,
    /// What is expected.
    pub(super) expect: BTreeMap<CheckId, Judgement>,
    params: Params,
}

type Params = BTreeMap<CheckId, BTreeMap<String, Value>>;

/// The file of a host whose facts stand in a report.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WithFacts {
    facts: PathBuf,
    now: Option<Timestamp>,
    #[serde(default)]
    unset: Vec<String>,
    #[serde(default)]
    set: BTreeMap<String, Value>,
    #[serde(default)]
    params: Params,
    expect: BTreeMap<CheckId, String>,
}

/// What concerns us of the file of a recorded host; the rest is the agent's.
#[derive(Deserialize)]
struct Recorded {
    #[serde(default)]
    params: Params,
    expect: BTreeMap<CheckId, String>,
}

/// What concerns us of a report of `assay-agent check --format json`.
#[derive(Deserialize)]
struct Report {
    time: ReportTime,
    outcomes: Vec<ReportOutcome>,
}

#[derive(Deserialize)]
struct ReportTime {
    end: Timestamp,
}

#[derive(Deserialize)]
struct ReportOutcome {
    facts: BTreeMap<ProbeId, Facts>,
}

impl TrialHost {
    /// Reads the file of a host, and what it names.
    ///
    /// # Errors
    /// Says which file, which line and what is wrong.
    pub(super) fn load(path: &Path, checks: &Path) -> anyhow::Result<TrialHost> {
        let file = text(path, MAX_BUNDLE_BYTES)?;
        let table: toml::Table = read(path, &file)?;
        if table.contains_key("facts") {
            let host: WithFacts = read(path, &file)?;
            let beside = path.parent().unwrap_or(Path::new(".")).join(&host.facts);
            let report = Report::parse(&beside, &text(&beside, MAX_REPORT_BYTES)?)?;
            let mut facts = report.facts();
            change(&mut facts, &host).with_context(|| path.display().to_string())?;
            return TrialHost::new(
                path,
                facts,
                host.now.unwrap_or(report.time.end),
                host.params,
                &host.expect,
            );
        }
        let host: Recorded = read(path, &file)?;
        let report = replay(path, checks)?;
        TrialHost::new(
            path,
            report.facts(),
            report.time.end,
            host.params,
            &host.expect,
        )
    }

    fn new(
        path: &Path,
        facts: FactSet,
        now: Timestamp,
        params: Params,
        expect: &BTreeMap<CheckId, String>,
    ) -> anyhow::Result<TrialHost> {
        let expect = expect
            .iter()
            .map(|(check, words)| Ok((check.clone(), judgement(words)?)))
            .collect::<anyhow::Result<_>>()
            .with_context(|| path.display().to_string())?;
        Ok(TrialHost {
            path: path.to_owned(),
            facts,
            now,
            expect,
            params,
        })
    }

    /// The bundle with the parameters of this host.
    ///
    /// # Errors
    /// A check or parameter that does not exist, or an expression that does not fit a value.
    pub(super) fn policy(&self, bundle: &Bundle) -> anyhow::Result<Bundle> {
        let at = self.path.display();
        for check in self.expect.keys() {
            anyhow::ensure!(
                bundle.checks.contains_key(check),
                "{at}: [expect] names {check}, which is none of the check files"
            );
        }
        let mut bundle = bundle.clone();
        for (id, params) in &self.params {
            let check = bundle.checks.get_mut(id);
            let check = check.with_context(|| format!("{at}: no check is called {id}"))?;
            for (name, value) in params {
                let known = check.params.get_mut(name);
                *known.with_context(|| format!("{at}: {id} has no parameter {name}"))? =
                    value.clone();
            }
        }
        bundle
            .check_types(&baseline::schemas()?)
            .with_context(|| at.to_string())?;
        Ok(bundle)
    }
}

impl Report {
    fn parse(path: &Path, text: &str) -> anyhow::Result<Report> {
        serde_json::from_str(text).with_context(|| {
            format!(
                "{}: expected what `assay-agent check --format json` writes",
                path.display()
            )
        })
    }

    fn facts(&self) -> FactSet {
        self.outcomes
            .iter()
            .flat_map(|outcome| outcome.facts.clone())
            .collect()
    }
}

/// Has the agent replay a recording, judged by the check files, so that it looks at what they need.
fn replay(recording: &Path, checks: &Path) -> anyhow::Result<Report> {
    let agent = agent_program()?;
    let output = Command::new(&agent)
        .args(["check", "--format", "json", "--recorded"])
        .arg(recording)
        .arg("--bundle")
        .arg(checks)
        .output()
        .with_context(|| format!("cannot run {}", agent.display()))?;
    anyhow::ensure!(
        !output.stdout.is_empty(),
        "{}: {}",
        recording.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Report::parse(recording, &String::from_utf8_lossy(&output.stdout))
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path, text: &str) -> anyhow::Result<T> {
    toml::from_str(text).map_err(|error| {
        let line = error
            .span()
            .map(|span| {
                format!(
                    ":{}",
                    text[..span.start.min(text.len())].matches('\n').count() + 1
                )
            })
            .unwrap_or_default();
        anyhow::anyhow!("{}{line}: {}", path.display(), error.message())
    })
}

/// Carries out `unset` and `set`.
fn change(facts: &mut FactSet, host: &WithFacts) -> anyhow::Result<()> {
    let mut all: Value = serde_json::to_value(&*facts)?;
    for pointer in &host.unset {
        let (parent, name) = split(pointer)?;
        let removed = match all.pointer_mut(parent) {
            Some(Value::Object(members)) => members.remove(&name).is_some(),
            Some(Value::Array(items)) => match name.parse::<usize>() {
                Ok(place) if place < items.len() => {
                    items.remove(place);
                    true
                }
                _ => false,
            },
            _ => false,
        };
        anyhow::ensure!(removed, "unset: there is no fact {pointer}");
    }
    for (pointer, value) in &host.set {
        if let Some(known) = all.pointer_mut(pointer) {
            *known = value.clone();
            continue;
        }
        let (parent, name) = split(pointer)?;
        let members = all.pointer_mut(parent).and_then(Value::as_object_mut);
        members
            .with_context(|| format!("set: there is no fact {parent} to hold {name:?}"))?
            .insert(name, value.clone());
    }
    let probes: BTreeMap<ProbeId, Map<String, Value>> =
        serde_json::from_value(all).context("set and unset: what is left are no facts by probe")?;
    *facts = probes
        .into_iter()
        .map(|(probe, members)| (probe, Facts::new(members)))
        .collect();
    Ok(())
}

/// A JSON pointer (RFC 6901) as that of the parent and the last name.
fn split(pointer: &str) -> anyhow::Result<(&str, String)> {
    let (parent, name) = pointer
        .rsplit_once('/')
        .with_context(|| format!("{pointer:?} is no JSON pointer such as \"/sshd/installed\""))?;
    Ok((parent, name.replace("~1", "/").replace("~0", "~")))
}

/// `pass`, or an outcome with its reason.
fn judgement(words: &str) -> anyhow::Result<Judgement> {
    let (outcome, reason) = match words.split_once(' ') {
        Some((outcome, reason)) => (outcome, Some(reason.parse()?)),
        None => (words, None),
    };
    let judgement = Judgement {
        outcome: outcome.parse()?,
        reason,
    };
    anyhow::ensure!(
        judgement.is_well_formed(),
        "expected \"pass\" or an outcome with its reason, as in \"fail extra\", found {words:?}"
    );
    Ok(judgement)
}
