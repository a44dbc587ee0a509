//! Problem documents (RFC 9457) between agent and collector.

use serde::{Deserialize, Serialize};

/// Media type of a problem document.
pub const PROBLEM_TYPE: &str = "application/problem+json";

/// Why a request was refused. `code` is stable; `detail` is for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `urn:assay:problem:<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code in words.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// Stable code, for example `unknown_agent`.
    pub code: String,
    /// What happened and what to do.
    #[serde(default)]
    pub detail: String,
}

impl Problem {
    /// A problem document.
    #[must_use]
    pub fn new(status: u16, code: &str, title: &str, detail: impl Into<String>) -> Problem {
        Problem {
            kind: format!("urn:assay:problem:{code}"),
            title: title.to_owned(),
            status,
            code: code.to_owned(),
            detail: detail.into(),
        }
    }
}
