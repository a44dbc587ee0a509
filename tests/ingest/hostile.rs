//! What hostile or unlucky senders, disks and clocks try against the collector.

use acceptance::simulated::SimulatedAgent;
use acceptance::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_for_one_lets_one_in_however_many_come_at_once() {
    let world = World::start().await;
    let token = world.token("web", 2).await;
    let mut attempts = tokio::task::JoinSet::new();
    for seed in 1..=24 {
        let (url, client, token) = (world.url(), world.client(), token.clone());
        attempts.spawn(async move {
            SimulatedAgent::enrol(&url, &client, &token, seed, None)
                .await
                .map(|_| ())
                .map_err(|problem| problem.code)
        });
    }
    let answers = attempts.join_all().await;
    let entered = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(entered, 2, "{answers:?}");
    assert!(
        answers
            .iter()
            .all(|answer| answer.as_ref().err().is_none_or(|code| code == "bad_token"))
    );
    let store = &world.service().app.store;
    assert_eq!(store.standings().await.unwrap().len(), 2);
    assert_eq!(store.enrolment_tokens().await.unwrap()[0].uses, 0);
}
