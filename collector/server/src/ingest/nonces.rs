//! Nonces of enrolments: each serves once, and soon.

use std::collections::{HashMap, VecDeque};

use crypto::Digest;
use evidence::time::Timestamp;

use super::refusal::Refusal;

/// Nonces that may be waiting for their enrolment.
const MAX_NONCES: usize = 10_000;
/// How long a nonce can be used, milliseconds.
const NONCE_MS: i64 = 5 * 60_000;

/// The nonces given out. When there are too many the oldest goes: whoever asks for thousands keeps nobody from enrolling,
/// which takes one round trip.
#[derive(Debug, Default)]
pub struct Nonces {
    given: HashMap<Digest, Timestamp>,
    order: VecDeque<Digest>,
}

impl Nonces {
    /// Remembers a nonce that is given out now.
    pub fn give(&mut self, nonce: Digest, now: Timestamp) {
        if self.order.len() >= MAX_NONCES
            && let Some(oldest) = self.order.pop_front()
        {
            self.given.remove(&oldest);
        }
        self.given.insert(nonce, now);
        self.order.push_back(nonce);
    }

    /// Takes a nonce back.
    ///
    /// # Errors
    /// [`Refusal::Nonce`] if it was not given out, is spent or too old.
    pub fn take(&mut self, nonce: &Digest, now: Timestamp) -> Result<(), Refusal> {
        let given = self.given.remove(nonce);
        let fresh = given.is_some_and(|given| now.ms_since(given) < NONCE_MS);
        if fresh { Ok(()) } else { Err(Refusal::Nonce) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonce(i: usize) -> Digest {
        Digest::of(&i.to_le_bytes())
    }

    #[test]
    fn a_nonce_serves_once_and_soon() {
        let start = Timestamp::from_unix_ms(0);
        let mut nonces = Nonces::default();
        nonces.give(nonce(1), start);
        nonces.give(nonce(2), start);
        assert!(nonces.take(&nonce(1), start.plus_ms(NONCE_MS - 1)).is_ok());
        assert!(nonces.take(&nonce(1), start).is_err(), "spent");
        assert!(
            nonces.take(&nonce(2), start.plus_ms(NONCE_MS)).is_err(),
            "too old"
        );
        assert!(nonces.take(&nonce(3), start).is_err(), "never given");
    }

    #[test]
    fn a_flood_keeps_nobody_out_and_takes_no_more_room() {
        let now = Timestamp::from_unix_ms(0);
        let mut nonces = Nonces::default();
        for i in 0..3 * MAX_NONCES {
            nonces.give(nonce(i), now);
            if i % 3 == 0 {
                nonces.take(&nonce(i), now).unwrap();
            }
        }
        assert!(nonces.given.len() <= MAX_NONCES && nonces.order.len() <= MAX_NONCES);
        nonces.give(nonce(usize::MAX), now);
        assert!(nonces.take(&nonce(usize::MAX), now).is_ok());
        assert!(nonces.take(&nonce(1), now).is_err(), "the oldest went");
    }
}
