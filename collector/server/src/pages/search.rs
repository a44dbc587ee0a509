//! Search: hosts, checks and controls whose name or title has the words.

use askama::Template;

use super::frame::Frame;
use super::part::{Empty, counted};

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "search.html")]
pub struct SearchPage {
    /// What surrounds it; `frame.search` has the words.
    pub frame: Frame,
    /// What was found, in groups: hosts, checks, controls; empty groups are left out.
    pub groups: Vec<Hits>,
}

/// Hits of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hits {
    /// The kind, plural: `Hosts`.
    pub kind: String,
    /// The hits, best first.
    pub hits: Vec<Hit>,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Its name or id.
    pub name: String,
    /// Its title, or what it is.
    pub detail: String,
    /// Address of its page.
    pub href: String,
}

impl SearchPage {
    /// The answer in one sentence.
    pub fn answer(&self) -> String {
        let found: usize = self.groups.iter().map(|group| group.hits.len()).sum();
        match self.frame.search.is_empty() {
            true => "Type words of a host's name, a check or a control.".to_owned(),
            false => format!(
                "{} for “{}”.",
                counted(found as u64, "match"),
                self.frame.search
            ),
        }
    }

    fn empty(&self) -> Option<Empty> {
        (self.groups.is_empty() && !self.frame.search.is_empty()).then(|| Empty {
            why: "No host, check or control has these words.".to_owned(),
            next: "Try a part of the name, a check's id such as sshd.root, or a control's such as 8.5.".to_owned(),
            command: None,
        })
    }
}
