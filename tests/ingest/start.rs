//! Starting again: the head is held against its copy outside the database, and no fork is signed.

use acceptance::simulated::SimulatedAgent;
use acceptance::world::World;
use collector::ingest::head::HeadError;
use collector::ingest::sequencer::StartError;
use collector::service::ServiceError;
use evidence::outcome::Reason;
use evidence::time::{Clock as _, SystemClock};

async fn deliver(world: &World, seed: u64, rounds: u64) {
    let token = world.token("web", 1).await;
    let mut agent = SimulatedAgent::enrol(&world.url(), &world.client(), &token, seed, None)
        .await
        .unwrap();
    for _ in 0..rounds {
        agent
            .deliver(SystemClock::new().now(), Reason::Timeout)
            .await;
    }
}

#[tokio::test]
async fn the_log_goes_on_after_a_stop() {
    let mut world = World::start().await;
    deliver(&world, 1, 300).await;
    let before = world
        .service()
        .app
        .published
        .checkpoint()
        .checkpoint()
        .clone();
    world.stop().await;
    world.up().await;
    assert_eq!(
        world.service().app.published.checkpoint().checkpoint(),
        &before
    );
    deliver(&world, 2, 3).await;
}

#[tokio::test]
async fn a_database_put_back_is_noticed_before_anything_is_signed() {
    let mut world = World::start().await;
    deliver(&world, 1, 3).await;
    world.stop().await;
    let database = world.data().join(store::DATABASE_FILE);
    let backup = world.data().join("backup.sqlite");
    std::fs::copy(&database, &backup).unwrap();
    world.up().await;
    deliver(&world, 2, 3).await;
    world.stop().await;
    let newest = std::fs::read(world.data().join("checkpoint")).unwrap();
    std::fs::copy(&backup, &database).unwrap();
    for beside in ["assay.sqlite-wal", "assay.sqlite-shm"] {
        let _ = std::fs::remove_file(world.data().join(beside));
    }
    let error = world.try_up().await.unwrap_err();
    assert!(
        matches!(
            error,
            ServiceError::Start(StartError::Head(HeadError::Behind { .. }))
        ),
        "{error}"
    );
    assert_eq!(
        std::fs::read(world.data().join("checkpoint")).unwrap(),
        newest,
        "the newest checkpoint is still there"
    );
}

#[tokio::test]
async fn another_history_is_noticed() {
    let mut one = World::start().await;
    deliver(&one, 1, 3).await;
    one.stop().await;
    let mut other = World::start().await;
    deliver(&other, 2, 4).await;
    other.stop().await;
    std::fs::copy(
        one.data().join("keys/log.skey"),
        other.data().join("keys/log.skey"),
    )
    .unwrap();
    std::fs::copy(
        one.data().join("checkpoint"),
        other.data().join("checkpoint"),
    )
    .unwrap();
    let error = other.try_up().await.unwrap_err();
    assert!(
        matches!(
            error,
            ServiceError::Start(StartError::Head(HeadError::Fork { .. }))
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_damaged_tile_is_noticed() {
    let mut world = World::start().await;
    deliver(&world, 1, 5).await;
    world.stop().await;
    let database = world.data().join(store::DATABASE_FILE);
    sql(
        &database,
        "UPDATE tile SET hashes = zeroblob(length(hashes))",
    );
    let error = world.try_up().await.unwrap_err();
    assert!(
        matches!(
            error,
            ServiceError::Start(StartError::Head(HeadError::Damaged))
        ),
        "{error}"
    );
}

/// Changes the database behind the collector's back.
fn sql(database: &std::path::Path, statement: &str) {
    let status = std::process::Command::new("/usr/bin/python3")
        .arg("-c")
        .arg("import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit()")
        .arg(database)
        .arg(statement)
        .status()
        .unwrap();
    assert!(status.success(), "python3 is missing: run tests/run");
}

#[tokio::test]
async fn an_entry_taken_out_or_changed_is_noticed() {
    for (statement, says) in [
        (
            "DELETE FROM entry WHERE idx = (SELECT max(idx) FROM entry)",
            "rows of the log were taken out",
        ),
        (
            "DELETE FROM entry WHERE idx = 1",
            "rows of the log were taken out",
        ),
        (
            "UPDATE entry SET leaf = (SELECT leaf FROM entry WHERE idx = 3) WHERE idx = 4",
            "entry 4 in the database is missing or not the one that was signed",
        ),
        (
            "UPDATE entry SET idx = 90 WHERE idx = 4",
            "entry 4 in the database is missing or not the one that was signed",
        ),
    ] {
        let mut world = World::start().await;
        deliver(&world, 1, 5).await;
        world.stop().await;
        let kept = std::fs::read(world.data().join("checkpoint")).unwrap();
        sql(&world.data().join(store::DATABASE_FILE), statement);
        let error = world.try_up().await.unwrap_err().to_string();
        assert!(error.contains(says), "{statement}: {error}");
        let now = std::fs::read(world.data().join("checkpoint")).unwrap();
        assert_eq!(now, kept, "nothing was signed");
    }
}
