//! What a period is assessed from.

use evidence::outcome::{Outcome, Reason, Severity};
use evidence::time::Timestamp;

/// A stretch of time, its end not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Its start.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
}

impl Period {
    /// Its length in milliseconds; zero if it ends before it starts.
    #[must_use]
    pub fn length_ms(&self) -> u64 {
        u64::try_from(self.to.ms_since(self.from)).unwrap_or(0)
    }
}

/// Place of a host in [`Records::hosts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostNo(pub u32);

/// Place of a check in [`Records::checks`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckNo(pub u32);

/// A group of hosts that are assigned the same checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupNo(pub u32);

/// A registered host: in scope from its enrolment to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host {
    /// Its group.
    pub group: GroupNo,
    /// When it was enrolled.
    pub enrolled: Timestamp,
    /// When it was retired. A host whose key ended otherwise stays in scope: nothing is observed on it.
    pub ended: Option<Timestamp>,
}

/// A check that hosts were to judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// How much one failing host matters.
    pub severity: Severity,
    /// The longest time between two judgements that its cadence allows, in milliseconds.
    pub cadence_ms: i64,
    /// Since when the hosts of each group, by number, are to judge it; none if they are not.
    pub assigned: Vec<Option<Timestamp>>,
}

/// A stretch of one outcome of one check on one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// The host.
    pub host: HostNo,
    /// The check.
    pub check: CheckNo,
    /// What was concluded.
    pub outcome: Outcome,
    /// Why; none for a pass.
    pub reason: Option<Reason>,
    /// The first judgement of this outcome.
    pub from: Timestamp,
    /// Where it stops holding: the next judgement, at most [`holds_until`] the last one.
    pub to: Timestamp,
}

/// Until when an outcome holds that was last judged at `last`, if no other judgement comes: twice the cadence.
#[must_use]
pub fn holds_until(last: Timestamp, cadence_ms: i64) -> Timestamp {
    last.plus_ms(cadence_ms.saturating_mul(2))
}

/// Everything known about a period.
#[derive(Debug, Clone)]
pub struct Records {
    /// The period asked about.
    pub period: Period,
    /// The hosts that were in scope at any time of it.
    pub hosts: Vec<Host>,
    /// The checks.
    pub checks: Vec<Check>,
    intervals: Vec<Interval>,
    cells: Vec<usize>,
}

impl Records {
    /// Arranges what is known. Intervals may come in any order and begin before the period, so that a deviation is as
    /// old as it is. Those that name no host or check of the lists are left out; of two that overlap, the later one
    /// holds from its start.
    #[must_use]
    pub fn new(
        period: Period,
        hosts: Vec<Host>,
        checks: Vec<Check>,
        mut intervals: Vec<Interval>,
    ) -> Records {
        let (rows, columns) = (hosts.len(), checks.len());
        intervals.retain(|interval| {
            (interval.host.0 as usize) < rows && (interval.check.0 as usize) < columns
        });
        intervals.sort_by_key(|interval| (interval.host, interval.check, interval.from));
        for place in 1..intervals.len() {
            let next = intervals[place];
            let before = &mut intervals[place - 1];
            if (before.host, before.check) == (next.host, next.check) {
                before.to = before.to.min(next.from);
            }
        }
        let mut cells = Vec::with_capacity(rows * columns + 1);
        let mut place = 0;
        for cell in 0..rows * columns {
            cells.push(place);
            let is_here = |interval: &Interval| {
                interval.host.0 as usize * columns + interval.check.0 as usize == cell
            };
            while intervals.get(place).is_some_and(is_here) {
                place += 1;
            }
        }
        cells.push(place);
        Records {
            period,
            hosts,
            checks,
            intervals,
            cells,
        }
    }

    /// The intervals of one check on one host, in order, without overlap.
    #[must_use]
    pub fn of(&self, host: HostNo, check: CheckNo) -> &[Interval] {
        let cell = host.0 as usize * self.checks.len() + check.0 as usize;
        &self.intervals[self.cells[cell]..self.cells[cell + 1]]
    }

    /// The part of the period in which a host was in scope.
    #[must_use]
    pub fn scope(&self, host: HostNo) -> Period {
        let host = self.hosts[host.0 as usize];
        let end = host.ended.unwrap_or(self.period.to);
        let from = host.enrolled.max(self.period.from);
        Period {
            from,
            to: end.min(self.period.to).max(from),
        }
    }

    /// Since when a check is assigned to a host; none if it is not.
    #[must_use]
    pub fn assigned(&self, host: HostNo, check: CheckNo) -> Option<Timestamp> {
        let group = self.hosts[host.0 as usize].group.0 as usize;
        *self.checks[check.0 as usize].assigned.get(group)?
    }

    /// The places of all hosts.
    pub fn host_numbers(&self) -> impl Iterator<Item = HostNo> + use<> {
        (0..u32::try_from(self.hosts.len()).unwrap_or(u32::MAX)).map(HostNo)
    }

    /// The places of all checks.
    pub fn check_numbers(&self) -> impl Iterator<Item = CheckNo> + use<> {
        (0..u32::try_from(self.checks.len()).unwrap_or(u32::MAX)).map(CheckNo)
    }
}
