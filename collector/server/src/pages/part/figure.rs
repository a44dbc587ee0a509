use askama::Template;

use super::When;

/// One number that answers a question, never without what it was taken from.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "part/figure.html")]
pub struct Figure {
    /// What is counted, in sentence case.
    pub label: String,
    /// The number with its unit, or `unknown`.
    pub value: String,
    /// Numerator and denominator: `9,812 of 10,180 host-days`.
    pub of: String,
    /// What the number does not see: `observed 98.1 %`; empty when coverage is no question.
    pub coverage: String,
    /// When the newest input of it was received.
    pub as_of: Option<When>,
    /// The same number one period before, in words; empty when there is none.
    pub before: String,
}
