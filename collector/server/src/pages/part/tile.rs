use askama::Template;

use super::Verdict;

/// What host evidence can say about a control at best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Host evidence alone shows that the technical part operates.
    Automated,
    /// Host evidence shows part of it.
    Partial,
    /// No honest host evidence exists; documents are needed.
    Manual,
}

impl Class {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Automated => "automated",
            Self::Partial => "partial",
            Self::Manual => "manual",
        }
    }

    /// What it means, as a sentence about the control.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Automated => {
                "Host evidence alone shows whether the technical part of this control operates; \
                 what stays manual is the approved rule that sets the parameters."
            }
            Self::Partial => {
                "Host evidence shows part of this control; an overall statement also needs the \
                 manual evidence below."
            }
            Self::Manual => "No host evidence can show this control; it rests on documents.",
        }
    }
}

/// One control in the overview.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "part/tile.html")]
pub struct Tile {
    /// The control's id without the annex: `8.5`.
    pub number: String,
    /// Its title.
    pub title: String,
    /// What host evidence can say about it: the tile's border.
    pub class: Class,
    /// How it did over the period.
    pub verdict: Verdict,
    /// Hosts on which a primary check fails now.
    pub failing: u64,
    /// Address of its page.
    pub href: String,
}
