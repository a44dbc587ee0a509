//! The year of one check on one host.

use ::store::reading::{RegisteredHost, StoredInterval};
use evidence::id::CheckId;
use evidence::outcome::{Outcome, Reason};
use evidence::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::fleet::Fleet;
use super::words::reason_code;
use crate::pages::part;

/// How far back the stretches of a check are told, in milliseconds: a year.
pub(super) const YEAR_MS: i64 = 365 * 86_400_000;

/// A stretch of time in which the outcome and its reason stayed the same. Time between stretches was not observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Stretch {
    /// What was concluded.
    #[schema(value_type = String)]
    pub outcome: Outcome,
    /// Why; none for a pass.
    #[schema(value_type = Option<String>)]
    pub reason: Option<Reason>,
    /// The first judgement of it.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// Where it stopped holding; for one that goes on, how far it is known to hold, at the latest now.
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// Whether it goes on.
    pub open: bool,
}

/// The stretches of one check among the intervals of a host, in order of time.
pub(super) fn of_check(
    fleet: &Fleet,
    host: &RegisteredHost,
    check: &CheckId,
    intervals: &[StoredInterval],
) -> Vec<Stretch> {
    let here = intervals.iter().filter(|interval| interval.check == *check);
    here.map(|interval| Stretch {
        outcome: interval.judgement.outcome,
        reason: interval.judgement.reason,
        from: interval.from,
        to: fleet.end(host, interval),
        open: interval.to.is_none(),
    })
    .collect()
}

/// The year until `now` as a drawing. `id` is unique on the page.
pub(super) fn strip(
    id: String,
    title: String,
    stretches: &[Stretch],
    enrolled: Timestamp,
    now: Timestamp,
) -> part::Strip {
    part::Strip {
        id,
        title,
        from_ms: now.unix_ms() - YEAR_MS,
        to_ms: now.unix_ms(),
        enrolled_ms: enrolled.unix_ms(),
        stretches: stretches
            .iter()
            .map(|stretch| part::Stretch {
                standing: stretch.outcome.into(),
                reason: reason_code(stretch.reason).to_owned(),
                from_ms: stretch.from.unix_ms(),
                to_ms: stretch.to.unix_ms(),
            })
            .collect(),
    }
}
