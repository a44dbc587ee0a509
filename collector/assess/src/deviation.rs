//! Deviations: a check failing on a host for a while.

use evidence::outcome::{Outcome, Reason, Severity};
use evidence::time::Timestamp;

use crate::record::{CheckNo, HostNo, Records};
use crate::rules::Rules;

/// A check failed on a host.
///
/// It lasts from the first failure seen until it was seen not to fail any more. Time in between that was not observed
/// does not end it: silence mends nothing, and a probe that times out now and then must not restart the clock of a
/// failure. Where the last failure is followed by silence and then by another outcome, it ends with the failure's hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deviation {
    /// The host.
    pub host: HostNo,
    /// The check.
    pub check: CheckNo,
    /// How much it weighs.
    pub severity: Severity,
    /// Why it failed last.
    pub reason: Option<Reason>,
    /// First seen failing; may lie before the period.
    pub from: Timestamp,
    /// Its end; none while it is open at the end of the period.
    pub to: Option<Timestamp>,
    /// How long it lasted, until the end of the period if it is open; in milliseconds.
    pub lasted_ms: u64,
    /// How much longer than its severity allows, in milliseconds; zero within the limit or without one.
    pub beyond_ms: u64,
}

/// A failure that nothing has contradicted yet.
struct Running {
    from: Timestamp,
    until: Timestamp,
    reason: Option<Reason>,
}

/// The deviations of one check that touch the period, host by host, in order of time.
#[must_use]
pub fn of_check(records: &Records, check: CheckNo, rules: &Rules) -> Vec<Deviation> {
    let mut found = Vec::new();
    let assigned = |host: &HostNo| records.assigned(*host, check).is_some();
    for host in records.host_numbers().filter(assigned) {
        on_host(records, host, check, rules, &mut found);
    }
    found
}

fn on_host(
    records: &Records,
    host: HostNo,
    check: CheckNo,
    rules: &Rules,
    found: &mut Vec<Deviation>,
) {
    let end = records.scope(host).to;
    let intervals = records.of(host, check).iter();
    let mut running: Option<Running> = None;
    for interval in intervals.take_while(|interval| interval.from < end) {
        match interval.outcome {
            Outcome::Fail => {
                let from = running.map_or(interval.from, |before| before.from);
                running = Some(Running {
                    from,
                    until: interval.to.min(end),
                    reason: interval.reason,
                });
            }
            Outcome::Pass | Outcome::NotApplicable => {
                if let Some(ended) = running.take() {
                    let to = Some(ended.until);
                    found.extend(deviation(records, host, check, rules, &ended, to));
                }
            }
            Outcome::Error => {}
        }
    }
    if let Some(last) = running {
        // A host that left the register takes its open deviations with it.
        let to = (end < records.period.to).then_some(end);
        found.extend(deviation(records, host, check, rules, &last, to));
    }
}

fn deviation(
    records: &Records,
    host: HostNo,
    check: CheckNo,
    rules: &Rules,
    seen: &Running,
    to: Option<Timestamp>,
) -> Option<Deviation> {
    let end = to.unwrap_or(records.period.to);
    if end <= records.period.from {
        return None;
    }
    let severity = records.checks[check.0 as usize].severity;
    let lasted_ms = u64::try_from(end.ms_since(seen.from)).unwrap_or(0);
    let beyond_ms = rules
        .limit_ms(severity)
        .map_or(0, |limit| lasted_ms.saturating_sub(limit));
    Some(Deviation {
        host,
        check,
        severity,
        reason: seen.reason,
        from: seen.from,
        to,
        lasted_ms,
        beyond_ms,
    })
}
