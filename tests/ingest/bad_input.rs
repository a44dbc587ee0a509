//! Every kind of bad input has its own problem, changes no projection, and is over at the bound.

use acceptance::simulated::SimulatedAgent;
use acceptance::world::World;
use crypto::{Digest, SeededRandom, SigningKey};
use evidence::outcome::Reason;
use evidence::time::{Clock as _, SystemClock, Timestamp};
use wire::envelope::{Envelope, STATEMENT_TYPE};
use wire::statement::{AgentStatement, Round};
use wire::submission::{MAX_BODY_BYTES, Submission};

fn now() -> Timestamp {
    SystemClock::new().now()
}

struct Bench {
    world: World,
    agent: SimulatedAgent,
}

impl Bench {
    async fn new() -> Bench {
        let world = World::start().await;
        let token = world.token("web", 1).await;
        let mut agent = SimulatedAgent::enrol(&world.url(), &world.client(), &token, 7, None)
            .await
            .unwrap();
        agent.deliver(now(), Reason::Timeout).await;
        Bench { world, agent }
    }

    async fn projections(&self) -> Vec<String> {
        let lines = self
            .world
            .service()
            .app
            .store
            .dump_projections()
            .await
            .unwrap();
        // A refusal is counted in the agent's row; what its rounds say is not.
        lines
            .into_iter()
            .filter(|line| !line.starts_with("agent ["))
            .collect()
    }

    async fn refused(&self, submission: &Submission) -> String {
        let before = self.projections().await;
        let problem = self.agent.send(submission).await.unwrap_err();
        assert_eq!(
            before,
            self.projections().await,
            "{}: nothing of it may be projected",
            problem.code
        );
        assert_eq!(problem.kind, format!("urn:assay:problem:{}", problem.code));
        problem.code
    }

    async fn refused_round(&mut self, change: impl FnOnce(&mut Round)) -> String {
        let (mut round, changed) = self.agent.round(now(), Reason::Timeout);
        change(&mut round);
        let submission = self
            .agent
            .sign(&AgentStatement::Round(Box::new(round)), changed);
        self.refused(&submission).await
    }
}

#[tokio::test]
async fn claims_that_cannot_be_true_are_refused() {
    let mut bench = Bench::new().await;
    assert_eq!(
        bench
            .refused_round(|round| round.common.seen.size += 100)
            .await,
        "seen_from_the_future"
    );
    assert_eq!(
        bench
            .refused_round(|round| round.common.seen.root = Digest::of(b"other").to_base64())
            .await,
        "seen_other_history"
    );
    assert_eq!(
        bench
            .refused_round(|round| {
                round.common.seen.size = 0;
                round.common.seen.root = ledger::hash::EMPTY_ROOT.to_base64();
            })
            .await,
        "seen_backwards"
    );
    assert_eq!(
        bench
            .refused_round(|round| round.bundle.sha256 = Digest::of(b"other"))
            .await,
        "bundle_not_in_force"
    );
    assert_eq!(
        bench.refused_round(|round| round.bundle.version += 1).await,
        "round_content"
    );
    assert_eq!(
        bench
            .refused_round(|round| {
                let first = round.facts.keys().next().cloned().unwrap();
                round.facts.remove(&first);
            })
            .await,
        "round_content"
    );
    assert_eq!(
        bench
            .refused_round(|round| {
                let first = round.facts.keys().next().cloned().unwrap();
                round
                    .facts
                    .insert(first, wire::disclosure::DisclosureDigest::of("never sent"));
            })
            .await,
        "disclosure_missing"
    );
    bench.agent.deliver(now(), Reason::Timeout).await;
}

#[tokio::test]
async fn a_clock_from_the_future_moves_nothing_into_the_future() {
    let mut bench = Bench::new().await;
    let far = now().plus_ms(10 * 365 * 86_400_000);
    bench.agent.deliver(far, Reason::ToolMissing).await;
    let store = &bench.world.service().app.store;
    let standing = store.standings().await.unwrap().remove(0);
    assert_eq!(
        standing.last_end,
        Some(far.unix_ms()),
        "the skew is kept and shown"
    );
    let latest = store.latest().await.unwrap().remove(&standing.row).unwrap();
    assert!(
        latest.judged.values().all(|last| *last <= now().unix_ms()),
        "no interval reaches into the future"
    );
    bench.agent.deliver(now(), Reason::ToolMissing).await;
}

#[tokio::test]
async fn what_is_not_signed_by_the_agents_key_is_refused() {
    let mut bench = Bench::new().await;
    let good = bench.agent.signed_round(now(), Reason::Timeout);
    let stranger = SigningKey::generate(&mut SeededRandom::new(99));
    let mut forged = Envelope::sign(STATEMENT_TYPE, good.envelope.payload.clone(), &[&stranger]);
    forged.signatures[0].key = good.envelope.signatures[0].key;
    assert_eq!(
        bench
            .refused(&Submission {
                envelope: forged,
                disclosures: vec![]
            })
            .await,
        "bad_signature"
    );
    let mut changed = good.envelope.clone();
    changed.payload = String::from_utf8(changed.payload)
        .unwrap()
        .replacen("\"version\":\"0.1.0\"", "\"version\":\"0.1.1\"", 1)
        .into_bytes();
    assert_eq!(
        bench
            .refused(&Submission {
                envelope: changed,
                disclosures: vec![]
            })
            .await,
        "bad_signature"
    );
    let (mut round, _) = bench.agent.round(now(), Reason::Timeout);
    round.common.agent.id = stranger.verifying_key().key_id();
    let unknown = bench
        .agent
        .sign(&AgentStatement::Round(Box::new(round)), vec![]);
    assert_eq!(bench.refused(&unknown).await, "unknown_agent");
    let (mut round, _) = bench.agent.round(now(), Reason::Timeout);
    round.common.agent.key = stranger.verifying_key().key_id();
    let other_key = bench
        .agent
        .sign(&AgentStatement::Round(Box::new(round)), vec![]);
    assert_eq!(bench.refused(&other_key).await, "wrong_key");
}

#[tokio::test]
async fn revoked_agents_are_refused() {
    let mut bench = Bench::new().await;
    let end = collector::ingest::sequencer::EndCommand {
        agent: bench.agent.id,
        kind: wire::leaf::Kind::Revoke,
        by: wire::decision::Actor {
            user: "someone".into(),
            role: "admin".into(),
        },
        reason: "laptop stolen".into(),
    };
    bench
        .world
        .service()
        .app
        .submit(|answer| collector::ingest::sequencer::Command::End(end, answer))
        .await
        .unwrap();
    let next = bench.agent.signed_round(now(), Reason::Timeout);
    assert_eq!(bench.refused(&next).await, "key_ended");
}

#[tokio::test]
async fn truncated_and_oversized_bodies_end_at_the_bound() {
    let mut bench = Bench::new().await;
    let good = bench.agent.signed_round(now(), Reason::Timeout);
    let body = zstd::bulk::compress(&good.to_bytes().unwrap(), 3).unwrap();
    let before = bench.projections().await;
    for (bytes, name, code) in [
        (body[..body.len() / 2].to_vec(), None, "bad_compression"),
        (b"not zstd".to_vec(), None, "bad_compression"),
        (
            zstd::bulk::compress(b"not a submission", 1).unwrap(),
            None,
            "bad_submission",
        ),
        (
            zstd::bulk::compress(&vec![b'a'; 64 << 20], 3).unwrap(),
            None,
            "too_large",
        ),
        (vec![0; MAX_BODY_BYTES + 1], None, "too_large"),
        (vec![0; 2 * MAX_BODY_BYTES], None, "too_large"),
        (
            body.clone(),
            Some(Digest::of(b"unknown")),
            "dictionary_unknown",
        ),
    ] {
        let problem = bench.agent.send_body(bytes, name).await.unwrap_err();
        assert_eq!(problem.code, code);
    }
    assert_eq!(before, bench.projections().await);
    let metrics = bench
        .world
        .client()
        .get(format!("{}/metrics", bench.world.url()))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    for code in [
        "bad_compression",
        "bad_submission",
        "too_large",
        "dictionary_unknown",
    ] {
        assert!(
            metrics.contains(&format!("code=\"{code}\"")),
            "{code} has its metric"
        );
    }
    let receipt = bench.agent.send(&good).await.unwrap();
    bench.agent.accept(&good, &receipt);
}

#[tokio::test]
async fn refusals_do_not_fill_the_log() {
    let mut bench = Bench::new().await;
    let size = bench.world.service().app.store.head().await.unwrap().size;
    for _ in 0..20 {
        assert_eq!(
            bench
                .refused_round(|round| round.bundle.sha256 = Digest::of(b"other"))
                .await,
            "bundle_not_in_force"
        );
    }
    let grown = bench.world.service().app.store.head().await.unwrap().size - size;
    assert_eq!(grown, 3, "three reject entries, then they are only counted");
}

#[tokio::test]
async fn enrolment_needs_a_valid_token_a_fresh_nonce_and_the_key() {
    let bench = Bench::new().await;
    let (url, client) = (bench.world.url(), bench.world.client());
    let refused = async |token: &str, seed: u64| {
        SimulatedAgent::enrol(&url, &client, token, seed, None)
            .await
            .err()
            .map(|problem| problem.code)
    };
    assert_eq!(
        refused("assay-nonsense", 20).await.as_deref(),
        Some("bad_token")
    );
    let token = bench.world.token("db", 1).await;
    assert_eq!(refused(&token, 21).await, None);
    assert_eq!(
        refused(&token, 22).await.as_deref(),
        Some("bad_token"),
        "used up"
    );
    assert_eq!(
        refused(&token, 21).await,
        None,
        "a lost answer is asked for again, without spending a use"
    );
    let token = bench.world.token("db", 5).await;
    let id = bench
        .world
        .service()
        .app
        .store
        .enrolment_tokens()
        .await
        .unwrap()
        .remove(0)
        .id;
    bench
        .world
        .service()
        .app
        .store
        .revoke_enrolment_token(&id, now())
        .await
        .unwrap();
    assert_eq!(
        refused(&token, 23).await.as_deref(),
        Some("bad_token"),
        "revoked"
    );
    let body = client
        .post(format!("{url}/agent/v1/enrol"))
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(
        body.json::<wire::problem::Problem>().await.unwrap().code,
        "bad_enrolment"
    );
}
