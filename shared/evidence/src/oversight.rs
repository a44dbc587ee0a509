//! What the collector sees of a host from outside: facts made from its ledger and its clock, never by the host.
//!
//! A host that is silent cannot say so, and one that left a check out does not know it. Checks that ask for this name
//! `judged_by = "collector"` and these probes; no host judges them, and the collector takes no outcome of them from one.
//! Each fact changes only when something enters the log, or at a moment that follows from what is in it, so that the same
//! log and the same time always give the same facts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::CheckId;
use crate::outcome::{Reason, Severity};
use crate::time::Timestamp;

/// The probe of [`Reporting`].
pub const REPORTING: &str = "reporting";
/// The probe of [`Coverage`].
pub const COVERAGE: &str = "coverage";
/// Every probe whose facts the collector makes.
pub const PROBES: [&str; 2] = [COVERAGE, REPORTING];

/// Whether the collector hears a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reporting {
    /// Whether statements of this host are taken.
    pub key: KeyState,
    /// When its last signed statement was received; absent if there never was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<Timestamp>,
    /// The longest time between two rounds that the cadences of its checks explain, in seconds.
    pub cadence_seconds: i64,
    /// How many such times have passed in full since that reception, or since its enrolment if there never was one.
    pub cadences_silent: i64,
    /// Statements that it says it lost, signed.
    pub gaps: i64,
}

/// Whether statements signed by a host's key are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// They are.
    Active,
    /// The key was revoked.
    Revoked,
    /// The host was retired.
    Retired,
    /// Two statements were signed for one number; the host must enrol again.
    Forked,
}

/// What became of the checks that a host is to judge.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// How many checks of the bundle in force for its group are due: judged once, or assigned for longer than twice their
    /// cadence.
    pub due: i64,
    /// Those of them without an outcome that holds now and says pass, fail or not applicable; by check.
    pub unjudged: Vec<Unjudged>,
}

/// A check of which nobody knows how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unjudged {
    /// The check.
    #[schemars(with = "String")]
    pub check: CheckId,
    /// How much one failing host matters.
    pub severity: Severity,
    /// What there is instead.
    pub found: Instead,
    /// The reason of an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

/// What there is instead of an outcome that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Instead {
    /// An error.
    Error,
    /// Nothing was ever received.
    Missing,
    /// What was received last is as old as twice the cadence.
    Stale,
    /// It was judged by an older definition than the one in force, for longer than twice the cadence.
    Outdated,
}

/// Whether the collector makes the facts of this probe.
#[must_use]
pub fn is_made_by_collector(probe: &str) -> bool {
    PROBES.contains(&probe)
}

/// JSON Schema of these facts, by probe.
#[must_use]
pub fn schemas() -> Map<String, Value> {
    let mut schemas = Map::new();
    schemas.insert(
        COVERAGE.to_owned(),
        schemars::schema_for!(Coverage).to_value(),
    );
    schemas.insert(
        REPORTING.to_owned(),
        schemars::schema_for!(Reporting).to_value(),
    );
    schemas
}
