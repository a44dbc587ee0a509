//! When an entry was received: the wall clock, unless it leaps.
//!
//! `rx` cannot be taken back, so it never falls below that of the entry before, and a wall clock that leaps by more than
//! a minute against the monotonic one is not followed: `rx` runs on by the monotonic clock until the collector is
//! started again, which is a person's confirmation.

use std::sync::Arc;
use std::time::Duration;

use evidence::time::{Clock, Timestamp};

/// Largest difference between wall and monotonic clock that is followed, milliseconds.
const MAX_LEAP_MS: i64 = 60_000;

/// The collector's claim of when it received something.
pub struct Reception {
    clock: Arc<dyn Clock>,
    wall: Timestamp,
    monotonic: Duration,
    last_rx: i64,
    leapt: bool,
}

impl Reception {
    /// Starts from the clocks now and the last entry's `rx`.
    pub fn new(clock: Arc<dyn Clock>, last_rx: i64) -> Reception {
        let (wall, monotonic) = (clock.now(), clock.monotonic());
        Reception {
            clock,
            wall,
            monotonic,
            last_rx,
            leapt: false,
        }
    }

    /// The `rx` of an entry received now, Unix milliseconds.
    pub fn now(&mut self) -> i64 {
        let elapsed = self.clock.monotonic().saturating_sub(self.monotonic);
        let expected = self
            .wall
            .plus_ms(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX));
        let wall = self.clock.now();
        let leap = wall.ms_since(expected);
        if leap.abs() > MAX_LEAP_MS {
            if !self.leapt {
                tracing::error!(
                    leap_ms = leap,
                    "the wall clock leapt; receptions are dated by the monotonic clock until a restart confirms the new time"
                );
            }
            self.leapt = true;
        } else if !self.leapt {
            // Small corrections by a time service are followed, and are no part of a later leap.
            self.wall = wall;
            self.monotonic += elapsed;
        }
        let now = if self.leapt { expected } else { wall };
        self.last_rx = self.last_rx.max(now.unix_ms());
        self.last_rx
    }
}

#[cfg(test)]
mod tests {
    use evidence::time::FixedClock;

    use super::*;

    #[test]
    fn a_leap_is_not_followed_and_time_never_steps_back() {
        let clock = Arc::new(FixedClock::at(Timestamp::from_unix_ms(1_000_000)));
        let mut reception = Reception::new(clock.clone(), 0);
        assert_eq!(reception.now(), 1_000_000);
        clock.advance(Duration::from_secs(5));
        clock.step_to(Timestamp::from_unix_ms(1_004_000));
        assert_eq!(reception.now(), 1_004_000, "a small correction is followed");
        clock.step_to(Timestamp::from_unix_ms(900_000));
        assert_eq!(reception.now(), 1_004_000, "never back");
        clock.advance(Duration::from_secs(10));
        assert_eq!(reception.now(), 1_014_000, "runs on by the monotonic clock");
        clock.step_to(Timestamp::from_unix_ms(9_000_000));
        assert_eq!(reception.now(), 1_014_000, "until a restart");
    }

    #[test]
    fn the_last_entry_bounds_the_first() {
        let clock = Arc::new(FixedClock::at(Timestamp::from_unix_ms(5)));
        assert_eq!(Reception::new(clock, 77).now(), 77);
    }
}
