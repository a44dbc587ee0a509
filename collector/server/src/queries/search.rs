//! Which hosts, checks and controls have these words in their name, id or title?

use ::store::Store;
use evidence::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{AsOf, Paper, Viewer};
use super::fleet::{self, Fleet};
use super::{Library, QueryError};
use crate::pages::frame::Section;
use crate::pages::search::{Hit, Hits};
use crate::pages::{SearchPage, route};

/// Hits of each kind.
const HITS: usize = 20;

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Found {
    /// The state it was computed from.
    pub as_of: AsOf,
    /// Hosts.
    pub hosts: Vec<Named>,
    /// Checks in force.
    pub checks: Vec<Named>,
    /// Controls.
    pub controls: Vec<Named>,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Named {
    /// Its id.
    pub id: String,
    /// Its name or title.
    pub name: String,
}

/// What has all of these words, at most twenty of each kind? No word finds nothing.
///
/// # Errors
/// [`QueryError`] if the database or a bundle in it fails.
pub async fn search(
    store: &Store,
    library: &Library,
    words: &str,
    now: Timestamp,
) -> Result<Found, QueryError> {
    let fleet = Fleet::load(store, library, None, now).await?;
    let words: Vec<String> = words.split_whitespace().map(str::to_lowercase).collect();
    let hosts = fleet
        .in_scope()
        .map(|host| (host.agent.to_hex(), fleet::name(host)));
    let checks = fleet.checks.iter().filter_map(|id| {
        let check = fleet.definition(id)?;
        Some((id.to_string(), check.title.clone()))
    });
    let controls = library.catalogue.controls().iter();
    let controls = controls.map(|control| (control.number().to_owned(), control.title.clone()));
    let (hosts, checks) = (matching(&words, hosts), matching(&words, checks));
    let controls = matching(&words, controls);
    Ok(Found {
        hosts,
        checks,
        controls,
        as_of: fleet.as_of,
    })
}

fn matching(words: &[String], named: impl Iterator<Item = (String, String)>) -> Vec<Named> {
    if words.is_empty() {
        return Vec::new();
    }
    let has_all = |id: &str, name: &str| {
        let text = format!("{id} {name}").to_lowercase();
        words.iter().all(|word| text.contains(word.as_str()))
    };
    named
        .filter(|(id, name)| has_all(id, name))
        .take(HITS)
        .map(|(id, name)| Named { id, name })
        .collect()
}

impl From<(Viewer, Found)> for SearchPage {
    fn from((viewer, found): (Viewer, Found)) -> SearchPage {
        let paper = Paper {
            scope: "hosts, checks and controls".to_owned(),
            parameters: viewer.search.clone(),
            ..Paper::default()
        };
        let hosts = hits("Hosts", &found.hosts, |host| Hit {
            name: host.name.clone(),
            detail: host.id.clone(),
            href: route::host(&host.id),
        });
        let checks = hits("Checks", &found.checks, |check| Hit {
            name: check.id.clone(),
            detail: check.name.clone(),
            href: route::check(&check.id),
        });
        let controls = hits("Controls", &found.controls, |control| Hit {
            name: control.id.clone(),
            detail: control.name.clone(),
            href: route::control(&control.id),
        });
        SearchPage {
            frame: found.as_of.frame(viewer, "Search", Section::None, paper),
            groups: [hosts, checks, controls].into_iter().flatten().collect(),
        }
    }
}

fn hits(kind: &str, found: &[Named], hit: fn(&Named) -> Hit) -> Option<Hits> {
    (!found.is_empty()).then(|| Hits {
        kind: kind.to_owned(),
        hits: found.iter().map(hit).collect(),
    })
}
