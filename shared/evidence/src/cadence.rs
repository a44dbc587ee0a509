//! How often a check is due: a five-field cron line, read one way only.
//!
//! `minute hour day-of-month month day-of-week`, in UTC, so that no hour is skipped or doubled when clocks change.
//! Refused, because readers differ on them: numeric weekdays (1 is Sunday to some, Monday to others), and lines that
//! restrict both day fields (some join them with and, some with or).

use std::str::FromStr;

use chrono::{DateTime, Utc};
use cron::Schedule;

use crate::time::Timestamp;

/// Occurrences looked at to find the longest gap: a year and a day of daily ones.
const OCCURRENCES: usize = 367;
/// Longest line accepted, in bytes.
const MAX_LINE_BYTES: usize = 128;

/// When something is due.
#[derive(Debug, Clone)]
pub struct Cadence {
    schedule: Schedule,
    line: String,
}

/// A line that is no cadence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line:?} is no cadence: {problem}")]
pub struct CadenceError {
    line: String,
    problem: String,
}

impl FromStr for Cadence {
    type Err = CadenceError;

    fn from_str(line: &str) -> Result<Cadence, CadenceError> {
        let wrong = |problem: &str| CadenceError {
            line: line.chars().take(MAX_LINE_BYTES).collect(),
            problem: problem.to_owned(),
        };
        if line.len() > MAX_LINE_BYTES {
            return Err(wrong("too long"));
        }
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, _, day, _, weekday] = fields.as_slice() else {
            return Err(wrong(
                "expected five fields: minute hour day-of-month month day-of-week",
            ));
        };
        if weekday.bytes().any(|byte| byte.is_ascii_digit()) {
            return Err(wrong(
                "name the day of the week (Mon to Sun); its number means different days to different readers",
            ));
        }
        let open = |field: &str| field == "*" || field == "?";
        if !open(day) && !open(weekday) {
            return Err(wrong(
                "restrict the day of the month or the day of the week, not both",
            ));
        }
        let schedule = Schedule::from_str(&format!("0 {}", fields.join(" ")))
            .map_err(|error| wrong(&error.to_string().replace('\n', " ")))?;
        let cadence = Cadence {
            schedule,
            line: line.to_owned(),
        };
        if cadence.next_after(Timestamp::from_unix_ms(0)).is_none() {
            return Err(wrong("it is never due"));
        }
        Ok(cadence)
    }
}

impl Cadence {
    /// The line as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.line
    }

    /// The first occurrence after `time`; `None` only beyond the calendar.
    #[must_use]
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let after = DateTime::<Utc>::from_timestamp_millis(time.unix_ms())?;
        self.schedule
            .after(&after)
            .next()
            .map(|next| Timestamp::from_unix_ms(next.timestamp_millis()))
    }

    /// The longest time between two occurrences, in milliseconds: twice this is how long an outcome holds.
    #[must_use]
    pub fn longest_gap_ms(&self) -> i64 {
        let start = DateTime::<Utc>::from_timestamp_millis(0).unwrap_or_default();
        let times: Vec<i64> = self
            .schedule
            .after(&start)
            .take(OCCURRENCES)
            .map(|time| time.timestamp_millis())
            .collect();
        times
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .max()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap_minutes(line: &str) -> i64 {
        line.parse::<Cadence>().unwrap().longest_gap_ms() / 60_000
    }

    #[test]
    fn gaps_are_those_of_the_line() {
        assert_eq!(gap_minutes("*/15 * * * *"), 15);
        assert_eq!(gap_minutes("7 * * * *"), 60);
        assert_eq!(gap_minutes("20 */6 * * *"), 360);
        assert_eq!(gap_minutes("30 3 * * *"), 1440);
        assert_eq!(gap_minutes("0 8-18 * * Mon-Fri"), (24 * 3 - 10) * 60);
    }

    #[test]
    fn the_next_occurrence_is_after() {
        let cadence: Cadence = "*/15 * * * *".parse().unwrap();
        let time: Timestamp = "2026-11-24T07:15:00.000Z".parse().unwrap();
        assert_eq!(
            cadence.next_after(time).unwrap().to_string(),
            "2026-11-24T07:30:00.000Z"
        );
    }

    #[test]
    fn what_readers_differ_on_is_refused() {
        for line in [
            "* * * * 1",
            "0 0 1 * Mon",
            "0 0 0 1 1 * *",
            "* * * *",
            "61 * * * *",
            "0 0 30 2 *",
            "",
            &"*".repeat(200),
        ] {
            assert!(line.parse::<Cadence>().is_err(), "{line}");
        }
    }
}
