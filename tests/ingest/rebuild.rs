//! Everything queryable is a projection: dropped and recomputed, it is the same.

use acceptance::simulated::SimulatedAgent;
use acceptance::world::World;
use collector::ingest::replay;
use evidence::outcome::Reason;
use evidence::time::{Clock as _, SystemClock};
use wire::statement::AgentStatement;

#[tokio::test]
async fn rebuilding_gives_the_same_rows() {
    let mut world = World::start().await;
    let now = SystemClock::new().now();
    let token = world.token("web", 3).await;
    for seed in 1..=3 {
        let mut agent = SimulatedAgent::enrol(&world.url(), &world.client(), &token, seed, None)
            .await
            .unwrap();
        for i in 0..12 {
            let reason = [
                Reason::Timeout,
                Reason::ToolMissing,
                Reason::PermissionDenied,
            ][(i / 3) % 3];
            agent.deliver(now.plus_ms(i as i64), reason).await;
        }
        if seed == 2 {
            let gap = agent.sign(&AgentStatement::Gap(Box::new(agent.gap(now, 2))), vec![]);
            agent.send(&gap).await.unwrap();
        }
        if seed == 3 {
            let one = agent.signed_round(now, Reason::Timeout);
            let other = agent.signed_round(now.plus_ms(5), Reason::Timeout);
            agent.send(&one).await.unwrap();
            agent.send(&other).await.unwrap_err();
        }
    }
    let store = world.service().app.store.clone();
    let before = store.dump_projections().await.unwrap();
    assert!(before.len() > 100);
    world.stop().await;
    let store = store::Store::open(&world.data()).await.unwrap();
    let entries = replay::rebuild(&store).await.unwrap();
    assert_eq!(entries, store.head().await.unwrap().size);
    let after = store.dump_projections().await.unwrap();
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before, after);
    }
    assert_eq!(before.len(), after.len());
}
