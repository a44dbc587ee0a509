//! Controls: all of Annex A as a list that can be narrowed.

use askama::Template;

use super::frame::Frame;
use super::part::{Class, Facet, HostTimeUnit, Pager, Share, Verdict};

/// The list of controls.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "controls.html")]
pub struct ControlsPage {
    /// What surrounds it.
    pub frame: Frame,
    /// The period in words: `the last 30 days`.
    pub period: String,
    /// How the list can be narrowed: theme, class, verdict.
    pub facets: Vec<Facet>,
    /// The controls, in the standard's order.
    pub rows: Vec<ControlRow>,
    /// Which of them are shown.
    pub pager: Pager,
}

/// One control in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlRow {
    /// Its id: `A.8.5`.
    pub id: String,
    /// Its title.
    pub title: String,
    /// What host evidence can say about it.
    pub class: Class,
    /// How it did over the period.
    pub verdict: Verdict,
    /// Passing host-time in observed host-time, in milliseconds; a whole of zero when nothing was observed.
    pub operating: Share,
    /// Unobserved host-time in all host-time, in milliseconds.
    pub unobserved: Share,
    /// Hosts on which a primary check fails now.
    pub hosts_failing: u64,
    /// Primary checks of it in the bundle in force.
    pub primary_checks: u64,
    /// Address of its page.
    pub href: String,
}

impl ControlRow {
    fn host_time(&self, share: &Share) -> String {
        HostTimeUnit::for_whole(self.unobserved.whole).ratio(*share)
    }
}

impl ControlsPage {
    /// The answer in one sentence.
    pub fn answer(&self) -> String {
        let carried = self
            .rows
            .iter()
            .filter(|row| row.primary_checks > 0)
            .count();
        format!(
            "{carried} of these {} controls are carried by at least one host check; \
             the figures are of {}.",
            self.rows.len(),
            self.period
        )
    }
}
