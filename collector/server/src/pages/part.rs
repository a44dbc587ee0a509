//! The parts that pages are put together from, each built once: a type, and its template in
//! `templates/part/`.
//!
//! A part escapes what it is given, so its output may stand in a page as it is: that is what
//! `HtmlSafe` says about each of them.

mod empty;
mod facets;
mod facts;
mod figure;
mod host_time;
mod mark;
mod number;
mod pager;
mod proof;
mod prose;
mod share_strip;
mod strip;
mod tally;
mod tile;
mod when;

pub use empty::Empty;
pub use facets::{Choice, Facet};
pub use facts::{Fact, FactValue, Facts, Observed};
pub use figure::Figure;
pub use host_time::HostTimeUnit;
pub use mark::{Mark, Severity, Standing, Verdict};
pub use number::{Share, count, counted, percent_of};
pub use pager::{Column, Direction, Pager};
pub use proof::{Download, Proof};
pub use prose::{Block, Command, Piece, Prose};
pub use share_strip::{Bucket, ShareStrip};
pub use strip::{Stretch, Strip};
pub use tally::Tally;
pub use tile::{Class, Tile};
pub use when::{Compact, When, span};

use askama::filters::HtmlSafe;

impl HtmlSafe for Empty {}
impl HtmlSafe for Facet {}
impl HtmlSafe for Facts {}
impl HtmlSafe for Fact {}
impl HtmlSafe for Figure {}
impl HtmlSafe for Prose {}
impl HtmlSafe for Command {}
impl HtmlSafe for Mark {}
impl HtmlSafe for Column {}
impl HtmlSafe for Pager {}
impl HtmlSafe for Proof {}
impl HtmlSafe for ShareStrip {}
impl HtmlSafe for Strip {}
impl HtmlSafe for strip::Line<'_> {}
impl HtmlSafe for Tally {}
impl HtmlSafe for Tile {}
impl HtmlSafe for When {}
impl HtmlSafe for Compact<'_> {}

/// A name and what it stands for, as one row of a list of properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// What is named, in sentence case.
    pub name: String,
    /// Its value as text.
    pub value: String,
}

impl Pair {
    /// Makes a pair of two texts.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
        }
    }

    /// Whether the value is a digest or a key, which people compare and copy rather than read.
    pub fn is_id(&self) -> bool {
        self.value.len() >= 16 && self.value.bytes().all(|byte| byte.is_ascii_hexdigit())
    }
}
