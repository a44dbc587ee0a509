//! Judging a round again: its bundle, its disclosed facts and its own time give outcomes, which must be the signed ones.
//!
//! The statement's digests pin bundle and facts, so neither can be another. The expressions see nothing else: no clock,
//! network or environment. A bundle for an engine that this program does not have is not performable, which is no
//! verification.

use std::collections::{BTreeMap, BTreeSet};

use crypto::Digest;
use evidence::bundle::{Bundle, ENGINE};
use evidence::evaluate::{Evaluator, Outcomes};
use evidence::fact::FactSet;
use evidence::id::ProbeId;
use evidence::json;
use evidence::outcome::Judgement;
use wire::disclosure::{Disclosure, DisclosureDigest};
use wire::envelope::{BUNDLE_TYPE, Envelope};
use wire::statement::{Coverage, Round};

use crate::report::{Report, in_full};
use crate::round::{Evidence, public_key};

/// Judges every check of `round` again and compares outcome and reason.
pub fn verify(report: &mut Report, round: &Round, evidence: &Evidence<'_>) {
    let facts = facts(report, round, evidence.disclosures);
    let bundle = bundle(report, round, evidence);
    if let (Some(facts), Some(bundle)) = (facts, bundle) {
        scope(report, round, &bundle);
        judge(report, round, &bundle, &facts);
    }
}

/// The bundle that the statement names, and none other.
fn bundle(report: &mut Report, round: &Round, evidence: &Evidence<'_>) -> Option<Bundle> {
    let envelope = report.take("bundle", Envelope::parse_file(evidence.bundle))?;
    if envelope.payload_type != BUNDLE_TYPE {
        report.failed(
            "bundle",
            format!("payloadType is {:?}", envelope.payload_type),
        );
        return None;
    }
    let found = Digest::of(&envelope.payload);
    let named = round.bundle.sha256;
    let same = report.hold(
        "bundle digest",
        found == named,
        format!("the round names {named}, the bundle given is {found}"),
    );
    if let Some(pem) = evidence.policy_key {
        policy_signature(report, &envelope, pem);
    }
    if !same {
        return None;
    }
    if let Some(other) = other_engine(&envelope.payload) {
        report.not_performable(
            "re-performance",
            format!("the bundle wants engine {other:?}, this program has {ENGINE}"),
        );
        return None;
    }
    let bundle = report.take("bundle", Bundle::parse(&envelope.payload))?;
    report.hold(
        "bundle version",
        bundle.version == round.bundle.version,
        format!(
            "the round names version {}, the bundle is version {}",
            round.bundle.version, bundle.version
        ),
    );
    Some(bundle)
}

fn policy_signature(report: &mut Report, envelope: &Envelope, pem: &[u8]) {
    let Some(key) = public_key(report, "policy key", pem) else {
        return;
    };
    let hint = envelope.signatures.first().and_then(|one| one.key);
    let verified = envelope.verify(BUNDLE_TYPE, &[&key]);
    if report.take("bundle signature", verified).is_some() {
        report.hold(
            "bundle signature",
            hint == Some(key.key_id()),
            "the policy key signed the bundle, and the envelope's keyid names it",
        );
    }
}

/// The engine of a bundle, if it is not ours: then nothing else about its form can be judged.
fn other_engine(payload: &[u8]) -> Option<String> {
    let value = json::parse_value(payload).ok()?;
    let engine = value.get("engine")?.as_str()?;
    (engine != ENGINE).then(|| engine.to_owned())
}

/// The facts of the round, if the files are exactly the disclosures that the statement lists.
fn facts(report: &mut Report, round: &Round, files: &BTreeMap<String, Vec<u8>>) -> Option<FactSet> {
    let mut wrong = Vec::new();
    let mut facts = FactSet::new();
    let mut salts = BTreeMap::new();
    for (probe, digest) in &round.facts {
        let Some(file) = files.get(&digest.to_string()) else {
            wrong.push(format!("{digest} of probe {probe} is missing"));
            continue;
        };
        match open(probe, digest, file) {
            Ok(disclosure) => {
                if let Some(other) = salts.insert(disclosure.salt(), probe) {
                    wrong.push(format!("probes {other} and {probe} share a salt"));
                }
                facts.insert(probe.clone(), disclosure.facts().clone());
            }
            Err(problem) => wrong.push(format!("{digest} of probe {probe}: {problem}")),
        }
    }
    let listed: BTreeSet<String> = round.facts.values().map(ToString::to_string).collect();
    for name in files.keys().filter(|name| !listed.contains(*name)) {
        wrong.push(format!("{name:?} is no disclosure of this round"));
    }
    report
        .all(
            "disclosures",
            wrong,
            format!(
                "{} files, each the one that the round lists for its probe, no salt twice",
                round.facts.len()
            ),
        )
        .then_some(facts)
}

fn open(probe: &ProbeId, digest: &DisclosureDigest, file: &[u8]) -> Result<Disclosure, String> {
    let text = str::from_utf8(file).map_err(|_| "not base64url".to_owned())?;
    if DisclosureDigest::of(text) != *digest {
        return Err("the file has another digest".to_owned());
    }
    let disclosure = Disclosure::parse(text).map_err(|error| in_full(&error))?;
    if disclosure.probe() != probe {
        return Err(format!("it holds facts of probe {}", disclosure.probe()));
    }
    Ok(disclosure)
}

/// The statement has facts for exactly the probes of its checks, and its checks are the bundle's.
fn scope(report: &mut Report, round: &Round, bundle: &Bundle) {
    let mut wrong = Vec::new();
    let mut needed = BTreeSet::new();
    for id in round.outcomes.keys() {
        match bundle.checks.get(id) {
            Some(check) if !check.judged_by.is_host() => {
                wrong.push(format!("check {id} is the collector's to judge, no host's"));
            }
            Some(check) => needed.extend(&check.probes),
            None => wrong.push(format!("check {id} is not in the bundle")),
        }
    }
    let listed: BTreeSet<&ProbeId> = round.facts.keys().collect();
    for probe in needed.difference(&listed) {
        wrong.push(format!(
            "a check reads probe {probe}, whose facts the round does not list"
        ));
    }
    for probe in listed.difference(&needed) {
        wrong.push(format!("no check of the round reads probe {probe}"));
    }
    report.all(
        "checks and probes",
        wrong,
        format!(
            "{} checks of the bundle read {} probes",
            round.outcomes.len(),
            needed.len()
        ),
    );
}

fn judge(report: &mut Report, round: &Round, bundle: &Bundle, facts: &FactSet) {
    let evaluator = Evaluator::of(bundle, round.outcomes.keys());
    let now = round.common.time.end;
    let judged = evaluator.judge(round.outcomes.keys(), facts, now);
    let Some(judged) = report.take("re-performance", judged) else {
        return;
    };
    report.all(
        "re-performance",
        differences(&round.outcomes, &judged),
        format!(
            "{} checks judged again at {now}, every outcome and reason as signed",
            judged.len()
        ),
    );
    report.hold(
        "coverage",
        Coverage::of(&judged) == round.coverage,
        "the counts are those of the outcomes judged again",
    );
}

fn differences(signed: &Outcomes, judged: &Outcomes) -> Vec<String> {
    let ids: BTreeSet<_> = signed.keys().chain(judged.keys()).collect();
    ids.into_iter()
        .filter(|id| signed.get(*id) != judged.get(*id))
        .map(|id| {
            format!(
                "{id} is {} in the round, but {} by its facts",
                words(signed.get(id)),
                words(judged.get(id))
            )
        })
        .collect()
}

fn words(judgement: Option<&Judgement>) -> String {
    let Some(judgement) = judgement else {
        return "absent".to_owned();
    };
    match judgement.reason {
        Some(reason) => format!("{} ({reason})", judgement.outcome),
        None => judgement.outcome.to_string(),
    }
}
