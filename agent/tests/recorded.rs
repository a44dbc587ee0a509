//! Every recorded host is judged by the default bundle and must conclude what it says; every check has a recorded host
//! that passes and one that fails.

#![cfg(test)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use agent::host::RecordedHost;
use agent::probe::{self, VolatileMemory};
use evidence::baseline;
use evidence::bundle::Bundle;
use evidence::evaluate::Evaluator;
use evidence::fact::FactSet;
use evidence::id::{CheckId, ProbeId};
use evidence::learn::NotLearnt;
use evidence::outcome::{Judgement, Outcome, Reason};

fn recordings() -> Vec<PathBuf> {
    fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    collect(
        Path::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/fixtures/hosts"
        )),
        &mut found,
    );
    found.sort();
    found
}

#[test]
fn every_recorded_host_concludes_what_it_says() {
    let bundle = baseline::bundle().unwrap();
    let evaluator = Evaluator::new(&bundle);
    let schemas = evidence::baseline::schemas().unwrap();
    let mut wrong = Vec::new();
    let mut seen: BTreeMap<CheckId, Vec<Outcome>> = BTreeMap::new();
    for path in recordings() {
        let host = RecordedHost::load(&path).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let checks: Vec<CheckId> = host.expect.keys().map(|id| id.parse().unwrap()).collect();
        let probes: Vec<&ProbeId> = checks
            .iter()
            .flat_map(|id| {
                bundle
                    .checks
                    .get(id)
                    .map(|check| &check.probes)
                    .unwrap_or_else(|| panic!("{name}: no check {id}"))
            })
            .collect();
        let facts = probe::observe_all(&host, &mut VolatileMemory::default(), host.now(), probes);
        for (id, facts) in &facts {
            let kind = schemas.get(id).unwrap();
            assert!(
                facts.is_error() || probe::conforms(&without_sources(facts), kind),
                "{name}: facts of {id} are not what the probe publishes: {:#}",
                facts.to_value()
            );
        }
        let own = (!host.params.is_empty()).then(|| with_policy(&bundle, &host, &name));
        let evaluator = own.as_ref().unwrap_or(&evaluator);
        let outcomes = evaluator.judge(&checks, &facts, host.now()).unwrap();
        for (id, judgement) in outcomes {
            let found = match judgement.reason {
                Some(reason) => format!("{} {reason}", judgement.outcome),
                None => judgement.outcome.to_string(),
            };
            let expected = &host.expect[id.as_str()];
            if found != *expected {
                let check = &bundle.checks[&id];
                let shown: Vec<_> = check
                    .probes
                    .iter()
                    .filter_map(|probe| Some(facts.get(probe)?.to_value()))
                    .collect();
                wrong.push(format!(
                    "{name}: {id}: expected {expected}, found {found}\n  {}",
                    serde_json::to_string(&shown)
                        .unwrap()
                        .chars()
                        .take(1500)
                        .collect::<String>()
                ));
            }
            seen.entry(id).or_default().push(judgement.outcome);
        }
        wrong.extend(unapprovable(evaluator, &checks, &facts, &host, &name));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for id in bundle.for_hosts().checks.keys() {
        let outcomes = seen.get(id).cloned().unwrap_or_default();
        assert!(
            outcomes.contains(&Outcome::Pass),
            "{id}: no recorded host passes"
        );
        assert!(
            outcomes.contains(&Outcome::Fail),
            "{id}: no recorded host fails"
        );
    }
}

/// Checks that lack a list which people approve, and whose proposal for this host would not do if it were approved.
fn unapprovable(
    evaluator: &Evaluator,
    checks: &[CheckId],
    facts: &FactSet,
    host: &RecordedHost,
    name: &str,
) -> Vec<String> {
    let missing = Judgement::error(Reason::NoBaseline);
    let extra = Judgement::because(Outcome::Fail, Reason::Extra);
    let learnt = evaluator.learn(checks, facts, host.now()).unwrap();
    let wrong = learnt.into_iter().filter_map(|(id, learnt)| match learnt {
        Ok(learnt) if learnt.current == missing && [missing, extra].contains(&learnt.judgement) => {
            Some(format!("{name}: {id}: {learnt:?}"))
        }
        Err(problem @ NotLearnt::Evaluation { .. }) => Some(format!("{name}: {id}: {problem}")),
        _ => None,
    });
    wrong.collect()
}

/// The recording's checks with its own policy, which may set known parameters only.
fn with_policy(bundle: &Bundle, host: &RecordedHost, name: &str) -> Evaluator {
    let mut bundle = bundle.clone();
    for (check, params) in &host.params {
        let id: CheckId = check.parse().unwrap();
        let known = &mut bundle.checks.get_mut(&id).unwrap().params;
        for (param, value) in params {
            assert!(known.contains_key(param), "{name}: {check} has no {param}");
            known.insert(param.clone(), value.clone());
        }
    }
    bundle
        .checks
        .retain(|id, _| host.expect.contains_key(id.as_str()));
    bundle
        .check_types(&evidence::baseline::schemas().unwrap())
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    Evaluator::new(&bundle)
}

fn without_sources(facts: &evidence::fact::Facts) -> serde_json::Value {
    let mut members = facts.members().clone();
    members.remove("sources");
    serde_json::Value::Object(members)
}

/// `configs/facts/` is what bundles are checked against outside the agent: one JSON Schema a probe, the collector's too.
/// `ASSAY_UPDATE=1 cargo test -p assay-agent --test recorded` writes it anew, and fails that once.
#[test]
fn the_published_fact_schemas_are_those_of_the_probes() {
    let published: BTreeMap<String, String> = baseline::FACTS
        .iter()
        .map(|(file, text)| ((*file).to_owned(), (*text).to_owned()))
        .collect();
    let document = probe::schema_document();
    let current: BTreeMap<String, String> = document
        .as_object()
        .unwrap()
        .iter()
        .map(|(probe, schema)| {
            let schema = serde_json::to_string_pretty(schema).unwrap();
            (format!("{probe}.json"), schema + "\n")
        })
        .collect();
    if published != current && std::env::var_os("ASSAY_UPDATE").is_some() {
        let directory = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/facts"));
        for (file, schema) in &current {
            std::fs::write(directory.join(file), schema).unwrap();
        }
    }
    assert_eq!(
        published, current,
        "configs/facts is out of date: run with ASSAY_UPDATE=1"
    );
}

#[test]
fn every_probe_has_a_usable_id() {
    for probe in probe::registry() {
        assert!(probe.id().parse::<ProbeId>().is_ok(), "{}", probe.id());
    }
}
