//! Answers over a ledger that real hosts filled: what pages and API say of two days, to the hour.

#![cfg(test)]

mod absent;
mod overseen;
mod proposals;
mod world;

use askama::Template;
use assess::current::Standing;
use assess::status::Verdict;
use collector::pages::host::OutcomeFilter;
use collector::pages::{ControlPage, ControlsPage, HostPage, HostsPage, OutcomePage, OverviewPage};
use collector::queries::controls::ControlFilter;
use collector::queries::hosts::{HostFilter, HostOrder};
use collector::queries::overview::Overview;
use collector::queries::{QueryError, control, controls, host, hosts, outcome, overview};
use evidence::outcome::Outcome;
use world::{HOUR, Host, World, address};

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
    let page = OutcomePage::from((world.viewer(), answer, address()));
    assert_eq!(page.answer(), "Not true on db-01 for 8 h.");
    let shown = page.render().unwrap();
    assert!(shown.contains("assay-verify round"));
    assert!(shown.contains("--log https://assay.example:8443/log --ca ca.pem"));
    assert!(matches!(
        ask("no.such").await,
        Err(QueryError::NotFound { .. })
    ));
    assert!(matches!(
        ask("no check").await,
        Err(QueryError::NotFound { .. })
    ));
}
