//! What probes remember from one round to the next.
//!
//! Read before a look and written after the round that came of it. A kill between the two forgets what that round learnt,
//! so "first seen" is then dated by the next round; a lost or damaged file dates everything anew.

use std::collections::BTreeMap;

use evidence::json;
use serde_json::Value;

use crate::probe::Memory;
use crate::state::{StateDir, StateError};

const FILE: &str = "memory.json";
/// Most bytes that probes may remember.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

/// A memory that outlives the process, as text between two looks.
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

    fn goes_on(&self) -> bool {
        true
    }
}

impl Remembered {
    /// What was remembered; nothing if the text is not readable, which dates everything anew.
    #[must_use]
    pub fn of_text(text: &[u8]) -> Remembered {
        Remembered {
            values: json::parse(text).unwrap_or_default(),
            changed: false,
        }
    }

    /// What is remembered now; `None` if nothing changed.
    #[must_use]
    pub fn changed_text(&self) -> Option<Vec<u8>> {
        let text = self.changed.then(|| json::canonical(&self.values).ok());
        text.flatten().filter(|text| text.len() <= MAX_BYTES)
    }
}

/// The text that was written last; nothing if there is none.
///
/// # Errors
/// [`StateError`] if the folder cannot be read.
pub fn load(state: &StateDir) -> Result<Vec<u8>, StateError> {
    Ok(state.read(FILE, MAX_BYTES as u64)?.unwrap_or_default())
}

/// Writes the text.
///
/// # Errors
/// [`StateError`] if it cannot be written.
pub fn save(state: &StateDir, text: &[u8]) -> Result<(), StateError> {
    state.write(FILE, text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_learnt_outlives_the_process_and_damage_forgets_it() {
        let outer = tempfile::tempdir().unwrap();
        let state = StateDir::open(&outer.path().join("state")).unwrap();
        let mut memory = Remembered::of_text(&load(&state).unwrap());
        assert_eq!(memory.changed_text(), None);
        memory.remember("apt/first_seen", json!({"openssl": 1}));
        save(&state, &memory.changed_text().unwrap()).unwrap();
        let again = Remembered::of_text(&load(&state).unwrap());
        assert_eq!(again.recall("apt/first_seen"), Some(json!({"openssl": 1})));
        state.write(FILE, b"{\"apt/first").unwrap();
        let forgotten = Remembered::of_text(&load(&state).unwrap());
        assert_eq!(forgotten.recall("apt/first_seen"), None);
    }
}
