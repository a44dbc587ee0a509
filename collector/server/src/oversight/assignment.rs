//! What a group of hosts is to judge, and since when.

use std::collections::BTreeMap;
use std::sync::Arc;

use evidence::id::CheckId;

use crate::ingest::project::BundleInfo;

/// The bundle in force for a group. Times are of reception, in Unix milliseconds.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// The bundle.
    pub bundle: Arc<BundleInfo>,
    /// When it came into force.
    pub at: i64,
    /// Since when each of its checks is assigned without a break.
    pub since: BTreeMap<CheckId, i64>,
    /// Since when each is defined as it is now.
    pub defined: BTreeMap<CheckId, i64>,
}

impl Assignment {
    /// The assignment from `at` on, when `bundle` came into force after `before`.
    #[must_use]
    pub fn after(before: Option<&Assignment>, bundle: Arc<BundleInfo>, at: i64) -> Assignment {
        let known = |check: &CheckId| {
            let before = before?;
            before.since.get(check).map(|since| (before, *since))
        };
        let same = |before: &Assignment, check: &CheckId| {
            before.bundle.bundle.checks.get(check) == bundle.bundle.checks.get(check)
        };
        let mut since = BTreeMap::new();
        let mut defined = BTreeMap::new();
        for check in bundle.bundle.checks.keys() {
            let earlier = known(check);
            since.insert(check.clone(), earlier.map_or(at, |(_, since)| since));
            let as_now = earlier
                .filter(|(before, _)| same(before, check))
                .and_then(|(before, _)| before.defined.get(check).copied());
            defined.insert(check.clone(), as_now.unwrap_or(at));
        }
        Assignment {
            bundle,
            at,
            since,
            defined,
        }
    }
}
