//! What is one entry of the log, and how is it proven?

use ::store::Store;
use evidence::time::Timestamp;
use ledger::checkpoint::SignedCheckpoint;
use ledger::hash::leaf_hash;
use serde_json::Value;
use wire::decision;
use wire::leaf::{Kind, Leaf};

use super::answer::{AsOf, Paper, Viewer};
use super::fleet::{self, Fleet};
use super::ledger::Address;
use super::{Library, QueryError, exported};
use crate::pages::frame::Section;
use crate::pages::part::{Facts, Pair, Proof, count};
use crate::pages::{EntryPage, route};

/// One entry of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct EntryAnswer {
    /// The state it was computed from.
    pub as_of: AsOf,
    /// Its place, from zero.
    pub index: u64,
    /// What the log commits to.
    pub leaf: Leaf,
    /// Its hash, as hexadecimal text.
    pub leaf_hash: String,
    /// Id and name of the host it is about.
    pub host: Option<(String, String)>,
    /// What was signed; none if it was erased.
    pub statement: Option<Value>,
    /// The checkpoint that covers it, as its text.
    pub checkpoint: String,
    /// Entries under that checkpoint.
    pub size: u64,
}

/// What is the entry at this place, under this checkpoint?
///
/// # Errors
/// [`QueryError::NotFound`] if there is none; otherwise what the database says.
pub async fn entry(
    store: &Store,
    library: &Library,
    checkpoint: &SignedCheckpoint,
    index: u64,
    now: Timestamp,
) -> Result<EntryAnswer, QueryError> {
    let missing = || QueryError::not_found("entry", index);
    let size = checkpoint.checkpoint().size;
    if index >= size {
        return Err(missing());
    }
    let row = store.entry(index).await?.ok_or_else(missing)?;
    let fleet = Fleet::load(store, library, None, now).await?;
    let host = fleet.hosts.iter().find(|host| Some(host.row) == row.agent);
    let payload = store.payload(index).await?;
    let statement = payload.and_then(|payload| Some(decision::peek(&payload).ok()?.1));
    Ok(EntryAnswer {
        index,
        leaf_hash: leaf_hash(&row.bytes).to_hex(),
        host: host.map(|host| (host.agent.to_hex(), fleet::name(host))),
        statement,
        leaf: row.leaf,
        checkpoint: String::from_utf8_lossy(&checkpoint.to_bytes()).into_owned(),
        size,
        as_of: fleet.as_of,
    })
}

impl From<(Viewer, EntryAnswer, Address)> for EntryPage {
    fn from((viewer, answer, address): (Viewer, EntryAnswer, Address)) -> EntryPage {
        let title = format!("Entry {}", count(answer.index));
        let paper = Paper {
            scope: format!("entry {} of {}", answer.index, answer.size),
            period: None,
            parameters: "none".to_owned(),
            rows: "1 entry".to_owned(),
        };
        let leaf = serde_json::to_value(&answer.leaf).unwrap_or_default();
        EntryPage {
            frame: answer.as_of.frame(viewer, &title, Section::Ledger, paper),
            index: answer.index,
            size: answer.size,
            kind: answer.leaf.kind.as_str().to_owned(),
            received: answer.as_of.when(Timestamp::from_unix_ms(answer.leaf.rx)),
            host: answer
                .host
                .as_ref()
                .map(|(id, name)| (name.clone(), route::host(id))),
            leaf: Facts::of(&leaf),
            statement: answer.statement.as_ref().map(Facts::of),
            proof: (answer.leaf.kind == Kind::Round).then(|| {
                proof(
                    &answer.as_of,
                    answer.index,
                    &answer.leaf,
                    &answer.leaf_hash,
                    &answer.checkpoint,
                    &address,
                )
            }),
            leaf_hash: answer.leaf_hash,
            checkpoint: answer.checkpoint,
        }
    }
}

/// Where a round stands in the log, and how to verify that without this server.
pub(super) fn proof(
    as_of: &AsOf,
    index: u64,
    leaf: &Leaf,
    leaf_hash: &str,
    checkpoint: &str,
    address: &Address,
) -> Proof {
    let received = as_of.when(Timestamp::from_unix_ms(leaf.rx));
    Proof {
        index,
        leaf_hash: leaf_hash.to_owned(),
        envelope_digest: leaf.pae.to_hex(),
        properties: vec![
            Pair::new(
                "Sequence",
                match leaf.seq {
                    Some(seq) => format!("{} of this host", count(seq)),
                    None => "none".to_owned(),
                },
            ),
            Pair::new("Signed by key", leaf.key.to_hex()),
            Pair::new("Received", received.absolute()),
        ],
        checkpoint: checkpoint.to_owned(),
        archive_href: route::round_archive(index),
        files: exported::files(index),
        commands: exported::commands(index, address),
    }
}
