//! The shape of a refusal, as the OpenAPI document describes it.

use utoipa::{IntoResponses, ToSchema};

/// Why a request got no answer (RFC 9457).
#[derive(ToSchema)]
#[schema(as = Problem)]
#[expect(
    dead_code,
    reason = "describes wire::problem::Problem, which is what is sent"
)]
pub(super) struct ProblemDocument {
    /// `urn:assay:problem:<code>`.
    #[schema(example = "urn:assay:problem:not_found")]
    r#type: String,
    /// The code in words.
    title: String,
    /// HTTP status.
    status: u16,
    /// Stable code.
    #[schema(example = "not_found")]
    code: String,
    /// What happened, for people.
    detail: String,
}

/// What every operation may answer instead.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what Failure answers")]
pub(super) enum Refusals {
    /// Refused: not signed in (401), not allowed (403), not there (404), or not understood (400).
    #[response(status = "4XX", content_type = "application/problem+json")]
    Refused(#[to_schema] ProblemDocument),
    /// The collector cannot answer now.
    #[response(status = "5XX", content_type = "application/problem+json")]
    Failed(#[to_schema] ProblemDocument),
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema as _;
    use wire::problem::Problem;

    use super::ProblemDocument;

    #[test]
    fn the_description_has_the_members_of_what_is_sent() {
        let sent = serde_json::to_value(Problem::new(404, "not_found", "a", "b")).unwrap();
        let described = serde_json::to_value(ProblemDocument::schema()).unwrap();
        let names = |value: &serde_json::Value| -> Vec<String> {
            let mut names: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
            names.sort();
            names
        };
        assert_eq!(names(&sent), names(&described["properties"]));
    }
}
