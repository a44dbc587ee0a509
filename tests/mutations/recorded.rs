//! Mutations of recorded hosts, for what only a running kernel or daemon tells.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use agent::host::{Host as _, RecordedHost};
use agent::probe::{self, VolatileMemory};
use evidence::baseline;
use evidence::bundle::Bundle;
use evidence::evaluate::{Evaluator, Outcomes};
use evidence::id::CheckId;

use super::plan::{Mutation, Plan, RuleEdit};
use super::tally::Tally;

/// Applies every mutation of a recorded host to it and holds the outcomes of the checks that the recording is about against
/// what the mutation says.
///
/// # Panics
/// Naming each miss and each false alarm.
pub fn judge() {
    let start = Instant::now();
    let plan = Plan::load();
    let bundle = baseline::bundle().unwrap();
    let mut tally = Tally::new("recorded hosts");
    for mutation in &plan.mutations {
        let Some(host) = &mutation.host else {
            continue;
        };
        match judged(&bundle, host, mutation) {
            Ok((untouched, outcomes)) => tally.count(mutation, &untouched, &outcomes),
            Err(problem) => tally.unusable(mutation, &problem),
        }
    }
    tally.show(start.elapsed());
    assert!(tally.is_clean(), "{}", tally.problems());
}

fn judged(
    bundle: &Bundle,
    host: &str,
    mutation: &Mutation,
) -> Result<(Outcomes, Outcomes), String> {
    let base = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/hosts")
        .join(host);
    let untouched = RecordedHost::load(&base).map_err(|error| error.to_string())?;
    let mut changed = mutation.recording.clone().unwrap_or_default();
    changed.insert("base".to_owned(), base.display().to_string().into());
    if let Some(edit) = &mutation.audit_rules {
        let rules = untouched.audit_rules().map_err(|error| error.to_string())?;
        let kernel = changed
            .entry("kernel")
            .or_insert_with(|| toml::Table::new().into());
        if let Some(kernel) = kernel.as_table_mut() {
            kernel.insert("audit_rules".to_owned(), edited(rules, edit)?.into());
        }
    }
    // Of the mutation's name, so that what a killed run leaves is overwritten by the next.
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.toml", mutation.id));
    let text = toml::to_string(&changed).map_err(|error| error.to_string())?;
    std::fs::write(&file, text).map_err(|error| error.to_string())?;
    let changed = RecordedHost::load(&file).map_err(|error| error.to_string())?;
    std::fs::remove_file(&file).map_err(|error| error.to_string())?;
    // What the recording says nothing of stays as unknown as it was, so every check may be asked.
    let checks = bundle.clone().for_hosts().checks.into_keys().collect();
    let mut judged = bundle.clone();
    for (check, params) in &untouched.params {
        let id: CheckId = check.parse().map_err(|_| format!("no check id: {check}"))?;
        let known = judged
            .checks
            .get_mut(&id)
            .ok_or(format!("no check {check}"))?;
        known.params.extend(params.clone());
    }
    Ok((
        outcomes(&judged, &untouched, &checks),
        outcomes(&judged, &changed, &checks),
    ))
}

fn edited(rules: Vec<String>, edit: &RuleEdit) -> Result<Vec<String>, String> {
    for start in &edit.without {
        if !rules.iter().any(|rule| rule.starts_with(start)) {
            return Err(format!("no rule begins with {start:?}"));
        }
    }
    let kept = rules
        .into_iter()
        .filter(|rule| !edit.without.iter().any(|start| rule.starts_with(start)));
    Ok(edit
        .first
        .iter()
        .cloned()
        .chain(kept)
        .chain(edit.last.iter().cloned())
        .collect())
}

fn outcomes(bundle: &Bundle, host: &RecordedHost, checks: &BTreeSet<CheckId>) -> Outcomes {
    let probes = agent::examine::probes_of(bundle, checks);
    let facts = probe::observe_all(host, &mut VolatileMemory::default(), host.now(), &probes);
    Evaluator::new(bundle)
        .judge(checks, &facts, host.now())
        .unwrap()
}
