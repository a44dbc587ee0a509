//! How a check stands on a host now: its latest outcome, under what the collector adds to it.

use evidence::outcome::Outcome;
use evidence::time::Timestamp;
use serde::Serialize;

use crate::record::holds_until;

/// One of the four outcomes, or what the collector says where none holds. It never rewrites an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The expectation is not met.
    Fail,
    /// The truth could not be established.
    Error,
    /// Nothing was ever received.
    Missing,
    /// What was last received is older than twice the cadence.
    Stale,
    /// The expectation is met.
    Pass,
    /// The question does not arise on this host.
    NotApplicable,
}

impl Standing {
    /// How a check stands whose latest outcome was last judged at the given time.
    #[must_use]
    pub fn of(latest: Option<(Outcome, Timestamp)>, cadence_ms: i64, now: Timestamp) -> Standing {
        match latest {
            None => Standing::Missing,
            Some((_, last)) if holds_until(last, cadence_ms) < now => Standing::Stale,
            Some((Outcome::Pass, _)) => Standing::Pass,
            Some((Outcome::Fail, _)) => Standing::Fail,
            Some((Outcome::NotApplicable, _)) => Standing::NotApplicable,
            Some((Outcome::Error, _)) => Standing::Error,
        }
    }

    /// The word used in formats.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Standing::Fail => "fail",
            Standing::Error => "error",
            Standing::Missing => "missing",
            Standing::Stale => "stale",
            Standing::Pass => "pass",
            Standing::NotApplicable => "not_applicable",
        }
    }
}
