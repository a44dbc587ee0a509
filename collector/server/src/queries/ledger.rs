//! What does the log hold, under which head, and who has seen it?

use std::collections::{BTreeMap, HashMap};

use ::store::reading::RegisteredHost;
use ::store::{EntryRow, Store};
use evidence::time::Timestamp;
use ledger::checkpoint::SignedCheckpoint;
use ledger::hash::leaf_hash;
use ledger::key::Vkey;
use serde::Serialize;
use utoipa::ToSchema;
use wire::decision;
use wire::leaf::Kind;

use super::answer::{AsOf, Paper, Viewer};
use super::fleet::{self, Fleet};
use super::{Library, QueryError};
use crate::pages::frame::Section;
use crate::pages::ledger as page;
use crate::pages::part::{Choice, Command, Facet, Pager, count};
use crate::pages::{LedgerPage, route};

/// Entries on one page.
const ROWS: u32 = 50;
/// Characters of a decision's reason in a list.
const REASON_CHARS: usize = 120;

/// Which entries are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EntryFilter {
    /// Those before this index; all if none is given.
    pub before: Option<u64>,
    /// Those of this kind; of every kind if none is given.
    pub kind: Option<Kind>,
}

/// The log: its head, who has seen it, and the newest of its entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LedgerAnswer {
    /// The state it was computed from.
    pub as_of: AsOf,
    /// The log's name.
    pub origin: String,
    /// Entries under the signed checkpoint.
    pub size: u64,
    /// The signed checkpoint, as its text.
    pub checkpoint: String,
    /// The key to verify it with.
    pub verifier_key: String,
    /// Hosts that are enrolled and not retired.
    pub hosts: u64,
    /// Of them, hosts whose last statement names a checkpoint that they verified.
    pub hosts_witnessing: u64,
    /// Entries by kind.
    pub kinds: BTreeMap<String, u64>,
    /// Entries, newest first: one page of them.
    pub entries: Vec<EntrySummary>,
    /// Kind that the list was narrowed to.
    pub kind: Option<String>,
    /// The index to give as `before` for the next page; none on the last.
    pub next_before: Option<u64>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct EntrySummary {
    /// Its place, from zero.
    pub index: u64,
    /// Its kind.
    pub kind: String,
    /// When it was received.
    #[schema(value_type = String, format = DateTime)]
    pub received: Timestamp,
    /// Id of the host it is about.
    pub host: Option<String>,
    /// Name of that host.
    pub host_name: Option<String>,
    /// Number of the statement, if it is one of an agent.
    pub sequence: Option<u64>,
    /// What it says, in short.
    pub summary: String,
    /// Its leaf hash, as hexadecimal text.
    pub leaf_hash: String,
}

/// What does the log hold under this checkpoint?
///
/// # Errors
/// [`QueryError`] if the database or a bundle in it fails.
pub async fn ledger(
    store: &Store,
    library: &Library,
    checkpoint: &SignedCheckpoint,
    key: &Vkey,
    filter: EntryFilter,
    now: Timestamp,
) -> Result<LedgerAnswer, QueryError> {
    let fleet = Fleet::load(store, library, None, now).await?;
    let size = checkpoint.checkpoint().size;
    let before = filter.before.unwrap_or(size).min(size);
    let rows = store.entries_before(before, filter.kind, ROWS).await?;
    let by_row: HashMap<i64, &RegisteredHost> =
        fleet.hosts.iter().map(|host| (host.row, host)).collect();
    let mut entries = Vec::with_capacity(rows.len());
    for row in &rows {
        let host = row.agent.and_then(|agent| by_row.get(&agent)).copied();
        entries.push(summary(store, row, host).await?);
    }
    let next_before = match entries.len() == ROWS as usize {
        true => entries
            .last()
            .map(|entry| entry.index)
            .filter(|index| *index > 0),
        false => None,
    };
    let kinds = store.kinds(size).await?;
    Ok(LedgerAnswer {
        origin: key.name().to_string(),
        size,
        checkpoint: String::from_utf8_lossy(&checkpoint.to_bytes()).into_owned(),
        verifier_key: key.to_string(),
        hosts: fleet.in_scope().count() as u64,
        hosts_witnessing: fleet.in_scope().filter(|host| host.seen_size > 0).count() as u64,
        kinds: kinds
            .into_iter()
            .map(|(kind, number)| (kind.as_str().to_owned(), number))
            .collect(),
        entries,
        kind: filter.kind.map(|kind| kind.as_str().to_owned()),
        next_before,
        as_of: fleet.as_of,
    })
}

async fn summary(
    store: &Store,
    row: &EntryRow,
    host: Option<&RegisteredHost>,
) -> Result<EntrySummary, QueryError> {
    let leaf = &row.leaf;
    let summary = match leaf.seq {
        Some(seq) => format!(
            "statement {} of the host, {} bytes signed",
            count(seq),
            count(leaf.len)
        ),
        None => decided(store, row.idx).await?,
    };
    Ok(EntrySummary {
        index: row.idx,
        kind: leaf.kind.as_str().to_owned(),
        received: Timestamp::from_unix_ms(leaf.rx),
        host: host.map(|host| host.agent.to_hex()),
        host_name: host.map(fleet::name),
        sequence: leaf.seq,
        summary,
        leaf_hash: leaf_hash(&row.bytes).to_hex(),
    })
}

/// Why, and in which role, something was decided.
async fn decided(store: &Store, index: u64) -> Result<String, QueryError> {
    let Some(payload) = store.payload(index).await? else {
        return Ok("erased; the entry and its proof stay".to_owned());
    };
    let Ok((_, predicate)) = decision::peek(&payload) else {
        return Ok("of a form that is not understood here".to_owned());
    };
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let reason: String = text(&predicate["reason"])
        .chars()
        .take(REASON_CHARS)
        .collect();
    Ok(format!(
        "{reason}; decided as {}",
        text(&predicate["by"]["role"])
    ))
}

/// The page's answer, and the address that commands name.
impl From<(Viewer, LedgerAnswer, &str)> for LedgerPage {
    fn from((viewer, answer, url): (Viewer, LedgerAnswer, &str)) -> LedgerPage {
        let total = match &answer.kind {
            Some(kind) => answer.kinds.get(kind).copied().unwrap_or(0),
            None => answer.size,
        };
        let kind = answer.kind.clone().unwrap_or_default();
        let pager = Pager {
            shown: answer.entries.len() as u64,
            total,
            noun: "entry".to_owned(),
            previous: None,
            next: answer.next_before.map(|before| {
                let before = before.to_string();
                route::with_query(route::LEDGER, &[("kind", &kind), ("before", &before)])
            }),
            export: None,
        };
        let paper = Paper {
            scope: "the whole log".to_owned(),
            period: None,
            parameters: match kind.is_empty() {
                true => "no filter".to_owned(),
                false => format!("kind {kind}"),
            },
            rows: pager.words(),
        };
        LedgerPage {
            frame: answer.as_of.frame(viewer, "Ledger", Section::Ledger, paper),
            size: answer.size,
            signed_at: None,
            hosts_witnessing: answer.hosts_witnessing,
            hosts: answer.hosts,
            witnesses: Vec::new(),
            commands: commands(url, &answer.verifier_key),
            kinds: vec![kinds(&answer)],
            rows: answer
                .entries
                .iter()
                .map(|entry| entry_row(&answer.as_of, entry))
                .collect(),
            pager,
            origin: answer.origin,
            checkpoint: answer.checkpoint,
            verifier_key: answer.verifier_key,
        }
    }
}

fn commands(url: &str, key: &str) -> Vec<Command> {
    let command = |what: &str, line: String| Command {
        what: what.to_owned(),
        line,
    };
    vec![
        command(
            "Keep the verifier key outside this server:",
            format!("echo '{key}' > log.vkey"),
        ),
        command(
            "Rebuild the tree from every entry and check the signed head (ca.pem: the collector's authority):",
            format!("assay-verify log {url}/log --key log.vkey --ca ca.pem"),
        ),
        command(
            "Keep today's checkpoint, to compare later:",
            format!("curl --cacert ca.pem -o checkpoint {url}/log/checkpoint"),
        ),
    ]
}

fn kinds(answer: &LedgerAnswer) -> Facet {
    let mut choices: Vec<Choice> = answer
        .kinds
        .iter()
        .map(|(kind, number)| {
            let chosen = answer.kind.as_deref() == Some(kind);
            let wanted = if chosen { "" } else { kind.as_str() };
            Choice {
                label: kind.clone(),
                count: *number,
                href: route::with_query(route::LEDGER, &[("kind", wanted)]),
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

fn entry_row(as_of: &AsOf, entry: &EntrySummary) -> page::EntryRow {
    page::EntryRow {
        index: entry.index,
        kind: entry.kind.clone(),
        at: as_of.when(entry.received),
        subject: entry
            .host_name
            .clone()
            .unwrap_or_else(|| "the collector".to_owned()),
        subject_href: entry.host.as_deref().map(route::host).unwrap_or_default(),
        summary: entry.summary.clone(),
        leaf_hash: entry.leaf_hash.clone(),
        export_href: match entry.kind == Kind::Round.as_str() {
            true => route::round_archive(entry.index),
            false => String::new(),
        },
    }
}
