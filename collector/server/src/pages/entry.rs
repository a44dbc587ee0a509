//! Entry: one entry of the log, what was signed, and its proof.

use askama::Template;

use super::frame::Frame;
use super::part::{Facts, Proof, When, counted};

/// The page of one entry.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "entry.html")]
pub struct EntryPage {
    /// What surrounds it.
    pub frame: Frame,
    /// Its place, from zero.
    pub index: u64,
    /// Entries under the checkpoint.
    pub size: u64,
    /// Its kind: `round`, `enrol`, `bundle`.
    pub kind: String,
    /// When it was received.
    pub received: When,
    /// Name and address of the host it is about; none if it is about none.
    pub host: Option<(String, String)>,
    /// What the log commits to.
    pub leaf: Facts,
    /// Hash of that, as hexadecimal text.
    pub leaf_hash: String,
    /// What was signed; none if it was erased.
    pub statement: Option<Facts>,
    /// The signed checkpoint that covers it, as its text.
    pub checkpoint: String,
    /// How to take it away and verify it; none if it is no round.
    pub proof: Option<Proof>,
}

impl EntryPage {
    /// The answer in one sentence.
    pub fn answer(&self) -> String {
        let about = match &self.host {
            Some((name, _)) => format!(" about {name}"),
            None => String::new(),
        };
        format!(
            "An entry of kind {}{about}, received {}, under a signed checkpoint of {}.",
            self.kind,
            self.received.relative(),
            counted(self.size, "entry")
        )
    }
}
