//! The rest of a request's body, when the answer is there before it was read.
//!
//! Over HTTP/2 an answer that comes before the end of the body is followed by a reset of the stream, and clients such as
//! curl then report an error of the stream in place of the problem document. So the rest is read and thrown away first,
//! within bounds: a sender who goes on beyond them gets the reset.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody as _};
use axum::extract::Request;
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use futures::{Stream as _, StreamExt as _};

/// Most bytes read and thrown away: twice the largest body that any route takes.
const MAX_REST_BYTES: usize = 2 * wire::submission::MAX_BODY_BYTES;
/// Longest wait for them.
const MAX_REST_TIME: Duration = Duration::from_secs(5);

/// Lets the sender finish before an answer that did not wait for the body.
pub async fn drained(request: Request, next: Next) -> Response {
    // Who expects to be told to continue (HTTP/1.1) has sent nothing yet, and needs not.
    if request.body().is_end_stream() || request.headers().contains_key(header::EXPECT) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let (body, rest) = shared(body);
    let response = next.run(Request::from_parts(parts, body)).await;
    // Elapsed time and a connection that broke end the wait alike; the answer is the same.
    let _ = tokio::time::timeout(MAX_REST_TIME, throw_away(rest)).await;
    response
}

type Rest = Arc<Mutex<BodyDataStream>>;

/// The body for who answers, and a hold on what that leaves unread.
fn shared(body: Body) -> (Body, Rest) {
    let rest = Arc::new(Mutex::new(body.into_data_stream()));
    let read = rest.clone();
    let stream = futures::stream::poll_fn(move |context| {
        let mut body = read.lock().unwrap_or_else(PoisonError::into_inner);
        std::pin::Pin::new(&mut *body).poll_next(context)
    });
    (Body::from_stream(stream), rest)
}

async fn throw_away(rest: Rest) {
    let mut left = MAX_REST_BYTES;
    let mut chunks = futures::stream::poll_fn(move |context| {
        let mut body = rest.lock().unwrap_or_else(PoisonError::into_inner);
        std::pin::Pin::new(&mut *body).poll_next(context)
    });
    while let Some(Ok(chunk)) = chunks.next().await {
        match left.checked_sub(chunk.len()) {
            Some(fewer) => left = fewer,
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::post;
    use futures::stream;
    use tower::ServiceExt as _;

    use super::*;

    /// A body of endless chunks of 64 KB, and how many were taken of it.
    fn endless() -> (Body, Arc<AtomicUsize>) {
        let taken = Arc::new(AtomicUsize::new(0));
        let counter = taken.clone();
        let chunks = stream::repeat_with(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok::<_, std::io::Error>(vec![0_u8; 64 * 1024])
        });
        (Body::from_stream(chunks), taken)
    }

    fn routes() -> Router {
        Router::new()
            .route("/early", post(async || StatusCode::FORBIDDEN))
            .layer(axum::middleware::from_fn(drained))
    }

    async fn answer(body: Body) -> StatusCode {
        let request = Request::post("/early").body(body).unwrap();
        routes().oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn an_answer_waits_for_the_body_within_bounds() {
        let (body, taken) = endless();
        assert_eq!(answer(body).await, StatusCode::FORBIDDEN);
        let taken = taken.load(Ordering::Relaxed);
        assert_eq!(taken, MAX_REST_BYTES / (64 * 1024) + 1);
    }

    #[tokio::test]
    async fn a_sender_that_stalls_is_not_waited_for() {
        let silent = Body::from_stream(stream::pending::<Result<Vec<u8>, std::io::Error>>());
        let answered = tokio::time::timeout(4 * MAX_REST_TIME, answer(silent)).await;
        assert_eq!(answered.unwrap(), StatusCode::FORBIDDEN);
    }
}
