//! Randomness as a parameter.

use crate::Digest;

/// A source of random bytes. Passed in wherever chance is needed, so that tests can repeat themselves.
pub trait Random: Send + Sync {
    /// Fills `bytes`.
    fn fill(&mut self, bytes: &mut [u8]);

    /// 16 random bytes, the size of a salt or of a UUID.
    fn bytes16(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        bytes
    }

    /// 32 random bytes, the size of a seed, a nonce or a session id.
    fn bytes32(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.fill(&mut bytes);
        bytes
    }
}

/// The operating system's generator (getrandom(2)).
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemRandom;

impl Random for SystemRandom {
    #[expect(
        clippy::expect_used,
        reason = "getrandom(2) cannot fail once the pool is initialised; going on without randomness must never happen"
    )]
    fn fill(&mut self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}

/// A repeatable stream for tests: SHA-256 over a seed and a counter. Never for keys.
#[derive(Debug, Clone)]
pub struct SeededRandom {
    seed: u64,
    counter: u64,
}

impl SeededRandom {
    /// The stream of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> SeededRandom {
        SeededRandom { seed, counter: 0 }
    }
}

impl Random for SeededRandom {
    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let block = Digest::of_parts(&[&self.seed.to_be_bytes(), &self.counter.to_be_bytes()]);
            self.counter += 1;
            chunk.copy_from_slice(&block.as_bytes()[..chunk.len()]);
        }
    }
}
