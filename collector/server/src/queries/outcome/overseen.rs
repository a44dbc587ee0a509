//! An outcome of a check that the collector judges: its facts are made anew for every look.

use ::store::Store;
use ::store::reading::RegisteredHost;
use evidence::id::CheckId;

use super::{ProbeAnswer, Seen, SourceAnswer};
use crate::queries::QueryError;
use crate::queries::fleet::{Fleet, newest_entry};
use crate::queries::library::Known;

/// What the ledger gives now.
pub(super) async fn seen(
    store: &Store,
    fleet: &Fleet,
    host: &RegisteredHost,
    known: &Known,
    id: &CheckId,
) -> Result<Seen, QueryError> {
    let facts = fleet.facts_from_outside(store, host, id).await?;
    let overseer = &known.info.overseer;
    let made = facts.iter().map(|(probe, facts)| ProbeAnswer {
        probe: probe.clone(),
        digest: None,
        facts: Some(facts.to_value()),
    });
    let source = |at: String, mtime| SourceAnswer {
        at,
        mtime,
        sha256: None,
    };
    let newest = newest_entry(host);
    let received = host.last_rx.unwrap_or(host.enrolled);
    let mut sources = vec![source(
        format!("entry {newest} of the ledger, the newest of this host"),
        Some(received),
    )];
    let in_force = fleet.in_force_since(host);
    sources.extend(in_force.map(|since| {
        let version = known.info.version;
        let at = format!("version {version} of the checks, in force for its group");
        source(at, Some(since))
    }));
    Ok(Seen {
        observed: overseer.observe(id, &facts),
        judgement: Some(overseer.judge(id, &facts)),
        sources,
        facts: made.collect(),
        held: facts,
    })
}
