//! What surrounds every page of a signed-in person.

use super::part::{When, count};
use super::route;

/// The parts of the product that the rail leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// All controls at a glance.
    Overview,
    /// The list of controls, a control, a check.
    Controls,
    /// The list of hosts, a host, an outcome.
    Hosts,
    /// The ledger and its entries.
    Ledger,
    /// None of them: a problem, the search.
    None,
}

impl Section {
    /// The sections that exist, in the order of the rail, with their name and address.
    const RAIL: [(Self, &'static str, &'static str); 4] = [
        (Self::Overview, "Overview", route::OVERVIEW),
        (Self::Controls, "Controls", route::CONTROLS),
        (Self::Hosts, "Hosts", route::HOSTS),
        (Self::Ledger, "Ledger", route::LEDGER),
    ];
}

/// What surrounds every page: where one is, who is signed in, and how fresh the system is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The page's name for the browser's title bar.
    pub title: String,
    /// The part of the product it belongs to.
    pub section: Section,
    /// Name of the signed-in person.
    pub person: String,
    /// The words searched for, to stand in the search field again.
    pub search: String,
    /// State of the whole system, shown at the top of every page.
    pub pulse: Pulse,
    /// What an auditor needs to know about a printed page.
    pub exhibit: Exhibit,
}

/// How fresh the system is, in one quiet line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// Entries in the ledger.
    pub entries: u64,
    /// When the newest round was received; none if there never was one.
    pub last_round: Option<When>,
    /// Whether that is longer ago than any cadence explains.
    pub stale: bool,
    /// Digest of the bundle in force, as hexadecimal text; empty when none is.
    pub bundle: String,
}

/// Where a printed page came from: information produced by the entity, as auditors call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exhibit {
    /// The ledger's origin.
    pub source: String,
    /// Hosts or controls that the page is about.
    pub scope: String,
    /// The period, with both ends in UTC.
    pub period: String,
    /// Filters and parameters in force.
    pub parameters: String,
    /// Rows on the page, of how many.
    pub rows: String,
    /// Digest of the data: ledger size and root hash that the page was computed from.
    pub digest: String,
    /// When the page was made.
    pub at: When,
}

impl Pulse {
    /// `ledger 10,482 entries`.
    pub fn ledger(&self) -> String {
        format!("ledger {}", super::part::counted(self.entries, "entry"))
    }

    /// First digits of the bundle's digest, enough to tell bundles apart by eye.
    pub fn bundle_short(&self) -> &str {
        self.bundle.get(..12).unwrap_or(&self.bundle)
    }
}

impl Frame {
    pub(super) fn rail(&self) -> Vec<(&'static str, &'static str, bool)> {
        Section::RAIL
            .iter()
            .map(|(section, name, href)| (*name, *href, *section == self.section))
            .collect()
    }

    pub(super) fn size(&self) -> String {
        count(self.pulse.entries)
    }
}
