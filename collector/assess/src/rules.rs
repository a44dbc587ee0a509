//! The parameters of a verdict. Policy, not code: they are passed in and printed beside every number.

use evidence::outcome::Severity;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// What a verdict is measured against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The operating rate to reach, in thousandths.
    pub target_per_mille: u32,
    /// The operating rate under which a control did not operate, in thousandths.
    pub floor_per_mille: u32,
    /// The unobserved share above which there is too little evidence, in thousandths.
    pub unobserved_max_per_mille: u32,
    /// How long a failure may last, by severity from info to critical, in milliseconds; none is no limit.
    pub limits_ms: [Option<u64>; 5],
    /// The weight of a check in the severity-weighted rate, from info to critical.
    pub weights: [u64; 5],
}

impl Default for Rules {
    /// Target 97 %, floor 80 %, at most 10 % unobserved; critical failures mended within 24 hours, high within 7 days,
    /// medium within 30, low within 90; each severity weighs twice the one below it, info nothing.
    fn default() -> Rules {
        Rules {
            target_per_mille: 970,
            floor_per_mille: 800,
            unobserved_max_per_mille: 100,
            limits_ms: [
                None,
                Some(90 * DAY_MS),
                Some(30 * DAY_MS),
                Some(7 * DAY_MS),
                Some(24 * HOUR_MS),
            ],
            weights: [0, 1, 2, 4, 8],
        }
    }
}

impl Rules {
    /// How long a failure of this severity may last, in milliseconds.
    #[must_use]
    pub fn limit_ms(&self, severity: Severity) -> Option<u64> {
        self.limits_ms[place(severity)]
    }

    /// The weight of a check of this severity.
    #[must_use]
    pub fn weight(&self, severity: Severity) -> u64 {
        self.weights[place(severity)]
    }

    /// The longest limit there is: how far before a period its records must reach for every deviation to be as old as
    /// it is.
    #[must_use]
    pub fn longest_limit_ms(&self) -> u64 {
        self.limits_ms.iter().flatten().copied().max().unwrap_or(0)
    }
}

const fn place(severity: Severity) -> usize {
    match severity {
        Severity::Info => 0,
        Severity::Low => 1,
        Severity::Medium => 2,
        Severity::High => 3,
        Severity::Critical => 4,
    }
}
