//! What a host proposes for approval, counted on its page.

use askama::Template;
use collector::pages::HostPage;
use collector::pages::host::OutcomeFilter;
use collector::queries::host::{self, HostAnswer};
use serde_json::{Value, json};

use super::world::{self, Host, World};

/// A check whose list a host proposes: what its probe saw.
fn learning(probe: &str, learns: &str) -> Value {
    let mut check = world::check(probe, "high", "0 * * * *", &["A.5.18"]);
    check["params"] = json!({"approved": [], "baseline": false});
    check["learns"] = json!({"approved": learns});
    let value = format!("facts.{probe}.value");
    check["rules"] = json!([
        {"if": format!("{value} == 'unusable'"), "then": "fail", "reason": "drift"},
        {"if": "!params.baseline", "then": "error", "reason": "no_baseline"},
        {"if": format!("{value} == 'nothing' || {value} in params.approved"), "then": "pass"},
    ]);
    check["else"] = json!({"then": "fail", "reason": "extra"});
    check
}

fn checks() -> Vec<(&'static str, Value)> {
    let listed = |probe: &str| format!("[facts.{probe}.value].filter(v, v != 'nothing')");
    vec![
        ("list.one", learning("one", &listed("one"))),
        ("list.none", learning("none", &listed("none"))),
        ("list.drift", learning("drift", "[]")),
        ("list.open", learning("open", &listed("open"))),
        (
            "sshd.root",
            world::check("sshd", "high", "0 * * * *", &["A.8.2"]),
        ),
    ]
}

const SEEN: [(&str, Option<&str>); 5] = [
    ("one", Some("alice")),
    ("none", Some("nothing")),
    ("drift", Some("unusable")),
    ("open", None),
    ("sshd", Some("good")),
];

async fn asked(world: &World, of: &Host) -> HostAnswer {
    let id = of.id();
    host::host(&world.store, &world.library, &id, world.now())
        .await
        .unwrap()
}

fn proposed(answer: &HostAnswer) -> Vec<(&str, u64)> {
    let outcomes = answer.outcomes.iter();
    outcomes
        .filter_map(|one| Some((one.check.as_str(), one.proposed?)))
        .collect()
}

#[tokio::test]
async fn the_page_of_a_host_counts_what_waits_for_approval_and_shows_it_alone() {
    let mut world = World::new().await;
    let mut checks = checks();
    world.activate(1, &["web"], &checks).await;
    let mut web = world.enrol("web-01", "web").await;
    let nothing = asked(&world, &web).await;
    assert_eq!(nothing.proposals, 0);
    world.round(&mut web, 1, &SEEN).await;
    let answer = asked(&world, &web).await;
    assert_eq!(proposed(&answer), [("list.none", 0), ("list.one", 1)]);
    assert_eq!(answer.proposals, 2);
    let all = HostPage::from((world.viewer(), answer.clone(), OutcomeFilter::default()));
    let text = all.render().unwrap();
    assert!(text.contains("2 proposals of this host wait for approval"));
    assert!(text.contains("?proposals=waiting"));
    assert!(
        text.contains("list.one#proposal\">1 value to approve"),
        "{text}"
    );
    assert!(text.contains("to approve: that there is none"));
    let filter = OutcomeFilter {
        proposals: true,
        ..OutcomeFilter::default()
    };
    let waiting = HostPage::from((world.viewer(), answer, filter));
    assert_eq!((waiting.pager.shown, waiting.pager.total), (2, 5));

    for (place, list) in [(0, json!(["alice"])), (1, json!([]))] {
        checks[place].1["params"] = json!({"approved": list, "baseline": true});
    }
    world.activate(2, &["web"], &checks).await;
    let answer = asked(&world, &web).await;
    assert_eq!(answer.proposals, 0, "approved, though not judged by it yet");
    let page = HostPage::from((world.viewer(), answer, OutcomeFilter::default()));
    assert!(!page.render().unwrap().contains("for approval"));

    let mut seen = SEEN;
    seen[0].1 = Some("mallory");
    world.round(&mut web, 2, &seen).await;
    assert_eq!(proposed(&asked(&world, &web).await), [("list.one", 1)]);
}
