//! What answers need beside the database's rows: the controls, and every bundle read and compiled once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use ::store::{Store, StoreError};
use catalogue::{Catalogue, CatalogueError};
use crypto::Digest;
use evidence::bundle::Bundle;
use evidence::evaluate::Evaluator;
use evidence::id::{CheckId, GroupId};
use evidence::time::Timestamp;
use wire::decision::{BundleActivated, Decision};
use wire::envelope::Envelope;
use wire::leaf::Kind;

use super::QueryError;
use crate::ingest::project::BundleInfo;
use crate::ingest::replay::ReplayError;
use crate::oversight::Assignment;

/// The controls, and the bundles met so far. One for the whole process.
pub struct Library {
    /// The controls.
    pub catalogue: Catalogue,
    bundles: Mutex<HashMap<Digest, Arc<Known>>>,
}

/// A bundle, ready to be asked.
pub(crate) struct Known {
    /// The bundle and the longest gap of each cadence.
    pub(crate) info: Arc<BundleInfo>,
    /// Judges and shows by it.
    pub(crate) evaluator: Evaluator,
}

/// The checks that a group of hosts is to judge.
#[derive(Clone)]
pub(crate) struct Assigned {
    /// The bundle in force for the group.
    pub(crate) bundle: Arc<Known>,
    /// Since when without a break, by check.
    pub(crate) since: BTreeMap<CheckId, Timestamp>,
    /// The same for checks that the collector judges.
    pub(crate) assignment: Assignment,
}

impl Known {
    /// The longest time between two judgements of a check, in milliseconds, and its cadence line.
    pub(crate) fn cadence(&self, check: &CheckId) -> Option<(&str, i64)> {
        let line = self.info.bundle.checks.get(check)?.cadence.as_str();
        Some((line, self.info.periods.get(line).copied()?))
    }

    /// The shortest time between two rounds that its cadences explain, in milliseconds.
    pub(crate) fn shortest_ms(&self) -> Option<i64> {
        self.info.shortest_ms()
    }
}

impl Library {
    /// The library with the controls that come with the program.
    ///
    /// # Errors
    /// [`CatalogueError`]; never in a released program.
    pub fn new() -> Result<Library, CatalogueError> {
        Ok(Library {
            catalogue: Catalogue::load()?,
            bundles: Mutex::default(),
        })
    }

    /// A bundle that was ever activated.
    pub(crate) async fn bundle(
        &self,
        store: &Store,
        digest: &Digest,
    ) -> Result<Option<Arc<Known>>, QueryError> {
        if let Some(known) = self.met().get(digest) {
            return Ok(Some(known.clone()));
        }
        let Some(file) = store.bundle(digest).await? else {
            return Ok(None);
        };
        let known = Arc::new(read(digest, &file)?);
        self.met().insert(*digest, known.clone());
        Ok(Some(known))
    }

    fn met(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Arc<Known>>> {
        self.bundles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What each group is to judge, from the activations in the ledger.
    pub(crate) async fn assigned(
        &self,
        store: &Store,
    ) -> Result<BTreeMap<GroupId, Assigned>, QueryError> {
        let mut groups: BTreeMap<GroupId, Assigned> = BTreeMap::new();
        for idx in store.indices_of_kind(Kind::Bundle).await? {
            let (activated, at) = activation(store, idx).await?;
            let Some(bundle) = self.bundle(store, &activated.sha256).await? else {
                let problem = format!("{} was activated and is not there", activated.sha256);
                return Err(inconsistent(problem).into());
            };
            for group in activated.grps {
                let before = groups.remove(&group).map(|before| before.assignment);
                let info = bundle.info.clone();
                let assignment = Assignment::after(before.as_ref(), info, at.unix_ms());
                let since = assignment.since.iter();
                let since = since
                    .map(|(check, since)| (check.clone(), Timestamp::from_unix_ms(*since)))
                    .collect();
                let assigned = Assigned {
                    bundle: bundle.clone(),
                    since,
                    assignment,
                };
                groups.insert(group, assigned);
            }
        }
        Ok(groups)
    }
}

fn inconsistent(problem: String) -> StoreError {
    StoreError::Inconsistent {
        table: "bundle",
        problem,
    }
}

fn read(digest: &Digest, file: &[u8]) -> Result<Known, QueryError> {
    let wrong = |problem: String| inconsistent(format!("{digest}: {problem}"));
    let envelope = Envelope::parse_file(file).map_err(|error| wrong(error.to_string()))?;
    if Digest::of(&envelope.payload) != *digest {
        return Err(wrong("its bytes have another digest".to_owned()).into());
    }
    let unusable = |source| QueryError::Bundle {
        digest: *digest,
        source,
    };
    let bundle = Bundle::parse(&envelope.payload).map_err(unusable)?;
    let evaluator = Evaluator::new(&bundle);
    Ok(Known {
        info: Arc::new(BundleInfo::new(*digest, bundle)),
        evaluator,
    })
}

async fn activation(store: &Store, idx: u64) -> Result<(BundleActivated, Timestamp), QueryError> {
    let missing = || QueryError::Replay(ReplayError::Missing(idx));
    let entry = store.entry(idx).await?.ok_or_else(missing)?;
    let payload = store.payload(idx).await?.ok_or_else(missing)?;
    let decision = Decision::<BundleActivated>::parse(&payload).map_err(|error| {
        QueryError::Replay(ReplayError::Content {
            idx,
            problem: error.to_string(),
        })
    })?;
    Ok((decision.content, Timestamp::from_unix_ms(entry.leaf.rx)))
}
