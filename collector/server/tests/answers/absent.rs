//! What is silent, never heard, failing to observe, or judged by another bundle; and the ledger that counts it all.

use super::world::{HOUR, address};
use super::{HOUR_MS, overview_of, two_days, verdict};
use askama::Template;
use assess::current::Standing;
use assess::status::Verdict;
use collector::pages::host::OutcomeFilter;
use collector::pages::{CheckPage, HostPage, LedgerPage, OutcomePage, OverviewPage};
use collector::queries::hosts::HostFilter;
use collector::queries::ledger::{Address, LedgerFilter};
use collector::queries::{check, control, host, hosts, ledger as ledger_query, outcome};
use wire::leaf::Kind;

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
    let page = OutcomePage::from((world.viewer(), uid0, address()));
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
        OutcomePage::from((world.viewer(), missing, address()))
            .render()
            .is_ok()
    );
    assert_eq!(overview_of(&world).await.figures.coverage.whole, 9);
    world.end(&quiet, wire::leaf::Kind::Retire).await;
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
            super::world::check("sshd", "high", "0 * * * *", &["A.8.2", "A.8.5"]),
        ),
        (
            "net.firewall.active",
            super::world::check("firewall", "high", "0 * * * *", &["A.8.20"]),
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

#[tokio::test]
async fn what_was_open_on_a_revoked_host_is_told_as_last_seen() {
    let (world, web, db) = two_days().await;
    let before = overview_of(&world).await;
    assert!(before.figures.period.open_deviations > 0);
    assert_eq!(before.figures.last_seen, 0);
    for host in [&web, &db] {
        world.end(host, Kind::Revoke).await;
    }
    let after = overview_of(&world).await;
    let open = after.figures.period.open_deviations;
    assert_eq!(open, before.figures.period.open_deviations);
    assert_eq!(after.figures.last_seen, open);
    let page = OverviewPage::from((world.viewer(), after))
        .render()
        .unwrap();
    let words = format!("{open} as last seen before the agent ended");
    assert!(page.contains(&words), "{page}");
}
