//! Facts: what a probe saw, as JSON objects without floats, ages or reading times.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::id::ProbeId;
use crate::outcome::Reason;
use crate::time::Timestamp;

/// The facts of one round, by probe.
pub type FactSet = BTreeMap<ProbeId, Facts>;

/// The facts of one probe: an object, or `{"error": reason, …}` if the probe could not establish them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Facts(Map<String, Value>);

impl Facts {
    /// Facts from their members.
    #[must_use]
    pub fn new(members: Map<String, Value>) -> Facts {
        Facts(members)
    }

    /// The facts of a probe that failed: its checks are errors with this reason. `detail` says what to do about it.
    #[must_use]
    pub fn unobservable(reason: Reason, detail: &str, sources: &[Source]) -> Facts {
        let mut members = Map::new();
        members.insert("error".to_owned(), json!(reason));
        members.insert("detail".to_owned(), json!(detail));
        members.insert("sources".to_owned(), json!(sources));
        Facts(members)
    }

    /// The members.
    #[must_use]
    pub fn members(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The facts as a JSON value.
    #[must_use]
    pub fn to_value(&self) -> Value {
        Value::Object(self.0.clone())
    }

    /// Whether the probe failed, judging by the presence of `error`.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.0.contains_key("error")
    }

    /// The reason of a probe that failed; `unparsable` if the reason itself is no reason.
    #[must_use]
    pub fn error(&self) -> Option<Reason> {
        let error = self.0.get("error")?;
        Some(
            error
                .as_str()
                .and_then(|code| code.parse().ok())
                .unwrap_or(Reason::Unparsable),
        )
    }

    /// What the failed probe said about it, for people.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.0.get("detail").and_then(Value::as_str)
    }

    /// Where the facts were read.
    #[must_use]
    pub fn sources(&self) -> Vec<Source> {
        self.0
            .get("sources")
            .and_then(|sources| serde_json::from_value(sources.clone()).ok())
            .unwrap_or_default()
    }
}

/// Where a fact was read: part of every probe's facts as `sources`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// A path, a command line as it was run, or the name of a kernel interface.
    pub at: String,
    /// Last modification of a file; absent for kernel interfaces, which have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtime: Option<Timestamp>,
    /// SHA-256 of the content in hex, where it was read whole and is no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}
