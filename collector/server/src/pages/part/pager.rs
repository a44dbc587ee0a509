use askama::Template;

/// Which way a column is sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

/// The head of a column, a link when the table can be sorted by it.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "part/column.html")]
pub struct Column {
    /// Its name, in sentence case.
    pub label: String,
    /// Address of the table sorted by it; none when it cannot be.
    pub href: Option<String>,
    /// How the table is sorted by it now, if it is.
    pub sorted: Option<Direction>,
    /// Whether it holds numbers, which stand to the right.
    pub numeric: bool,
}

impl Column {
    /// A column of text that cannot be sorted.
    pub fn plain(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            href: None,
            sorted: None,
            numeric: false,
        }
    }
}

/// Which rows of how many a table shows, and the way to the others.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "part/pager.html")]
pub struct Pager {
    /// Rows on this page.
    pub shown: u64,
    /// Rows under the filters in force.
    pub total: u64,
    /// What a row is, singular: `host`.
    pub noun: String,
    /// Address of the rows before these, if there are any.
    pub previous: Option<String>,
    /// Address of the rows after these, if there are any.
    pub next: Option<String>,
    /// Address of the same rows as a file, if they can be exported.
    pub export: Option<String>,
}

impl Pager {
    /// `100 of 1,204 hosts`, or `12 hosts` when that is all of them.
    pub fn words(&self) -> String {
        let total = super::counted(self.total, &self.noun);
        match self.shown == self.total {
            true => total,
            false => format!("{} of {total}", super::count(self.shown)),
        }
    }
}
