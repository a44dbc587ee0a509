//! Verdicts: the worked example of the roll-up to the digit, and each rule at its edge.

use assess::current::Standing;
use assess::figure::{Figures, Share};
use assess::record::{Check, CheckNo, GroupNo, Host, HostNo, Interval, Period, Records};
use assess::rules::Rules;
use assess::status::{ControlStatus, Verdict, of_control, of_documents};
use catalogue::Class;
use evidence::outcome::{Outcome, Reason, Severity};
use evidence::time::Timestamp;

const HOUR_MS: i64 = 3_600_000;
const ONLY: CheckNo = CheckNo(0);

fn hour(hour: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_700_000_000_000 + hour * HOUR_MS)
}

fn host() -> Host {
    Host {
        group: GroupNo(0),
        enrolled: hour(-10_000),
        ended: None,
    }
}

fn check(severity: Severity) -> Check {
    Check {
        severity,
        cadence_ms: 6 * HOUR_MS,
        assigned: vec![Some(hour(-10_000))],
    }
}

fn stretch(host: u32, outcome: Outcome, from: i64, to: i64) -> Interval {
    Interval {
        host: HostNo(host),
        check: ONLY,
        outcome,
        reason: (outcome != Outcome::Pass).then_some(Reason::WeakerThanPolicy),
        from: hour(from),
        to: hour(to),
    }
}

/// Thirty days of some hosts and one check.
fn month(hosts: usize, severity: Severity, intervals: Vec<Interval>) -> Records {
    let period = Period {
        from: hour(0),
        to: hour(720),
    };
    Records::new(
        period,
        vec![host(); hosts],
        vec![check(severity)],
        intervals,
    )
}

fn status(hosts: usize, severity: Severity, intervals: Vec<Interval>) -> ControlStatus {
    let records = month(hosts, severity, intervals);
    of_control(&records, Class::Automated, &[ONLY], &Rules::default())
}

fn verdict(hosts: usize, severity: Severity, intervals: Vec<Interval>) -> Verdict {
    status(hosts, severity, intervals).verdict
}

/// Ten hosts, thirty days, one check every 6 hours. Host 10 fails for 36 hours and is silent for 48, of which 12 are
/// still covered by its last run; all else passes.
fn worked_example() -> Vec<Interval> {
    let mut intervals: Vec<Interval> = (0..9)
        .map(|host| stretch(host, Outcome::Pass, -20, 726))
        .collect();
    intervals.extend([
        stretch(9, Outcome::Pass, -20, 100),
        stretch(9, Outcome::Fail, 100, 136),
        stretch(9, Outcome::Pass, 136, 300 + 12),
        stretch(9, Outcome::Pass, 300 + 48, 726),
    ]);
    intervals
}

#[test]
fn the_worked_example_comes_out_to_the_digit() {
    let status = status(10, Severity::Critical, worked_example());
    let hours = |ms: u64| (ms / 3_600_000, ms % 3_600_000);
    assert_eq!(hours(status.time.pass_ms), (7_128, 0));
    assert_eq!(hours(status.time.fail_ms), (36, 0));
    assert_eq!(hours(status.time.unobserved_ms), (36, 0));
    assert_eq!(status.time.not_applicable_ms, 0);
    let percent = |share: Share| format!("{:.2}", share.of as f64 * 100.0 / share.whole as f64);
    assert_eq!(hours(status.time.operating().whole), (7_164, 0));
    assert_eq!(percent(status.time.operating()), "99.50");
    assert_eq!(hours(status.time.unobserved().whole), (7_200, 0));
    assert_eq!(percent(status.time.unobserved()), "0.50");
    let [deviation] = status.deviations.as_slice() else {
        panic!("one deviation, not {:?}", status.deviations);
    };
    assert_eq!((deviation.from, deviation.to), (hour(100), Some(hour(136))));
    assert_eq!(hours(deviation.lasted_ms), (36, 0));
    assert_eq!(hours(deviation.beyond_ms), (12, 0));
    assert_eq!(status.verdict, Verdict::OperatingWithDeviations);
    assert!(!status.host_part_only);
}

#[test]
fn the_same_failure_within_its_limit_is_no_blemish() {
    assert_eq!(
        verdict(10, Severity::High, worked_example()),
        Verdict::Operating
    );
}

#[test]
fn a_critical_failure_that_is_open_at_the_end_means_not_operating() {
    let mut intervals = vec![
        stretch(0, Outcome::Pass, -20, 719),
        stretch(0, Outcome::Fail, 719, 731),
    ];
    let failing = verdict(1, Severity::Critical, intervals.clone());
    assert_eq!(failing, Verdict::NotOperating);
    assert_eq!(
        verdict(1, Severity::High, intervals.clone()),
        Verdict::Operating
    );
    intervals.pop();
    intervals.push(stretch(0, Outcome::Fail, 719, 720));
    assert_eq!(
        verdict(1, Severity::Critical, intervals),
        Verdict::NotOperating
    );
}

#[test]
fn silence_after_a_failure_does_not_close_it() {
    let mut intervals: Vec<Interval> = (0..99)
        .map(|host| stretch(host, Outcome::Pass, -20, 726))
        .collect();
    intervals.push(stretch(99, Outcome::Pass, -20, 300));
    intervals.push(stretch(99, Outcome::Fail, 300, 312));
    let silent = status(100, Severity::Critical, intervals.clone());
    assert_eq!(silent.verdict, Verdict::NotOperating);
    assert_eq!(silent.critical_open().count(), 1);
    assert_eq!(silent.deviations[0].lasted_ms, 420 * 3_600_000);
    // Seen to pass later, it ends where the failure's hold did.
    intervals.push(stretch(99, Outcome::Pass, 400, 726));
    let mended = status(100, Severity::Critical, intervals);
    assert_eq!(mended.verdict, Verdict::Operating);
    assert_eq!(mended.deviations[0].to, Some(hour(312)));
}

#[test]
fn errors_between_failures_do_not_restart_the_clock() {
    let mut intervals = vec![stretch(0, Outcome::Pass, -20, 0)];
    for start in (0..240).step_by(12) {
        intervals.push(stretch(0, Outcome::Fail, start, start + 11));
        intervals.push(stretch(0, Outcome::Error, start + 11, start + 12));
    }
    intervals.push(stretch(0, Outcome::Pass, 240, 732));
    let status = status(1, Severity::High, intervals);
    assert_eq!(status.deviations.len(), 1);
    assert_eq!(status.deviations[0].lasted_ms, 239 * 3_600_000);
    assert_eq!(status.beyond_limit().count(), 1);
}

#[test]
fn a_failure_is_as_old_as_it_is_even_if_the_period_is_younger() {
    let old = vec![
        stretch(0, Outcome::Fail, -160, 10),
        stretch(0, Outcome::Pass, 10, 726),
    ];
    let status = status(1, Severity::High, old);
    assert_eq!(status.deviations[0].lasted_ms, 170 * 3_600_000);
    assert_eq!(status.verdict, Verdict::OperatingWithDeviations);
    assert_eq!(status.time.fail_ms, 10 * 3_600_000);
}

#[test]
fn each_threshold_is_met_exactly() {
    let split = |outcome, hours: i64| {
        vec![
            stretch(0, Outcome::Pass, -20, 720 - hours),
            stretch(0, outcome, 720 - hours, 726),
        ]
    };
    // 10 % of 720 hours is 72.
    assert_eq!(
        verdict(1, Severity::Low, split(Outcome::Error, 72)),
        Verdict::Operating
    );
    assert_eq!(
        verdict(1, Severity::Low, split(Outcome::Error, 73)),
        Verdict::InsufficientEvidence
    );
    // 80 % is 144 failing hours; the target of 97 % lets 21.6 fail.
    assert_eq!(
        verdict(1, Severity::Low, split(Outcome::Fail, 145)),
        Verdict::NotOperating
    );
    assert_eq!(
        verdict(1, Severity::Low, split(Outcome::Fail, 144)),
        Verdict::OperatingWithDeviations
    );
    assert_eq!(
        verdict(1, Severity::Low, split(Outcome::Fail, 22)),
        Verdict::OperatingWithDeviations
    );
    assert_eq!(
        verdict(1, Severity::Low, split(Outcome::Fail, 21)),
        Verdict::Operating
    );
}

#[test]
fn without_a_host_a_check_or_an_observation_there_is_no_evidence() {
    let records = month(0, Severity::Low, Vec::new());
    let rules = Rules::default();
    for primary in [&[ONLY][..], &[]] {
        let status = of_control(&records, Class::Partial, primary, &rules);
        assert_eq!(status.verdict, Verdict::InsufficientEvidence);
        assert!(status.host_part_only);
        assert_eq!(status.time.operating().per_mille(), None);
    }
    let nowhere = vec![stretch(0, Outcome::NotApplicable, -20, 726)];
    assert_eq!(
        verdict(1, Severity::Low, nowhere),
        Verdict::InsufficientEvidence
    );
    assert_eq!(
        verdict(1, Severity::Low, Vec::new()),
        Verdict::InsufficientEvidence
    );
}

#[test]
fn a_period_shorter_than_a_cadence_proves_nothing() {
    let passing = vec![stretch(0, Outcome::Pass, -20, 726)];
    for (hours, expected) in [(5, Verdict::InsufficientEvidence), (6, Verdict::Operating)] {
        let period = Period {
            from: hour(0),
            to: hour(hours),
        };
        let checks = vec![check(Severity::Low)];
        let records = Records::new(period, vec![host()], checks, passing.clone());
        let status = of_control(&records, Class::Automated, &[ONLY], &Rules::default());
        assert_eq!(status.verdict, expected);
    }
}

#[test]
fn a_heavier_check_weighs_more_in_the_weighted_rate_only() {
    let period = Period {
        from: hour(0),
        to: hour(720),
    };
    let checks = vec![check(Severity::Critical), check(Severity::Low)];
    let mut second = stretch(0, Outcome::Pass, -20, 726);
    second.check = CheckNo(1);
    let intervals = vec![
        stretch(0, Outcome::Fail, -20, 72),
        stretch(0, Outcome::Pass, 72, 726),
        second,
    ];
    let records = Records::new(period, vec![host()], checks, intervals);
    let primary = [ONLY, CheckNo(1)];
    let status = of_control(&records, Class::Automated, &primary, &Rules::default());
    assert_eq!(status.time.operating().per_mille(), Some(900));
    // (8 · 648 + 1 · 720) of (8 · 720 + 1 · 720)
    assert_eq!(status.weighted.per_mille(), Some(911));
}

#[test]
fn a_share_is_never_rounded_to_nothing_or_to_all() {
    assert_eq!(Share::new(19_999, 20_000).per_mille(), Some(999));
    assert_eq!(Share::new(1, 20_000).per_mille(), Some(1));
    assert_eq!(Share::new(0, 20_000).per_mille(), Some(0));
    assert_eq!(Share::new(20_000, 20_000).per_mille(), Some(1000));
    assert_eq!(Share::new(0, 0).per_mille(), None);
    assert_eq!(Share::new(u64::MAX - 1, u64::MAX).per_mille(), Some(999));
    assert_eq!(Share::new(1, 3).per_mille(), Some(333));
    assert_eq!(Share::new(2, 3).per_mille(), Some(667));
}

#[test]
fn what_holds_now_is_the_latest_outcome_for_twice_its_cadence() {
    let cadence = 6 * HOUR_MS;
    for outcome in Outcome::ALL {
        let latest = Some((outcome, hour(0)));
        let now = Standing::of(latest, cadence, hour(12));
        assert_eq!(now.as_str(), outcome.as_str());
        let later = Timestamp::from_unix_ms(hour(12).unix_ms() + 1);
        assert_eq!(Standing::of(latest, cadence, later), Standing::Stale);
    }
    assert_eq!(Standing::of(None, cadence, hour(0)), Standing::Missing);
}

#[test]
fn errors_are_fresh_and_no_coverage() {
    let figures = Figures::of([
        Standing::Pass,
        Standing::Fail,
        Standing::NotApplicable,
        Standing::Error,
        Standing::Stale,
        Standing::Missing,
    ]);
    assert_eq!(figures.coverage, Share::new(3, 6));
    assert_eq!(figures.freshness, Share::new(4, 6));
}

#[test]
fn documents_alone_carry_a_manual_control() {
    assert_eq!(of_documents(true), Verdict::Documented);
    assert_eq!(of_documents(false), Verdict::EvidenceMissing);
}

#[test]
fn a_host_of_a_group_without_the_check_is_out_of_every_count() {
    let period = Period {
        from: hour(0),
        to: hour(720),
    };
    let mut elsewhere = host();
    elsewhere.group = GroupNo(1);
    let intervals = vec![
        stretch(0, Outcome::Pass, -20, 726),
        stretch(1, Outcome::Fail, -20, 726),
    ];
    let checks = vec![check(Severity::Critical)];
    let records = Records::new(period, vec![host(), elsewhere], checks, intervals);
    let status = of_control(&records, Class::Automated, &[ONLY], &Rules::default());
    assert_eq!(status.time.pass_ms, 720 * 3_600_000);
    assert_eq!((status.time.fail_ms, status.time.unobserved_ms), (0, 0));
    assert_eq!(
        (status.verdict, status.deviations.len()),
        (Verdict::Operating, 0)
    );
}
