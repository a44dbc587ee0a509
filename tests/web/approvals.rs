//! What a host proposes, who may approve it, and what is in force then.

use acceptance::simulated::SimulatedAgent;
use acceptance::visitor::Visitor;
use acceptance::world::World;
use collector::auth::permission::Role;
use evidence::bundle::Bundle;
use evidence::evaluate::Evaluator;
use evidence::fact::Facts;
use evidence::id::CheckId;
use evidence::outcome::{Judgement, Outcome, Reason};
use evidence::time::{Clock as _, SystemClock};
use reqwest::StatusCode;
use serde_json::{Value, json};
use wire::decision::{BundleActivated, Decision};
use wire::envelope::{BUNDLE_TYPE, Envelope};
use wire::leaf::Kind;

const CHECK: &str = "account.local.approved";

fn observe(agent: &mut SimulatedAgent, names: &[&str]) {
    let accounts: Vec<Value> = names
        .iter()
        .map(|name| json!({"name": name, "kind": "person", "login_shell": true}))
        .collect();
    for (probe, facts) in [
        ("passwd", json!({"accounts": accounts})),
        ("shadow", json!({"accounts": {}})),
    ] {
        let Value::Object(members) = facts else {
            unreachable!()
        };
        let probe = probe.parse().unwrap();
        agent.observed.insert(probe, Facts::new(members));
    }
}

/// The newest bundle in force for the hosts of these tests, who decided on it, and why.
async fn in_force(world: &World) -> (Bundle, String, String) {
    let app = &world.service().app;
    let entries = app.store.indices_of_kind(Kind::Bundle).await.unwrap();
    let payload = app.store.payload(*entries.last().unwrap()).await.unwrap();
    let decision = Decision::<BundleActivated>::parse(&payload.unwrap()).unwrap();
    let file = app.store.bundle(&decision.content.sha256).await.unwrap();
    let envelope = Envelope::parse_file(&file.unwrap()).unwrap();
    envelope.verify(BUNDLE_TYPE, &[&app.policy_key]).unwrap();
    let bundle = Bundle::parse(&envelope.payload).unwrap();
    (bundle, decision.by.role, decision.reason)
}

fn judge(bundle: &Bundle, agent: &SimulatedAgent) -> Judgement {
    let check: CheckId = CHECK.parse().unwrap();
    let now = SystemClock::new().now();
    let judged = Evaluator::new(bundle).judge([&check], &agent.observed, now);
    judged.unwrap()[&check]
}

fn form(items: &[&str], reason: &str) -> String {
    let items: String = items
        .iter()
        .map(|name| format!("item=%5B%22approved%22%2C%22{name}%22%5D&"))
        .collect();
    format!("{items}reason={reason}")
}

#[tokio::test]
async fn what_a_host_proposes_holds_once_a_person_has_approved_it() {
    let mut world = World::start().await;
    let mut agent = world.agent(1).await;
    observe(&mut agent, &["alice", "bob"]);
    agent
        .deliver(SystemClock::new().now(), Reason::Missing)
        .await;
    let page = format!("/hosts/{}/{CHECK}", agent.id.to_hex());
    let api = format!("/api/v1/hosts/{}/outcomes/{CHECK}", agent.id.to_hex());
    let approve = format!("{page}/approve");
    let (before, ..) = in_force(&world).await;
    assert_eq!(judge(&before, &agent), Judgement::error(Reason::NoBaseline));

    let viewer = Visitor::signed_in(&world, Role::Operator).await;
    let shown = viewer.get(&page).await;
    assert!(
        shown.text().contains("There is no approved list yet"),
        "{}",
        shown.text()
    );
    assert!(shown.text().contains("<code>alice</code>") && !shown.text().contains(&approve));
    let refused = viewer.form(&approve, &form(&["alice"], "x")).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);

    let owner = Visitor::signed_in(&world, Role::IsmsOwner).await;
    assert!(owner.get(&page).await.text().contains(&approve));
    for (body, status) in [
        (form(&["alice"], ""), StatusCode::BAD_REQUEST),
        (form(&["alice"], "a%0Ab"), StatusCode::BAD_REQUEST),
        (form(&["mallory"], "x"), StatusCode::CONFLICT),
        ("item=alice&reason=x".to_owned(), StatusCode::BAD_REQUEST),
        ("params=1&reason=x".to_owned(), StatusCode::BAD_REQUEST),
    ] {
        let answer = owner.form(&approve, &body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
    }
    assert_eq!(in_force(&world).await.0, before, "nothing was approved yet");

    let approved = owner
        .form(&approve, &form(&["alice"], "joiners+of+May"))
        .await;
    assert_eq!(
        approved.status,
        StatusCode::SEE_OTHER,
        "{}",
        approved.text()
    );
    assert_eq!(approved.header("location"), page);
    let (bundle, role, reason) = in_force(&world).await;
    let check: CheckId = CHECK.parse().unwrap();
    assert_eq!(bundle.checks[&check].params["approved"], json!(["alice"]));
    assert_eq!(
        (role.as_str(), reason.ends_with(": joiners of May")),
        ("isms_owner", true)
    );
    assert_eq!(
        judge(&bundle, &agent),
        Judgement::because(Outcome::Fail, Reason::Extra)
    );

    // What was not approved is proposed still; the host has not judged by the new list yet.
    let answer = owner.get(&api).await.value();
    assert_eq!(
        answer["proposal"]["items"],
        json!([{"parameter": "approved", "value": "bob"}])
    );
    assert_eq!(answer["proposal"]["has_list"], true);
    assert_eq!(answer["newer_bundle"], bundle.version);
    assert!(
        owner
            .get(&page)
            .await
            .text()
            .contains("the host has not judged by it yet")
    );

    let approved = owner.form(&approve, &form(&["bob"], "leaver+stays")).await;
    assert_eq!(
        approved.status,
        StatusCode::SEE_OTHER,
        "{}",
        approved.text()
    );
    let (bundle, ..) = in_force(&world).await;
    assert_eq!(judge(&bundle, &agent), Judgement::PASS);
    assert!(owner.get(&api).await.value()["proposal"].is_null());
    let again = owner.form(&approve, &form(&["bob"], "twice")).await;
    assert_eq!(again.status, StatusCode::CONFLICT);

    // A restart keeps what people approved.
    world.stop().await;
    world.up().await;
    assert_eq!(in_force(&world).await.0, bundle);
}

/// Without the policy key at hand nothing can be signed, and the page's form says what to do.
#[tokio::test]
async fn an_offline_policy_key_approves_nothing() {
    let mut world = World::start().await;
    world.stop().await;
    std::fs::rename(
        world.data().join("keys/policy.pem"),
        world.data().join("policy.pem"),
    )
    .unwrap();
    world.up().await;
    let mut agent = world.agent(1).await;
    observe(&mut agent, &["alice"]);
    agent
        .deliver(SystemClock::new().now(), Reason::Missing)
        .await;
    let owner = Visitor::signed_in(&world, Role::Admin).await;
    let approve = format!("/hosts/{}/{CHECK}/approve", agent.id.to_hex());
    let answer = owner.form(&approve, &form(&["alice"], "x")).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(
        answer.text().contains("bundle activate"),
        "{}",
        answer.text()
    );
}
