//! The four outcomes and their reasons.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a check concluded on one host in one round. Never collapsed: an error is neither a pass nor a fail.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The facts meet the expectation.
    Pass,
    /// The facts do not meet it.
    Fail,
    /// A positive fact says that the question does not arise on this host.
    NotApplicable,
    /// The truth could not be established; stays in every denominator.
    Error,
}

impl Outcome {
    /// All four, worst last.
    pub const ALL: [Outcome; 4] = [
        Outcome::Pass,
        Outcome::NotApplicable,
        Outcome::Error,
        Outcome::Fail,
    ];

    /// The word used in formats: `pass`, `fail`, `not_applicable`, `error`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::Fail => "fail",
            Outcome::NotApplicable => "not_applicable",
            Outcome::Error => "error",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Outcome {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Outcome, UnknownWord> {
        Outcome::ALL
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
            .ok_or_else(|| UnknownWord::new("outcome", text))
    }
}

/// A word outside a closed list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no {kind}")]
pub struct UnknownWord {
    kind: &'static str,
    found: String,
}

impl UnknownWord {
    fn new(kind: &'static str, found: &str) -> UnknownWord {
        UnknownWord {
            kind,
            found: found.chars().take(80).collect(),
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $code:literal),* $(,)?) => {
        /// Why an outcome is what it is. The codes are stable: they are signed and kept for ever.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
        )]
        pub enum Reason {
            $($(#[$doc])* #[serde(rename = $code)] $variant),*
        }

        impl Reason {
            /// Every reason there is.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant),*];

            /// The stable code.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Reason::$variant => $code),* }
            }
        }
    };
}

reasons! {
    /// Nothing to report.
    Ok = "ok",
    /// Configured, but below what policy asks.
    WeakerThanPolicy = "weaker_than_policy",
    /// What policy asks for is not there.
    Missing = "missing",
    /// Something is there that policy does not allow.
    Extra = "extra",
    /// What runs is not what is configured.
    Drift = "drift",
    /// The source of the fact is older than it may be.
    StaleSource = "stale_source",
    /// A date has passed.
    Expired = "expired",
    /// Open for longer than agreed.
    OverSla = "over_sla",
    /// The machine has no UEFI.
    NoUefi = "no_uefi",
    /// The agent looks at a container, whose host carries the control.
    Container = "container",
    /// Attested by the cloud provider and accepted by policy.
    ProviderAttested = "provider_attested",
    /// Done by a named orchestrator, as policy says.
    Orchestrated = "orchestrated",
    /// The thing judged does not exist on this host.
    Absent = "absent",
    /// Policy says that hosts of this kind are exempt.
    Policy = "policy",
    /// The host is younger than the period asked for.
    YoungHost = "young_host",
    /// Only a running kernel could tell, and an unpacked root was judged.
    OfflineRoot = "offline_root",
    /// No approved baseline to compare with.
    NoBaseline = "no_baseline",
    /// Package metadata is too old to say anything about pending updates.
    IndexStale = "index_stale",
    /// The agent may not read the source.
    PermissionDenied = "permission_denied",
    /// A tool that the truth needs is not installed.
    ToolMissing = "tool_missing",
    /// The source has a form that the probe does not understand.
    Unparsable = "unparsable",
    /// The source did not answer in time.
    Timeout = "timeout",
    /// Only a part could be seen.
    CoveragePartial = "coverage_partial",
    /// Sent, but nobody can say whether it arrived.
    DeliveryUnverifiable = "delivery_unverifiable",
    /// Two independent readings disagree.
    Conflict = "conflict",
    /// The check's own expression failed on these facts.
    Evaluation = "evaluation",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Reason {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Reason, UnknownWord> {
        Reason::ALL
            .iter()
            .copied()
            .find(|reason| reason.as_str() == text)
            .ok_or_else(|| UnknownWord::new("reason", text))
    }
}

/// An outcome with its reason; the reason is there unless the outcome is a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judgement {
    /// One of the four.
    pub outcome: Outcome,
    /// Why; absent for a pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

impl Judgement {
    /// A pass.
    pub const PASS: Judgement = Judgement {
        outcome: Outcome::Pass,
        reason: None,
    };

    /// An outcome that is no pass, with its reason.
    #[must_use]
    pub const fn because(outcome: Outcome, reason: Reason) -> Judgement {
        Judgement {
            outcome,
            reason: Some(reason),
        }
    }

    /// An error with its reason.
    #[must_use]
    pub const fn error(reason: Reason) -> Judgement {
        Judgement::because(Outcome::Error, reason)
    }

    /// Whether the reason is there exactly when it must be.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        self.reason.is_some() != (self.outcome == Outcome::Pass)
    }
}

/// How much one failing host matters by default.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// For the record.
    Info,
    /// Hygiene.
    Low,
    /// A safeguard is weakened.
    Medium,
    /// A required safeguard is off.
    High,
    /// A direct path to compromise or to loss of evidence.
    Critical,
}

impl Severity {
    /// The word used in formats.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
