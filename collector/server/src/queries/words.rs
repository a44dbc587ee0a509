//! The vocabulary of evidence as pages draw it, and reason codes as phrases.

use assess::current::Standing;
use assess::status::Verdict;
use catalogue::{Class, Theme};
use evidence::outcome::{Outcome, Severity};

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
