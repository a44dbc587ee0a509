//! When `error` is the honest answer: the reasons that no code of ours could have dealt with, and why.

use std::collections::BTreeMap;

use evidence::id::CheckId;
use evidence::outcome::{Judgement, Outcome, Reason};

/// A check, the reason of its error, and why nothing else could be said.
pub type Excuse = (&'static str, Reason, &'static str);

/// What the built-in bundle cannot know on any host that was just installed.
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
    (
        "agent.integrity.self",
        Reason::NoBaseline,
        "which releases of the agent are approved is for the organisation to decide",
    ),
    (
        "agent.integrity.self",
        Reason::Missing,
        "an agent that is run by hand has no bundle, key or unit to look at",
    ),
    (
        "agent.privilege.readonly",
        Reason::Missing,
        "an agent that is run by hand is confined by no unit",
    ),
    (
        "backup.job.recent",
        Reason::Missing,
        "no run has left a record; that no job is configured is what backup.job.configured says",
    ),
    (
        "backup.verify.recent",
        Reason::Missing,
        "no run has left a record",
    ),
    (
        "change.package.recorded",
        Reason::NoBaseline,
        "the windows for changes are for the organisation to decide",
    ),
    (
        "config.baseline.drift",
        Reason::NoBaseline,
        "which settings are watched, and their values, is for the organisation to decide",
    ),
    (
        "data.retention.cleanup",
        Reason::NoBaseline,
        "where data are temporary, and for how long, is for the organisation to decide",
    ),
    (
        "file.suid.baseline",
        Reason::NoBaseline,
        "which privileged programs are approved is for the organisation to decide",
    ),
    (
        "net.dns.resolvers",
        Reason::NoBaseline,
        "which resolvers are approved is for the organisation to decide",
    ),
    (
        "net.listen.expected",
        Reason::NoBaseline,
        "which services may listen is for the organisation to decide",
    ),
    (
        "net.vpn.remote",
        Reason::NoBaseline,
        "which networks are trusted is for the organisation to decide",
    ),
    (
        "pkg.files.verified",
        Reason::CoveragePartial,
        "files are compared over several rounds, so that none of them reads a whole host",
    ),
    (
        "pkg.repos.approved",
        Reason::NoBaseline,
        "which sources of packages are approved is for the organisation to decide",
    ),
    (
        "software.dev_on_production",
        Reason::Missing,
        "what a host is for is told by its tags, and nobody has given it any",
    ),
    (
        "tls.listeners",
        Reason::PermissionDenied,
        "the agent connects to listeners only where its own configuration allows it",
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
