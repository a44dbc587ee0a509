//! Numbers that keep what they were taken from.

use serde::Serialize;

use crate::current::Standing;

/// A part of a whole. Both numbers stay, so that it is never shown or compared without them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// The part.
    pub of: u64,
    /// The whole; zero means that the share is unknown.
    pub whole: u64,
}

impl Share {
    /// A share of `of` in `whole`.
    #[must_use]
    pub const fn new(of: u64, whole: u64) -> Share {
        Share { of, whole }
    }

    /// Whether it is less than `per_mille` thousandths; an unknown share is not less than anything.
    #[must_use]
    pub fn is_below(self, per_mille: u32) -> bool {
        u128::from(self.of) * 1000 < u128::from(self.whole) * u128::from(per_mille)
    }

    /// Whether it is more than `per_mille` thousandths; an unknown share is not more than anything.
    #[must_use]
    pub fn is_above(self, per_mille: u32) -> bool {
        u128::from(self.of) * 1000 > u128::from(self.whole) * u128::from(per_mille)
    }

    /// The share in tenths of a percent, rounded half up, but never to 0 what is not nothing and never to 1000 what is
    /// not all; none if it is unknown.
    #[must_use]
    pub fn per_mille(self) -> Option<u32> {
        if self.whole == 0 {
            return None;
        }
        if self.of == 0 || self.of >= self.whole {
            return Some(if self.of == 0 { 0 } else { 1000 });
        }
        let rounded = (u128::from(self.of) * 2000 / u128::from(self.whole)).div_ceil(2);
        Some(u32::try_from(rounded.clamp(1, 999)).unwrap_or(999))
    }
}

/// How complete and how current the picture of a fleet is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Checks on hosts that hold a judged outcome now (pass, fail, not applicable), of those assigned.
    pub coverage: Share,
    /// Checks on hosts whose last outcome, an error too, is not older than twice the cadence, of those assigned.
    pub freshness: Share,
}

impl Figures {
    /// Counts how every assigned check stands on every host in scope.
    #[must_use]
    pub fn of(standings: impl IntoIterator<Item = Standing>) -> Figures {
        let mut figures = Figures::default();
        for standing in standings {
            figures.coverage.whole += 1;
            figures.freshness.whole += 1;
            match standing {
                Standing::Pass | Standing::Fail | Standing::NotApplicable => {
                    figures.coverage.of += 1;
                    figures.freshness.of += 1;
                }
                Standing::Error => figures.freshness.of += 1,
                Standing::Missing | Standing::Stale => {}
            }
        }
        figures
    }
}
