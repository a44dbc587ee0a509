//! How long to wait before trying again: exponential with full jitter, and never sooner than the collector asks.

use std::time::Duration;

use crypto::Random;

/// First wait at most.
const BASE: Duration = Duration::from_secs(1);
/// Any wait at most, unless the collector asks for more.
const CAP: Duration = Duration::from_secs(15 * 60);
/// The most that a collector can ask for: more would be silence by another name.
const MOST_ASKED: Duration = Duration::from_secs(60 * 60);

/// Counts failures in a row.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next success or failure is the first again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// The wait after one more failure; `asked` is the collector's `Retry-After`.
    pub fn next(&mut self, asked: Option<Duration>, random: &mut dyn Random) -> Duration {
        let most = BASE.saturating_mul(1 << self.failures.min(20)).min(CAP);
        self.failures = self.failures.saturating_add(1);
        // Jitter on top of what was asked for: a fleet that was told the same time must not come back as one.
        asked.unwrap_or_default().min(MOST_ASKED) + jitter(most, random)
    }
}

/// A time below `most`, each millisecond as likely as the other.
pub fn jitter(most: Duration, random: &mut dyn Random) -> Duration {
    let mut bytes = [0; 8];
    random.fill(&mut bytes);
    let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX).max(1);
    Duration::from_millis(u64::from_le_bytes(bytes) % most)
}

#[cfg(test)]
mod tests {
    use crypto::SeededRandom;

    use super::*;

    #[test]
    fn waits_grow_spread_and_end_at_the_cap() {
        let mut random = SeededRandom::new(7);
        let (mut backoff, mut longest) = (Backoff::default(), Duration::ZERO);
        for failure in 0..200 {
            let wait = backoff.next(None, &mut random);
            assert!(
                wait < BASE * 2_u32.pow(failure.min(10)),
                "{failure}: {wait:?}"
            );
            assert!(wait < CAP);
            longest = longest.max(wait);
        }
        assert!(longest > CAP / 2, "{longest:?}");
        backoff.reset();
        assert!(backoff.next(None, &mut random) < BASE);
    }

    #[test]
    fn the_collector_is_never_asked_sooner_than_it_said() {
        let mut random = SeededRandom::new(7);
        let asked = Duration::from_secs(30);
        let waits: Vec<Duration> = (0..50)
            .map(|_| Backoff::default().next(Some(asked), &mut random))
            .collect();
        assert!(
            waits
                .iter()
                .all(|wait| *wait >= asked && *wait < asked + BASE)
        );
        assert!(waits.windows(2).any(|pair| pair[0] != pair[1]));
        let silenced = Backoff::default().next(Some(Duration::MAX), &mut random);
        assert!(silenced <= MOST_ASKED + BASE);
    }
}
