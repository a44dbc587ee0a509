//! How does one check stand on one host, by which facts, and where is the proof?
//!
//! What was expected and observed is told from the very round that the proof is about: its bundle, its facts and its
//! `now`. The check is judged again from them, so that a page can never show facts beside an outcome they do not give.

mod overseen;
pub(super) mod page;
pub(super) mod proposal;

use std::collections::BTreeMap;

use ::store::Store;
use ::store::reading::{RegisteredHost, StoredInterval};
use assess::current::Standing;
use crypto::Digest;
use evidence::check::{Check, JudgedBy, Role};
use evidence::fact::FactSet;
use evidence::id::{CheckId, ProbeId};
use evidence::outcome::{Judgement, Reason, Severity};
use evidence::time::Timestamp;
use ledger::checkpoint::SignedCheckpoint;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use wire::disclosure::Disclosure;
use wire::leaf::Kind;
use wire::statement::{AgentStatement, Round};

pub use proposal::{ProposalAnswer, ProposedItem};

use super::answer::AsOf;
use super::fleet::{self, Fleet};
use super::host::registered;
use super::library::Known;
use super::stretch::{self, Stretch, YEAR_MS};
use super::{Library, QueryError};

/// One check on one host.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct OutcomeAnswer {
    /// The state it was computed from.
    pub as_of: AsOf,
    /// The host's id.
    pub host: String,
    /// Its name.
    pub host_name: String,
    /// When the host was enrolled first.
    #[schema(value_type = String, format = DateTime)]
    pub enrolled: Timestamp,
    /// The check.
    #[schema(value_type = String)]
    pub check: CheckId,
    /// Its title.
    pub title: String,
    /// How much a failure weighs.
    #[schema(value_type = String)]
    pub severity: Severity,
    /// `host`, or `collector` if it is no host's outcome but what the collector finds in its ledger.
    #[schema(value_type = String)]
    pub judged_by: JudgedBy,
    /// How it stands.
    #[schema(value_type = String)]
    pub standing: Standing,
    /// Why the latest outcome is what it is; none for a pass, and if there is none.
    #[schema(value_type = Option<String>)]
    pub reason: Option<Reason>,
    /// Since when it stands so.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// When it was judged last: by the host's latest round, or by this very look if the collector judges it; none if never.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub observed_at: Option<Timestamp>,
    /// What is expected, in words.
    pub expected: String,
    /// What was observed; none if nothing was, or the facts were erased.
    pub observed: Option<Value>,
    /// Whether judging the facts of the round again gave the same outcome and reason; none if they were erased. Of a check
    /// that the collector judges: whether what it finds now is what is told.
    pub reperformed: Option<bool>,
    /// The parameters that the round used.
    #[schema(value_type = Object)]
    pub parameters: BTreeMap<String, Value>,
    /// Where the facts were read.
    pub sources: Vec<SourceAnswer>,
    /// How the check decides.
    pub decides: String,
    /// What a pass shows.
    pub shows: String,
    /// What a pass does not show.
    pub does_not_show: String,
    /// How to mend a failure.
    pub remediation: String,
    /// The controls it carries or supports.
    pub controls: Vec<LinkedControl>,
    /// The year.
    pub stretches: Vec<Stretch>,
    /// The facts that led to it, by probe.
    pub facts: Vec<ProbeAnswer>,
    /// What the host would have approved for this check; none if there is nothing to approve.
    pub proposal: Option<ProposalAnswer>,
    /// Version of a newer bundle that is in force for its group and that it has not judged by yet.
    pub newer_bundle: Option<u64>,
    /// Its round in the ledger, of a check that the collector judges the host's last one; none if nothing was ever received
    /// or the signed checkpoint does not cover it yet.
    pub proof: Option<ProofAnswer>,
}

/// Where a fact was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SourceAnswer {
    /// A path, a command line, or the name of a kernel interface.
    pub at: String,
    /// Last modification of a file.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub mtime: Option<Timestamp>,
    /// SHA-256 of the content, as hexadecimal text.
    pub sha256: Option<String>,
}

/// A control that a check carries or supports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LinkedControl {
    /// Its number in ISO/IEC 27001:2022.
    pub id: String,
    /// Its title.
    pub title: String,
    /// `primary` if the check tests what the control is about, else `supporting`.
    #[schema(value_type = String)]
    pub role: Role,
}

/// The facts of one probe.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ProbeAnswer {
    /// The probe.
    #[schema(value_type = String)]
    pub probe: ProbeId,
    /// Digest of the disclosure, as the signed round holds it (base64url); none for facts that the collector made.
    pub digest: Option<String>,
    /// The facts; none if they were erased.
    pub facts: Option<Value>,
}

/// Where the round stands in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProofAnswer {
    /// Its index.
    pub index: u64,
    /// Its leaf hash, as hexadecimal text.
    pub leaf_hash: String,
    /// Digest of the signed envelope, as hexadecimal text.
    pub envelope: String,
    /// Its sequence number in the host's chain.
    pub sequence: u64,
    /// Key id of the key that signed it.
    pub key: String,
    /// When the round ended, by the host's clock.
    #[schema(value_type = String, format = DateTime)]
    pub host_time: Timestamp,
    /// When it was received.
    #[schema(value_type = String, format = DateTime)]
    pub received: Timestamp,
    /// The signed checkpoint that covers it, as text.
    pub checkpoint: String,
}

/// A round with its entry.
struct Proven {
    round: Round,
    proof: Option<ProofAnswer>,
}

/// What the facts of a round give when they are looked at again.
#[derive(Default)]
struct Seen {
    observed: Option<Value>,
    judgement: Option<Judgement>,
    sources: Vec<SourceAnswer>,
    facts: Vec<ProbeAnswer>,
    /// The facts themselves, as far as they are held.
    held: FactSet,
}

/// How does this check stand on this host? `checkpoint` is the newest that was signed.
///
/// # Errors
/// [`QueryError::NotFound`] if there is no such host, or the check is not assigned to it and never was judged on it;
/// otherwise what the database says.
pub async fn outcome(
    store: &Store,
    library: &Library,
    checkpoint: &SignedCheckpoint,
    host: &str,
    check: &str,
    now: Timestamp,
) -> Result<OutcomeAnswer, QueryError> {
    let host = registered(store, host).await?;
    let missing = || QueryError::not_found("check", check);
    let id: CheckId = check.parse().map_err(|_| missing())?;
    let fleet = Fleet::load(store, library, Some(host.clone()), now).await?;
    let year = now.plus_ms(-YEAR_MS);
    let intervals = store.intervals_of_host(host.row, Some(&id), year).await?;
    let intervals = fleet.up_to_now(store, intervals).await?;
    let overseen = fleet.is_overseen(&host, &id);
    let latest = intervals.iter().rfind(|interval| interval.to.is_none());
    let judged = latest.map(|latest| fleet.judged(&host, latest));
    let proven = match judged {
        Some((_, index)) => round(store, checkpoint, index).await?,
        None => None,
    };
    let known = match &proven {
        _ if overseen => fleet.in_force(&host.group).cloned(),
        Some(proven) => library.bundle(store, &proven.round.bundle.sha256).await?,
        None => fleet.bundle_of(&host).cloned(),
    };
    let known = known.ok_or_else(missing)?;
    let definition = known.info.bundle.checks.get(&id).ok_or_else(missing)?;
    let seen = match &proven {
        _ if overseen => overseen::seen(store, &fleet, &host, &known, &id).await?,
        Some(proven) => seen(store, &known, &id, definition, &proven.round).await?,
        None => Seen::default(),
    };
    let (standing, since) = stand(&fleet, &host, latest);
    let proposal = match &proven {
        Some(proven) if !overseen => {
            let time = proven.round.common.time.end;
            proposal::proposal(store, &fleet, &host, &id, &seen.held, time).await?
        }
        _ => None,
    };
    let newer_bundle = fleet
        .in_force(&host.group)
        .map(|in_force| in_force.info.version)
        .filter(|version| *version > known.info.version);
    Ok(OutcomeAnswer {
        host: host.agent.to_hex(),
        host_name: fleet::name(&host),
        enrolled: host.enrolled,
        title: definition.title.clone(),
        severity: definition.severity,
        judged_by: definition.judged_by,
        standing,
        reason: latest.and_then(|latest| latest.judgement.reason),
        since,
        observed_at: judged.map(|(time, _)| time),
        expected: definition.expected_text(),
        observed: seen.observed,
        reperformed: seen
            .judgement
            .zip(match (&proven, latest) {
                (_, Some(latest)) if overseen => Some(latest.judgement),
                (Some(proven), _) => proven.round.outcomes.get(&id).copied(),
                _ => None,
            })
            .map(|(again, told)| again == told),
        parameters: definition.params.clone(),
        sources: seen.sources,
        decides: definition.decides.clone(),
        shows: definition.shows.clone(),
        does_not_show: definition.does_not_show.clone(),
        remediation: definition.remediation.clone(),
        controls: controls(library, definition),
        stretches: stretch::of_check(&fleet, &host, &id, &intervals),
        facts: seen.facts,
        proposal,
        newer_bundle,
        proof: proven.and_then(|proven| proven.proof),
        check: id,
        as_of: fleet.as_of,
    })
}

fn stand(
    fleet: &Fleet,
    host: &RegisteredHost,
    latest: Option<&StoredInterval>,
) -> (Standing, Timestamp) {
    let standing = fleet.standing(host, latest);
    let since = match (latest, standing) {
        (None, _) => host.enrolled,
        (Some(latest), Standing::Stale) => fleet.end(host, latest),
        (Some(latest), _) => latest.from,
    };
    (standing, since)
}

/// The round of an entry; none if its envelope was erased.
async fn round(
    store: &Store,
    checkpoint: &SignedCheckpoint,
    index: u64,
) -> Result<Option<Proven>, QueryError> {
    let entry = store.entry(index).await?;
    let entry = entry.filter(|entry| entry.leaf.kind == Kind::Round);
    let (Some(entry), Some(payload)) = (entry, store.payload(index).await?) else {
        return Ok(None);
    };
    let inconsistent = |problem: String| ::store::StoreError::Inconsistent {
        table: "payload",
        problem: format!("entry {index}: {problem}"),
    };
    let statement =
        AgentStatement::parse(&payload).map_err(|error| inconsistent(error.to_string()))?;
    let AgentStatement::Round(round) = statement else {
        return Err(inconsistent("not the round that its leaf says it is".to_owned()).into());
    };
    let covered = index < checkpoint.checkpoint().size;
    let proof = covered.then(|| ProofAnswer {
        index,
        leaf_hash: ledger::hash::leaf_hash(&entry.bytes).to_hex(),
        envelope: entry.leaf.pae.to_hex(),
        sequence: round.common.chain.seq,
        key: entry.leaf.key.to_hex(),
        host_time: round.common.time.end,
        received: Timestamp::from_unix_ms(entry.leaf.rx),
        checkpoint: String::from_utf8_lossy(&checkpoint.to_bytes()).into_owned(),
    });
    Ok(Some(Proven {
        round: *round,
        proof,
    }))
}

/// Looks at the facts of a round again.
async fn seen(
    store: &Store,
    known: &Known,
    id: &CheckId,
    check: &Check,
    round: &Round,
) -> Result<Seen, QueryError> {
    let listed: Vec<_> = check
        .probes
        .iter()
        .filter_map(|probe| Some((probe, round.facts.get(probe)?)))
        .collect();
    let digests: Vec<Digest> = listed.iter().map(|(_, digest)| *digest.digest()).collect();
    let found = fleet::disclosures(store, &digests).await?;
    let mut seen = Seen::default();
    for ((probe, digest), disclosure) in listed.into_iter().zip(found) {
        seen.facts.push(ProbeAnswer {
            probe: probe.clone(),
            digest: Some(digest.to_string()),
            facts: disclosure.as_ref().map(|one| one.facts().to_value()),
        });
        if let Some(disclosure) = disclosure {
            seen.sources.extend(sources(&disclosure));
            seen.held.insert(probe.clone(), disclosure.facts().clone());
        }
    }
    if seen.held.len() == check.probes.len() {
        let unusable = |source| QueryError::Bundle {
            digest: known.info.digest,
            source,
        };
        let now = round.common.time.end;
        let judged = known
            .evaluator
            .judge([id], &seen.held, now)
            .map_err(unusable)?;
        let observed = known.evaluator.observe([id], &seen.held, now);
        seen.judgement = judged.get(id).copied();
        seen.observed = observed.map_err(unusable)?.remove(id);
    }
    Ok(seen)
}

fn sources(disclosure: &Disclosure) -> Vec<SourceAnswer> {
    let all = disclosure.facts().sources().into_iter();
    all.map(|source| SourceAnswer {
        at: source.at,
        mtime: source.mtime,
        sha256: source.sha256,
    })
    .collect()
}

/// The controls that a check carries or supports, primary ones first.
pub(super) fn controls(library: &Library, check: &Check) -> Vec<LinkedControl> {
    let mut links: Vec<LinkedControl> = check
        .control_links()
        .into_iter()
        .filter_map(|(id, role)| {
            let control = library.catalogue.control(&id)?;
            Some(LinkedControl {
                id: control.number().to_owned(),
                title: control.title.clone(),
                role,
            })
        })
        .collect();
    links.sort_by_key(|link| link.role);
    links
}
