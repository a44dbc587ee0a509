//! Problem: what went wrong, why, and what to do about it.

use askama::Template;

/// A page instead of the one that was asked for. It knows nothing of the person, so that it can
/// be shown to anyone and when everything else fails.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "problem.html")]
pub struct ProblemPage {
    /// HTTP status code.
    pub status: u16,
    /// Stable code of the problem, as in the problem documents of the API.
    pub code: String,
    /// What happened, in sentence case: `This page does not exist`.
    pub title: String,
    /// Why, as a sentence; internals stay in the log.
    pub detail: String,
    /// What to do about it, as a sentence; empty when there is nothing to do.
    pub remedy: String,
    /// Id of the request, to find it in the log; empty when there is none.
    pub request: String,
}
