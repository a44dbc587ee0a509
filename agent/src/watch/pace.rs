//! How often changes may make a probe be looked at: pure, time passed in.
//!
//! A change is looked at at once, as long as that is the exception. Each probe has an allowance of [`BURST`] looks, enough
//! for an afternoon of an administrator's work, which grows by one in [`REFILL`]; and looks take at most a fifth of
//! the time. Whoever changes a file in a loop thus gets 288 looks a day at one probe, and slows that probe alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use evidence::id::ProbeId;

/// Looks that a probe may have without waiting.
pub const BURST: u32 = 300;
/// One look more is allowed after this time.
pub const REFILL: Duration = Duration::from_secs(300);
/// Time between two looks at one probe, at least.
pub const MIN_INTERVAL: Duration = Duration::from_millis(300);
/// A look that took a second is followed by so many seconds without.
const REST: u32 = 4;
/// A unit is shown as starting before it is shown as running: it is looked at again after these times.
const SETTLING: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(15)];

#[derive(Debug)]
struct Probe {
    /// When to look, earliest first: at a change, and once a unit may have settled.
    due: BTreeSet<Instant>,
    allowance: u32,
    filled: Instant,
    not_before: Instant,
}

/// When which probe is looked at.
#[derive(Debug, Default)]
pub struct Pace {
    probes: BTreeMap<ProbeId, Probe>,
}

impl Pace {
    fn probe(&mut self, probe: &ProbeId, now: Instant) -> &mut Probe {
        self.probes.entry(probe.clone()).or_insert_with(|| Probe {
            due: BTreeSet::new(),
            allowance: BURST,
            filled: now,
            not_before: now,
        })
    }

    /// A source of this probe changed.
    pub fn changed(&mut self, probe: &ProbeId, now: Instant) {
        self.at(probe, now, now);
    }

    /// A unit that this probe asks about was started or stopped.
    pub fn unit_changed(&mut self, probe: &ProbeId, now: Instant) {
        let due = &mut self.probe(probe, now).due;
        // What was to settle before begins to settle anew.
        due.retain(|time| *time <= now);
        due.insert(now);
        due.extend(SETTLING.map(|after| now + after));
    }

    /// The probe is to be looked at then.
    pub fn at(&mut self, probe: &ProbeId, then: Instant, now: Instant) {
        self.probe(probe, now).due.insert(then);
    }

    /// The probes to look at now; each uses one look of its allowance.
    pub fn ready(&mut self, now: Instant) -> BTreeSet<ProbeId> {
        let mut ready = BTreeSet::new();
        for (id, probe) in &mut self.probes {
            probe.fill(now);
            if probe.next().is_some_and(|next| next <= now) {
                probe.allowance = probe.allowance.saturating_sub(1);
                probe.due.retain(|time| *time > now);
                ready.insert(id.clone());
            }
        }
        ready
    }

    /// When the next probe is to be looked at.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.probes.values().filter_map(Probe::next).min()
    }

    /// A probe was looked at, which took this long.
    pub fn looked(&mut self, probe: &ProbeId, took: Duration, now: Instant) {
        self.probe(probe, now).not_before = now + (took * REST).max(MIN_INTERVAL);
    }
}

impl Probe {
    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled);
        let more = u32::try_from(passed.as_secs() / REFILL.as_secs()).unwrap_or(BURST);
        if more > 0 {
            self.allowance = self.allowance.saturating_add(more).min(BURST);
            self.filled += REFILL * more;
        }
    }

    fn next(&self) -> Option<Instant> {
        let due = *self.due.first()?;
        let allowed = if self.allowance > 0 {
            self.not_before
        } else {
            self.not_before.max(self.filled + REFILL)
        };
        Some(due.max(allowed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &BTreeSet<ProbeId>) -> Vec<&str> {
        ids.iter().map(ProbeId::as_str).collect()
    }

    #[test]
    fn a_change_is_looked_at_at_once_and_once() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let sshd: ProbeId = "sshd".parse().unwrap();
        for _ in 0..100 {
            pace.changed(&sshd, now);
        }
        assert_eq!(pace.next(), Some(now));
        assert_eq!(ids(&pace.ready(now)), ["sshd"]);
        assert_eq!(pace.next(), None);
        pace.looked(&sshd, Duration::from_millis(10), now);
        pace.changed(&sshd, now);
        assert!(pace.ready(now).is_empty());
        assert_eq!(ids(&pace.ready(now + MIN_INTERVAL)), ["sshd"]);
    }

    #[test]
    fn an_expensive_probe_rests_four_times_as_long() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let lists: ProbeId = "security_updates".parse().unwrap();
        pace.looked(&lists, Duration::from_secs(1), now);
        pace.changed(&lists, now);
        assert_eq!(pace.next(), Some(now + Duration::from_secs(4)));
    }

    #[test]
    fn a_day_of_touching_one_file_costs_a_bounded_number_of_looks_and_no_other_probe_any() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let keys: ProbeId = "ssh_keys".parse().unwrap();
        let sshd: ProbeId = "sshd".parse().unwrap();
        let mut looks = 0;
        for half_second in 0..2 * 86_400 {
            let now = start + Duration::from_millis(500 * half_second);
            pace.changed(&keys, now);
            let ready = pace.ready(now);
            looks += ready.len();
            pace.looked(&keys, Duration::from_millis(5), now);
        }
        assert!((580..=590).contains(&looks), "{looks}");
        let end = start + Duration::from_secs(86_400);
        pace.changed(&sshd, end);
        assert!(
            pace.ready(end).contains(&sshd),
            "it does not wait for another"
        );
    }

    #[test]
    fn a_unit_is_looked_at_until_it_has_settled() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let sshd: ProbeId = "sshd".parse().unwrap();
        pace.unit_changed(&sshd, now);
        pace.unit_changed(&sshd, now);
        let mut times = Vec::new();
        for second in 0..60 {
            if !pace.ready(now + Duration::from_secs(second)).is_empty() {
                times.push(second);
            }
        }
        assert_eq!(times, [0, 2, 15]);
    }
}
