//! Starting: load, verify, write the first entry of a new log, sign.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};

use crypto::{Random, VerifyingKey};
use evidence::time::Clock;
use ledger::edge::RightEdge;
use ledger::tile::TileKind;
use store::{Store, StoreError};
use tokio::sync::mpsc;
use wire::decision::{Actor, KeyInForce, Keys};
use wire::leaf::Kind;

use super::placing::RejectBudget;
use super::{Command, Draft, MAX_WAITING, Published, Sequencer, SigningKeys};
use crate::ingest::admit::Keyring;
use crate::ingest::fleet::Fleet;
use crate::ingest::head::{HeadError, HeadFile};
use crate::ingest::proofs::Tiles;
use crate::ingest::reception::Reception;
use crate::ingest::refusal::Refusal;
use crate::ingest::replay::{self, ReplayError};

/// Why the sequencer does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Signing would fork the log.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The entries could not be read back.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The tiles do not fit the head.
    #[error("the tiles in the database do not fit its head; restore it from a backup")]
    Edge(#[source] ledger::edge::EdgeError),
    /// The first entry could not be written.
    #[error("the first entry could not be written")]
    First(#[source] Refusal),
}

/// A sequencer ready to run, and what others need of it.
pub struct Started {
    /// To be run as the one task that writes.
    pub sequencer: Sequencer,
    /// Where commands arrive.
    pub commands: mpsc::Receiver<Command>,
    /// Where commands go.
    pub queue: mpsc::Sender<Command>,
    /// The keys of the fleet.
    pub keyring: Arc<Keyring>,
    /// The present checkpoint.
    pub published: Published,
}

/// Loads the log, holds it against the checkpoint kept outside, and signs its head. A new log gets its entry 0, which
/// names the keys in force.
///
/// # Errors
/// [`StartError`]; nothing was signed then.
pub async fn start(
    store: Store,
    keys: Arc<SigningKeys>,
    policy: VerifyingKey,
    checkpoint: PathBuf,
    clock: Arc<dyn Clock>,
    random: Box<dyn Random>,
) -> Result<Started, StartError> {
    let head = store.head().await?;
    let head_file = HeadFile::at(checkpoint);
    let mut tiles = Tiles::default();
    let edge = load_edge(&store, head.size).await?;
    let signed = head_file
        .verify_and_sign(&store, &mut tiles, head, &keys.log)
        .await?;
    head_file.keep(&signed.to_bytes())?;
    let fleet = load_fleet(&store).await?;
    let keyring = Arc::new(Keyring::default());
    keyring.load(&fleet);
    let last_rx = match head.size.checked_sub(1) {
        Some(last) => store.entry(last).await?.map_or(0, |entry| entry.leaf.rx),
        None => 0,
    };
    let published = Published(Arc::new(RwLock::new(signed)));
    let (queue, commands) = mpsc::channel(MAX_WAITING);
    let mut sequencer = Sequencer {
        store,
        keys,
        head_file,
        fleet,
        keyring: keyring.clone(),
        edge,
        tiles,
        reception: Reception::new(clock.clone(), last_rx),
        random,
        published: published.clone(),
        clock,
        lasts: HashMap::new(),
        rejects: RejectBudget::default(),
    };
    if head.size == 0 {
        sequencer
            .first_entry(policy)
            .await
            .map_err(StartError::First)?;
    }
    Ok(Started {
        sequencer,
        commands,
        queue,
        keyring,
        published,
    })
}

async fn load_edge(store: &Store, size: u64) -> Result<RightEdge, StartError> {
    let wanted: Vec<(u8, u64)> = RightEdge::paths(size)
        .filter_map(|path| match path.kind() {
            TileKind::Hashes(level) => Some((level, path.index())),
            TileKind::Entries => None,
        })
        .collect();
    let mut tiles = store.tiles(&wanted).await?;
    let found = RightEdge::from_tiles(size, |path| match path.kind() {
        TileKind::Hashes(level) => tiles.remove(&(level, path.index())),
        TileKind::Entries => None,
    });
    found.map_err(StartError::Edge)
}

async fn load_fleet(store: &Store) -> Result<Fleet, StartError> {
    let mut fleet = Fleet::load(
        store.standings().await?,
        store.latest().await?,
        store.agent_keys().await?,
    );
    replay::load_bundles(store, &mut fleet).await?;
    fleet.set_decisions(
        store.count_decisions().await?,
        replay::activations(store).await?,
    );
    let overseen = fleet.overseen_checks();
    fleet.set_overseen(store.overseen(&overseen).await?);
    Ok(fleet)
}

impl Sequencer {
    /// Entry 0: all keys in force, signed by the decision key it names.
    async fn first_entry(&mut self, policy: VerifyingKey) -> Result<(), Refusal> {
        let keys = vec![
            KeyInForce::Log {
                vkey: self.keys.log.vkey().to_string(),
            },
            KeyInForce::Decision {
                spki: self.keys.decision.verifying_key(),
            },
            KeyInForce::Policy { spki: policy },
        ];
        let mut draft = Draft::default();
        self.fleet.begin();
        let (_, leaf, _) = self.decide(
            &mut draft,
            Actor::collector(),
            "the log begins",
            Keys { keys },
            None,
        )?;
        debug_assert_eq!(leaf.kind, Kind::Key);
        self.fleet.decision();
        let mut edge = self.edge.clone();
        draft.batch.tiles = edge.append(&draft.leaves);
        self.commit(0, &edge, &mut draft).await?;
        self.edge = edge;
        self.publish();
        Ok(())
    }
}
