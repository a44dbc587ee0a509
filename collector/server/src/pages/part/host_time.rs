use super::{Share, count};

/// A unit of host-time that is fine enough for a whole to be told in whole numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostTimeUnit {
    ms: u64,
    /// Its name, plural: `host-hours`.
    pub name: &'static str,
}

impl HostTimeUnit {
    /// The coarsest unit of which `whole_ms` holds at least a thousand, so that rounding stays
    /// below a tenth of a percent.
    pub fn for_whole(whole_ms: u64) -> Self {
        const UNITS: [(u64, &str); 3] = [
            (3_600_000, "host-hours"),
            (60_000, "host-minutes"),
            (1_000, "host-seconds"),
        ];
        let fitting = UNITS.into_iter().find(|(unit, _)| whole_ms / unit >= 1_000);
        let (ms, name) = fitting.unwrap_or((1_000, "host-seconds"));
        Self { ms, name }
    }

    /// `ms` milliseconds in this unit, rounded; what is not nothing stays at least one.
    pub fn count(self, ms: u64) -> u64 {
        match ms {
            0 => 0,
            _ => ((ms + self.ms / 2) / self.ms).max(1),
        }
    }

    /// `7,128 of 7,164 host-hours` of a share in milliseconds; neither the part nor the rest is
    /// rounded to nothing.
    pub fn ratio(self, share: Share) -> String {
        let of = self.count(share.of);
        let whole = of + self.count(share.whole.saturating_sub(share.of));
        format!("{} of {} {}", count(of), count(whole), self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::{HostTimeUnit, Share};

    const HOUR: u64 = 3_600_000;

    #[test]
    fn neither_a_short_failure_nor_a_short_pass_is_rounded_away() {
        let month = HostTimeUnit::for_whole(7_200 * HOUR);
        let ratio = |of, whole| month.ratio(Share::new(of, whole));
        assert_eq!(
            ratio(7_128 * HOUR, 7_164 * HOUR),
            "7,128 of 7,164 host-hours"
        );
        assert_eq!(
            ratio(7_200 * HOUR - 5_000, 7_200 * HOUR),
            "7,200 of 7,201 host-hours"
        );
        assert_eq!(ratio(5_000, 7_200 * HOUR), "1 of 7,201 host-hours");
        assert_eq!(ratio(0, 7_200 * HOUR), "0 of 7,200 host-hours");
    }

    #[test]
    fn a_young_fleet_is_told_in_a_finer_unit() {
        let ratio = |of, whole| HostTimeUnit::for_whole(whole).ratio(Share::new(of, whole));
        assert_eq!(ratio(60_000, 90_000), "60 of 90 host-seconds");
        assert_eq!(
            ratio(720 * HOUR, 720 * HOUR),
            "43,200 of 43,200 host-minutes"
        );
        assert_eq!(ratio(0, 0), "0 of 0 host-seconds");
    }
}
