//! Where the command line leaves a bundle for the running collector, which alone writes to the log.
//!
//! A request is a file in the folder `requests` of the data folder, which only the collector's own user can enter; the
//! answer is a file beside it. Whoever can write there could also read the signing keys beside it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use evidence::id::GroupId;
use serde::{Deserialize, Serialize};
use wire::decision::Actor;
use wire::envelope::MAX_ENVELOPE_BYTES;

use super::offer::Offer;
use crate::app::App;
use crate::ingest::sequencer::{ActivateCommand, Command};

/// The folder of requests in the data folder.
const FOLDER: &str = "requests";
/// Ending of a request's file.
const REQUEST: &str = "request.json";
/// Ending of an answer's file.
const ANSWER: &str = "answer.json";
/// How often the collector looks for requests.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Largest request: a bundle as JSON text, and a little.
const MAX_REQUEST_BYTES: u64 = 2 * MAX_ENVELOPE_BYTES as u64;

/// A bundle to put in force.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The signed file, as text.
    pub bundle: String,
    /// The groups.
    pub groups: Vec<GroupId>,
    /// Who decided.
    pub by: Actor,
    /// Why.
    pub reason: String,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// In force by the entry of this index.
    Entry(u64),
    /// Not in force, and why.
    Refused(String),
}

/// The folder of requests of one collector.
#[derive(Debug, Clone)]
pub struct Desk {
    folder: PathBuf,
}

impl Desk {
    /// The desk of a data folder.
    #[must_use]
    pub fn of(data: &Path) -> Desk {
        Desk {
            folder: data.join(FOLDER),
        }
    }

    /// Leaves a request and waits for the answer of the running collector.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::TimedOut`] if no answer came, and the request was taken back.
    pub async fn ask(&self, id: &str, request: &Request, patience: Duration) -> io::Result<Answer> {
        make_private(&self.folder)?;
        let file = self.folder.join(format!("{id}.{REQUEST}"));
        let answer = self.folder.join(format!("{id}.{ANSWER}"));
        write(&file, &serde_json::to_vec(request)?)?;
        let waited = tokio::time::timeout(patience, async {
            loop {
                if let Some(found) = read(&answer)? {
                    return Ok(found);
                }
                tokio::time::sleep(LOOK_EVERY / 4).await;
            }
        })
        .await;
        let _ = std::fs::remove_file(&file);
        let _ = std::fs::remove_file(&answer);
        waited.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Answers requests for as long as the collector runs.
    pub async fn serve(self, app: Arc<App>) {
        let mut told = false;
        loop {
            match self.waiting() {
                Ok(waiting) => {
                    told = false;
                    for file in waiting {
                        self.answer(&app, &file).await;
                    }
                }
                Err(error) if !told => {
                    tracing::warn!(%error, folder = %self.folder.display(), "requests cannot be read");
                    told = true;
                }
                Err(_) => {}
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn waiting(&self) -> io::Result<Vec<PathBuf>> {
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut waiting = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let name = path.to_string_lossy();
            let answer = PathBuf::from(name.replace(REQUEST, ANSWER));
            if name.ends_with(REQUEST) && !answer.exists() {
                waiting.push(path);
            }
        }
        waiting.sort();
        Ok(waiting)
    }

    async fn answer(&self, app: &App, file: &Path) {
        let answer = match read::<Request>(file) {
            Ok(Some(request)) => activate(app, request).await,
            Ok(None) => return,
            Err(error) => Answer::Refused(format!("the request cannot be read: {error}")),
        };
        let path = PathBuf::from(file.to_string_lossy().replace(REQUEST, ANSWER));
        let written = serde_json::to_vec(&answer)
            .map_err(io::Error::from)
            .and_then(|bytes| write(&path, &bytes));
        if let Err(error) = written {
            tracing::warn!(%error, "an answer cannot be written");
        }
    }
}

async fn activate(app: &App, request: Request) -> Answer {
    let offer = match Offer::verify(request.bundle.as_bytes(), &app.policy_key) {
        Ok(offer) => offer,
        Err(error) => return Answer::Refused(chain(&error)),
    };
    let command = ActivateCommand {
        envelope: offer.envelope,
        groups: request.groups,
        by: request.by,
        reason: request.reason,
    };
    let placed = app
        .submit(|answer| Command::Activate(Box::new(command), answer))
        .await;
    match placed {
        Ok(accepted) => {
            tracing::info!(
                index = accepted.index,
                version = offer.bundle.version,
                "a bundle was put in force"
            );
            Answer::Entry(accepted.index)
        }
        Err(refusal) => Answer::Refused(chain(&refusal)),
    }
}

/// An error with what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

/// Writes a file whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    std::fs::write(&temporary, bytes)?;
    std::fs::rename(&temporary, path)
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> io::Result<Option<T>> {
    match std::fs::metadata(path) {
        Ok(found) if found.len() > MAX_REQUEST_BYTES => {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "too large"));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    Ok(Some(serde_json::from_slice(&std::fs::read(path)?)?))
}
