//! A host for a thread of its own, which may hang in it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::Host;

/// A host that is not borrowed from anyone.
pub struct Detached {
    /// The host.
    pub host: Box<dyn Host + Send>,
    /// The probes that run on it.
    pub running: Running,
}

/// The probes of a host that run, or hang.
#[derive(Debug, Clone, Default)]
pub struct Running(Arc<Mutex<BTreeSet<&'static str>>>);

impl Running {
    /// Begins a probe; `None` if it still runs.
    pub fn begin(&self, probe: &'static str) -> Option<Begun> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.insert(probe).then(|| Begun {
            probe,
            running: self.clone(),
        })
    }
}

/// A probe that was begun; it no longer runs once this is dropped, by the thread that it runs on.
#[derive(Debug)]
pub struct Begun {
    probe: &'static str,
    running: Running,
}

impl Drop for Begun {
    fn drop(&mut self) {
        let mut running = self
            .running
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        running.remove(self.probe);
    }
}
