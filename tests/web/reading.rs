//! What the pages and the API say about a fleet.

use acceptance::visitor::Visitor;
use acceptance::world::World;
use collector::auth::permission::{Access, Permission, ROUTES, Role};
use reqwest::StatusCode;

#[tokio::test]
async fn an_empty_fleet_has_every_page_that_needs_no_host() {
    let world = World::start().await;
    let visitor = Visitor::signed_in(&world, Role::Viewer).await;
    let read = Access::Person(Permission::ReadEvidence);
    for route in ROUTES.iter().filter(|route| route.access == read) {
        let about_a_host = route.path.contains("{key}");
        let path = route
            .path
            .replace("{number}", "A.8.5")
            .replace("{check}", "sshd.root")
            .replace("{index}", "0")
            .replace("{key}", &"0".repeat(64));
        let answer = visitor.get(&path).await;
        let expected = match about_a_host {
            true => StatusCode::NOT_FOUND,
            false => StatusCode::OK,
        };
        assert_eq!(answer.status, expected, "{path}: {}", answer.text());
    }
    let overview = visitor.get("/").await;
    assert!(overview.text().contains("No host is enrolled yet"));
}

#[tokio::test]
async fn pages_and_api_say_the_same_about_a_host() {
    let world = World::start().await;
    let agent = world.agent(5).await;
    let visitor = Visitor::signed_in(&world, Role::Auditor).await;
    let overview = visitor.get("/api/v1/overview").await.value();
    assert_eq!(overview["hosts"], 1);
    assert_eq!(overview["rounds"], 1);
    assert_eq!(overview["controls"].as_array().unwrap().len(), 93);
    let page = visitor.get("/").await;
    assert!(!page.text().contains("No host is enrolled yet"));
    // Nothing could be read on this host, so nothing is known of a control that checks carry.
    let control = visitor.get("/api/v1/controls/A.8.5").await.value();
    assert_eq!(control["verdict"], "insufficient_evidence");
    let primary = control["primary"].as_array().unwrap();
    assert!(
        primary.iter().any(|check| check["hosts"]["error"] == 1),
        "{primary:?}"
    );
    let page = visitor.get("/controls/A.8.5").await;
    assert!(page.text().contains("There is not enough evidence to say"));
    let _ = agent;
}

#[tokio::test]
async fn questions_that_mean_nothing_are_refused_in_the_askers_form() {
    let world = World::start().await;
    let visitor = Visitor::signed_in(&world, Role::Admin).await;
    let api = visitor.get("/api/v1/overview?days=soon").await;
    assert_eq!(api.status, StatusCode::BAD_REQUEST);
    assert_eq!(api.problem(), "bad_request");
    let page = visitor.get("/?days=soon").await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert!(
        page.text().contains("<h1>This request means nothing</h1>"),
        "{}",
        page.text()
    );
    for path in [
        "/api/v1/controls/A.99.9",
        "/api/v1/entries/999/round.tar",
        "/api/v1/entries/x/round.tar",
    ] {
        let answer = visitor.get(path).await;
        assert_eq!(answer.problem(), "not_found", "{path}");
    }
    let agent = world.agent(6).await;
    let path = format!("/api/v1/agents/{}/revoke", agent.id.to_hex());
    for (body, code) in [
        ("{}", "bad_request"),
        (r#"{"reason":""}"#, "bad_request"),
        (r#"{"reason":"a\nb"}"#, "bad_request"),
        (r#"{"reason":"x","by":"someone else"}"#, "bad_request"),
        ("reason=x", "bad_request"),
    ] {
        assert_eq!(visitor.json(&path, body).await.problem(), code, "{body}");
    }
    let long = format!(r#"{{"reason":"{}"}}"#, "x".repeat(20_000));
    assert_eq!(visitor.json(&path, &long).await.problem(), "bad_request");
    assert_eq!(
        visitor.form(&path, "reason=x").await.problem(),
        "media_type"
    );
    let nobody = format!("/api/v1/agents/{}/revoke", "0".repeat(64));
    assert_eq!(
        visitor.json(&nobody, r#"{"reason":"x"}"#).await.problem(),
        "not_found"
    );
}

#[tokio::test]
async fn ending_an_agent_is_an_entry_with_who_and_why() {
    let world = World::start().await;
    let mut agent = world.agent(7).await;
    let visitor = Visitor::signed_in(&world, Role::Operator).await;
    let path = format!("/api/v1/agents/{}/revoke", agent.id.to_hex());
    let ended = visitor.json(&path, r#"{"reason":"stolen"}"#).await;
    assert_eq!(ended.status, StatusCode::OK, "{}", ended.text());
    let index = ended.value()["index"].as_u64().unwrap();
    let payload = world
        .service()
        .app
        .store
        .payload(index)
        .await
        .unwrap()
        .unwrap();
    let entry: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    let text = entry.to_string();
    assert!(
        text.contains("stolen") && text.contains("operator"),
        "{text}"
    );
    let now = world.service().app.clock.now();
    let round = agent.signed_round(now, evidence::outcome::Reason::Timeout);
    assert_eq!(agent.send(&round).await.unwrap_err().code, "key_ended");
    let again = visitor.json(&path, r#"{"reason":"stolen"}"#).await;
    assert_eq!(again.problem(), "conflict");
}

#[tokio::test]
async fn an_exported_round_has_every_file_and_each_alone() {
    let world = World::start().await;
    let agent = world.agent(8).await;
    let visitor = Visitor::signed_in(&world, Role::Auditor).await;
    let index = agent.seen.size - 1;
    let answer = visitor.get(&format!("/ledger/{index}/round.tar")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), "application/x-tar");
    let expected = format!("attachment; filename=\"round-{index}.tar\"");
    assert_eq!(answer.header("content-disposition"), expected);
    let api = visitor
        .get(&format!("/api/v1/entries/{index}/round.tar"))
        .await;
    assert_eq!(api.body, answer.body);
    let mut archive = tar::Archive::new(answer.body.as_slice());
    let names: Vec<String> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .map(|path| {
            let inside = path.strip_prefix(&format!("round-{index}/"));
            inside.expect("all in one folder").to_owned()
        })
        .collect();
    for name in [
        "agent.pem",
        "bundle.dsse.json",
        "log.vkey",
        "policy.pem",
        "round.dsse.json",
        "round.tlog-proof",
    ] {
        assert!(names.iter().any(|known| known == name), "{name}: {names:?}");
    }
    let disclosures = names.iter().filter(|name| name.starts_with("disclosures/"));
    assert_eq!(disclosures.count(), agent.disclosures().len());
    for name in &names {
        let file = visitor.get(&format!("/ledger/{index}/{name}")).await;
        assert_eq!(file.status, StatusCode::OK, "{name}");
        assert!(!file.body.is_empty(), "{name}");
    }
    for path in [
        format!("/ledger/{index}/other"),
        "/ledger/0/round.tar".to_owned(),
    ] {
        assert_eq!(
            visitor.get(&path).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}

#[tokio::test]
async fn what_means_nothing_is_said_and_the_standards_own_numbers_lead_on() {
    let world = World::start().await;
    let agent = world.agent(1).await;
    let visitor = Visitor::signed_in(&world, Role::Viewer).await;
    let host = format!("/hosts/{}", agent.id.to_hex());
    for path in [
        format!("{host}?outcome=bogus"),
        format!("{host}?severity=worst"),
        "/controls?theme=mood".to_owned(),
        "/controls?verdict=fine".to_owned(),
    ] {
        let answer = visitor.get(&path).await;
        assert_eq!(answer.status.as_u16(), 400, "{path}");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(text.contains("expected one of"), "{text}");
    }
    assert_eq!(
        visitor
            .get(&format!("{host}?outcome=fail"))
            .await
            .status
            .as_u16(),
        200
    );
    let narrowed = visitor.get("/controls?theme=people&class=manual").await;
    assert_eq!(narrowed.status.as_u16(), 200);
    let moved = visitor.get("/controls/8.5").await;
    assert_eq!(moved.status.as_u16(), 308);
    assert_eq!(moved.header("location"), "/controls/A.8.5");
    assert_eq!(visitor.get("/controls/9.99").await.status.as_u16(), 308);
    assert_eq!(visitor.get("/controls/A.9.99").await.status.as_u16(), 404);
}
