//! Which probes the kernel wakes, as the running agent tells it: see [`crate::watch`].

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Observation, Probe, Unobservable};
use crate::watch::{Fallback, WatchState};

/// The probe `watch`.
pub struct Watching;

/// What the running agent watches.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WatchFacts {
    /// These facts are from an agent that watches: a single `check` does not.
    watching: bool,
    /// Probes that are looked at within seconds of a change of what the kernel can watch of their sources.
    watched: Vec<String>,
    /// Probes that are looked at by their cadence only, and why.
    by_cadence: BTreeMap<String, Fallback>,
}

impl Probe for Watching {
    const ID: &'static str = "watch";
    type Facts = WatchFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<WatchFacts, Unobservable> {
        let state: Option<WatchState> = observation.recall("state");
        observation.note("the agent's own watches");
        Ok(WatchFacts {
            watching: state.is_some(),
            watched: state
                .as_ref()
                .map_or(Vec::new(), |state| state.watched.clone()),
            by_cadence: state.map_or(BTreeMap::new(), |state| state.by_cadence),
        })
    }
}
