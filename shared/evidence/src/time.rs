//! Time as a value and as a parameter.

use std::fmt;
use std::str::FromStr;
use std::sync::Mutex;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A moment in UTC with a resolution of one millisecond. Its only text is `2026-11-24T07:00:00.000Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(i64);

/// A text that is no time, or a number outside the years 0000 to 9999.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no time: expected UTC with milliseconds, such as 2026-11-24T07:00:00.000Z")]
pub struct TimestampError {
    found: String,
}

/// From 0000-01-01 to a day before the end of 9999: years have four digits, and every zone's clock stays inside them.
const RANGE_MS: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_207_200_000;

impl Timestamp {
    /// The moment `ms` milliseconds after 1970-01-01T00:00:00Z, held inside the years 0000 to 9999.
    #[must_use]
    pub fn from_unix_ms(ms: i64) -> Timestamp {
        Timestamp(ms.clamp(*RANGE_MS.start(), *RANGE_MS.end()))
    }

    /// The moment `seconds` after 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn from_unix_seconds(seconds: i64) -> Timestamp {
        Timestamp::from_unix_ms(seconds.saturating_mul(1000))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// This moment moved by `ms` milliseconds.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this moment, negative if this one is before it.
    #[must_use]
    pub const fn ms_since(self, earlier: Timestamp) -> i64 {
        self.0 - earlier.0
    }

    pub(crate) fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let civil = self.to_jiff().strftime("%Y-%m-%dT%H:%M:%S");
        write!(f, "{civil}.{:03}Z", self.0.rem_euclid(1000))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;
    fn from_str(text: &str) -> Result<Timestamp, TimestampError> {
        let wrong = || TimestampError {
            found: text.chars().take(40).collect(),
        };
        let parsed: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
        let time = Timestamp::from_unix_ms(parsed.as_millisecond());
        // One moment has one text: whatever jiff accepts beyond it is refused.
        if time.to_string() == text {
            Ok(time)
        } else {
            Err(wrong())
        }
    }
}

impl TryFrom<String> for Timestamp {
    type Error = TimestampError;
    fn try_from(text: String) -> Result<Timestamp, TimestampError> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(time: Timestamp) -> String {
        time.to_string()
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

/// Where the time comes from. Wall time dates evidence; monotonic time measures durations.
pub trait Clock: Send + Sync {
    /// The wall clock, UTC.
    fn now(&self) -> Timestamp;

    /// Time since an arbitrary start that never steps back.
    fn monotonic(&self) -> Duration;
}

/// The clocks of the operating system.
#[derive(Debug, Clone)]
pub struct SystemClock {
    start: Duration,
}

/// CLOCK_BOOTTIME of clock_gettime(2): unlike CLOCK_MONOTONIC it goes on while the machine sleeps, so that a laptop that
/// wakes up has not leapt through time.
fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanoseconds)
}

impl SystemClock {
    /// The system's clocks, with monotonic time counted from now.
    #[must_use]
    pub fn new() -> SystemClock {
        SystemClock {
            start: since_boot(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(jiff::Timestamp::now().as_millisecond())
    }

    fn monotonic(&self) -> Duration {
        since_boot().saturating_sub(self.start)
    }
}

/// A clock that stands still until it is told otherwise: for tests and for re-performing the past.
#[derive(Debug)]
pub struct FixedClock {
    state: Mutex<(Timestamp, Duration)>,
}

impl FixedClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> FixedClock {
        FixedClock {
            state: Mutex::new((now, Duration::ZERO)),
        }
    }

    /// Lets `by` pass on both clocks.
    pub fn advance(&self, by: Duration) {
        let mut state = self
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        state.0 = state
            .0
            .plus_ms(i64::try_from(by.as_millis()).unwrap_or(i64::MAX));
        state.1 += by;
    }

    /// Steps the wall clock alone, as an operator or a time service would.
    pub fn step_to(&self, now: Timestamp) {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .0 = now;
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .0
    }

    fn monotonic(&self) -> Duration {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_moment_has_one_text() {
        let time: Timestamp = "2026-11-24T07:00:00.000Z".parse().unwrap();
        assert_eq!(time.to_string(), "2026-11-24T07:00:00.000Z");
        for other in [
            "2026-11-24T07:00:00Z",
            "2026-11-24T08:00:00.000+01:00",
            "2026-11-24 07:00:00.000Z",
            "2026-11-24T07:00:00.0000Z",
            "",
        ] {
            assert!(other.parse::<Timestamp>().is_err(), "{other}");
        }
        assert_eq!(
            Timestamp::from_unix_ms(-1).to_string(),
            "1969-12-31T23:59:59.999Z"
        );
        assert_eq!(
            Timestamp::from_unix_ms(i64::MAX).to_string(),
            "9999-12-30T22:00:00.000Z"
        );
    }
}
