//! When `error` is the honest answer: the reasons that no code of ours could have dealt with, and why.

use std::collections::BTreeMap;

use evidence::id::CheckId;
use evidence::outcome::{Judgement, Outcome, Reason};

/// A check, the reason of its error, and why nothing else could be said.
pub type Excuse = (&'static str, Reason, &'static str);

/// What the built-in bundle cannot know on any host.
const UNDECIDED: &[Excuse] = &[
    (
        "account.conflicting_roles",
        Reason::NoBaseline,
        "which roles conflict is for the organisation to decide; until then there is nothing to compare with",
    ),
    (
        "account.local.approved",
        Reason::NoBaseline,
        "which accounts of people are approved is for the organisation to decide",
    ),
];

/// Fails if any check answered `error` for a reason that is not known to be beyond our code. `excuses` are those of this
/// host alone.
///
/// # Panics
/// With every such check and its reason.
pub fn assert_errors_are_honest(
    host: &str,
    outcomes: &BTreeMap<CheckId, Judgement>,
    excuses: &[Excuse],
) {
    let excused = |check: &CheckId, judgement: &Judgement| {
        let mut known = UNDECIDED.iter().chain(excuses);
        known.any(|(name, reason, _)| *name == check.as_str() && Some(*reason) == judgement.reason)
    };
    let unexplained: Vec<String> = outcomes
        .iter()
        .filter(|(_, judgement)| judgement.outcome == Outcome::Error)
        .filter(|(check, judgement)| !excused(check, judgement))
        .map(|(check, judgement)| format!("{check}: {:?}", judgement.reason))
        .collect();
    assert!(
        unexplained.is_empty(),
        "{host}: errors that our code could have handled, or whose excuse is not written down: {unexplained:#?}"
    );
}
