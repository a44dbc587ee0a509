//! Which hosts, checks and controls have these words?

use ::store::Store;
use evidence::id::CheckId;
use evidence::time::Timestamp;

use super::answer::{AsOf, Paper, Viewer};
use super::fleet::{self, Fleet};
use super::{Library, QueryError};
use crate::pages::frame::Section;
use crate::pages::part::counted;
use crate::pages::search::{Hit, Hits};
use crate::pages::{SearchPage, route};

/// Hits of one kind that are listed.
const HITS: usize = 20;
/// Longest text searched for, in characters.
const MAX_CHARS: usize = 200;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The state it was looked for in.
    pub as_of: AsOf,
    /// Hosts, checks and controls that have all words, in groups.
    pub groups: Vec<Hits>,
}

/// The words of a search, in lower case.
struct Words(Vec<String>);

impl Words {
    fn of(text: &str) -> Words {
        let text: String = text.chars().take(MAX_CHARS).collect();
        Words(text.split_whitespace().map(str::to_lowercase).collect())
    }

    /// Whether all words are in one of the texts or another. No words are in none.
    fn are_in(&self, texts: &[&str]) -> bool {
        let texts: Vec<String> = texts.iter().map(|text| text.to_lowercase()).collect();
        let in_any = |word: &String| texts.iter().any(|text| text.contains(word));
        !self.0.is_empty() && self.0.iter().all(in_any)
    }
}

/// What has the words of `text`?
///
/// # Errors
/// [`QueryError`] if the database or a bundle in it fails.
pub async fn search(
    store: &Store,
    library: &Library,
    text: &str,
    now: Timestamp,
) -> Result<Found, QueryError> {
    let words = Words::of(text);
    let fleet = Fleet::load(store, library, None, now).await?;
    let groups = [
        ("Hosts", hosts(&fleet, &words)),
        ("Checks", checks(&fleet, &words)),
        ("Controls", controls(library, &words)),
    ];
    let groups = groups.into_iter().filter(|(_, hits)| !hits.is_empty());
    Ok(Found {
        groups: groups
            .map(|(kind, hits)| Hits {
                kind: kind.to_owned(),
                hits,
            })
            .collect(),
        as_of: fleet.as_of,
    })
}

fn hosts(fleet: &Fleet, words: &Words) -> Vec<Hit> {
    let found = fleet.hosts.iter().filter_map(|host| {
        let (name, id) = (fleet::name(host), host.agent.to_hex());
        let os = host.os.as_deref().unwrap_or("system not told");
        words
            .are_in(&[&name, &id, os, host.group.as_str()])
            .then(|| Hit {
                name,
                detail: format!("{os}, group {}", host.group),
                href: route::host(&id),
            })
    });
    found.take(HITS).collect()
}

fn checks(fleet: &Fleet, words: &Words) -> Vec<Hit> {
    let found = fleet.checks.iter().filter_map(|id: &CheckId| {
        let definition = fleet.definition(id)?;
        let texts = [id.as_str(), &definition.title, &definition.topic];
        words.are_in(&texts).then(|| Hit {
            name: definition.title.clone(),
            detail: format!("{id}, {}", definition.topic),
            href: route::check(id.as_str()),
        })
    });
    found.take(HITS).collect()
}

fn controls(library: &Library, words: &Words) -> Vec<Hit> {
    let found = library.catalogue.controls().iter().filter(|control| {
        let texts = [control.number(), control.title.as_str()];
        words.are_in(&texts)
    });
    found
        .take(HITS)
        .map(|control| Hit {
            name: format!("{} {}", control.number(), control.title),
            detail: format!("{} control", control.class.as_str()),
            href: route::control(control.number()),
        })
        .collect()
}

impl From<(Viewer, Found)> for SearchPage {
    fn from((viewer, found): (Viewer, Found)) -> SearchPage {
        let rows: usize = found.groups.iter().map(|group| group.hits.len()).sum();
        let paper = Paper {
            scope: "hosts, checks and controls".to_owned(),
            period: None,
            parameters: format!("words: {}", viewer.search),
            rows: counted(rows as u64, "match"),
        };
        SearchPage {
            frame: found.as_of.frame(viewer, "Search", Section::None, paper),
            groups: found.groups,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Words;

    #[test]
    fn every_word_must_be_somewhere() {
        let words = Words::of("  SSH root ");
        assert!(words.are_in(&["sshd.root", "Log-on is off"]));
        assert!(words.are_in(&["sshd", "Root log-on"]));
        assert!(!words.are_in(&["sshd", "log-on"]));
        assert!(!Words::of(" ").are_in(&["anything"]));
    }
}
