//! A whole log: every entry read, every tile computed again, the root compared with the signed one.

use std::collections::HashMap;

use crypto::Digest;
use futures::{Stream, StreamExt as _, stream};
use ledger::bundle;
use ledger::checkpoint::{Checkpoint, SignedCheckpoint};
use ledger::edge::{HashTile, RightEdge};
use ledger::hash::leaf_hash;
use ledger::key::Vkey;
use ledger::tile::{FULL_WIDTH, TileKind, TilePath, encode_hashes};

use crate::leaves::{RULES, Recount};
use crate::report::{Report, in_full};
use crate::source::{Source, SourceError};

/// Pairs of entries and hashes asked for at the same time, of half a megabyte at most each.
const AT_ONCE: usize = 8;
const LEAF_HASHES: TileKind = TileKind::Hashes(0);

/// Is shown the entries of a log on the way.
pub(crate) trait Watch {
    /// The next entry with its leaf hash; `before` has taken all entries before it and not this one.
    fn entry(&mut self, entry: &[u8], hash: Digest, before: &Recount);
}

/// Nobody looks.
struct Unwatched;

impl Watch for Unwatched {
    fn entry(&mut self, _: &[u8], _: Digest, _: &Recount) {}
}

/// Verifies the log at `source` against its key, step by step.
pub async fn verify(source: &Source, log_key: &Vkey) -> Report {
    verify_watched(source, log_key, &mut Unwatched).await
}

/// As [`verify`], and shows `watch` every entry that could be read, in order.
pub(crate) async fn verify_watched(
    source: &Source,
    log_key: &Vkey,
    watch: &mut impl Watch,
) -> Report {
    let mut report = Report::new();
    if let Some(checkpoint) = checkpoint(&mut report, source, log_key).await {
        entries_and_tiles(&mut report, source, &checkpoint, watch).await;
    }
    report.not_checked(
        "the signatures in the leaves: a log holds no payloads, each needs its exported round",
    );
    report.not_checked(
        "whether the log showed others another history: compare size and root with a checkpoint kept elsewhere",
    );
    report
}

async fn checkpoint(report: &mut Report, source: &Source, log_key: &Vkey) -> Option<Checkpoint> {
    let file = report.take("checkpoint", source.checkpoint().await)?;
    let signed = report.take("checkpoint", SignedCheckpoint::open(&file, log_key, &[]))?;
    let head = signed.checkpoint().clone();
    report.ok(
        "checkpoint",
        format!(
            "{} signed {} entries under root {}",
            head.origin,
            head.size,
            head.root.to_base64()
        ),
    );
    if head.to_text() != signed.note().text() {
        report.failed(
            "checkpoint",
            "it has lines beyond origin, size and root, which nobody can audit",
        );
    }
    let others = signed.note().signatures().len().saturating_sub(1);
    if others > 0 {
        report.not_checked(format!(
            "{others} other signature line(s) of the checkpoint: cosignatures need the witnesses' keys"
        ));
    }
    Some(head)
}

async fn entries_and_tiles(
    report: &mut Report,
    source: &Source,
    head: &Checkpoint,
    watch: &mut impl Watch,
) {
    let mut recount = Recount::new();
    let mut tiles = Tiles::default();
    let walked = walk(source, head, &mut recount, &mut tiles, watch).await;
    let complete = walked.is_ok();
    if let Err(problem) = walked {
        report.failed("entries", problem);
    }
    if complete {
        let root = tiles.edge.frontier().root();
        report.hold(
            "root",
            root == head.root,
            format!(
                "{} entries lead to root {}",
                tiles.edge.size(),
                root.to_base64()
            ),
        );
        tiles.compare_edge(source, head.size).await;
        let compared = tiles.compared;
        report.all(
            "tiles",
            tiles.wrong,
            format!("{compared} tiles are what the entries make of them"),
        );
    } else {
        report.all("tiles", tiles.wrong, "as far as entries could be read");
    }
    leaves(report, &recount, head.size);
}

/// Reads all entries in order; full tiles are compared on the way.
async fn walk(
    source: &Source,
    head: &Checkpoint,
    recount: &mut Recount,
    tiles: &mut Tiles,
    watch: &mut impl Watch,
) -> Result<(), String> {
    let mut files = read(source, head.size);
    while let Some(row) = files.next().await {
        let Row {
            path,
            entries,
            hashes,
        } = row;
        let entries = entries.map_err(|error| in_full(&error))?;
        let entries = bundle::decode(&entries, path.width())
            .map_err(|error| format!("{path}: {}", in_full(&error)))?;
        let computed: Vec<_> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        for (entry, hash) in entries.iter().zip(&computed) {
            watch.entry(entry, *hash, recount);
            recount.push(entry);
        }
        let written = tiles.edge.append(&computed);
        for tile in written {
            if tile.path.kind() == LEAF_HASHES {
                continue;
            }
            tiles.take(source, tile).await;
        }
        if let Some(path) = TilePath::at_size(LEAF_HASHES, path.index(), head.size) {
            tiles.hold(
                &HashTile {
                    path,
                    hashes: computed,
                },
                hashes,
            );
        }
    }
    Ok(())
}

/// 256 entries at most, and the hashes that the log says they have.
struct Row {
    path: TilePath,
    entries: Result<Vec<u8>, SourceError>,
    hashes: Result<Vec<u8>, SourceError>,
}

/// All entries and their tiles of leaf hashes, in order, several files asked for at a time.
fn read(source: &Source, size: u64) -> impl Stream<Item = Row> {
    let rows = (0..size.div_ceil(u64::from(FULL_WIDTH))).filter_map(move |index| {
        Some((
            TilePath::at_size(TileKind::Entries, index, size)?,
            TilePath::at_size(LEAF_HASHES, index, size)?,
        ))
    });
    stream::iter(rows)
        .map(async move |(path, tile)| {
            let (entries, hashes) = futures::join!(source.tile(&path), source.tile(&tile));
            Row {
                path,
                entries,
                hashes,
            }
        })
        .buffered(AT_ONCE)
        .boxed_local()
}

/// The tiles that the entries read so far make, held against those of the log.
#[derive(Default)]
struct Tiles {
    edge: RightEdge,
    partial: HashMap<TileKind, HashTile>,
    compared: u64,
    wrong: Vec<String>,
}

impl Tiles {
    /// Compares a full tile; a partial one waits until it is full or the log ends.
    async fn take(&mut self, source: &Source, tile: HashTile) {
        if tile.path.is_full() {
            let file = source.tile(&tile.path).await;
            self.hold(&tile, file);
        } else {
            self.partial.insert(tile.path.kind(), tile);
        }
    }

    /// Compares the partial tiles above the leaf hashes of a log of this size.
    async fn compare_edge(&mut self, source: &Source, size: u64) {
        for path in RightEdge::paths(size).filter(|path| path.kind() != LEAF_HASHES) {
            match self.partial.remove(&path.kind()) {
                Some(tile) if tile.path == path => {
                    let file = source.tile(&path).await;
                    self.hold(&tile, file);
                }
                _ => self.wrong.push(format!("{path} could not be computed")),
            }
        }
    }

    fn hold(&mut self, computed: &HashTile, file: Result<Vec<u8>, SourceError>) {
        let path = computed.path;
        self.compared += 1;
        match file {
            Ok(file) if file == encode_hashes(&computed.hashes) => {}
            Ok(_) => self
                .wrong
                .push(format!("{path} does not hold the hashes of the entries")),
            Err(error) => self.wrong.push(in_full(&error)),
        }
    }
}

/// A step for each rule of the leaves.
fn leaves(report: &mut Report, recount: &Recount, size: u64) {
    let tally = recount.tally();
    let (findings, unkept) = recount.findings();
    let all_read = tally.entries == size;
    for (rule, meaning) in RULES {
        let broken: Vec<String> = findings
            .iter()
            .filter(|finding| finding.rule == rule)
            .map(|finding| format!("entry {}: {}", finding.index, finding.problem))
            .collect();
        if !broken.is_empty() || all_read && size > 0 {
            report.all(rule, broken, meaning);
        }
    }
    if unkept > 0 {
        report.failed("leaves", format!("{unkept} more findings are not shown"));
    }
    if all_read {
        report.ok(
            "counted",
            format!(
                "{} rounds, {} gaps, {} decisions; {} agents, {} without a valid key; last rx {}",
                tally.rounds,
                tally.gaps,
                tally.decisions,
                tally.agents,
                tally.ended,
                tally.last_rx.map_or("none".to_owned(), |ms| {
                    evidence::time::Timestamp::from_unix_ms(ms).to_string()
                })
            ),
        );
    } else {
        report.failed(
            "entries",
            format!("only {} of {size} could be read", tally.entries),
        );
    }
}
