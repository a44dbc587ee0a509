//! What probes remember from one round to the next, on disk.
//!
//! Written after the round it was learnt in. A kill between the two forgets what that round learnt, so "first seen" is
//! then dated by the next round; a lost or damaged file dates everything anew.

use std::collections::BTreeMap;

use evidence::json;
use serde_json::Value;

use crate::probe::Memory;
use crate::state::{StateDir, StateError};

const FILE: &str = "memory.json";
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// A memory that outlives the process.
#[derive(Debug, Default)]
pub struct Remembered {
    values: BTreeMap<String, Value>,
    changed: bool,
}

impl Memory for Remembered {
    fn recall(&self, key: &str) -> Option<Value> {
        self.values.get(key).cloned()
    }

    fn remember(&mut self, key: &str, value: Value) {
        if self.values.get(key) != Some(&value) {
            self.values.insert(key.to_owned(), value);
            self.changed = true;
        }
    }
}

impl Remembered {
    /// What was remembered; nothing if the file is not there or not readable.
    ///
    /// # Errors
    /// [`StateError`] if the folder cannot be read.
    pub fn load(state: &StateDir) -> Result<Remembered, StateError> {
        let Some(bytes) = state.read(FILE, MAX_FILE_BYTES)? else {
            return Ok(Remembered::default());
        };
        let values = json::parse(&bytes).unwrap_or_else(|error| {
            tracing::warn!(%error, file = FILE, "not readable; what probes remembered is forgotten");
            BTreeMap::new()
        });
        Ok(Remembered {
            values,
            changed: false,
        })
    }

    /// Writes what is remembered, if anything changed.
    ///
    /// # Errors
    /// [`StateError`] if it cannot be written, or is no JSON that could be read again.
    pub fn save(&mut self, state: &StateDir) -> Result<(), StateError> {
        if !self.changed {
            return Ok(());
        }
        let bytes = json::canonical(&self.values)
            .map_err(|error| StateError::damaged(&state.file(FILE), error))?;
        state.write(FILE, &bytes)?;
        self.changed = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_learnt_outlives_the_process_and_damage_forgets_it() {
        let outer = tempfile::tempdir().unwrap();
        let state = StateDir::open(&outer.path().join("state")).unwrap();
        let mut memory = Remembered::load(&state).unwrap();
        memory.remember("apt/first_seen", json!({"openssl": 1}));
        memory.save(&state).unwrap();
        let again = Remembered::load(&state).unwrap();
        assert_eq!(again.recall("apt/first_seen"), Some(json!({"openssl": 1})));
        state.write(FILE, b"{\"apt/first").unwrap();
        let forgotten = Remembered::load(&state).unwrap();
        assert_eq!(forgotten.recall("apt/first_seen"), None);
    }
}
