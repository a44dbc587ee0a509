//! The pages in a real browser: what a newcomer sees from the one-time link down to the proof of one outcome.

use acceptance::browser::Browser;
use acceptance::visitor::{account, link};
use acceptance::world::World;
use collector::auth::permission::Role;

/// The page has this title, and nothing in it failed, was refused or could not be loaded.
async fn stands(browser: &Browser, title: &str) {
    browser.titled(&format!("{title} · Assay")).await;
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{title}: {complaints:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_clicks_lead_from_the_overview_to_the_proof() {
    let world = World::start().await;
    let agent = world.agent(1).await;
    let ada = account(&world, "ada", Role::Auditor, None).await;
    let secret = link(&world, &ada).await;

    let browser = Browser::open(1280, 900).await;
    browser.visit(&format!("{}/", world.url())).await;
    stands(&browser, "Sign in").await;
    browser
        .visit(&format!("{}/sign-in/{secret}", world.url()))
        .await;
    stands(&browser, "Overview").await;
    assert_eq!(browser.url().await, format!("{}/", world.url()));
    browser.screenshot("overview").await;

    browser.click("a.tile[href='/controls/A.8.5']").await;
    stands(&browser, "A.8.5 Secure authentication").await;
    browser.screenshot("control").await;

    browser
        .click("table.checks a[href='/checks/sshd.root']")
        .await;
    let title = "SSH root log-on is off";
    stands(&browser, title).await;
    browser.screenshot("check").await;

    browser.click("table.sticky tbody a").await;
    stands(&browser, &format!("{title} on host-1")).await;
    let expected = format!("{}/hosts/{}/sshd.root", world.url(), agent.id.to_hex());
    assert_eq!(browser.url().await, expected);
    assert!(browser.text("main").await.contains("permission_denied"));
    let index = agent.seen.size - 1;
    let archive = format!("a[href='/ledger/{index}/round.tar']");
    let linked = browser.text(&archive).await;
    assert!(!linked.is_empty(), "the outcome leads to its signed round");
    browser.screenshot("outcome").await;

    for (path, title) in [
        ("/controls", "Controls"),
        ("/hosts", "Hosts"),
        ("/ledger", "Ledger"),
        ("/search?q=ssh", "Search"),
        ("/nothing", "This page does not exist"),
    ] {
        browser.visit(&format!("{}{path}", world.url())).await;
        match path {
            // A page that is not there is told as such, and the browser says so too.
            "/nothing" => {
                assert_eq!(browser.title().await, format!("{title} · Assay"));
                browser.complaints().await;
            }
            _ => stands(&browser, title).await,
        }
        let name = path.split('?').next().unwrap().trim_start_matches('/');
        browser.screenshot(name).await;
    }

    browser.visit(&format!("{}/", world.url())).await;
    browser.click(".rail form.out button").await;
    stands(&browser, "Sign in").await;
    let said = browser.text("main").await;
    assert!(said.contains("You are signed out."), "{said}");
    browser.visit(&format!("{}/hosts", world.url())).await;
    let asked = browser.url().await;
    assert!(asked.ends_with("/sign-in?next=%2Fhosts"), "{asked}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_page_may_not_do_is_seen_by_this_test() {
    let world = World::start().await;
    let browser = Browser::open(800, 600).await;
    browser.visit(&format!("{}/sign-in", world.url())).await;
    assert!(browser.complaints().await.is_empty());
    let script = "const s = document.createElement('script'); s.textContent = 'window.ran = 1';
        document.body.append(s); return window.ran ?? null";
    let ran = browser.run(script, serde_json::json!([])).await;
    assert!(ran.is_null(), "an inline script ran");
    let complaints = browser.complaints().await.join("\n");
    assert!(
        complaints.contains("Content Security Policy"),
        "{complaints}"
    );
}
