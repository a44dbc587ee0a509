//! The chain of an agent: in order, idempotent, forks and gaps.

use acceptance::simulated::SimulatedAgent;
use acceptance::world::World;
use evidence::outcome::Reason;
use evidence::time::{Clock as _, SystemClock, Timestamp};
use store::AgentState;
use wire::statement::AgentStatement;

fn now() -> Timestamp {
    SystemClock::new().now()
}

async fn agent(world: &World) -> SimulatedAgent {
    let token = world.token("web", 1).await;
    SimulatedAgent::enrol(&world.url(), &world.client(), &token, 1, None)
        .await
        .unwrap()
}

#[tokio::test]
async fn rounds_arrive_in_order_and_every_receipt_holds() {
    let world = World::start().await;
    let mut agent = agent(&world).await;
    let mut last = 0;
    for i in 0..70 {
        let reason = if i % 10 == 0 {
            Reason::Timeout
        } else {
            Reason::ToolMissing
        };
        let verified = agent.deliver(now(), reason).await;
        assert!(verified.index > last);
        last = verified.index;
        assert_eq!(verified.leaf.seq, Some(i + 1));
        assert_eq!(verified.leaf.grp.as_ref().unwrap().as_str(), "web");
    }
    // Payloads are kept one against the other, and come back whole.
    let store = &world.service().app.store;
    for index in [last, last - 33, last - 69] {
        let payload = store.payload(index).await.unwrap().unwrap();
        let entry = store.entry(index).await.unwrap().unwrap();
        assert_eq!(
            collector::export::envelope(&entry.leaf, payload).digest(),
            entry.leaf.pae
        );
    }
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again() {
    let world = World::start().await;
    let mut agent = agent(&world).await;
    let submission = agent.signed_round(now(), Reason::Timeout);
    let first = agent.send(&submission).await.unwrap();
    let again = agent.send(&submission).await.unwrap();
    assert_eq!(
        ledger::tlog_proof::TlogProof::parse(first.proof.as_bytes())
            .unwrap()
            .index,
        ledger::tlog_proof::TlogProof::parse(again.proof.as_bytes())
            .unwrap()
            .index
    );
    agent.accept(&submission, &again);
    let size = world.service().app.store.head().await.unwrap().size;
    agent.deliver(now(), Reason::Timeout).await;
    let next = agent.signed_round(now(), Reason::Timeout);
    let receipt = agent.send(&next).await.unwrap();
    assert_eq!(
        world.service().app.store.head().await.unwrap().size,
        size + 2,
        "nothing was logged twice"
    );
    agent.accept(&next, &receipt);
    let late = agent.send(&submission).await.unwrap();
    assert!(
        late.proof.contains("index"),
        "even an old statement gets its receipt"
    );
}

#[tokio::test]
async fn a_gap_moves_the_chain_on_and_its_numbers_are_closed() {
    let world = World::start().await;
    let mut agent = agent(&world).await;
    agent.deliver(now(), Reason::Timeout).await;
    let lost = agent.signed_round(now(), Reason::Timeout);
    let gap = agent.sign(&AgentStatement::Gap(Box::new(agent.gap(now(), 3))), vec![]);
    let receipt = agent.send(&gap).await.unwrap();
    agent.accept(&gap, &receipt);
    assert_eq!(agent.seq, 6);
    agent.deliver(now(), Reason::Timeout).await;
    let problem = agent.send(&lost).await.unwrap_err();
    assert_eq!(problem.code, "in_gap");
    agent.deliver(now(), Reason::Timeout).await;
    let standing = world
        .service()
        .app
        .store
        .standings()
        .await
        .unwrap()
        .remove(0);
    assert_eq!(
        (standing.gaps, standing.ev, standing.state),
        (1, 2, AgentState::Active),
        "enrol and reject are counted"
    );
}

#[tokio::test]
async fn two_statements_for_one_number_end_the_key_and_both_are_kept() {
    let world = World::start().await;
    let mut agent = agent(&world).await;
    agent.deliver(now(), Reason::Timeout).await;
    let one = agent.signed_round(now(), Reason::Timeout);
    let other = agent.signed_round(now().plus_ms(1), Reason::Timeout);
    let receipt = agent.send(&one).await.unwrap();
    assert_eq!(agent.send(&other).await.unwrap_err().code, "fork");
    agent.accept(&one, &receipt);
    let next = agent.signed_round(now(), Reason::Timeout);
    assert_eq!(agent.send(&next).await.unwrap_err().code, "key_ended");
    let store = &world.service().app.store;
    let standing = store.standings().await.unwrap().remove(0);
    assert_eq!(standing.state, AgentState::Forked);
    let open = store.latest().await.unwrap().remove(&standing.row).unwrap();
    let checks = evidence::baseline::bundle().unwrap().checks;
    let mut by_collector = 0;
    for (check, judgement) in &open.open {
        let own = !checks[check].judged_by.is_host();
        assert!(own, "a key that ended proves nothing from then on: {check}");
        assert_ne!(judgement.outcome, evidence::outcome::Outcome::Pass);
        by_collector += 1;
    }
    assert_eq!(by_collector, 2, "the collector knows that it is not heard");
    // It comes back with a new key only.
    let token = world.token("web", 1).await;
    assert!(
        SimulatedAgent::enrol(&world.url(), &world.client(), &token, 1, None)
            .await
            .is_err(),
        "the old key stays out"
    );
}

#[tokio::test]
async fn what_comes_too_early_waits() {
    let world = World::start().await;
    let mut agent = agent(&world).await;
    let first = agent.signed_round(now(), Reason::Timeout);
    agent.advance(&first, 1);
    let second = agent.signed_round(now(), Reason::Timeout);
    let bytes = zstd::bulk::compress(&second.to_bytes().unwrap(), 1).unwrap();
    let problem = agent.send_body(bytes, None).await.unwrap_err();
    assert_eq!(problem.code, "out_of_order");
    assert_eq!(world.service().app.store.count_rounds().await.unwrap(), 0);
}
