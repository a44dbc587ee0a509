//! From entries back to projections: at start for what is not in a row, in `rebuild` for everything.

use crypto::Digest;
use evidence::bundle::Bundle;
use store::{Batch, EntryRow, Store, StoreError};
use wire::decision::{BundleActivated, Decision, Enrolled};
use wire::envelope::{Envelope, STATEMENT_TYPE, pae};
use wire::leaf::Kind;
use wire::statement::AgentStatement;

use super::fleet::Fleet;

/// Entries read and projected at a time.
const STEP: u32 = 1000;

/// An entry whose content does not let it be projected.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The payload of an entry is not there.
    #[error("the payload of entry {0} is missing; projections cannot be rebuilt without it")]
    Missing(u64),
    /// The payload of an entry is not what its kind says.
    #[error("entry {idx}: {problem}")]
    Content {
        /// The entry.
        idx: u64,
        /// What is wrong.
        problem: String,
    },
}

/// Adds every bundle ever activated to a fleet.
///
/// # Errors
/// [`ReplayError`] if one is damaged.
pub async fn load_bundles(store: &Store, fleet: &mut Fleet) -> Result<(), ReplayError> {
    for (version, digest) in store.bundles().await? {
        let wrong = |problem: String| {
            ReplayError::Store(StoreError::Inconsistent {
                table: "bundle",
                problem: format!("version {version}: {problem}"),
            })
        };
        let file = store
            .bundle(&digest)
            .await?
            .ok_or_else(|| wrong("no envelope".to_owned()))?;
        let envelope = Envelope::parse_file(&file).map_err(|error| wrong(error.to_string()))?;
        if Digest::of(&envelope.payload) != digest {
            return Err(wrong("another digest".to_owned()));
        }
        fleet.add_bundle(
            digest,
            Bundle::parse(&envelope.payload).map_err(|error| wrong(error.to_string()))?,
        );
    }
    Ok(())
}

/// Empties every projection and computes it again from the entries. Returns the number of entries.
///
/// # Errors
/// [`ReplayError`]; the projections are then incomplete, and `rebuild` must be run again.
pub async fn rebuild(store: &Store) -> Result<u64, ReplayError> {
    store.clear_projections().await?;
    let mut fleet = Fleet::default();
    load_bundles(store, &mut fleet).await?;
    let mut next = 0;
    loop {
        let entries = store.entries(next, STEP).await?;
        let Some(last) = entries.last() else {
            return Ok(next);
        };
        let end = last.idx + 1;
        let mut batch = Batch::default();
        fleet.begin();
        for entry in &entries {
            apply(store, &mut fleet, entry, &mut batch).await?;
        }
        fleet.collect(&mut batch);
        store.project(&batch).await?;
        next = end;
    }
}

async fn apply(
    store: &Store,
    fleet: &mut Fleet,
    entry: &EntryRow,
    batch: &mut Batch,
) -> Result<(), ReplayError> {
    let idx = entry.idx;
    let leaf = &entry.leaf;
    let wrong = |problem: String| ReplayError::Content { idx, problem };
    let payload = || async {
        let payload = store.payload(idx).await?.ok_or(ReplayError::Missing(idx))?;
        // What was changed in the database after it was signed is not projected.
        if Digest::of(&pae(STATEMENT_TYPE, &payload)) != leaf.pae {
            return Err(wrong(
                "the payload stored is not the one that was signed".to_owned(),
            ));
        }
        Ok(payload)
    };
    match leaf.kind {
        Kind::Round | Kind::Gap | Kind::Rotate => {
            let statement = AgentStatement::parse(&payload().await?)
                .map_err(|error| wrong(error.to_string()))?;
            fleet.statement(idx, leaf, &statement, batch);
        }
        Kind::Enrol => {
            let decision = Decision::<Enrolled>::parse(&payload().await?)
                .map_err(|error| wrong(error.to_string()))?;
            fleet.enrolled(idx, leaf, &decision.content, batch);
        }
        Kind::Revoke | Kind::Retire | Kind::Fork | Kind::Reject => {
            let agent = leaf
                .agent
                .ok_or_else(|| wrong("names no agent".to_owned()))?;
            fleet.key_event(leaf.kind, idx, leaf, &agent, batch);
        }
        Kind::Bundle => {
            let decision = Decision::<BundleActivated>::parse(&payload().await?)
                .map_err(|error| wrong(error.to_string()))?;
            fleet.activated(idx, leaf, &decision.content, batch);
        }
        _ => fleet.decision(),
    }
    Ok(())
}

/// The activations among the entries with their reception, in order: for a fleet loaded from its rows.
///
/// # Errors
/// [`ReplayError`] if one is damaged.
pub async fn activations(store: &Store) -> Result<Vec<(BundleActivated, i64)>, ReplayError> {
    let mut found = Vec::new();
    for idx in store.indices_of_kind(Kind::Bundle).await? {
        let payload = store.payload(idx).await?.ok_or(ReplayError::Missing(idx))?;
        let entry = store.entry(idx).await?.ok_or(ReplayError::Missing(idx))?;
        let decision =
            Decision::<BundleActivated>::parse(&payload).map_err(|error| ReplayError::Content {
                idx,
                problem: error.to_string(),
            })?;
        found.push((decision.content, entry.leaf.rx));
    }
    Ok(found)
}
