//! Which event concerns which probe, and which probes are left to their cadence.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use evidence::id::ProbeId;

use super::events::Batch;
use super::pace::Pace;
use super::places::{ANY, Place, Plan, Planned};
use super::reads::Source;
use super::{Fallback, PAUSE, STORM, WatchState};

/// The probes by what they read.
#[derive(Debug, Default)]
pub struct Table {
    /// By watch and name; `true` where it tells of a unit.
    names: BTreeMap<i32, BTreeMap<String, BTreeMap<ProbeId, bool>>>,
    probes: BTreeMap<ProbeId, Planned>,
    paused: BTreeMap<ProbeId, (Fallback, Instant)>,
    /// When which probe is looked at.
    pub pace: Pace,
}

impl Table {
    /// Why the probe is left alone for now.
    pub(super) fn paused(&self, probe: &ProbeId, now: Instant) -> Option<Fallback> {
        let (fallback, until) = self.paused.get(probe)?;
        (*until > now).then_some(*fallback)
    }

    /// Takes over what is watched for the probes of a plan; returns the watches that nothing needs any more.
    pub(super) fn take(&mut self, plan: Plan, now: Instant) -> Vec<i32> {
        let mut before = BTreeSet::new();
        for (probe, planned) in plan.probes {
            if let Some(old) = self.probes.remove(&probe) {
                before.extend(old.places.iter().map(|place| place.watch));
                self.forget(&probe, &old.places);
            }
            for place in &planned.places {
                let names = self.names.entry(place.watch).or_default();
                let probes = names.entry(place.name.clone()).or_default();
                // A file that is read as such settles nothing.
                let unit = probes.entry(probe.clone()).or_insert(place.unit);
                *unit &= place.unit;
            }
            if planned.changed {
                self.pace.changed(&probe, now);
            }
            self.paused.retain(|_, (_, until)| *until > now);
            self.probes.insert(probe, planned);
        }
        before.retain(|watch| !self.names.contains_key(watch));
        before.into_iter().collect()
    }

    fn forget(&mut self, probe: &ProbeId, places: &BTreeSet<Place>) {
        for place in places {
            let Some(names) = self.names.get_mut(&place.watch) else {
                continue;
            };
            if let Some(probes) = names.get_mut(&place.name) {
                probes.remove(probe);
                if probes.is_empty() {
                    names.remove(&place.name);
                }
            }
            if names.is_empty() {
                self.names.remove(&place.watch);
            }
        }
    }

    /// What happened, fetched at once; returns the watches to let go.
    pub(super) fn happened(&mut self, batch: &Batch, now: Instant) -> Vec<i32> {
        if batch.overflow {
            let watched = self.names.keys().copied().collect();
            self.pause(&watched, Fallback::Overflow, now);
            return watched.into_iter().collect();
        }
        for (watch, changes) in &batch.changes {
            for name in &changes.names {
                self.changed(*watch, name, now);
            }
            if changes.gone {
                for probe in self.concerned(*watch) {
                    self.pace.changed(&probe, now);
                }
            }
        }
        let stormy = |(_, changes): &(&i32, &super::events::Changes)| changes.count > STORM;
        let stormy: BTreeSet<i32> = batch
            .changes
            .iter()
            .filter(stormy)
            .map(|(watch, _)| *watch)
            .collect();
        self.pause(&stormy, Fallback::Storm, now);
        stormy.into_iter().collect()
    }

    fn changed(&mut self, watch: i32, name: &str, now: Instant) {
        let Some(names) = self.names.get(&watch) else {
            return;
        };
        let exact = names.get(name).into_iter().flatten();
        let any = names.get(ANY).into_iter().flatten();
        for (probe, unit) in exact.chain(any) {
            if *unit {
                self.pace.unit_changed(probe, now);
            } else {
                self.pace.changed(probe, now);
            }
        }
    }

    /// The probes that read anything in a directory.
    fn concerned(&self, watch: i32) -> BTreeSet<ProbeId> {
        let names = self
            .names
            .get(&watch)
            .into_iter()
            .flat_map(BTreeMap::values);
        names.flat_map(BTreeMap::keys).cloned().collect()
    }

    /// Leaves the probes of these directories to their cadence for a while. They are looked at now, since something may
    /// have been missed, and when the pause is over, which takes up their watches again.
    fn pause(&mut self, watches: &BTreeSet<i32>, fallback: Fallback, now: Instant) {
        let probes: BTreeSet<ProbeId> = watches
            .iter()
            .flat_map(|watch| self.concerned(*watch))
            .collect();
        for probe in &probes {
            tracing::warn!(%probe, ?fallback, "too many changes; the probe keeps its cadence for a minute");
            self.paused.insert(probe.clone(), (fallback, now + PAUSE));
            self.pace.changed(probe, now);
            self.pace.at(probe, now + PAUSE, now);
        }
        for watch in watches {
            self.names.remove(watch);
        }
    }

    /// Whether a look at the probe is too much to be triggered, even by another probe of the same check.
    pub(super) fn is_walk(&self, probe: &ProbeId) -> bool {
        let planned = self.probes.get(probe);
        planned.is_some_and(|planned| planned.fallback == Some(Fallback::Walk))
    }

    /// The kernel told of a change of one of its own tables.
    pub(super) fn source_changed(&mut self, source: Source, now: Instant) {
        for (probe, planned) in &self.probes {
            if planned.sources.contains(&source) {
                self.pace.changed(probe, now);
            }
        }
    }

    /// What there is to say about watching.
    pub(super) fn state(&self) -> WatchState {
        let mut state = WatchState::default();
        for (probe, planned) in &self.probes {
            let paused = self.paused.get(probe).map(|(fallback, _)| *fallback);
            match paused.or(planned.fallback) {
                Some(fallback) => {
                    state.by_cadence.insert(probe.to_string(), fallback);
                }
                None => state.watched.push(probe.to_string()),
            }
        }
        state
    }
}
