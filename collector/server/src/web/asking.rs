//! What a request asks: who reads, which part of the address, which query. What means nothing is refused in the form that
//! the asker understands.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, header};
use evidence::time::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use store::Store;
use utoipa::IntoParams;

use super::failure::Failure;
use crate::app::App;
use crate::auth::session::Person;
use crate::queries::{Library, Period, QueryError, Viewer};

/// The host and port that a request was sent to: its authority in HTTP/2, its Host header in HTTP/1.
#[must_use]
pub fn host<'r>(headers: &'r HeaderMap, uri: &'r Uri) -> Option<&'r str> {
    let named = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    uri.authority()
        .map(|authority| authority.as_str())
        .or(named)
}

/// A signed-in person with a question.
pub struct Reader {
    /// What handlers share.
    pub app: Arc<App>,
    /// Who asks.
    pub person: Person,
    /// The path that was asked for.
    pub path: String,
}

/// The variable parts of the path.
pub struct Part<T>(pub T);

/// The query.
pub struct Asked<T>(pub T);

/// The period that a question is about.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Days {
    /// Length of the period that ends now, in days; 30 unless given.
    #[param(minimum = 1, maximum = 3660)]
    days: Option<u32>,
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct After {
    /// How many rows to skip.
    after: Option<u64>,
}

impl After {
    /// The number of rows to skip.
    #[must_use]
    pub fn number(self) -> u64 {
        self.after.unwrap_or(0)
    }
}

impl Days {
    /// The number of days.
    #[must_use]
    pub fn number(self) -> u32 {
        self.days.unwrap_or(Period::DEFAULT_DAYS)
    }
}

impl Reader {
    /// The database.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.app.store
    }

    /// The controls and bundles.
    #[must_use]
    pub fn library(&self) -> &Library {
        &self.app.library
    }

    /// The time of the question.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.app.clock.now()
    }

    /// What the frame of a page needs to know.
    #[must_use]
    pub fn viewer(&self, search: &str) -> Viewer {
        Viewer {
            person: self.person.name.clone(),
            search: search.to_owned(),
            origin: self.app.log_key.name().to_string(),
        }
    }

    /// A question without an answer, as a failure of this request.
    #[must_use]
    pub fn failed(&self, error: QueryError) -> Failure {
        Failure::query(&self.path, &error)
    }
}

impl FromRequestParts<Arc<App>> for Reader {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Reader, Failure> {
        let path = parts.uri.path().to_owned();
        match parts.extensions.get::<Person>() {
            Some(person) => Ok(Reader {
                app: app.clone(),
                person: person.clone(),
                path,
            }),
            None => Err(Failure::unauthenticated(&path)),
        }
    }
}

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<App>> for Part<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Part<T>, Failure> {
        let path = parts.uri.path().to_owned();
        match Path::<T>::from_request_parts(parts, app).await {
            Ok(Path(part)) => Ok(Part(part)),
            // An address that cannot be the address of anything.
            Err(_) => Err(Failure::not_found(&path)),
        }
    }
}

impl<T: DeserializeOwned> FromRequestParts<Arc<App>> for Asked<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Asked<T>, Failure> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(asked)) => Ok(Asked(asked)),
            Err(error) => Err(Failure::bad_request(parts.uri.path(), &error.body_text())),
        }
    }
}
