//! How often sign-in may be tried: a few times at once, then slowly, by address and by name.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use evidence::time::Timestamp;

/// Attempts that need no waiting.
const AT_ONCE: f64 = 5.0;
/// One more attempt after this long, milliseconds.
const REFILL_MS: f64 = 15_000.0;
/// Keys remembered; beyond it, those that are full again are forgotten.
const MAX_KEYS: usize = 10_000;

/// Attempts left by key, as token buckets.
#[derive(Debug, Default)]
pub struct Throttle {
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Timestamp,
}

impl Bucket {
    fn at(self, now: Timestamp) -> Bucket {
        let passed = now.ms_since(self.at).max(0) as f64;
        Bucket {
            left: (self.left + passed / REFILL_MS).min(AT_ONCE),
            at: now,
        }
    }
}

impl Throttle {
    /// Spends an attempt of every key, or says how many seconds to wait, without spending any.
    ///
    /// # Errors
    /// Seconds to wait.
    pub fn attempt(&self, keys: &[String], now: Timestamp) -> Result<(), u64> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() > MAX_KEYS {
            buckets.retain(|_, bucket| bucket.at(now).left < AT_ONCE);
        }
        let full = Bucket {
            left: AT_ONCE,
            at: now,
        };
        let present: Vec<Bucket> = keys
            .iter()
            .map(|key| buckets.get(key).copied().unwrap_or(full).at(now))
            .collect();
        if let Some(least) = present
            .iter()
            .map(|bucket| bucket.left)
            .reduce(f64::min)
            .filter(|left| *left < 1.0)
        {
            let missing_ms = ((1.0 - least) * REFILL_MS).round() as u64;
            return Err(missing_ms.div_ceil(1000));
        }
        for (key, bucket) in keys.iter().zip(present) {
            buckets.insert(
                key.clone(),
                Bucket {
                    left: bucket.left - 1.0,
                    ..bucket
                },
            );
        }
        Ok(())
    }

    /// Forgets the failures of a key after a success.
    pub fn succeed(&self, key: &str) {
        self.buckets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_at_once_then_one_every_fifteen_seconds() {
        let throttle = Throttle::default();
        let keys = ["name:a".to_owned(), "address:1".to_owned()];
        let start = Timestamp::from_unix_ms(0);
        for _ in 0..5 {
            throttle.attempt(&keys, start).unwrap();
        }
        assert_eq!(throttle.attempt(&keys, start), Err(15));
        assert_eq!(throttle.attempt(&keys, start.plus_ms(10_000)), Err(5));
        throttle.attempt(&keys, start.plus_ms(15_000)).unwrap();
        assert!(
            throttle
                .attempt(&["name:a".to_owned()], start.plus_ms(15_000))
                .is_err(),
            "another address does not help"
        );
        assert!(
            throttle
                .attempt(&["name:b".to_owned()], start.plus_ms(15_000))
                .is_ok()
        );
        throttle.succeed("name:a");
        assert!(
            throttle
                .attempt(&["name:a".to_owned()], start.plus_ms(15_000))
                .is_ok()
        );
    }
}
