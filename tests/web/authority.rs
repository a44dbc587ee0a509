//! Every route of the table, without and with too little authority, and what is not in the table.

use std::sync::Arc;

use acceptance::simulated::SimulatedAgent;
use acceptance::visitor::{Answered, Visitor};
use acceptance::world::World;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use collector::auth::guard::guard;
use collector::auth::permission::{Access, ROUTES, Role, Route};
use collector::pages::CONTENT_SECURITY_POLICY;
use reqwest::{Method, StatusCode};
use tower::ServiceExt as _;

const REASON: &str = r#"{"reason":"the host was stolen"}"#;

/// The address of a route about things that exist.
fn address(route: &Route, agent: &SimulatedAgent) -> String {
    route
        .path
        .replace("{number}", "A.8.5")
        .replace("{key}", &agent.id.to_hex())
        .replace("{check}", "sshd.root")
        .replace("{index}", &(agent.seen.size - 1).to_string())
        .replace("{*file}", "round.tar")
}

async fn call(visitor: &Visitor, route: &Route, path: &str) -> Answered {
    match route.method {
        Method::GET => visitor.get(path).await,
        _ => visitor.json(path, REASON).await,
    }
}

fn of_persons() -> impl Iterator<Item = (&'static Route, bool)> {
    ROUTES
        .iter()
        .filter(|route| matches!(route.access, Access::Person(_)))
        .map(|route| (route, route.path.starts_with("/api/")))
}

#[tokio::test]
async fn nobody_gets_past_a_route_for_persons_without_a_session() {
    let world = World::start().await;
    let agent = world.agent(1).await;
    let stranger = Visitor::stranger(&world);
    let mut forged = Visitor::stranger(&world);
    forged.cookie = "A".repeat(43);
    for (route, for_programs) in of_persons() {
        let path = address(route, &agent);
        for visitor in [&stranger, &forged] {
            let answer = call(visitor, route, &path).await;
            if for_programs {
                assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
                assert_eq!(answer.problem(), "unauthenticated", "{path}");
            } else {
                assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}");
                let next = match path.as_str() {
                    "/" => String::new(),
                    path => format!("?next={}", path.replace('/', "%2F")),
                };
                assert_eq!(answer.header("location"), format!("/sign-in{next}"));
                assert!(answer.body.is_empty(), "{path}");
            }
        }
    }
}

#[tokio::test]
async fn each_role_gets_exactly_what_the_table_gives_it() {
    let world = World::start().await;
    for (seed, role) in (1..).zip(Role::ALL) {
        let agents = [world.agent(seed).await, world.agent(100 + seed).await];
        let visitor = Visitor::signed_in(&world, role).await;
        for (route, for_programs) in of_persons() {
            let Access::Person(permission) = route.access else {
                unreachable!();
            };
            // An agent ends once: the two ways to end one get one each.
            let agent = &agents[usize::from(route.path.ends_with("/retire"))];
            let path = address(route, agent);
            let answer = call(&visitor, route, &path).await;
            let told = String::from_utf8_lossy(&answer.body).into_owned();
            if role.may(permission) {
                // An approval is a form, so what is sent here gets past the guard and no further.
                let expected = match route.path.ends_with("/approve") {
                    true => StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    false => StatusCode::OK,
                };
                assert_eq!(answer.status, expected, "{role:?} {path}: {told}");
                continue;
            }
            assert_eq!(
                answer.status,
                StatusCode::FORBIDDEN,
                "{role:?} {path}: {told}"
            );
            if for_programs {
                assert_eq!(answer.problem(), "forbidden");
            } else {
                assert!(told.contains("Your role does not carry"), "{path}: {told}");
            }
        }
    }
}

#[tokio::test]
async fn strangers_get_the_public_routes_and_nothing_of_a_person() {
    let world = World::start().await;
    let stranger = Visitor::stranger(&world);
    for (path, status) in [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/metrics", 200),
        ("/log/checkpoint", 200),
        ("/sign-in", 200),
        ("/assets/style.css", 200),
        ("/assets/nothing.css", 404),
        ("/nothing", 404),
        ("/api/v1/nothing", 404),
    ] {
        assert_eq!(stranger.get(path).await.status.as_u16(), status, "{path}");
    }
    assert_eq!(stranger.get("/api/v1/nothing").await.problem(), "not_found");
}

#[tokio::test]
async fn a_method_that_a_route_does_not_have_is_refused() {
    let world = World::start().await;
    let visitor = Visitor::signed_in(&world, Role::Admin).await;
    for (method, path) in [
        (Method::DELETE, "/controls"),
        (Method::POST, "/controls"),
        (Method::PUT, "/api/v1/tokens"),
        (Method::GET, "/sign-out"),
    ] {
        let answer = acceptance::visitor::answered(visitor.request(method, path)).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
}

#[tokio::test]
async fn a_route_that_the_table_lacks_answers_nobody() {
    let world = World::start().await;
    let app = world.service().app.clone();
    let visitor = Visitor::signed_in(&world, Role::Admin).await;
    let routes = Router::new()
        .route("/forgotten", get(async || "secret"))
        .layer(from_fn_with_state(app.clone(), guard))
        .with_state(Arc::clone(&app));
    let cookie = format!("{}={}", collector::auth::session::COOKIE, visitor.cookie);
    let request = Request::get("/forgotten").header("cookie", cookie);
    let answer = routes
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 403);
}

#[tokio::test]
async fn every_answer_is_hardened() {
    let world = World::start().await;
    let stranger = Visitor::stranger(&world);
    let visitor = Visitor::signed_in(&world, Role::Viewer).await;
    let answers = [
        stranger.get("/sign-in").await,
        stranger.get("/").await,
        stranger.get("/nothing").await,
        visitor.get("/").await,
        visitor.get("/controls/A.99.9").await,
        visitor.get("/api/v1/overview").await,
        visitor.get("/api/v1/tokens").await,
    ];
    for answer in &answers {
        assert_eq!(
            answer.header("content-security-policy"),
            CONTENT_SECURITY_POLICY
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "same-origin");
        assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(answer.header("x-request-id").len(), 16, "{answer:?}");
    }
    for private in &answers[1..] {
        assert_eq!(private.header("cache-control"), "no-store", "{private:?}");
    }
    let problem = visitor.get("/controls/A.99.9").await;
    assert_eq!(problem.status, StatusCode::NOT_FOUND);
    assert!(problem.text().contains(problem.header("x-request-id")));
    assert!(CONTENT_SECURITY_POLICY.contains("default-src 'none'"));
}

/// Whoever was told the digest may have the bundle; caches that others share may not.
#[tokio::test]
async fn a_bundle_is_had_by_its_digest_alone() {
    let world = World::start().await;
    let stranger = Visitor::stranger(&world);
    let bundles = world.service().app.store.bundles().await.unwrap();
    let (_, digest) = bundles[0];
    let bundle = stranger.get(&format!("/agent/v1/bundles/{digest}")).await;
    assert_eq!(bundle.status, StatusCode::OK);
    assert_eq!(
        bundle.header("cache-control"),
        "private, max-age=31536000, immutable"
    );
    let other = crypto::Digest::of(b"no bundle");
    let missing = stranger.get(&format!("/agent/v1/bundles/{other}")).await;
    assert!(missing.status.is_client_error(), "{}", missing.status);
    assert_eq!(missing.header("cache-control"), "no-store");
    // The log itself, which everybody reads, names none.
    let leaves = stranger.get("/log/tile/entries/000.p/2").await;
    assert_eq!(leaves.status, StatusCode::OK);
    let hex = digest.to_hex();
    assert!(!String::from_utf8_lossy(&leaves.body).contains(&hex));
}
