//! What hostile or unlucky senders, disks and clocks try against the collector.

use std::time::Duration;

use acceptance::simulated::SimulatedAgent;
use acceptance::world::World;
use crypto::Digest;
use evidence::outcome::Reason;
use evidence::time::{Clock as _, SystemClock, Timestamp};
use wire::leaf::Kind;
use wire::statement::AgentStatement;
use wire::submission::Submission;

fn now() -> Timestamp {
    SystemClock::new().now()
}

async fn agent(world: &World, seed: u64) -> SimulatedAgent {
    let token = world.token("web", 1).await;
    SimulatedAgent::enrol(&world.url(), &world.client(), &token, seed, None)
        .await
        .unwrap()
}

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

/// Keeps the checkpoint from being written; the folder's owner is root, whom no mode stops.
fn block(world: &World) -> std::path::PathBuf {
    let temporary = world.data().join("checkpoint.tmp");
    std::fs::create_dir(&temporary).unwrap();
    temporary
}

#[tokio::test]
async fn a_statement_whose_checkpoint_could_not_be_kept_gets_its_receipt_later() {
    let world = World::start().await;
    let mut agent = agent(&world, 1).await;
    agent.deliver(now(), Reason::Timeout).await;
    let before = world.service().app.published.checkpoint().to_bytes();
    let blocked = block(&world);
    let next = agent.signed_round(now(), Reason::Timeout);
    for _ in 0..2 {
        assert_eq!(agent.send(&next).await.unwrap_err().code, "storage");
        assert_eq!(
            world.service().app.published.checkpoint().to_bytes(),
            before,
            "what is not kept outside is not shown to anyone"
        );
    }
    std::fs::remove_dir(blocked).unwrap();
    let receipt = agent.send(&next).await.unwrap();
    agent.accept(&next, &receipt);
    agent.deliver(now(), Reason::Timeout).await;
}

#[tokio::test]
async fn a_checkpoint_that_could_not_be_kept_is_tried_again_although_nobody_sends() {
    let world = World::start().await;
    let mut agent = agent(&world, 1).await;
    let blocked = block(&world);
    let next = agent.signed_round(now(), Reason::Timeout);
    assert_eq!(agent.send(&next).await.unwrap_err().code, "storage");
    std::fs::remove_dir(blocked).unwrap();
    let app = &world.service().app;
    let size = app.store.head().await.unwrap().size;
    for _ in 0..300 {
        if app.published.checkpoint().checkpoint().size == size {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the newest entries stay unsigned until somebody sends");
}

#[tokio::test]
async fn facts_that_are_asked_for_again_use_up_no_reject() {
    let world = World::start().await;
    let mut agent = agent(&world, 1).await;
    agent.deliver(now(), Reason::Timeout).await;
    let whole = agent.signed_round(now(), Reason::ToolMissing);
    let bare = Submission {
        envelope: whole.envelope.clone(),
        disclosures: Vec::new(),
    };
    for _ in 0..3 {
        let problem = agent.send(&bare).await.unwrap_err();
        assert_eq!(problem.code, "disclosure_missing");
    }
    let (mut round, changed) = agent.round(now(), Reason::ToolMissing);
    round.bundle.sha256 = Digest::of(b"other");
    let refused = agent.sign(&AgentStatement::Round(Box::new(round)), changed);
    let store = &world.service().app.store;
    let size = store.head().await.unwrap().size;
    assert_eq!(
        agent.send(&refused).await.unwrap_err().code,
        "bundle_not_in_force"
    );
    let entry = store.entry(size).await.unwrap().unwrap();
    assert_eq!(entry.leaf.kind, Kind::Reject);
}

#[tokio::test]
async fn a_gap_over_what_is_in_the_log_is_refused_and_is_no_fork() {
    let world = World::start().await;
    let mut agent = agent(&world, 1).await;
    agent.deliver(now(), Reason::Timeout).await;
    // The answer is lost, and then the host's disk: the agent believes that number 2 never arrived.
    let arrived = agent.signed_round(now(), Reason::Timeout);
    let receipt = agent.send(&arrived).await.unwrap();
    let gap = agent.gap(now(), 3);
    let gap = agent.sign(&AgentStatement::Gap(Box::new(gap)), vec![]);
    assert_eq!(agent.send(&gap).await.unwrap_err().code, "gap_overlaps");
    let store = &world.service().app.store;
    let last = store.head().await.unwrap().size - 1;
    let entry = store.entry(last).await.unwrap().unwrap();
    assert_eq!(entry.leaf.kind, Kind::Reject);
    agent.accept(&arrived, &receipt);
    agent.deliver(now(), Reason::Timeout).await;
}

#[tokio::test]
async fn a_dictionary_tells_a_stranger_nothing() {
    let world = World::start().await;
    let mut victim = agent(&world, 1).await;
    victim.deliver(now(), Reason::Timeout).await;
    let mut other = agent(&world, 2).await;
    other.deliver(now(), Reason::Timeout).await;
    let name = victim.prev;
    let payload = {
        let store = &world.service().app.store;
        let index = store.index_of(&name).await.unwrap().unwrap();
        store.payload(index).await.unwrap().unwrap()
    };
    let with = |text: &[u8]| {
        let mut compressor = zstd::bulk::Compressor::with_dictionary(3, &payload).unwrap();
        compressor.include_checksum(true).unwrap();
        compressor.compress(text).unwrap()
    };
    // What is refused for four reasons without a dictionary is refused for one with another agent's.
    let mut forged = victim.signed_round(now(), Reason::Timeout);
    forged.envelope.signatures[0].signature = other
        .signed_round(now(), Reason::Timeout)
        .envelope
        .signatures[0]
        .signature;
    let mut stranger = victim.round(now(), Reason::Timeout).0;
    stranger.common.agent.id = Digest::of(b"stranger");
    let stranger = victim.sign(&AgentStatement::Round(Box::new(stranger)), vec![]);
    let frame = with(b"neither");
    for body in [
        with(&forged.to_bytes().unwrap()),
        with(&stranger.to_bytes().unwrap()),
        with(b"neither"),
        frame[..frame.len() - 1].to_vec(),
    ] {
        let problem = victim.send_body(body, Some(name)).await.unwrap_err();
        assert_eq!(problem.code, "dictionary_unknown");
    }
    // Nor may another agent of the fleet sign what it guesses of this one.
    let next = other.signed_round(now(), Reason::Timeout);
    let body = with(&next.to_bytes().unwrap());
    let problem = other.send_body(body, Some(name)).await.unwrap_err();
    assert_eq!(problem.code, "dictionary_unknown");
    victim.deliver(now(), Reason::Timeout).await;
}

/// A TLS connection that says `said` and then nothing; how long the collector keeps it.
fn silent(address: std::net::SocketAddr, ca: &std::path::Path, said: &[u8]) -> Duration {
    use rustls::pki_types::pem::PemObject as _;
    use std::io::{Read as _, Write as _};
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(rustls::pki_types::CertificateDer::from_pem_file(ca).unwrap())
        .unwrap();
    let config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let connection = rustls::ClientConnection::new(std::sync::Arc::new(config), name).unwrap();
    let stream = std::net::TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(40)))
        .unwrap();
    let mut stream = rustls::StreamOwned::new(connection, stream);
    stream.write_all(said).unwrap();
    stream.flush().unwrap();
    let started = std::time::Instant::now();
    let mut answer = [0; 4096];
    let end = loop {
        match stream.read(&mut answer) {
            Ok(0) => break None,
            Ok(_) => {}
            Err(error) => break Some(error.kind()),
        }
    };
    assert_ne!(
        end,
        Some(std::io::ErrorKind::WouldBlock),
        "the collector keeps a silent connection"
    );
    started.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_keeps_a_connection_by_saying_little() {
    let world = World::start().await;
    let (address, ca) = (world.service().address, world.service().ca.clone().unwrap());
    let beginnings: [&[u8]; 4] = [
        b"G",
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-slow: ",
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\nGET /",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    let mut clients = tokio::task::JoinSet::new();
    for said in beginnings {
        let ca = ca.clone();
        clients.spawn_blocking(move || silent(address, &ca, said));
    }
    for kept in clients.join_all().await {
        assert!(kept < Duration::from_secs(30), "kept for {kept:?}");
    }
}
