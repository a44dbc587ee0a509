//! What began to fail, and what was mended, lately.

use std::cmp::Reverse;

use ::store::Store;
use ::store::reading::{Change, StoredInterval};

use super::{CHANGES, COUNTED, LATELY_DAYS, OutcomeChange};
use crate::queries::QueryError;
use crate::queries::fleet::{self, Fleet};

/// The changes of one kind lately: the gravest of them, of the same severity the newest, and how many there are.
pub(super) async fn changes(
    store: &Store,
    fleet: &Fleet,
    intervals: &[StoredInterval],
    change: Change,
) -> Result<(Vec<OutcomeChange>, u64), QueryError> {
    let since = fleet.as_of.at.plus_ms(-LATELY_DAYS * 86_400_000);
    let mut changed = store.changes_since(change, since, COUNTED).await?;
    fleet.set_overseen_changes(&mut changed, intervals, change, since);
    let mut known = Vec::new();
    for interval in &changed {
        let host = fleet.in_scope().find(|host| host.row == interval.row);
        let check = fleet.definition(&interval.check);
        known.extend(host.zip(check).map(|of| (of, interval)));
    }
    let number = known.len() as u64;
    known.sort_by_key(|((_, check), _)| Reverse(check.severity));
    let mut found = Vec::new();
    for ((host, check), interval) in known.into_iter().take(CHANGES) {
        let mut observed = fleet.observed(store, host, &[&interval.check]).await?;
        found.push(OutcomeChange {
            host: host.agent.to_hex(),
            host_name: fleet::name(host),
            title: check.title.clone(),
            severity: check.severity,
            standing: fleet.standing(host, Some(interval)),
            observed: observed.remove(&interval.check),
            since: interval.from,
            check: interval.check.clone(),
        });
    }
    Ok((found, number))
}
