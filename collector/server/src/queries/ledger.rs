//! How long is the ledger, who has seen its head, and what stands in it?

use std::collections::{BTreeMap, HashMap};

use ::ledger::checkpoint::SignedCheckpoint;
use ::ledger::hash::leaf_hash;
use ::ledger::key::Vkey;
use ::store::reading::RegisteredHost;
use ::store::{EntryRow, Store};
use evidence::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use wire::decision::peek;
use wire::leaf::Kind;

use super::answer::{AsOf, Paper, Viewer};
use super::fleet::{self, Fleet};
use super::{Library, QueryError};
use crate::pages::frame::Section;
use crate::pages::ledger as page;
use crate::pages::part::{Choice, Command, Facet, Pager, counted};
use crate::pages::{LedgerPage, route};

/// Entries of one page of the list.
pub const PAGE: u32 = 50;

/// The ledger's head, witnesses and newest entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LedgerAnswer {
    /// The state it was computed from.
    pub as_of: AsOf,
    /// The ledger's name.
    pub origin: String,
    /// Entries under the signed checkpoint.
    pub size: u64,
    /// The signed checkpoint, as text.
    pub checkpoint: String,
    /// The verifier key to check it with.
    pub verifier_key: String,
    /// Hosts that are enrolled and not retired.
    pub hosts: u64,
    /// Of them, hosts whose newest statement names a checkpoint that they verified.
    pub hosts_witnessing: u64,
    /// Outside witnesses that cosigned the checkpoint.
    pub witnesses: Vec<WitnessAnswer>,
    /// Entries by kind.
    pub kinds: BTreeMap<String, u64>,
    /// The kind that the list is narrowed to.
    pub kind: Option<String>,
    /// Entries of the list, on all its pages.
    pub matching: u64,
    /// Entries before this index are listed; none at the newest.
    pub before: Option<u64>,
    /// The entries, newest first.
    pub entries: Vec<EntryAnswer>,
}

/// An outside witness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct WitnessAnswer {
    /// Its name.
    pub name: String,
    /// When it signed.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct EntryAnswer {
    /// Its place, from zero.
    pub index: u64,
    /// Its kind.
    pub kind: String,
    /// When it was received.
    #[schema(value_type = String, format = DateTime)]
    pub received: Timestamp,
    /// The host that it is about.
    pub host: Option<String>,
    /// That host's name.
    pub host_name: Option<String>,
    /// Its number in the host's chain, for a statement of a host.
    pub sequence: Option<u64>,
    /// Why, as the decision says; none for a statement of a host, or if its content was erased.
    pub why: Option<String>,
    /// Its leaf hash, as hexadecimal text.
    pub leaf_hash: String,
}

/// Which part of the ledger is asked for?
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LedgerFilter {
    /// Only entries of this kind.
    pub kind: Option<Kind>,
    /// Only entries before this index.
    pub before: Option<u64>,
}

impl LedgerFilter {
    /// The kind of that name, if there is one.
    #[must_use]
    pub fn kind_of_word(word: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|kind| kind.as_str() == word)
    }
}

/// What stands in the ledger? `checkpoint` is the newest that was signed, by `key`.
///
/// # Errors
/// [`QueryError`] if the database or a bundle in it fails.
pub async fn ledger(
    store: &Store,
    library: &Library,
    checkpoint: &SignedCheckpoint,
    key: &Vkey,
    filter: LedgerFilter,
    now: Timestamp,
) -> Result<LedgerAnswer, QueryError> {
    let fleet = Fleet::load(store, library, None, now).await?;
    let size = checkpoint.checkpoint().size;
    let kinds = store.kinds(size).await?;
    let before = filter.before.unwrap_or(size).min(size);
    let rows = store.entries_before(before, filter.kind, PAGE).await?;
    let hosts: HashMap<i64, &RegisteredHost> =
        fleet.hosts.iter().map(|host| (host.row, host)).collect();
    let mut entries = Vec::with_capacity(rows.len());
    for row in &rows {
        let host = row.agent.and_then(|agent| hosts.get(&agent).copied());
        entries.push(entry(store, row, host).await?);
    }
    let matching = match filter.kind {
        Some(kind) => kinds.get(&kind).copied().unwrap_or(0),
        None => size,
    };
    let witnesses = checkpoint.cosignatures().iter().map(|one| WitnessAnswer {
        name: one.witness.name().to_string(),
        at: Timestamp::from_unix_seconds(i64::try_from(one.time_s).unwrap_or(i64::MAX)),
    });
    Ok(LedgerAnswer {
        origin: key.name().to_string(),
        size,
        checkpoint: String::from_utf8_lossy(&checkpoint.to_bytes()).into_owned(),
        verifier_key: key.to_string(),
        hosts: fleet.in_scope().count() as u64,
        hosts_witnessing: fleet.in_scope().filter(|host| host.seen_size > 0).count() as u64,
        witnesses: witnesses.collect(),
        kinds: kinds
            .iter()
            .map(|(kind, count)| (kind.as_str().to_owned(), *count))
            .collect(),
        kind: filter.kind.map(|kind| kind.as_str().to_owned()),
        matching,
        before: filter.before,
        entries,
        as_of: fleet.as_of,
    })
}

async fn entry(
    store: &Store,
    row: &EntryRow,
    host: Option<&RegisteredHost>,
) -> Result<EntryAnswer, QueryError> {
    let why = match row.leaf.kind.is_agent_statement() {
        true => None,
        false => store.payload(row.idx).await?.and_then(|payload| {
            let (_, predicate) = peek(&payload).ok()?;
            Some(predicate.get("reason")?.as_str()?.to_owned())
        }),
    };
    Ok(EntryAnswer {
        index: row.idx,
        kind: row.leaf.kind.as_str().to_owned(),
        received: Timestamp::from_unix_ms(row.leaf.rx),
        host: row.leaf.agent.map(|agent| agent.to_hex()),
        host_name: host.map(fleet::name),
        sequence: row.leaf.seq,
        why,
        leaf_hash: leaf_hash(&row.bytes).to_hex(),
    })
}

/// The address at which people reach the collector, without a slash at its end: for the commands on the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(pub String);

impl From<(Viewer, LedgerAnswer, Address)> for LedgerPage {
    fn from((viewer, answer, address): (Viewer, LedgerAnswer, Address)) -> LedgerPage {
        let pager = pager(&answer);
        let paper = Paper {
            scope: counted(answer.size, "entry"),
            period: None,
            parameters: answer
                .kind
                .clone()
                .unwrap_or_else(|| "no filter".to_owned()),
            rows: pager.words(),
        };
        let size = answer.size;
        LedgerPage {
            frame: answer.as_of.frame(viewer, "Ledger", Section::Ledger, paper),
            hosts_witnessing: answer.hosts_witnessing,
            hosts: answer.hosts,
            witnesses: answer
                .witnesses
                .iter()
                .map(|witness| page::Witness {
                    name: witness.name.clone(),
                    size,
                    at: answer.as_of.when(witness.at),
                })
                .collect(),
            commands: commands(&answer, &address),
            kinds: vec![kinds(&answer)],
            rows: answer
                .entries
                .iter()
                .map(|entry| row(&answer.as_of, entry))
                .collect(),
            pager,
            size,
            origin: answer.origin,
            checkpoint: answer.checkpoint,
            verifier_key: answer.verifier_key,
        }
    }
}

fn href(kind: &str, before: Option<u64>) -> String {
    let before = before.map_or_else(String::new, |before| before.to_string());
    route::with_query(route::LEDGER, &[("kind", kind), ("before", &before)])
}

fn pager(answer: &LedgerAnswer) -> Pager {
    let kind = answer.kind.as_deref().unwrap_or_default();
    let oldest = answer.entries.last().map(|entry| entry.index);
    let full = answer.entries.len() == PAGE as usize;
    Pager {
        shown: answer.entries.len() as u64,
        total: answer.matching,
        noun: "entry".to_owned(),
        previous: answer.before.map(|_| href(kind, None)),
        next: oldest
            .filter(|oldest| full && *oldest > 0)
            .map(|oldest| href(kind, Some(oldest))),
        export: None,
    }
}

fn kinds(answer: &LedgerAnswer) -> Facet {
    let mut choices: Vec<Choice> = answer
        .kinds
        .iter()
        .map(|(kind, count)| {
            let chosen = answer.kind.as_ref() == Some(kind);
            Choice {
                label: kind.clone(),
                count: *count,
                href: href(if chosen { "" } else { kind }, None),
                chosen,
            }
        })
        .collect();
    choices.sort_by_key(|choice| std::cmp::Reverse(choice.count));
    Facet {
        name: "Entries by kind".to_owned(),
        choices,
    }
}

fn row(as_of: &AsOf, entry: &EntryAnswer) -> page::EntryRow {
    let told = entry.host_name.clone().or_else(|| entry.host.clone());
    let sequence = entry
        .sequence
        .map(|sequence| format!("statement {sequence} of its chain"));
    page::EntryRow {
        index: entry.index,
        kind: entry.kind.clone(),
        at: as_of.when(entry.received),
        subject: told.unwrap_or_else(|| "the collector".to_owned()),
        subject_href: entry.host.as_deref().map(route::host).unwrap_or_default(),
        summary: sequence.or_else(|| entry.why.clone()).unwrap_or_default(),
        leaf_hash: entry.leaf_hash.clone(),
        export_href: match entry.kind == Kind::Round.as_str() {
            true => route::round_archive(entry.index),
            false => String::new(),
        },
    }
}

fn commands(answer: &LedgerAnswer, address: &Address) -> Vec<Command> {
    let command = |what: &str, line: String| Command {
        what: what.to_owned(),
        line,
    };
    let base = &address.0;
    vec![
        command(
            "Keep the verifier key outside this server:",
            format!("printf '%s\\n' '{}' > log.vkey", answer.verifier_key),
        ),
        command(
            "Rebuild the tree from every entry and check the signed head (ca.pem is the authority of this server's certificate, `keys/ca.pem` in its data folder unless it was given another):",
            format!("assay-verify log {base}/log --key log.vkey --ca ca.pem"),
        ),
        command(
            "Keep today's checkpoint, to compare next year:",
            format!("curl --cacert ca.pem -fo checkpoint {base}/log/checkpoint"),
        ),
    ]
}
