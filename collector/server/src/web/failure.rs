//! What went wrong, as a page for people and as a problem document for programs.

use askama::Template;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use store::StoreError;
use wire::problem::{PROBLEM_TYPE, Problem};

use super::request;
use crate::export::ExportError;
use crate::pages::ProblemPage;
use crate::queries::QueryError;

/// A request that got no answer.
#[derive(Debug)]
pub struct Failure {
    problem: Box<Problem>,
    remedy: &'static str,
    for_programs: bool,
}

impl Failure {
    fn new(
        path: &str,
        status: u16,
        code: &str,
        title: &str,
        detail: &str,
        remedy: &'static str,
    ) -> Failure {
        let for_programs = ["/api/", "/agent/", "/log/"]
            .iter()
            .any(|prefix| path.starts_with(prefix));
        Failure {
            problem: Box::new(Problem::new(status, code, title, detail)),
            remedy,
            for_programs,
        }
    }

    /// There is nothing at that path.
    #[must_use]
    pub fn not_found(path: &str) -> Failure {
        Failure::new(
            path,
            404,
            "not_found",
            "This page does not exist",
            "Nothing here has this address.",
            "Go back, or search.",
        )
    }

    /// The path is there, but not for this method.
    #[must_use]
    pub fn method(path: &str) -> Failure {
        Failure::new(
            path,
            405,
            "method",
            "This address takes another method",
            "The answer names the methods it takes in its header Allow.",
            "Use one of them.",
        )
    }

    /// The person may not.
    #[must_use]
    pub fn forbidden(path: &str) -> Failure {
        Failure::new(
            path,
            403,
            "forbidden",
            "You may not do this",
            "Your role does not carry the permission for this.",
            "Ask an administrator for another role.",
        )
    }

    /// Nobody is signed in.
    #[must_use]
    pub fn unauthenticated(path: &str) -> Failure {
        Failure::new(
            path,
            401,
            "unauthenticated",
            "Sign in first",
            "This needs a signed-in person.",
            "Sign in and try again.",
        )
    }

    /// The request was made by a page of another site.
    #[must_use]
    pub fn cross_site(path: &str) -> Failure {
        Failure::new(
            path,
            403,
            "cross_site",
            "This request came from another site",
            "A page of another site tried to act in your name.",
            "Use the pages of this site.",
        )
    }

    /// What was asked for has a form that means nothing.
    #[must_use]
    pub fn bad_request(path: &str, detail: &str) -> Failure {
        Failure::new(
            path,
            400,
            "bad_request",
            "This request means nothing",
            detail,
            "Correct it and try again.",
        )
    }

    /// A body of another media type than the one expected.
    #[must_use]
    pub fn media_type(path: &str, expected: &str) -> Failure {
        Failure::new(
            path,
            415,
            "media_type",
            "This body has another form",
            &format!("Expected a body of media type {expected}."),
            "Send it in that form.",
        )
    }

    /// The database failed. What it said goes to the log, not to the person.
    #[must_use]
    pub fn store(path: &str, error: StoreError) -> Failure {
        tracing::error!(
            path,
            error = &error as &dyn std::error::Error,
            "the database did not answer a request"
        );
        Failure::internal(path)
    }

    /// A question has no answer.
    #[must_use]
    pub fn query(path: &str, error: &QueryError) -> Failure {
        if let QueryError::NotFound { .. } = error {
            return Failure::missing(path, &sentence(&error.to_string()));
        }
        tracing::error!(
            path,
            error = error as &dyn std::error::Error,
            "a question could not be answered"
        );
        Failure::internal(path)
    }

    /// A round cannot be exported.
    #[must_use]
    pub fn export(path: &str, error: ExportError) -> Failure {
        match error {
            ExportError::NotARound(_) => Failure::missing(path, &sentence(&error.to_string())),
            ExportError::Store(error) => Failure::store(path, error),
            ExportError::Body { .. } => Failure::new(
                path,
                410,
                "erased",
                "This round is not complete any more",
                &sentence(&error.to_string()),
                "Its entry and its proof stay in the ledger.",
            ),
            ExportError::Proofs(_) | ExportError::Envelope { .. } => {
                tracing::error!(
                    path,
                    error = &error as &dyn std::error::Error,
                    "a round could not be exported"
                );
                Failure::internal(path)
            }
        }
    }

    fn missing(path: &str, detail: &str) -> Failure {
        Failure::new(
            path,
            404,
            "not_found",
            "This does not exist",
            detail,
            "Go back, or search.",
        )
    }

    /// A decision that the ledger does not take.
    #[must_use]
    pub fn conflict(path: &str, detail: &str) -> Failure {
        Failure::new(
            path,
            409,
            "conflict",
            "This was decided already",
            &sentence(detail),
            "Look at the present state and decide again.",
        )
    }

    /// The body is longer than any that is taken.
    #[must_use]
    pub fn too_large(path: &str) -> Failure {
        Failure::new(
            path,
            413,
            "too_large",
            "This is too much at once",
            "The body is longer than any that is taken here.",
            "Send less.",
        )
    }

    /// The answer took too long.
    #[must_use]
    pub fn timeout(path: &str) -> Failure {
        Failure::new(
            path,
            503,
            "timeout",
            "The answer took too long",
            "The request was given up after a minute.",
            "Try again; tell the operator if it stays.",
        )
    }

    /// Something is wrong with the collector itself.
    #[must_use]
    pub fn internal(path: &str) -> Failure {
        Failure::new(
            path,
            500,
            "internal",
            "The collector could not answer",
            "Something went wrong on our side; the log says what.",
            "Try again; tell the operator if it stays.",
        )
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if self.for_programs {
            let body = evidence::json::canonical(&*self.problem).unwrap_or_default();
            return (status, [(header::CONTENT_TYPE, PROBLEM_TYPE)], body).into_response();
        }
        let problem = *self.problem;
        let page = ProblemPage {
            status: problem.status,
            code: problem.code,
            title: problem.title,
            detail: problem.detail,
            remedy: self.remedy.to_owned(),
            request: request::id(),
        };
        match page.render() {
            Ok(html) => (status, Html(html)).into_response(),
            Err(_) => status.into_response(),
        }
    }
}

/// Gives the refusals of the outermost layers, which know of no problems, the form that every other has.
pub async fn explained(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    let media_type = response.headers().get(header::CONTENT_TYPE);
    match response.status() {
        StatusCode::PAYLOAD_TOO_LARGE if media_type.is_none_or(|kind| kind != PROBLEM_TYPE) => {
            Failure::too_large(&path).into_response()
        }
        StatusCode::SERVICE_UNAVAILABLE if media_type.is_none() => {
            Failure::timeout(&path).into_response()
        }
        _ => response,
    }
}

/// An error's text as a sentence for people.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase());
    let mut sentence: String = first.into_iter().flatten().chain(letters).collect();
    if !sentence.ends_with('.') {
        sentence.push('.');
    }
    sentence
}

/// A rendered page.
///
/// # Errors
/// [`Failure::internal`] if the template fails.
pub fn page<T: Template>(page: &T) -> Result<Response, Failure> {
    match page.render() {
        Ok(html) => Ok(Html(html).into_response()),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            Err(Failure::internal("/"))
        }
    }
}
