//! Several checks as one control, host by host, and the host-time that comes of it.

use evidence::time::Timestamp;

use crate::figure::Share;
use crate::record::{CheckNo, HostNo, Period, Records};
use crate::timeline::{self, Segment, State};

/// Host-time by what was known of it, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HostTime {
    /// Every primary check that concerned the host passed.
    pub pass_ms: u64,
    /// A primary check failed.
    pub fail_ms: u64,
    /// None failed, and at least one was not observed.
    pub unobserved_ms: u64,
    /// None concerned the host.
    pub not_applicable_ms: u64,
}

impl HostTime {
    /// Counts `ms` more in this state.
    pub fn add(&mut self, state: State, ms: u64) {
        match state {
            State::Pass => self.pass_ms += ms,
            State::Fail => self.fail_ms += ms,
            State::Unobserved => self.unobserved_ms += ms,
            State::NotApplicable => self.not_applicable_ms += ms,
            State::Unassigned => {}
        }
    }

    /// Passing time in observed time: the operating rate.
    #[must_use]
    pub fn operating(&self) -> Share {
        Share::new(self.pass_ms, self.pass_ms + self.fail_ms)
    }

    /// Time not observed, in all the time that concerned the hosts.
    #[must_use]
    pub fn unobserved(&self) -> Share {
        Share::new(
            self.unobserved_ms,
            self.pass_ms + self.fail_ms + self.unobserved_ms,
        )
    }
}

/// Visits the host-control timelines of the checks in order of time: `visit(host, part, state)`. Parts without any
/// assigned check are not visited.
pub fn sweep(records: &Records, checks: &[CheckNo], mut visit: impl FnMut(HostNo, Period, State)) {
    let mut timelines: Vec<Vec<Segment>> = vec![Vec::new(); checks.len()];
    let mut places: Vec<usize> = vec![0; checks.len()];
    for host in records.host_numbers() {
        for (segments, check) in timelines.iter_mut().zip(checks) {
            timeline::write(records, host, *check, segments);
        }
        places.fill(0);
        let mut from = records.scope(host).from;
        while let Some((to, state)) = next(&timelines, &places) {
            if state != State::Unassigned {
                visit(host, Period { from, to }, state);
            }
            for (segments, place) in timelines.iter().zip(&mut places) {
                if segments.get(*place).is_some_and(|part| part.to == to) {
                    *place += 1;
                }
            }
            from = to;
        }
    }
}

/// The nearest end among the current segments, and what prevails until then.
fn next(timelines: &[Vec<Segment>], places: &[usize]) -> Option<(Timestamp, State)> {
    let current = || {
        timelines
            .iter()
            .zip(places)
            .filter_map(|(segments, place)| segments.get(*place))
    };
    let to = current().map(|part| part.to).min()?;
    let state = current().map(|part| part.state).max()?;
    Some((to, state))
}

/// The host-time of a control carried by these checks.
#[must_use]
pub fn host_time(records: &Records, checks: &[CheckNo]) -> HostTime {
    let mut time = HostTime::default();
    sweep(records, checks, |_, part, state| {
        time.add(state, part.length_ms());
    });
    time
}

/// The same cut into `number` steps of equal length, to draw.
#[must_use]
pub fn steps(records: &Records, checks: &[CheckNo], number: u32) -> Vec<(Period, HostTime)> {
    let start = records.period.from;
    let length = i64::try_from(records.period.length_ms()).unwrap_or(i64::MAX);
    let number = i64::from(number).min(length).max(1);
    let edge =
        |place: i64| start.plus_ms(length / number * place + length % number * place / number);
    let mut steps: Vec<(Period, HostTime)> = (0..number)
        .map(|place| {
            let (from, to) = (edge(place), edge(place + 1));
            (Period { from, to }, HostTime::default())
        })
        .collect();
    sweep(records, checks, |_, part, state| {
        let first = steps.partition_point(|(step, _)| step.to <= part.from);
        for (step, time) in &mut steps[first..] {
            if step.from >= part.to {
                break;
            }
            let both = Period {
                from: step.from.max(part.from),
                to: step.to.min(part.to),
            };
            time.add(state, both.length_ms());
        }
    });
    steps
}
