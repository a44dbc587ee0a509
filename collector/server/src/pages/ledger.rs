//! Ledger: its head, who has seen it, its entries, and how to verify all of that.

use askama::Template;

use super::frame::Frame;
use super::part::{Command, Facet, Pager, When, count, counted};

/// The page of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "ledger.html")]
pub struct LedgerPage {
    /// What surrounds it.
    pub frame: Frame,
    /// The ledger's name.
    pub origin: String,
    /// Entries under the newest checkpoint.
    pub size: u64,
    /// The newest checkpoint, as its text.
    pub checkpoint: String,
    /// The verifier key to check it with.
    pub verifier_key: String,
    /// Hosts whose newest round names a checkpoint that they verified.
    pub hosts_witnessing: u64,
    /// Hosts that are enrolled and not retired.
    pub hosts: u64,
    /// Outside witnesses that have cosigned.
    pub witnesses: Vec<Witness>,
    /// The three commands that verify the ledger.
    pub commands: Vec<Command>,
    /// Entries by kind.
    pub kinds: Vec<Facet>,
    /// Entries, newest first.
    pub rows: Vec<EntryRow>,
    /// Which of them are shown.
    pub pager: Pager,
}

/// Someone outside who signed a checkpoint as seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Its name.
    pub name: String,
    /// Size of the newest checkpoint that it signed.
    pub size: u64,
    /// When it signed that.
    pub at: When,
}

/// One entry in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryRow {
    /// Its place, from zero.
    pub index: u64,
    /// Its kind: `round`, `key`, `bundle`.
    pub kind: String,
    /// When it was received.
    pub at: When,
    /// Whom or what it is about: a host's name, a person, a bundle.
    pub subject: String,
    /// Address of the subject; empty when it has no page.
    pub subject_href: String,
    /// What it says, in short.
    pub summary: String,
    /// Leaf hash, as hexadecimal text.
    pub leaf_hash: String,
    /// Address of its exported round; empty when it is no round.
    pub export_href: String,
}

impl LedgerPage {
    /// The answer in one sentence.
    pub fn answer(&self) -> String {
        if self.size == 0 {
            return "The ledger is empty.".to_owned();
        }
        let outside = match self.witnesses.len() {
            0 => "no outside witness has cosigned".to_owned(),
            some => format!("cosigned by {}", counted(some as u64, "outside witness")),
        };
        let verified = match self.hosts_witnessing {
            1 => "holds a checkpoint that it verified",
            _ => "hold a checkpoint that they verified",
        };
        format!(
            "{} under one signed checkpoint; {} of {} {verified}; {outside}.",
            counted(self.size, "entry"),
            count(self.hosts_witnessing),
            counted(self.hosts, "host"),
        )
    }
}

impl EntryRow {
    /// First digits of the leaf hash, enough to tell entries apart by eye.
    fn leaf_short(&self) -> &str {
        self.leaf_hash.get(..16).unwrap_or(&self.leaf_hash)
    }
}
