//! One check on one host over a period, without gaps.

use evidence::outcome::Outcome;
use evidence::time::Timestamp;

use crate::record::{CheckNo, HostNo, Records};

/// What is known of a moment. Ordered by what prevails when several checks carry one control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// The check was not assigned yet: out of every count.
    Unassigned,
    /// A positive fact says that the question does not arise.
    NotApplicable,
    /// The expectation was met.
    Pass,
    /// No outcome holds, or the last one is an error.
    Unobserved,
    /// The expectation was not met.
    Fail,
}

/// A part of a timeline; it starts where the one before ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// What is known of it.
    pub state: State,
    /// Its end.
    pub to: Timestamp,
}

impl From<Outcome> for State {
    fn from(outcome: Outcome) -> State {
        match outcome {
            Outcome::Pass => State::Pass,
            Outcome::Fail => State::Fail,
            Outcome::NotApplicable => State::NotApplicable,
            Outcome::Error => State::Unobserved,
        }
    }
}

/// Writes into `segments` the timeline of a check on a host over the time the host was in scope of the period. The last
/// segment ends where the scope does; a host that was not in scope has none.
pub fn write(records: &Records, host: HostNo, check: CheckNo, segments: &mut Vec<Segment>) {
    segments.clear();
    let scope = records.scope(host);
    let assigned = records.assigned(host, check).unwrap_or(scope.to);
    let mut until = scope.from;
    let mut push = |state: State, to: Timestamp, until: &mut Timestamp| {
        let to = to.min(scope.to);
        if to <= *until {
            return;
        }
        *until = to;
        match segments.last_mut() {
            Some(last) if last.state == state => last.to = to,
            _ => segments.push(Segment { state, to }),
        }
    };
    push(State::Unassigned, assigned, &mut until);
    for interval in records.of(host, check) {
        push(State::Unobserved, interval.from, &mut until);
        push(State::from(interval.outcome), interval.to, &mut until);
    }
    push(State::Unobserved, scope.to, &mut until);
}
