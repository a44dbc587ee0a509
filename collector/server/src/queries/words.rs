//! The vocabulary of evidence as pages draw it, and reason codes as phrases.

use assess::current::Standing;
use assess::status::Verdict;
use catalogue::{Class, Theme};
use evidence::outcome::{Outcome, Reason, Severity};

use crate::pages::part;

impl From<Severity> for part::Severity {
    fn from(severity: Severity) -> part::Severity {
        match severity {
            Severity::Critical => part::Severity::Critical,
            Severity::High => part::Severity::High,
            Severity::Medium => part::Severity::Medium,
            Severity::Low => part::Severity::Low,
            Severity::Info => part::Severity::Info,
        }
    }
}

impl From<Standing> for part::Standing {
    fn from(standing: Standing) -> part::Standing {
        match standing {
            Standing::Fail => part::Standing::Fail,
            Standing::Error => part::Standing::Error,
            Standing::Missing => part::Standing::Missing,
            Standing::Stale => part::Standing::Stale,
            Standing::Pass => part::Standing::Pass,
            Standing::NotApplicable => part::Standing::NotApplicable,
        }
    }
}

impl From<Outcome> for part::Standing {
    fn from(outcome: Outcome) -> part::Standing {
        match outcome {
            Outcome::Pass => part::Standing::Pass,
            Outcome::Fail => part::Standing::Fail,
            Outcome::NotApplicable => part::Standing::NotApplicable,
            Outcome::Error => part::Standing::Error,
        }
    }
}

impl From<Verdict> for part::Verdict {
    fn from(verdict: Verdict) -> part::Verdict {
        match verdict {
            Verdict::NotOperating => part::Verdict::NotOperating,
            Verdict::OperatingWithDeviations => part::Verdict::OperatingWithDeviations,
            Verdict::InsufficientEvidence => part::Verdict::InsufficientEvidence,
            Verdict::Operating => part::Verdict::Operating,
            Verdict::Documented | Verdict::EvidenceMissing => part::Verdict::DocumentsOnly,
        }
    }
}

impl From<Class> for part::Class {
    fn from(class: Class) -> part::Class {
        match class {
            Class::Automated => part::Class::Automated,
            Class::Partial => part::Class::Partial,
            Class::Manual => part::Class::Manual,
        }
    }
}

/// A theme's name as a heading.
pub(super) fn theme_name(theme: Theme) -> &'static str {
    match theme {
        Theme::Organizational => "Organizational",
        Theme::People => "People",
        Theme::Physical => "Physical",
        Theme::Technological => "Technological",
    }
}

/// What stands in place of a reason code: a pass has none.
pub(super) fn reason_code(reason: Option<Reason>) -> &'static str {
    reason.map_or(Reason::Ok.as_str(), Reason::as_str)
}

/// A reason as a phrase that follows `because`.
pub(super) fn reason_words(reason: Option<Reason>) -> &'static str {
    match reason.unwrap_or(Reason::Ok) {
        Reason::Ok => "nothing speaks against it",
        Reason::WeakerThanPolicy => "what is configured is below what policy asks",
        Reason::Missing => "what policy asks for is not there",
        Reason::Extra => "something is there that policy does not allow",
        Reason::Drift => "what runs is not what is configured",
        Reason::StaleSource => "the source of the fact is older than it may be",
        Reason::Expired => "a date has passed",
        Reason::OverSla => "it has been open for longer than agreed",
        Reason::NoUefi => "the machine has no UEFI",
        Reason::Container => "the agent looks at a container, whose host carries the control",
        Reason::ProviderAttested => "the cloud provider attests it, as policy accepts",
        Reason::Orchestrated => "a named orchestrator does it, as policy says",
        Reason::Absent => "the thing judged does not exist there",
        Reason::Policy => "policy exempts hosts of this kind",
        Reason::YoungHost => "the host is younger than the period asked for",
        Reason::OfflineRoot => "only a running kernel could tell",
        Reason::NoBaseline => "there is no approved baseline to compare with",
        Reason::IndexStale => "package metadata is too old to say anything about pending updates",
        Reason::PermissionDenied => "the agent may not read the source",
        Reason::ToolMissing => "a tool that the truth needs is not installed",
        Reason::Unparsable => "the source has a form that the agent does not understand",
        Reason::Timeout => "the source did not answer in time",
        Reason::CoveragePartial => "only a part could be seen",
        Reason::DeliveryUnverifiable => "nobody can say whether what was sent arrived",
        Reason::Conflict => "two independent readings disagree",
        Reason::Evaluation => "the check's own expression failed on these facts",
    }
}
