//! Getting in and out.

use acceptance::visitor::{Visitor, account, answered, link};
use acceptance::world::World;
use collector::auth::permission::Role;
use reqwest::{Method, StatusCode};

const PASSWORD: &str = "correct horse battery staple";

fn credentials(name: &str, password: &str) -> String {
    format!(
        "name={name}&password={}&next=%2Fcontrols",
        password.replace(' ', "+")
    )
}

#[tokio::test]
async fn a_password_opens_a_session_that_ends_with_sign_out() {
    let world = World::start().await;
    account(&world, "ada", Role::Viewer, Some(PASSWORD)).await;
    let mut ada = Visitor::stranger(&world);
    let entered = ada.form("/sign-in", &credentials("ada", PASSWORD)).await;
    assert_eq!(entered.status, StatusCode::SEE_OTHER, "{entered:?}");
    assert_eq!(entered.header("location"), "/controls");
    let set = entered.header("set-cookie");
    for attribute in [
        "__Host-assay=",
        "Secure",
        "HttpOnly",
        "SameSite=Lax",
        "Path=/",
    ] {
        assert!(set.contains(attribute), "{set}");
    }
    ada.cookie = entered.cookie();
    assert_eq!(ada.get("/controls").await.status, StatusCode::OK);
    let left = ada.form("/sign-out", "").await;
    assert_eq!(left.status, StatusCode::OK);
    assert!(left.header("set-cookie").contains("Max-Age=0"));
    let kept = ada.get("/controls").await;
    assert_eq!(
        kept.status,
        StatusCode::SEE_OTHER,
        "the session is over on the server too"
    );
}

#[tokio::test]
async fn no_answer_tells_whether_an_account_exists() {
    let world = World::start().await;
    account(&world, "ada", Role::Admin, Some(PASSWORD)).await;
    let stranger = Visitor::stranger(&world);
    let wrong = stranger
        .form("/sign-in", &credentials("ada", "wrong password here"))
        .await;
    let unknown = stranger
        .form("/sign-in", &credentials("eve", "wrong password here"))
        .await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert_eq!(wrong.status, unknown.status);
    assert_eq!(wrong.text(), unknown.text());
    assert!(wrong.cookie().is_empty() && unknown.cookie().is_empty());
}

#[tokio::test]
async fn passwords_can_be_tried_a_few_times_only() {
    let world = World::start().await;
    account(&world, "ada", Role::Admin, Some(PASSWORD)).await;
    let stranger = Visitor::stranger(&world);
    for _ in 0..5 {
        let answer = stranger
            .form("/sign-in", &credentials("ada", "wrong password here"))
            .await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    let right = stranger
        .form("/sign-in", &credentials("ada", PASSWORD))
        .await;
    assert_eq!(
        right.status,
        StatusCode::TOO_MANY_REQUESTS,
        "even the right one"
    );
    let seconds: u64 = right.header("retry-after").parse().unwrap();
    assert!(seconds > 0);
    assert!(right.cookie().is_empty());
    assert!(right.text().contains("Too many attempts"));
}

#[tokio::test]
async fn a_link_signs_in_once() {
    let world = World::start().await;
    let ada = account(&world, "ada", Role::Auditor, None).await;
    let secret = link(&world, &ada).await;
    let mut visitor = Visitor::stranger(&world);
    let first = visitor.get(&format!("/sign-in/{secret}")).await;
    assert_eq!(first.status, StatusCode::SEE_OTHER);
    assert_eq!(first.header("location"), "/");
    let second = visitor.get(&format!("/sign-in/{secret}")).await;
    assert_eq!(second.status, StatusCode::UNAUTHORIZED);
    assert!(second.cookie().is_empty());
    visitor.cookie = first.cookie();
    assert_eq!(visitor.get("/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_changed_cookie_is_nobody() {
    let world = World::start().await;
    let mut visitor = Visitor::signed_in(&world, Role::Admin).await;
    assert_eq!(visitor.get("/controls").await.status, StatusCode::OK);
    let real = visitor.cookie.clone();
    let last = real.chars().last().unwrap();
    let other = if last == 'A' { 'B' } else { 'A' };
    let changed = format!("{}{other}", &real[..real.len() - 1]);
    for cookie in [
        changed,
        real[1..].to_owned(),
        "x".repeat(5000),
        real.to_uppercase(),
    ] {
        visitor.cookie = cookie;
        let answer = visitor.get("/controls").await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", visitor.cookie);
        assert_eq!(answer.header("location"), "/sign-in?next=%2Fcontrols");
    }
}

#[tokio::test]
async fn another_site_cannot_act_in_ones_name() {
    let world = World::start().await;
    account(&world, "ada", Role::Admin, Some(PASSWORD)).await;
    let visitor = Visitor::signed_in(&world, Role::Admin).await;
    let origin = world.url();
    let agent = format!("/api/v1/agents/{}/revoke", "0".repeat(64));
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", &origin.replace("https://", "http://")),
    ] {
        for path in ["/sign-out", "/sign-in", agent.as_str()] {
            let request = visitor.request(Method::POST, path).header(name, value);
            let answer = answered(request.body(credentials("ada", PASSWORD))).await;
            assert_eq!(
                answer.status,
                StatusCode::FORBIDDEN,
                "{path} {name}: {value}"
            );
            assert!(answer.text().contains("cross_site"), "{}", answer.text());
            assert!(answer.cookie().is_empty());
        }
    }
    assert_eq!(
        visitor.get("/").await.status,
        StatusCode::OK,
        "nobody signed out"
    );
    let own = visitor
        .request(Method::POST, "/sign-out")
        .header("origin", &origin);
    assert_eq!(answered(own).await.status, StatusCode::OK);
}
