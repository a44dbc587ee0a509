//! What one look remembers for the next: when an update was first seen pending, which programs were verified and have not
//! changed since.
//!
//! Kept for the superuser's looks at this very host, in a folder that only the superuser can enter. It is a cache: without
//! it, or where it cannot be written, everything is looked at anew and dated by this look.

use std::path::Path;

use agent::probe::Memory;
use agent::remembered::{self, Remembered};
use agent::state::{StateDir, StateLock};
use serde_json::Value;

/// Where looks without a service keep what they remember.
pub(super) const FOLDER: &str = "/var/cache/assay";

/// A memory of looks that somebody waits for: what there is to do is done at once.
pub(super) struct LookMemory {
    remembered: Remembered,
    kept: Option<(StateDir, StateLock)>,
}

impl LookMemory {
    /// What earlier looks remembered in `folder`, for as long as no other look has it; nothing lasts if `folder` is `None`.
    pub(super) fn of(folder: Option<&Path>) -> LookMemory {
        let kept = folder.and_then(|folder| {
            let folder = StateDir::open(folder).ok()?;
            let lock = folder.lock().ok()?;
            Some((folder, lock))
        });
        let text = kept.as_ref().map(|(folder, _)| remembered::load(folder));
        LookMemory {
            remembered: Remembered::of_text(&text.and_then(Result::ok).unwrap_or_default()),
            kept,
        }
    }

    /// Keeps what was remembered. A full disk costs the next look some time, and this one nothing.
    pub(super) fn keep(self) {
        if let (Some((folder, _lock)), Some(text)) = (self.kept, self.remembered.changed_text()) {
            let _ = remembered::save(&folder, &text);
        }
    }
}

impl Memory for LookMemory {
    fn recall(&self, key: &str) -> Option<Value> {
        self.remembered.recall(key)
    }

    fn remember(&mut self, key: &str, value: Value) {
        self.remembered.remember(key, value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_look_goes_on_from_the_one_before_and_never_beside_another() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("assay");
        let mut first = LookMemory::of(Some(&folder));
        first.remember("apt/found", json!(1));
        let mut beside = LookMemory::of(Some(&folder));
        assert_eq!(beside.recall("apt/found"), None);
        beside.remember("apt/found", json!(2));
        first.keep();
        beside.keep();
        let next = LookMemory::of(Some(&folder));
        assert_eq!(next.recall("apt/found"), Some(json!(1)));
        assert_eq!(LookMemory::of(None).recall("apt/found"), None);
    }

    #[test]
    fn a_folder_that_others_can_enter_is_not_believed() {
        use std::os::unix::fs::PermissionsExt as _;

        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("assay");
        let mut first = LookMemory::of(Some(&folder));
        first.remember("apt/found", json!(1));
        first.keep();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(LookMemory::of(Some(&folder)).recall("apt/found"), None);
    }
}
