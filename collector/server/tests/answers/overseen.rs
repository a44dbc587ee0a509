//! What the collector judges: whether hosts report, and whether their checks are judged. Time passes, keys end, bundles
//! change, the collector restarts; and a rebuild from the log finds the same.

use std::time::Duration;

use askama::Template;
use assess::current::Standing;
use collector::ingest::replay;
use collector::pages::host::OutcomeFilter;
use collector::pages::{CheckPage, HostPage, OutcomePage};
use collector::queries::host::HostOutcome;
use collector::queries::outcome::OutcomeAnswer;
use collector::queries::stretch::Stretch;
use collector::queries::{check, control, host, outcome};
use evidence::baseline;
use evidence::outcome::{Outcome, Reason};
use serde_json::{Value, json};
use wire::leaf::Kind;

use super::overview_of;
use super::world::{self, Host, World, address};

const MINUTE: Duration = Duration::from_secs(60);
const REPORTING: &str = "agent.reporting.fresh";
const COVERAGE: &str = "agent.coverage.checks";
const QUARTER: &str = "*/15 * * * *";

/// A check as it comes with the program.
fn built_in(id: &str) -> Value {
    let bundle = baseline::bundle().unwrap();
    serde_json::to_value(&bundle.checks[&id.parse().unwrap()]).unwrap()
}

fn own_checks() -> Vec<(&'static str, Value)> {
    vec![
        (REPORTING, built_in(REPORTING)),
        (COVERAGE, built_in(COVERAGE)),
        (
            "sshd.root",
            world::check("sshd", "high", QUARTER, &["A.8.2"]),
        ),
        (
            "time.sync.active",
            world::check("time", "medium", "0 * * * *", &["A.8.17"]),
        ),
    ]
}

const GOOD: [(&str, Option<&str>); 2] = [("sshd", Some("good")), ("time", Some("good"))];

async fn one_host() -> (World, Host) {
    let mut world = World::new().await;
    world.activate(1, &["web"], &own_checks()).await;
    let host = world.enrol("web-01", "web").await;
    (world, host)
}

async fn on_host(world: &World, of: &Host, id: &str) -> Option<HostOutcome> {
    let host = of.id();
    let answer = host::host(&world.store, &world.library, &host, world.now());
    let outcomes = answer.await.unwrap().outcomes;
    outcomes
        .into_iter()
        .find(|outcome| outcome.check.as_str() == id)
}

async fn stands(world: &World, of: &Host, id: &str) -> (Standing, Option<Reason>) {
    let found = on_host(world, of, id).await.unwrap();
    (found.standing, found.reason)
}

async fn outcome_of(world: &World, of: &Host, id: &str) -> OutcomeAnswer {
    let checkpoint = world.published.checkpoint();
    let (store, library) = (&world.store, &world.library);
    outcome::outcome(store, library, &checkpoint, &of.id(), id, world.now())
        .await
        .unwrap()
}

/// Minutes from the enrolment, with the outcome, of stretches that took time.
fn minutes(stretches: &[Stretch]) -> Vec<(i64, i64, Outcome)> {
    let start = "2026-11-01T00:00:00.000Z".parse().unwrap();
    let minute = |time: evidence::time::Timestamp| time.ms_since(start) / 60_000;
    stretches
        .iter()
        .map(|one| (minute(one.from), minute(one.to), one.outcome))
        .collect()
}

/// What the log gives anew is what is there.
async fn assert_rebuilt_alike(world: &World) {
    let there = world.store.dump_projections().await.unwrap();
    replay::rebuild(&world.store).await.unwrap();
    let rebuilt = world.store.dump_projections().await.unwrap();
    assert_eq!(there, rebuilt);
}

const PASS: (Standing, Option<Reason>) = (Standing::Pass, None);
const SILENT: (Standing, Option<Reason>) = (Standing::Fail, Some(Reason::StaleSource));

#[tokio::test]
async fn a_silent_host_fails_as_time_passes_and_is_back_with_its_next_round() {
    let (world, mut web) = one_host().await;
    let waiting = (Standing::Error, Some(Reason::Missing));
    assert_eq!(stands(&world, &web, REPORTING).await, waiting);
    assert_eq!(stands(&world, &web, COVERAGE).await, waiting);
    world.clock.advance(10 * MINUTE);
    world.round(&mut web, 1, &GOOD).await;
    assert_eq!(stands(&world, &web, REPORTING).await, PASS);
    assert_eq!(stands(&world, &web, COVERAGE).await, PASS);
    world.clock.advance(30 * MINUTE - Duration::from_millis(1));
    assert_eq!(stands(&world, &web, REPORTING).await, PASS);
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(stands(&world, &web, REPORTING).await, SILENT);
    assert_eq!(
        stands(&world, &web, COVERAGE).await,
        (Standing::Fail, Some(Reason::CoveragePartial)),
        "one of two checks has lapsed"
    );
    world.clock.advance(20 * MINUTE);
    let told = outcome_of(&world, &web, REPORTING).await;
    assert_eq!(told.since.to_string(), "2026-11-01T00:40:00.000Z");
    assert_eq!(told.reperformed, Some(true));
    assert_eq!(
        told.observed.as_ref().unwrap()["last statement received"],
        "2026-11-01T00:10:00.000Z"
    );
    world.round(&mut web, 1, &GOOD).await;
    assert_eq!(stands(&world, &web, REPORTING).await, PASS);
    assert_eq!(stands(&world, &web, COVERAGE).await, PASS);
    for id in [REPORTING, COVERAGE] {
        let kept = on_host(&world, &web, id).await.unwrap();
        let expected = [
            (0, 10, Outcome::Error),
            (10, 40, Outcome::Pass),
            (40, 60, Outcome::Fail),
            (60, 60, Outcome::Pass),
        ];
        assert_eq!(minutes(&kept.stretches), expected, "{id}");
    }
    assert_rebuilt_alike(&world).await;
}

#[tokio::test]
async fn looking_in_between_changes_nothing_of_what_is_kept() {
    let mut kept = Vec::new();
    for looks in [false, true] {
        let (mut world, mut web) = one_host().await;
        for pause in [15, 15, 95, 15, 31] {
            world.round(&mut web, 1, &GOOD).await;
            for _ in 0..pause {
                world.clock.advance(MINUTE);
                if looks {
                    on_host(&world, &web, COVERAGE).await.unwrap();
                }
            }
            if looks {
                world.restart().await;
            }
        }
        world.round(&mut web, 1, &GOOD).await;
        assert_rebuilt_alike(&world).await;
        let coverage = on_host(&world, &web, COVERAGE).await.unwrap().stretches;
        kept.push((
            minutes(&on_host(&world, &web, REPORTING).await.unwrap().stretches),
            minutes(&coverage),
        ));
    }
    assert_eq!(kept[0], kept[1]);
    let reporting = [
        (0, 60, Outcome::Pass),
        (60, 125, Outcome::Fail),
        (125, 170, Outcome::Pass),
        (170, 171, Outcome::Fail),
        (171, 171, Outcome::Pass),
    ];
    assert_eq!(kept[0].0, reporting);
}

#[tokio::test]
async fn after_a_restart_a_host_that_stayed_silent_fails_at_once() {
    let (mut world, mut web) = one_host().await;
    world.round(&mut web, 1, &GOOD).await;
    world.clock.advance(20 * MINUTE);
    world.restart().await;
    assert_eq!(stands(&world, &web, REPORTING).await, PASS);
    world.clock.advance(24 * 60 * MINUTE);
    world.restart().await;
    assert_eq!(stands(&world, &web, REPORTING).await, SILENT);
    assert_eq!(
        on_host(&world, &web, REPORTING)
            .await
            .unwrap()
            .since
            .to_string(),
        "2026-11-01T00:30:00.000Z"
    );
    world.round(&mut web, 1, &GOOD).await;
    assert_eq!(stands(&world, &web, REPORTING).await, PASS);
    assert_rebuilt_alike(&world).await;
}

#[tokio::test]
async fn a_host_that_was_never_heard_fails_when_its_first_round_is_overdue() {
    let (world, web) = one_host().await;
    world.clock.advance(29 * MINUTE);
    let waiting = (Standing::Error, Some(Reason::Missing));
    assert_eq!(stands(&world, &web, REPORTING).await, waiting);
    world.clock.advance(MINUTE);
    let never = (Standing::Fail, Some(Reason::Missing));
    assert_eq!(stands(&world, &web, REPORTING).await, never);
    assert_eq!(
        stands(&world, &web, COVERAGE).await,
        (Standing::Fail, Some(Reason::CoveragePartial)),
        "the check of every quarter of an hour is due and missing"
    );
}

#[tokio::test]
async fn a_host_whose_clock_is_wrong_still_reports() {
    let (world, mut web) = one_host().await;
    let bundle = world.bundle(1).for_hosts();
    for skew in [86_400_000, -86_400_000] {
        let end = world.now().plus_ms(skew);
        let sent = world.deliver(&mut web, 1, &bundle, &GOOD, end).await;
        sent.unwrap();
        assert_eq!(stands(&world, &web, REPORTING).await, PASS, "{skew}");
        world.clock.advance(30 * MINUTE);
        assert_eq!(stands(&world, &web, REPORTING).await, SILENT, "{skew}");
    }
}

#[tokio::test]
async fn a_revoked_host_fails_and_a_retired_one_is_not_judged() {
    let (world, mut web) = one_host().await;
    let mut other = world.enrol("web-02", "web").await;
    world.round(&mut web, 1, &GOOD).await;
    world.round(&mut other, 1, &GOOD).await;
    world.clock.advance(5 * MINUTE);
    world.end(&web, Kind::Revoke).await;
    world.end(&other, Kind::Retire).await;
    assert_eq!(
        stands(&world, &web, REPORTING).await,
        (Standing::Fail, Some(Reason::Missing)),
        "nothing of it is taken any more"
    );
    assert_eq!(stands(&world, &web, COVERAGE).await.0, Standing::Error);
    world.clock.advance(120 * MINUTE);
    assert_eq!(stands(&world, &web, COVERAGE).await.0, Standing::Fail);
    assert!(on_host(&world, &other, REPORTING).await.is_none());
    let one = check::check(&world.store, &world.library, REPORTING, 0, world.now());
    assert_eq!(one.await.unwrap().counts.total(), 1);
    assert_rebuilt_alike(&world).await;
}

#[tokio::test]
async fn errors_count_by_share_and_a_critical_one_alone_is_enough() {
    let mut world = World::new().await;
    let mut checks = own_checks();
    for number in 0..98 {
        let id = format!("test.number{number}");
        let name: &'static str = Box::leak(id.into_boxed_str());
        checks.push((name, world::check("many", "low", QUARTER, &["A.8.9"])));
    }
    world.activate(1, &["web"], &checks).await;
    let mut web = world.enrol("web-01", "web").await;
    let seen = |sshd, time| [("sshd", sshd), ("time", time), ("many", Some("good"))];
    world.round(&mut web, 1, &seen(None, Some("good"))).await;
    assert_eq!(stands(&world, &web, COVERAGE).await, PASS, "1 of 100");
    let told = outcome_of(&world, &web, COVERAGE).await;
    assert_eq!(
        told.observed.unwrap()["which"],
        json!(["sshd.root (high): error permission_denied"])
    );
    world.round(&mut web, 1, &seen(None, None)).await;
    assert_eq!(stands(&world, &web, COVERAGE).await, PASS, "2 of 100");
    let none = [("sshd", None), ("time", None), ("many", None)];
    world.round(&mut web, 1, &none).await;
    let holes = (Standing::Fail, Some(Reason::CoveragePartial));
    assert_eq!(stands(&world, &web, COVERAGE).await, holes);

    checks[2].1["severity"] = json!("critical");
    world.activate(2, &["web"], &checks).await;
    world.round(&mut web, 2, &seen(None, Some("good"))).await;
    assert_eq!(
        stands(&world, &web, COVERAGE).await,
        holes,
        "one is critical"
    );
    world
        .round(&mut web, 2, &seen(Some("bad"), Some("good")))
        .await;
    assert_eq!(
        stands(&world, &web, COVERAGE).await,
        PASS,
        "a fail is judged"
    );
    assert_rebuilt_alike(&world).await;
}

#[tokio::test]
async fn a_newer_bundle_has_two_cadences_to_reach_the_host() {
    let (mut world, mut web) = one_host().await;
    world.round(&mut web, 1, &GOOD).await;
    let mut checks = own_checks();
    checks[2].1["params"]["wanted"] = json!("better");
    checks.push((
        "new.check",
        world::check("new", "high", QUARTER, &["A.8.9"]),
    ));
    world.activate(2, &["web"], &checks).await;
    for _ in 0..2 {
        assert_eq!(stands(&world, &web, COVERAGE).await, PASS);
        world.clock.advance(15 * MINUTE);
        world.round(&mut web, 1, &GOOD).await;
    }
    let holes = (Standing::Fail, Some(Reason::CoveragePartial));
    assert_eq!(stands(&world, &web, COVERAGE).await, holes);
    let told = outcome_of(&world, &web, COVERAGE).await;
    assert_eq!(
        told.observed.unwrap()["which"],
        json!(["new.check (high): missing", "sshd.root (high): outdated"])
    );
    let newer = [GOOD[0], GOOD[1], ("new", Some("good"))];
    world.round(&mut web, 2, &newer).await;
    assert_eq!(stands(&world, &web, COVERAGE).await, PASS);
    assert_rebuilt_alike(&world).await;
}

#[tokio::test]
async fn a_check_left_out_of_every_round_is_missing_once_it_is_due() {
    let (world, mut web) = one_host().await;
    let mut part = world.bundle(1).for_hosts();
    part.checks.retain(|id, _| id.as_str() == "sshd.root");
    for round in 0..=8 {
        let sent = world.deliver(&mut web, 1, &part, &GOOD[..1], world.now());
        sent.await.unwrap();
        let expected = if round < 8 {
            Standing::Pass
        } else {
            Standing::Fail
        };
        assert_eq!(stands(&world, &web, COVERAGE).await.0, expected, "{round}");
        if round < 8 {
            world.clock.advance(15 * MINUTE);
        }
    }
    assert_rebuilt_alike(&world).await;
}

/// Rounds after a change judge a few checks and say nothing of the others of their cadence, however many there are.
#[tokio::test]
async fn a_cadence_of_which_only_parts_are_judged_goes_stale_and_a_whole_round_mends_it() {
    let mut world = World::new().await;
    let mut checks = own_checks();
    checks[3].1["cadence"] = json!(QUARTER);
    world.activate(1, &["web"], &checks).await;
    let mut web = world.enrol("web-01", "web").await;
    let parts = ["sshd.root", "time.sync.active"].map(|id| {
        let mut part = world.bundle(1).for_hosts();
        part.checks.retain(|check, _| check.as_str() == id);
        part
    });
    for _ in 0..2 {
        for (part, seen) in parts.iter().zip(GOOD) {
            let seen = [seen];
            let sent = world.deliver(&mut web, 1, part, &seen, world.now());
            sent.await.unwrap();
        }
        assert_eq!(stands(&world, &web, COVERAGE).await, PASS);
        world.clock.advance(15 * MINUTE);
    }
    let holes = (Standing::Fail, Some(Reason::CoveragePartial));
    assert_eq!(stands(&world, &web, COVERAGE).await, holes);
    world.round(&mut web, 1, &GOOD).await;
    assert_eq!(stands(&world, &web, COVERAGE).await, PASS);
    assert_rebuilt_alike(&world).await;
}

#[tokio::test]
async fn a_changed_threshold_holds_from_its_activation_and_rewrites_nothing() {
    let (mut world, mut web) = one_host().await;
    world.round(&mut web, 1, &GOOD).await;
    world.clock.advance(60 * MINUTE);
    let mut checks = own_checks();
    checks[0].1["params"]["cadences"] = json!(96);
    world.activate(2, &["web"], &checks).await;
    assert_eq!(stands(&world, &web, REPORTING).await, PASS);
    world.clock.advance(23 * 60 * MINUTE - MINUTE);
    assert_eq!(stands(&world, &web, REPORTING).await, PASS);
    world.clock.advance(MINUTE);
    assert_eq!(stands(&world, &web, REPORTING).await, SILENT);
    let kept = on_host(&world, &web, REPORTING).await.unwrap();
    let expected = [
        (0, 30, Outcome::Pass),
        (30, 60, Outcome::Fail),
        (60, 1440, Outcome::Pass),
        (1440, 1440, Outcome::Fail),
    ];
    assert_eq!(minutes(&kept.stretches), expected);
    assert_rebuilt_alike(&world).await;
}

#[tokio::test]
async fn checks_come_under_oversight_and_leave_it_with_a_bundle() {
    let mut world = World::new().await;
    let checks = own_checks();
    world.activate(1, &["web"], &checks[2..]).await;
    let mut web = world.enrol("web-01", "web").await;
    world.round(&mut web, 1, &GOOD).await;
    assert!(on_host(&world, &web, REPORTING).await.is_none());
    world.clock.advance(5 * MINUTE);
    world.activate(2, &["web"], &checks).await;
    assert_eq!(stands(&world, &web, REPORTING).await, PASS);
    world.restart().await;
    world.round(&mut web, 1, &GOOD).await;
    assert_eq!(stands(&world, &web, REPORTING).await, PASS);
    world.activate(3, &["web"], &checks[2..]).await;
    assert!(on_host(&world, &web, REPORTING).await.is_none());
    assert_rebuilt_alike(&world).await;
}

#[tokio::test]
async fn no_host_judges_what_the_collector_does() {
    let (world, mut web) = one_host().await;
    let mut all = world.bundle(1);
    all.checks.retain(|id, _| id.as_str() == REPORTING);
    let facts = [("reporting", Some("fine"))];
    let refused = world.deliver(&mut web, 1, &all, &facts, world.now()).await;
    let Err(refusal) = refused else {
        panic!("taken");
    };
    assert!(
        refusal.to_string().contains("judged by the collector"),
        "{refusal}"
    );
}

#[tokio::test]
async fn pages_say_who_judged_and_what_changed() {
    let (world, mut web) = one_host().await;
    world.round(&mut web, 1, &GOOD).await;
    world.clock.advance(180 * MINUTE);
    let overview = overview_of(&world).await;
    let failing: Vec<&str> = overview
        .newly_failing
        .iter()
        .map(|change| change.check.as_str())
        .collect();
    assert_eq!(failing.len(), 2, "{failing:?}");
    assert!(failing.contains(&REPORTING) && failing.contains(&COVERAGE));
    let one = control::control(&world.store, &world.library, "A.8.16", 30, world.now());
    let one = one.await.unwrap();
    assert_eq!(one.primary[0].hosts.fail, 1);
    assert_eq!(one.longest.len(), 1);
    let checked = check::check(&world.store, &world.library, COVERAGE, 0, world.now());
    let page = CheckPage::from((world.viewer(), checked.await.unwrap()));
    assert!(page.render().unwrap().contains("by the collector"));
    let told = outcome_of(&world, &web, COVERAGE).await;
    assert_eq!(
        told.observed.as_ref().unwrap()["which"],
        json!([
            "sshd.root (high): stale",
            "time.sync.active (medium): stale"
        ])
    );
    let page = OutcomePage::from((world.viewer(), told, address()))
        .render()
        .unwrap();
    assert!(page.contains("no host signs it"), "{page}");
    assert!(page.contains("the last round of this host"), "{page}");
    world.round(&mut web, 1, &GOOD).await;
    assert_eq!(overview_of(&world).await.changed.newly_fixed, 2);
    world.clock.advance(180 * MINUTE);
    let overview = overview_of(&world).await;
    assert_eq!(overview.changed.newly_fixed, 0, "silent again");
    let host = web.id();
    let answer = host::host(&world.store, &world.library, &host, world.now());
    let page = HostPage::from((
        world.viewer(),
        answer.await.unwrap(),
        OutcomeFilter::default(),
    ));
    assert!(
        page.render()
            .unwrap()
            .contains("The host reports within its cadence")
    );
}
