//! An outcome's answer as a page.

use evidence::check::{Role, plain};

use super::{
    LinkedControl, OutcomeAnswer, ProbeAnswer, ProofAnswer, ProposalAnswer, ProposedItem,
    SourceAnswer,
};
use crate::pages::frame::Section;
use crate::pages::outcome::{ControlLink, ProbeFacts, Proposal, ProposedValue, Source};
use crate::pages::part::{Facts, Observed, Pair, Proof, Prose, count, span};
use crate::pages::{OutcomePage, route};
use crate::queries::answer::{AsOf, Paper, Viewer};
use crate::queries::exported;
use crate::queries::ledger::Address;
use crate::queries::stretch;
use crate::queries::words::{reason_code, reason_words};
use assess::current::Standing;
use serde_json::json;

impl From<(Viewer, OutcomeAnswer, Address)> for OutcomePage {
    fn from((viewer, answer, address): (Viewer, OutcomeAnswer, Address)) -> OutcomePage {
        let title = format!("{} on {}", answer.title, answer.host_name);
        let paper = Paper {
            scope: format!("{} on {}", answer.check, answer.host_name),
            period: None,
            parameters: parameters(&answer)
                .iter()
                .map(|pair| format!("{} {}", pair.name, pair.value))
                .collect::<Vec<_>>()
                .join(", "),
            rows: "one outcome".to_owned(),
        };
        let (reason, words) = reason(&answer);
        OutcomePage {
            frame: answer.as_of.frame(viewer, &title, Section::Hosts, paper),
            host_href: route::host(&answer.host),
            check: answer.check.to_string(),
            check_href: route::check(answer.check.as_str()),
            severity: answer.severity.into(),
            standing: answer.standing.into(),
            reason,
            reason_words: words,
            observed: observed(&answer),
            parameters: parameters(&answer),
            sources: answer
                .sources
                .iter()
                .map(|source| source_row(&answer.as_of, source))
                .collect(),
            since: answer.as_of.when(answer.since),
            observed_at: answer
                .as_of
                .when(answer.observed_at.unwrap_or(answer.since)),
            fix: Prose::of(&answer.remediation),
            decides: Prose::of(&answer.decides),
            controls: control_links(&answer.controls),
            strip: stretch::strip(
                "year".to_owned(),
                format!("{} on {} over a year", answer.check, answer.host_name),
                &answer.stretches,
                answer.enrolled,
                answer.as_of.at,
            ),
            shows: Prose::of(&answer.shows),
            does_not_show: Prose::of(&answer.does_not_show),
            facts: answer.facts.iter().map(probe_facts).collect(),
            proposal: answer.proposal.as_ref().map(proposal_part),
            newer_bundle: answer.newer_bundle,
            by_collector: !answer.judged_by.is_host(),
            proof: answer
                .proof
                .as_ref()
                .map(|proof| proof_part(&answer, proof, &address)),
            host: answer.host_name,
            title: answer.title,
            expected: answer.expected,
        }
    }
}

/// The reason in words; of what was last received, where nothing holds now.
fn reason(answer: &OutcomeAnswer) -> (String, String) {
    match answer.standing {
        Standing::Missing => (
            "none".to_owned(),
            "nothing was received that is still in force".to_owned(),
        ),
        _ => (
            reason_code(answer.reason).to_owned(),
            reason_words(answer.reason).to_owned(),
        ),
    }
}

fn observed(answer: &OutcomeAnswer) -> Observed {
    let said = |text: &str| Observed::Text(text.to_owned());
    match (&answer.observed, answer.standing) {
        (Some(value), _) => Observed::of(value),
        (None, Standing::Missing) => said("nothing received"),
        (None, _) => said("the facts of this round are not held any more"),
    }
}

fn parameters(answer: &OutcomeAnswer) -> Vec<Pair> {
    let pairs = answer.parameters.iter();
    pairs
        .map(|(name, value)| Pair::new(name, plain(value)))
        .collect()
}

fn source_row(as_of: &AsOf, source: &SourceAnswer) -> Source {
    Source {
        name: source.at.clone(),
        changed: source.mtime.map(|mtime| as_of.when(mtime)),
        digest: source.sha256.clone().unwrap_or_default(),
        note: String::new(),
    }
}

/// Links to the controls of a check.
pub(in crate::queries) fn control_links(controls: &[LinkedControl]) -> Vec<ControlLink> {
    let link = |control: &LinkedControl| ControlLink {
        id: control.id.clone(),
        title: control.title.clone(),
        primary: control.role == Role::Primary,
        href: route::control(&control.id),
    };
    controls.iter().map(link).collect()
}

fn probe_facts(probe: &ProbeAnswer) -> ProbeFacts {
    ProbeFacts {
        probe: probe.probe.to_string(),
        digest: probe.digest.clone().unwrap_or_default(),
        facts: probe.facts.as_ref().map(Facts::of),
        withheld: match probe.facts {
            Some(_) => String::new(),
            None => {
                "These facts were erased; the signed round still holds their digest.".to_owned()
            }
        },
    }
}

fn proposal_part(proposal: &ProposalAnswer) -> Proposal {
    let item = |item: &ProposedItem| ProposedValue {
        parameter: item.parameter.clone(),
        value: plain(&item.value),
        field: json!([item.parameter, item.value]).to_string(),
    };
    Proposal {
        group: proposal.group.to_string(),
        hosts: proposal.hosts,
        has_list: proposal.has_list,
        items: proposal.items.iter().map(item).collect(),
        then: proposal.then.into(),
        action: None,
    }
}

fn proof_part(answer: &OutcomeAnswer, proof: &ProofAnswer, address: &Address) -> Proof {
    let index = proof.index;
    let mut files = exported::files(index);
    for probe in answer.facts.iter().filter(|probe| probe.facts.is_some()) {
        let Some(digest) = &probe.digest else {
            continue;
        };
        let name = format!("disclosures/{digest}");
        files.push(exported::file(
            index,
            &name,
            &format!("the facts of probe {}", probe.probe),
        ));
    }
    let delay = proof.received.ms_since(proof.host_time);
    let after = match delay {
        0.. => format!("{} later by the host's clock", span(delay)),
        _ => format!("the host's clock {} ahead", span(-delay)),
    };
    let absolute = |time| answer.as_of.when(time).absolute();
    Proof {
        index,
        leaf_hash: proof.leaf_hash.clone(),
        envelope_digest: proof.envelope.clone(),
        properties: vec![
            Pair::new(
                "Sequence",
                format!("{} of this host", count(proof.sequence)),
            ),
            Pair::new("Signed by key", proof.key.clone()),
            Pair::new("Host time", absolute(proof.host_time)),
            Pair::new("Received", format!("{}, {after}", absolute(proof.received))),
        ],
        checkpoint: proof.checkpoint.clone(),
        archive_href: route::round_archive(index),
        files,
        commands: exported::commands(index, address),
    }
}
