use askama::Template;

/// A status as shape, word and colour, in that order of weight.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "part/mark.html")]
pub struct Mark {
    /// Name of the shape in the page's sprite, which is also the name of its tone.
    pub tone: &'static str,
    /// The word beside the shape.
    pub word: &'static str,
}

/// How a check stands on a host: one of the four outcomes, or what the collector adds to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// What was observed does not meet the rule.
    Fail,
    /// The fact could not be established.
    Error,
    /// The host was due and nothing was received.
    Missing,
    /// What was last received is older than twice the cadence.
    Stale,
    /// A failure under an approved exception that has not expired.
    Excepted,
    /// What was observed meets the rule.
    Pass,
    /// A positive fact says that the rule does not concern this host.
    NotApplicable,
}

impl Standing {
    /// Its shape and word.
    pub fn mark(self) -> Mark {
        let (tone, word) = match self {
            Self::Pass => ("pass", "pass"),
            Self::Fail => ("fail", "fail"),
            Self::Error => ("error", "error"),
            Self::NotApplicable => ("na", "not applicable"),
            Self::Missing => ("gap", "missing"),
            Self::Stale => ("gap", "stale"),
            Self::Excepted => ("excepted", "excepted"),
        };
        Mark { tone, word }
    }
}

/// How a control did over the period, by the roll-up from its primary checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The operating rate is below the floor, or a critical deviation is open without an exception.
    NotOperating,
    /// It operated, below its target or with a deviation beyond its time limit.
    OperatingWithDeviations,
    /// Too much of the period was not observed, or no primary check reaches a host.
    InsufficientEvidence,
    /// It operated throughout.
    Operating,
    /// No host check can show it; documents have to.
    DocumentsOnly,
}

impl Verdict {
    /// Every verdict, worst first, in the order in which they are counted on a page.
    pub const ALL: [Self; 5] = [
        Self::NotOperating,
        Self::OperatingWithDeviations,
        Self::InsufficientEvidence,
        Self::Operating,
        Self::DocumentsOnly,
    ];

    /// Its shape and word.
    pub fn mark(self) -> Mark {
        let (tone, word) = match self {
            Self::Operating => ("pass", "operating"),
            Self::OperatingWithDeviations => ("warn", "operating with deviations"),
            Self::NotOperating => ("fail", "not operating"),
            Self::InsufficientEvidence => ("gap", "insufficient evidence"),
            Self::DocumentsOnly => ("doc", "documents only"),
        };
        Mark { tone, word }
    }
}

/// How much a failing check weighs, as its definition says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Direct path to compromise or to loss of evidence.
    Critical,
    /// A required safeguard is off.
    High,
    /// A safeguard is weakened.
    Medium,
    /// Hygiene.
    Low,
    /// Information only.
    Info,
}

impl Severity {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
            Self::Info => "info",
        }
    }
}
