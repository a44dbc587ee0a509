//! Answers over a ledger that real hosts filled: what pages and API say of two days, to the hour.

#![cfg(test)]

mod world;

use askama::Template;
use assess::current::Standing;
use assess::status::Verdict;
use collector::pages::host::OutcomeFilter;
use collector::pages::{
    CheckPage, ControlPage, ControlsPage, HostPage, HostsPage, LedgerPage, OutcomePage,
    OverviewPage,
};
use collector::queries::controls::ControlFilter;
use collector::queries::hosts::{HostFilter, HostOrder};
use collector::queries::ledger::{Address, LedgerFilter};
use collector::queries::overview::Overview;
use collector::queries::{
    QueryError, check, control, controls, host, hosts, ledger as ledger_query, outcome, overview,
};
use evidence::outcome::Outcome;
use world::{HOUR, Host, World};

const HOUR_MS: u64 = 3_600_000;

/// Two days: web-01 is good throughout. On db-01 sshd is bad from hour 10 to 16, and a second superuser appears at
/// hour 40 and stays.
async fn two_days() -> (World, Host, Host) {
    let mut world = World::new().await;
    let checks = [
        (
            "sshd.root",
            world::check("sshd", "high", "0 * * * *", &["A.8.2", "A.8.5"]),
        ),
        (
            "account.uid0.unique",
            world::check("account", "critical", "0 * * * *", &["A.8.2"]),
        ),
        (
            "time.sync.active",
            world::check("time", "medium", "0 */6 * * *", &["A.8.17"]),
        ),
    ];
    world.activate(1, &["web", "db"], &checks).await;
    let mut web = world.enrol("web-01", "web").await;
    let mut db = world.enrol("db-01", "db").await;
    for hour in 0..=48 {
        let seen = |sshd, account| {
            [
                ("sshd", Some(sshd)),
                ("account", Some(account)),
                ("time", Some("good")),
            ]
        };
        world.round(&mut web, 1, &seen("good", "good")).await;
        let sshd = if (10..16).contains(&hour) {
            "root may enter"
        } else {
            "good"
        };
        let account = if hour >= 40 {
            "backdoor has uid 0"
        } else {
            "good"
        };
        world.round(&mut db, 1, &seen(sshd, account)).await;
        if hour < 48 {
            world.clock.advance(HOUR);
        }
    }
    (world, web, db)
}

fn verdict(answer: &Overview, id: &str) -> Verdict {
    let found = answer.controls.iter().find(|control| control.id == id);
    found.unwrap().verdict
}

async fn overview_of(world: &World) -> Overview {
    overview::overview(&world.store, &world.library, 30, world.now())
        .await
        .unwrap()
}

#[tokio::test]
async fn the_overview_tells_verdicts_changes_and_what_is_open() {
    let (world, _, db) = two_days().await;
    let answer = overview_of(&world).await;
    assert_eq!((answer.hosts, answer.rounds), (2, 98));
    assert_eq!(
        verdict(&answer, "A.8.2"),
        Verdict::NotOperating,
        "a critical failure is open"
    );
    assert_eq!(
        verdict(&answer, "A.8.5"),
        Verdict::OperatingWithDeviations,
        "90 of 96 hours"
    );
    assert_eq!(verdict(&answer, "A.8.17"), Verdict::Operating);
    assert_eq!(
        verdict(&answer, "A.8.9"),
        Verdict::InsufficientEvidence,
        "no check of it here"
    );
    assert_eq!(verdict(&answer, "A.7.2"), Verdict::EvidenceMissing);
    let figures = &answer.figures;
    assert_eq!((figures.coverage.of, figures.coverage.whole), (6, 6));
    assert_eq!(
        (
            figures.period.open_deviations,
            figures.critical_open,
            figures.hosts_deviating
        ),
        (1, 1, 1)
    );
    assert_eq!(figures.beyond_limit, 0, "eight hours of 24");
    assert_eq!(
        (figures.period.operating.of, figures.period.operating.whole),
        (1, 46)
    );
    assert!(answer.before.is_none() && answer.silent.is_empty());
    let [failing] = answer.newly_failing.as_slice() else {
        panic!("{:?}", answer.newly_failing);
    };
    assert_eq!(
        (failing.host.clone(), failing.check.as_str()),
        (db.id(), "account.uid0.unique")
    );
    assert_eq!(failing.observed, Some("backdoor has uid 0".into()));
    assert_eq!(world.now().ms_since(failing.since), 8 * 3_600_000);
    let [fixed] = answer.newly_fixed.as_slice() else {
        panic!("{:?}", answer.newly_fixed);
    };
    assert_eq!(
        (fixed.check.as_str(), fixed.observed.clone()),
        ("sshd.root", Some("good".into()))
    );
    assert_eq!(
        answer.changed.newly_failing,
        answer.newly_failing.len() as u64
    );
    assert_eq!(answer.changed.newly_fixed, 1);
    let page = OverviewPage::from((world.viewer(), answer));
    assert_eq!(
        page.answer(),
        "1 of 46 host-evidenced controls did not operate in the 2 d since the first host was enrolled; \
         1 operated with deviations, 43 lack sufficient evidence. Primary checks of 1 control fail now."
    );
    assert!(page.render().unwrap().contains("backdoor has uid 0"));
}

#[tokio::test]
async fn the_list_and_the_page_of_a_control_give_the_same_numbers() {
    let (world, _, db) = two_days().await;
    let list = controls::controls(&world.store, &world.library, 30, world.now())
        .await
        .unwrap();
    let row = list
        .controls
        .iter()
        .find(|control| control.id == "A.8.5")
        .unwrap();
    let one = control::control(&world.store, &world.library, "A.8.5", 30, world.now())
        .await
        .unwrap();
    let basis = one.basis.as_ref().unwrap();
    assert_eq!(
        (row.operating, row.unobserved),
        (basis.operating, basis.unobserved)
    );
    assert_eq!(
        (row.verdict, one.verdict),
        (Verdict::OperatingWithDeviations, one.verdict)
    );
    assert_eq!(
        (basis.operating.of, basis.operating.whole),
        (90 * HOUR_MS, 96 * HOUR_MS)
    );
    assert_eq!(basis.unobserved.of, 0);
    assert_eq!(
        (basis.hosts, basis.hosts_failing, basis.deviations),
        (2, 0, 1)
    );
    let [deviation] = one.longest.as_slice() else {
        panic!("{:?}", one.longest);
    };
    assert_eq!((deviation.lasted_ms, deviation.beyond_ms), (6 * HOUR_MS, 0));
    assert_eq!(deviation.host, db.id());
    let steps: u64 = one
        .steps
        .iter()
        .map(|step| step.pass_ms + step.fail_ms)
        .sum();
    assert_eq!(
        steps,
        96 * HOUR_MS,
        "the drawing holds what the numbers hold"
    );
    assert!(one.not_in_bundle.contains(&"pam.lockout".to_owned()));
    let html = ControlPage::from((world.viewer(), one)).render().unwrap();
    assert!(
        html.contains("93.8 %") && html.contains("5,400 of 5,760 host-minutes"),
        "{html}"
    );
    let filter = ControlFilter {
        verdict: Some("not_operating".to_owned()),
        ..ControlFilter::default()
    };
    let page = ControlsPage::from((world.viewer(), list, filter));
    let shown: Vec<&str> = page.rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(shown, ["A.8.2"]);
    assert!(page.render().is_ok());
    let missing = control::control(&world.store, &world.library, "A.8.99", 30, world.now()).await;
    assert!(matches!(missing, Err(QueryError::NotFound { .. })));
}

#[tokio::test]
async fn hosts_are_found_by_what_fails_on_them() {
    let (world, web, db) = two_days().await;
    let ask = async |text: &str| {
        let filter = HostFilter {
            text: text.to_owned(),
            order: HostOrder::default(),
        };
        let answer = hosts::hosts(&world.store, &world.library, &filter, 0, world.now())
            .await
            .unwrap();
        (answer, filter)
    };
    let (all, filter) = ask("").await;
    let ids: Vec<String> = all.hosts.iter().map(|host| host.id.clone()).collect();
    assert_eq!(ids, [db.id(), web.id()], "worst first");
    assert_eq!(
        (all.enrolled, all.failing, all.silent, all.never_seen),
        (2, 1, 0, 0)
    );
    assert_eq!(
        (all.hosts[0].fails.critical, all.hosts[0].fails.total()),
        (1, 1)
    );
    let page = HostsPage::from((world.viewer(), all, filter));
    assert!(page.render().unwrap().contains("db-01"));
    for (text, number) in [
        ("fail:account", 1),
        ("fail:sshd", 0),
        ("group:web os:debian", 1),
        ("WEB", 1),
        ("silent:>2h", 0),
        ("state:on-time", 2),
    ] {
        assert_eq!(ask(text).await.0.matching, number, "{text}");
    }
    let (wrong, filter) = ask("colour:red").await;
    assert!(wrong.filter_problem.is_some() && wrong.hosts.is_empty());
    assert!(
        HostsPage::from((world.viewer(), wrong, filter))
            .render()
            .is_ok()
    );
}

#[tokio::test]
async fn a_host_tells_its_chain_its_outcomes_and_their_year() {
    let (world, _, db) = two_days().await;
    let answer = host::host(&world.store, &world.library, &db.id(), world.now())
        .await
        .unwrap();
    assert_eq!(
        (answer.name.as_str(), answer.group.as_str()),
        ("db-01", "db")
    );
    assert_eq!(answer.enrolled_by.as_deref(), Some("token token-db-01"));
    let chain = &answer.chain;
    assert_eq!(
        (chain.rounds, chain.sequence, chain.gaps, chain.forks),
        (49, 49, 0, 0)
    );
    assert_eq!(
        (
            answer.counts.pass,
            answer.counts.fail,
            answer.counts.total()
        ),
        (2, 1, 3)
    );
    let sshd = answer
        .outcomes
        .iter()
        .find(|one| one.check.as_str() == "sshd.root")
        .unwrap();
    let year: Vec<Outcome> = sshd
        .stretches
        .iter()
        .map(|stretch| stretch.outcome)
        .collect();
    assert_eq!(year, [Outcome::Pass, Outcome::Fail, Outcome::Pass]);
    assert_eq!(
        sshd.stretches[1].to.ms_since(sshd.stretches[1].from),
        6 * 3_600_000
    );
    let filter = OutcomeFilter {
        outcome: "fail".to_owned(),
        ..OutcomeFilter::default()
    };
    let page = HostPage::from((world.viewer(), answer, filter));
    assert_eq!(page.answer(), "1 of 3 checks fails on db-01.");
    assert_eq!((page.pager.shown, page.pager.total), (1, 3));
    assert!(page.render().unwrap().contains("backdoor has uid 0"));
    for id in ["zz", &"0".repeat(64)] {
        let missing = host::host(&world.store, &world.library, id, world.now()).await;
        assert!(matches!(missing, Err(QueryError::NotFound { .. })), "{id}");
    }
}

#[tokio::test]
async fn an_outcome_is_told_from_the_round_that_proves_it() {
    let (world, _, db) = two_days().await;
    let checkpoint = world.published.checkpoint();
    let ask = async |check: &str| {
        let (store, library) = (&world.store, &world.library);
        outcome::outcome(store, library, &checkpoint, &db.id(), check, world.now()).await
    };
    let answer = ask("account.uid0.unique").await.unwrap();
    assert_eq!(answer.standing, Standing::Fail);
    assert_eq!(answer.expected, "the value is good");
    assert_eq!(answer.observed, Some("backdoor has uid 0".into()));
    assert_eq!(answer.reperformed, Some(true));
    assert_eq!(world.now().ms_since(answer.since), 8 * 3_600_000);
    assert_eq!(answer.observed_at, Some(world.now()));
    assert_eq!(answer.sources[0].at, "/etc/test");
    let proof = answer.proof.as_ref().unwrap();
    assert_eq!(proof.sequence, 49);
    let entry = world.store.entry(proof.index).await.unwrap().unwrap();
    assert_eq!(
        proof.leaf_hash,
        ledger::hash::leaf_hash(&entry.bytes).to_hex()
    );
    assert_eq!(proof.envelope, entry.leaf.pae.to_hex());
    assert_eq!(entry.leaf.agent, Some(db.agent()));
    let page = OutcomePage::from((world.viewer(), answer));
    assert_eq!(page.answer(), "Not true on db-01 for 8 h.");
    assert!(page.render().unwrap().contains("assay-verify round"));
    assert!(matches!(
        ask("no.such").await,
        Err(QueryError::NotFound { .. })
    ));
    assert!(matches!(
        ask("no check").await,
        Err(QueryError::NotFound { .. })
    ));
}

#[tokio::test]
async fn what_is_silent_is_stale_and_a_failure_stays_open() {
    let (world, _, db) = two_days().await;
    world.clock.advance(3 * HOUR);
    let answer = overview_of(&world).await;
    assert_eq!(
        (answer.figures.coverage.of, answer.figures.coverage.whole),
        (2, 6),
        "the 6-hourly ones hold"
    );
    assert_eq!(answer.figures.freshness.of, 2);
    assert!(answer.as_of.stale);
    assert_eq!(answer.silent.len(), 2);
    assert_eq!(answer.figures.critical_open, 1);
    assert_eq!(verdict(&answer, "A.8.2"), Verdict::NotOperating);
    assert_eq!(answer.newly_failing[0].standing, Standing::Stale);
    let one = control::control(&world.store, &world.library, "A.8.5", 30, world.now())
        .await
        .unwrap();
    let basis = one.basis.unwrap();
    assert_eq!(
        (basis.unobserved.of, basis.unobserved.whole),
        (2 * HOUR_MS, 102 * HOUR_MS)
    );
    assert_eq!(one.primary[0].hosts.stale, 2);
    let checkpoint = world.published.checkpoint();
    let (store, library) = (&world.store, &world.library);
    let id = db.id();
    let uid0 = outcome::outcome(
        store,
        library,
        &checkpoint,
        &id,
        "account.uid0.unique",
        world.now(),
    );
    let uid0 = uid0.await.unwrap();
    assert_eq!(uid0.standing, Standing::Stale);
    assert_eq!(
        world.now().ms_since(uid0.since),
        3_600_000,
        "stale since its hold ended"
    );
    assert_eq!(
        uid0.observed,
        Some("backdoor has uid 0".into()),
        "what was last received stays told"
    );
    let page = OutcomePage::from((world.viewer(), uid0));
    assert!(page.answer().starts_with("Unknown:"));
}

#[tokio::test]
async fn a_host_that_was_never_heard_is_missing_until_it_is_retired() {
    let (world, _, _) = two_days().await;
    let quiet = world.enrol("quiet-01", "web").await;
    world.clock.advance(HOUR);
    let filter = HostFilter::default();
    let all = hosts::hosts(&world.store, &world.library, &filter, 0, world.now())
        .await
        .unwrap();
    assert_eq!((all.enrolled, all.never_seen), (3, 1));
    let summary = all.hosts.iter().find(|host| host.id == quiet.id()).unwrap();
    assert_eq!((summary.observed.of, summary.observed.whole), (0, 3));
    let answer = host::host(&world.store, &world.library, &quiet.id(), world.now())
        .await
        .unwrap();
    assert_eq!(answer.counts.missing, 3);
    let page = HostPage::from((world.viewer(), answer, OutcomeFilter::default()));
    assert!(
        page.answer().contains("3 could not be established"),
        "{}",
        page.answer()
    );
    assert!(page.render().is_ok());
    let checkpoint = world.published.checkpoint();
    let (store, library) = (&world.store, &world.library);
    let id = quiet.id();
    let missing = outcome::outcome(store, library, &checkpoint, &id, "sshd.root", world.now());
    let missing = missing.await.unwrap();
    assert_eq!(
        (missing.standing, missing.proof.is_none()),
        (Standing::Missing, true)
    );
    assert!(
        OutcomePage::from((world.viewer(), missing))
            .render()
            .is_ok()
    );
    assert_eq!(overview_of(&world).await.figures.coverage.whole, 9);
    world.retire(&quiet).await;
    let after = overview_of(&world).await;
    assert_eq!((after.hosts, after.figures.coverage.whole), (2, 6));
    let one = control::control(store, library, "A.8.17", 30, world.now())
        .await
        .unwrap();
    assert_eq!(
        one.basis.unwrap().unobserved.of,
        HOUR_MS,
        "the hour in which it was in scope stays"
    );
}

#[tokio::test]
async fn a_probe_that_fails_is_neither_a_pass_nor_a_fail() {
    let (world, mut web, _) = two_days().await;
    let seen = [
        ("sshd", None),
        ("account", Some("good")),
        ("time", Some("absent")),
    ];
    world.round(&mut web, 1, &seen).await;
    let answer = host::host(&world.store, &world.library, &web.id(), world.now())
        .await
        .unwrap();
    let counts = answer.counts;
    assert_eq!(
        (
            counts.pass,
            counts.error,
            counts.not_applicable,
            counts.fail
        ),
        (1, 1, 1, 0)
    );
    let sshd = answer
        .outcomes
        .iter()
        .find(|one| one.check.as_str() == "sshd.root")
        .unwrap();
    assert_eq!(sshd.observed, Some("may not read it".into()));
    world.clock.advance(HOUR);
    let one = control::control(&world.store, &world.library, "A.8.5", 30, world.now())
        .await
        .unwrap();
    assert_eq!(
        one.basis.unwrap().unobserved.of,
        HOUR_MS,
        "an error is unobserved"
    );
}

#[tokio::test]
async fn a_bundle_that_is_staged_for_one_group_counts_there_from_its_activation() {
    let (mut world, mut web, _) = two_days().await;
    let checks = [
        (
            "sshd.root",
            world::check("sshd", "high", "0 * * * *", &["A.8.2", "A.8.5"]),
        ),
        (
            "net.firewall.active",
            world::check("firewall", "high", "0 * * * *", &["A.8.20"]),
        ),
    ];
    world.activate(2, &["web"], &checks).await;
    world
        .round(
            &mut web,
            2,
            &[("sshd", Some("good")), ("firewall", Some("good"))],
        )
        .await;
    world.clock.advance(HOUR);
    let (store, library) = (&world.store, &world.library);
    let firewall = control::control(store, library, "A.8.20", 30, world.now())
        .await
        .unwrap();
    assert_eq!(
        firewall.primary[0].hosts.total(),
        1,
        "not assigned to db-01"
    );
    let basis = firewall.basis.unwrap();
    assert_eq!(
        (basis.operating.of, basis.unobserved.whole),
        (HOUR_MS, HOUR_MS)
    );
    let sshd = control::control(store, library, "A.8.5", 30, world.now())
        .await
        .unwrap();
    assert_eq!(
        sshd.basis.unwrap().unobserved.whole,
        98 * HOUR_MS,
        "kept from the bundle before"
    );
    let time = check::check(store, library, "time.sync.active", 0, world.now())
        .await
        .unwrap();
    assert_eq!(time.counts.total(), 1, "no longer assigned to web-01");
    assert!(CheckPage::from((world.viewer(), time)).render().is_ok());
}

#[tokio::test]
async fn the_ledger_counts_every_entry_once() {
    let (world, _, _) = two_days().await;
    let checkpoint = world.published.checkpoint();
    let ask = async |filter| {
        let (store, library, key) = (&world.store, &world.library, &world.log_key);
        ledger_query::ledger(store, library, &checkpoint, key, filter, world.now())
            .await
            .unwrap()
    };
    let answer = ask(LedgerFilter::default()).await;
    let size = checkpoint.checkpoint().size;
    assert_eq!(
        (answer.size, answer.kinds.values().sum::<u64>()),
        (size, size)
    );
    assert_eq!(
        (
            answer.kinds["round"],
            answer.kinds["enrol"],
            answer.kinds["bundle"]
        ),
        (98, 2, 1)
    );
    let mut listed = answer.entries.clone();
    while let Some(last) = listed.last().filter(|last| last.index > 0) {
        let filter = LedgerFilter {
            before: Some(last.index),
            ..LedgerFilter::default()
        };
        listed.extend(ask(filter).await.entries);
    }
    let indices: Vec<u64> = listed.iter().map(|entry| entry.index).collect();
    assert_eq!(indices, (0..size).rev().collect::<Vec<u64>>());
    let address = Address("https://assay.test".to_owned());
    let page = LedgerPage::from((world.viewer(), answer, address));
    assert_eq!(page.pager.words(), format!("50 of {size} entries"));
    assert!(page.render().unwrap().contains("log.test/answers"));
    let filter = LedgerFilter {
        kind: LedgerFilter::kind_of_word("enrol"),
        before: None,
    };
    let enrolled = ask(filter).await;
    let about: Vec<Option<&str>> = enrolled
        .entries
        .iter()
        .map(|e| e.host_name.as_deref())
        .collect();
    assert_eq!(about, [Some("db-01"), Some("web-01")]);
    assert_eq!(
        enrolled.entries[0].why.as_deref(),
        Some("enrolled with a token")
    );
}
