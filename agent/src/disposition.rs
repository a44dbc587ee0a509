//! What to do about an answer that is no receipt: pure.

use wire::problem::Problem;

/// What becomes of a statement that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Send it again at once, without a dictionary.
    WithoutDictionary,
    /// Send it again at once, with all facts that it commits to.
    WithAllFacts,
    /// Send it again after a while.
    Later,
    /// The refusal is about this agent or its view of the log, not about this statement: keep everything, ask rarely,
    /// and tell a person.
    Hold,
    /// The collector will never take this statement.
    SetAside,
}

/// What to do about this status and, if the collector itself answered, its problem document.
///
/// Without one, something else stands in between: then nothing is ever given up.
#[must_use]
pub fn disposition(status: u16, problem: Option<&Problem>) -> Disposition {
    let Some(problem) = problem else {
        return Disposition::Later;
    };
    match problem.code.as_str() {
        "dictionary_unknown" => return Disposition::WithoutDictionary,
        "disclosure_missing" => return Disposition::WithAllFacts,
        "seen_from_the_future" | "seen_other_history" | "seen_backwards" => {
            return Disposition::Hold;
        }
        _ => {}
    }
    match status {
        408 | 409 | 425 | 429 => Disposition::Later,
        401 | 403 | 404 | 405 => Disposition::Hold,
        400..=499 => Disposition::SetAside,
        _ => Disposition::Later,
    }
}

/// The problem document of an answer, if it is one of a collector.
#[must_use]
pub fn problem(body: &[u8]) -> Option<Problem> {
    let problem: Problem = evidence::json::parse(body).ok()?;
    let named = problem.kind == format!("urn:assay:problem:{}", problem.code);
    (named && problem.code.len() <= 64).then_some(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, code: &str) -> Disposition {
        disposition(status, Some(&Problem::new(status, code, code, "")))
    }

    #[test]
    fn refusals_are_told_apart_by_what_must_be_done() {
        use Disposition::{Hold, Later, SetAside, WithAllFacts, WithoutDictionary};
        for (status, code, expected) in [
            (409, "dictionary_unknown", WithoutDictionary),
            (409, "disclosure_missing", WithAllFacts),
            (409, "out_of_order", Later),
            (429, "busy", Later),
            (503, "storage", Later),
            (500, "internal", Later),
            (401, "unknown_agent", Hold),
            (403, "key_ended", Hold),
            (403, "fork", Hold),
            (422, "seen_other_history", Hold),
            (422, "bundle_not_in_force", SetAside),
            (400, "bad_submission", SetAside),
            (413, "too_large", SetAside),
        ] {
            assert_eq!(of(status, code), expected, "{status} {code}");
        }
    }

    #[test]
    fn what_a_stranger_in_between_says_gives_nothing_up() {
        for status in [200, 302, 400, 403, 404, 413, 422, 502] {
            assert_eq!(disposition(status, None), Disposition::Later);
        }
        assert!(problem(b"<html>blocked</html>").is_none());
        assert!(
            problem(br#"{"type":"about:blank","title":"t","status":422,"code":"x"}"#).is_none()
        );
    }
}
