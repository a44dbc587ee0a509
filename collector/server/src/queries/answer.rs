//! What every answer is made of: the moment it speaks of, periods, shares, times.

use assess::figure::Share;
use evidence::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::pages::frame::{Exhibit, Frame, Pulse, Section};
use crate::pages::overview::PeriodChoice;
use crate::pages::part::{self, When};
use crate::pages::route;

const DAY_MS: i64 = 86_400_000;

/// The state of the ledger that an answer was computed from, and how fresh it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AsOf {
    /// When the question was asked.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Entries in the ledger.
    pub entries: u64,
    /// Root hash of the ledger at that size, as hexadecimal text.
    pub root: String,
    /// When the newest statement of any host was received.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_round: Option<Timestamp>,
    /// Whether that is longer ago than any cadence explains.
    pub stale: bool,
    /// Digest of the newest bundle in force, as hexadecimal text.
    pub bundle: Option<String>,
}

/// A period of whole days that ends now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Period {
    /// Its start.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// Its end.
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// Its length in days.
    pub days: u32,
    /// When the first host came into scope, if that is later than the start: nothing is known before it.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub known_from: Option<Timestamp>,
}

/// A part of a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Portion {
    /// The part.
    pub of: u64,
    /// The whole; zero means that the share is unknown.
    pub whole: u64,
    /// The share in tenths of a percent: never 0 for something, never 1000 for less than all; none if it is unknown.
    pub per_mille: Option<u32>,
}

/// Who looks, and where from: what a page's frame needs beside the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewer {
    /// Name of the signed-in person.
    pub person: String,
    /// The words searched for, if any.
    pub search: String,
    /// The ledger's origin, as the source that a printed page names.
    pub origin: String,
}

impl From<Share> for Portion {
    fn from(share: Share) -> Portion {
        Portion {
            of: share.of,
            whole: share.whole,
            per_mille: share.per_mille(),
        }
    }
}

impl From<Portion> for part::Share {
    fn from(portion: Portion) -> part::Share {
        part::Share::new(portion.of, portion.whole)
    }
}

impl Period {
    /// Lengths that pages offer, in days.
    pub const CHOICES: [u32; 4] = [7, 30, 90, 365];
    /// The length that is shown unless another is asked for, in days.
    pub const DEFAULT_DAYS: u32 = 30;
    /// The longest that can be asked for, in days: ten years.
    pub const MAX_DAYS: u32 = 3660;

    /// The last `days` days, at least one and at most [`Period::MAX_DAYS`].
    #[must_use]
    pub fn last_days(days: u32, now: Timestamp, first_host: Option<Timestamp>) -> Period {
        let days = days.clamp(1, Period::MAX_DAYS);
        let from = now.plus_ms(-i64::from(days) * DAY_MS);
        Period {
            from,
            to: now,
            days,
            known_from: first_host.filter(|first| *first > from),
        }
    }

    /// The period in words, as it ends a sentence. What was not lived through is not claimed.
    #[must_use]
    pub fn words(&self) -> String {
        match self.known_from {
            Some(first) => format!(
                "the {} since the first host was enrolled",
                part::span(self.to.ms_since(first))
            ),
            None if self.days == 1 => "the last day".to_owned(),
            None => format!("the last {} days", self.days),
        }
    }

    pub(crate) fn record(&self) -> assess::record::Period {
        assess::record::Period {
            from: self.from,
            to: self.to,
        }
    }

    /// The period of the same length before this one.
    pub(crate) fn before(&self) -> assess::record::Period {
        assess::record::Period {
            from: self.from.plus_ms(-i64::from(self.days) * DAY_MS),
            to: self.from,
        }
    }

    /// The lengths to choose from, as links on the page at `path`.
    pub(crate) fn choices(&self, path: &str) -> Vec<PeriodChoice> {
        Period::CHOICES
            .into_iter()
            .map(|days| PeriodChoice {
                label: format!("{days} days"),
                href: route::with_query(path, &[("days", &days.to_string())]),
                chosen: days == self.days,
            })
            .collect()
    }

    fn exhibit(&self) -> String {
        let at = |time: Timestamp| When::at(time.unix_ms(), 0).iso();
        format!("{} to {}", at(self.from), at(self.to))
    }
}

impl AsOf {
    /// A moment as seen from the time of the answer.
    pub(crate) fn when(&self, time: Timestamp) -> When {
        When::at(time.unix_ms(), self.at.unix_ms())
    }

    /// The frame around a page of this answer. `scope`, `parameters` and `rows` are what an auditor needs on paper.
    pub(crate) fn frame(
        &self,
        viewer: Viewer,
        title: &str,
        section: Section,
        paper: Paper,
    ) -> Frame {
        Frame {
            title: title.to_owned(),
            section,
            person: viewer.person,
            search: viewer.search,
            pulse: Pulse {
                entries: self.entries,
                last_round: self.last_round.map(|last| self.when(last)),
                stale: self.stale,
                bundle: self.bundle.clone().unwrap_or_default(),
            },
            exhibit: Exhibit {
                source: viewer.origin,
                scope: paper.scope,
                period: paper.period.map_or_else(
                    || format!("as of {}", self.when(self.at).iso()),
                    |p| p.exhibit(),
                ),
                parameters: paper.parameters,
                rows: paper.rows,
                digest: format!("{} entries, root {}", self.entries, self.root),
                at: self.when(self.at),
            },
        }
    }
}

/// What a printed page says of itself beside its source.
#[derive(Debug, Clone, Default)]
pub(crate) struct Paper {
    pub(crate) scope: String,
    pub(crate) period: Option<Period>,
    pub(crate) parameters: String,
    pub(crate) rows: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_claims_no_time_before_the_first_host() {
        let now = Timestamp::from_unix_ms(100 * DAY_MS);
        let old = Period::last_days(30, now, Some(now.plus_ms(-60 * DAY_MS)));
        assert_eq!(old.words(), "the last 30 days");
        let young = Period::last_days(30, now, Some(now.plus_ms(-90_000)));
        assert_eq!(young.words(), "the 1 min since the first host was enrolled");
        assert_eq!(Period::last_days(0, now, None).days, 1);
    }
}
