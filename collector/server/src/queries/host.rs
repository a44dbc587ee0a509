//! Who is this host, is its chain of rounds whole, and how does every check stand on it?

pub(super) mod page;

use std::collections::BTreeMap;

use ::store::Store;
use ::store::reading::{RegisteredHost, StoredInterval};
use assess::current::Standing;
use crypto::Digest;
use evidence::id::{AgentId, CheckId};
use evidence::outcome::{Reason, Severity};
use evidence::time::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use wire::decision::{Decision, Enrolled};

use super::answer::AsOf;
use super::control::StandingCounts;
use super::fleet::{self, Current, Fleet};
use super::outcome::proposal;
use super::stretch::{self, Stretch, YEAR_MS};
use super::{Library, QueryError, hosts};

/// One host.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct HostAnswer {
    /// The state it was computed from.
    pub as_of: AsOf,
    /// Its id: key id of its first key.
    pub id: String,
    /// Its name, as it gave it, or the start of its id.
    pub name: String,
    /// Its group.
    pub group: String,
    /// Its operating system, as it gave it.
    pub system: Option<String>,
    /// `on-time`, `silent`, `never`, `revoked`, `forked`, `retired`.
    pub state: String,
    /// Version of its agent.
    pub agent: Option<String>,
    /// Key id of the key in force.
    pub key: String,
    /// Which of its keys that is, from 1.
    pub epoch: u64,
    /// Digest of the bundle of its last round.
    pub bundle: Option<String>,
    /// Version of that bundle.
    pub bundle_version: Option<u64>,
    /// When it was enrolled first.
    #[schema(value_type = String, format = DateTime)]
    pub enrolled: Timestamp,
    /// The entry that says so.
    pub enrolled_index: u64,
    /// How it proved then that it may: `token <id>`; none if that entry's content was erased.
    pub enrolled_by: Option<String>,
    /// When its key or host ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended: Option<Timestamp>,
    /// Its chain of statements.
    pub chain: ChainAnswer,
    /// Its checks by how they stand.
    pub counts: StandingCounts,
    /// Of how many checks something that this host shows waits for approval.
    pub proposals: u64,
    /// How every check stands.
    pub outcomes: Vec<HostOutcome>,
}

/// Health of the chain of signed statements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ChainAnswer {
    /// Rounds in the ledger.
    pub rounds: u64,
    /// Number of the newest statement.
    pub sequence: u64,
    /// Signed gaps: statements that the agent says it lost.
    pub gaps: u64,
    /// Numbers that were signed twice.
    pub forks: u64,
    /// How far the host's clock was ahead of reception at the last statement, in milliseconds.
    pub skew_ms: Option<i64>,
    /// When the newest statement was received.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last: Option<Timestamp>,
    /// Whether that is longer ago than its cadences explain.
    pub silent: bool,
}

/// How one check stands on the host.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct HostOutcome {
    /// The check.
    #[schema(value_type = String)]
    pub check: CheckId,
    /// Its title.
    pub title: String,
    /// The group it is shown in.
    pub topic: String,
    /// How much a failure weighs.
    #[schema(value_type = String)]
    pub severity: Severity,
    /// How it stands.
    #[schema(value_type = String)]
    pub standing: Standing,
    /// Why the latest outcome is what it is; none for a pass, and if there is none.
    #[schema(value_type = Option<String>)]
    pub reason: Option<Reason>,
    /// What was observed; none if nothing was, or the facts were erased.
    pub observed: Option<Value>,
    /// How many values of it wait for approval; zero if the host has nothing to list and that itself waits, none if
    /// nothing does.
    pub proposed: Option<u64>,
    /// Since when it stands so.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// The year.
    pub stretches: Vec<Stretch>,
}

/// The host of that id, which is 64 hexadecimal digits.
///
/// # Errors
/// [`QueryError::NotFound`] if there is none.
pub(super) async fn registered(store: &Store, id: &str) -> Result<RegisteredHost, QueryError> {
    let missing = || QueryError::not_found("host", id);
    let agent: AgentId = Digest::from_hex(id).map_err(|_| missing())?;
    store.registered_host(&agent).await?.ok_or_else(missing)
}

/// How does the host of this id stand?
///
/// # Errors
/// [`QueryError::NotFound`] if there is no such host; otherwise what the database says.
pub async fn host(
    store: &Store,
    library: &Library,
    id: &str,
    now: Timestamp,
) -> Result<HostAnswer, QueryError> {
    let host = registered(store, id).await?;
    let fleet = Fleet::load(store, library, Some(host.clone()), now).await?;
    let intervals = store
        .intervals_of_host(host.row, None, now.plus_ms(-YEAR_MS))
        .await?;
    let intervals = fleet.up_to_now(store, intervals).await?;
    let outcomes = outcomes(store, &fleet, &host, &intervals).await?;
    let mut counts = StandingCounts::default();
    outcomes.iter().for_each(|one| counts.add(one.standing));
    Ok(HostAnswer {
        id: host.agent.to_hex(),
        name: fleet::name(&host),
        group: host.group.to_string(),
        state: hosts::state(&fleet, &host).to_owned(),
        key: host.key.to_hex(),
        epoch: host.epoch,
        bundle: host.bundle.map(|(digest, _)| digest.to_hex()),
        bundle_version: host.bundle.map(|(_, version)| version),
        enrolled: host.enrolled,
        enrolled_index: host.enrolled_idx,
        enrolled_by: enrolled_by(store, &host).await?,
        ended: host.ended,
        chain: ChainAnswer {
            rounds: store.rounds_of_host(host.row, host.gaps).await?,
            sequence: host.next_seq.saturating_sub(1),
            gaps: host.gaps,
            forks: store.forks_of_host(host.row).await?,
            skew_ms: host.skew_ms,
            last: host.last_rx,
            silent: fleet.is_silent(&host),
        },
        counts,
        proposals: outcomes.iter().filter(|one| one.proposed.is_some()).count() as u64,
        outcomes,
        as_of: fleet.as_of,
        system: host.os,
        agent: host.version,
    })
}

async fn outcomes(
    store: &Store,
    fleet: &Fleet,
    host: &RegisteredHost,
    intervals: &[StoredInterval],
) -> Result<Vec<HostOutcome>, QueryError> {
    let standings = fleet.standings(intervals);
    let known: Vec<&CheckId> = standings
        .iter()
        .filter(|current| current.interval.is_some())
        .map(|current| current.check)
        .collect();
    let mut observed = fleet.observed(store, host, &known).await?;
    let waiting = proposal::waiting(store, fleet, host).await?;
    let told = standings
        .iter()
        .filter_map(|current| outcome(fleet, current, intervals, &mut observed, &waiting));
    Ok(told.collect())
}

fn outcome(
    fleet: &Fleet,
    current: &Current<'_>,
    intervals: &[StoredInterval],
    observed: &mut BTreeMap<CheckId, Value>,
    waiting: &BTreeMap<CheckId, u64>,
) -> Option<HostOutcome> {
    let check = fleet.definition(current.check)?;
    Some(HostOutcome {
        check: current.check.clone(),
        title: check.title.clone(),
        topic: check.topic.clone(),
        severity: check.severity,
        standing: current.standing,
        reason: current
            .interval
            .and_then(|interval| interval.judgement.reason),
        observed: observed.remove(current.check),
        proposed: waiting.get(current.check).copied(),
        since: fleet.since(current),
        stretches: stretch::of_check(fleet, current.host, current.check, intervals),
    })
}

async fn enrolled_by(store: &Store, host: &RegisteredHost) -> Result<Option<String>, QueryError> {
    let payload = store.payload(host.enrolled_idx).await?;
    let decision = payload.and_then(|payload| Decision::<Enrolled>::parse(&payload).ok());
    Ok(decision.map(|decision| decision.content.how))
}
