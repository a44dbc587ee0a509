use askama::Template;
use jiff::Timestamp;

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// A moment, shown absolute with the distance from now beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Template)]
#[template(path = "part/when.html")]
pub struct When {
    /// The moment in milliseconds since 1970-01-01T00:00:00Z.
    pub at_ms: i64,
    /// The moment the page was made, on the same scale.
    pub now_ms: i64,
}

/// A moment as a distance from now, with the absolute time on hover: for dense tables.
#[derive(Clone, Copy, Debug, Template)]
#[template(path = "part/when_compact.html")]
pub struct Compact<'a> {
    when: &'a When,
}

impl When {
    /// The moment `at_ms` seen from `now_ms`.
    pub fn at(at_ms: i64, now_ms: i64) -> Self {
        Self { at_ms, now_ms }
    }

    /// As a distance only.
    pub fn compact(&self) -> Compact<'_> {
        Compact { when: self }
    }

    /// RFC 3339 in UTC, to the second.
    pub fn iso(&self) -> String {
        self.formatted("%Y-%m-%dT%H:%M:%SZ")
    }

    /// `24 Nov 2026, 14:02 UTC`.
    pub fn absolute(&self) -> String {
        self.formatted("%-d %b %Y, %H:%M UTC")
    }

    /// `4 min ago`, `in 3 d`, `now`.
    pub fn relative(&self) -> String {
        let distance = self.now_ms.saturating_sub(self.at_ms);
        match distance {
            0..SECOND_MS => "now".to_owned(),
            _ if distance > 0 => format!("{} ago", rough(distance)),
            _ => format!("in {}", rough(distance.saturating_neg())),
        }
    }

    /// `4 min`, without a direction.
    pub fn distance(&self) -> String {
        rough(self.now_ms.saturating_sub(self.at_ms).saturating_abs())
    }

    fn formatted(&self, format: &str) -> String {
        Timestamp::from_millisecond(self.at_ms)
            .map(|moment| moment.strftime(format).to_string())
            .unwrap_or_else(|_| "out of range".to_owned())
    }
}

/// From this length on, a distance is told in days.
const DAYS_FROM_MS: i64 = 2 * DAY_MS;

/// A length of time with its largest unit only, for a distance from now.
fn rough(ms: i64) -> String {
    let (unit, name) = if ms < MINUTE_MS {
        (SECOND_MS, "s")
    } else if ms < HOUR_MS {
        (MINUTE_MS, "min")
    } else if ms < DAYS_FROM_MS {
        (HOUR_MS, "h")
    } else {
        (DAY_MS, "d")
    };
    format!("{} {name}", ms / unit)
}

/// A length of time with its two largest units: `3 d 4 h`, `36 min`, `45 s`.
pub fn span(ms: i64) -> String {
    let ms = ms.max(0);
    let (large, small) = if ms < HOUR_MS {
        return rough(ms);
    } else if ms < DAY_MS {
        ((HOUR_MS, "h"), (MINUTE_MS, "min"))
    } else {
        ((DAY_MS, "d"), (HOUR_MS, "h"))
    };
    let first = format!("{} {}", ms / large.0, large.1);
    match ms % large.0 / small.0 {
        0 => first,
        rest => format!("{first} {rest} {}", small.1),
    }
}

#[cfg(test)]
mod tests {
    use super::{When, span};

    const NOW: i64 = 1_795_528_920_000;

    #[test]
    fn a_moment_reads_absolute_and_relative() {
        let when = When::at(NOW - 240_000, NOW);
        assert_eq!(when.iso(), "2026-11-24T13:58:00Z");
        assert_eq!(when.absolute(), "24 Nov 2026, 13:58 UTC");
        assert_eq!(when.relative(), "4 min ago");
        assert_eq!(When::at(NOW + 3 * 86_400_000, NOW).relative(), "in 3 d");
        assert_eq!(When::at(NOW, NOW).relative(), "now");
        assert_eq!(When::at(i64::MAX, NOW).iso(), "out of range");
    }

    #[test]
    fn a_span_has_its_two_largest_units() {
        assert_eq!(span(45_000), "45 s");
        assert_eq!(span(36 * 60_000), "36 min");
        assert_eq!(span(36 * 3_600_000), "1 d 12 h");
        assert_eq!(span(2 * 3_600_000), "2 h");
        assert_eq!(span(-5), "0 s");
    }
}
