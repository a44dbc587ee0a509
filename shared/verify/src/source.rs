//! Where the files of a log are read from: a folder, or a web server, both in the layout of C2SP tlog-tiles.
//!
//! A server is asked over TLS 1.3 only, redirects and proxies are not followed, and an answer is cut off at the bound of
//! its kind. Nothing that it says is believed: the checkpoint's signature and the root decide.

use std::path::PathBuf;
use std::time::Duration;

use ledger::bundle::{self, BundleError};
use ledger::note::MAX_NOTE_BYTES;
use ledger::tile::{FULL_WIDTH, TileKind, TilePath};
use reqwest::{Client, StatusCode, Url};
use wire::leaf::MAX_LEAF_BYTES;

use crate::input::{self, InputError};

/// The longest file of hashes.
const MAX_HASHES_BYTES: usize = 32 * FULL_WIDTH as usize;
/// The longest file of entries that can all be leaves.
const MAX_ENTRIES_BYTES: usize = FULL_WIDTH as usize * (2 + MAX_LEAF_BYTES);
/// The longest file of CA certificates.
pub const MAX_CA_BYTES: usize = 1024 * 1024;
/// How long one file may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why a file of the log is not there to be checked.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Neither a folder nor a web address that is accepted.
    #[error("{0:?} is no log: give a folder, or an address that begins with https://")]
    Address(String),
    /// The CA file is none.
    #[error("the CA file holds no PEM certificate")]
    Ca(#[source] reqwest::Error),
    /// No TLS client could be made.
    #[error("no TLS client could be made")]
    Client(#[source] reqwest::Error),
    /// A file of a folder.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The server could not be asked, or did not finish its answer.
    #[error("{path} cannot be fetched")]
    Fetch {
        /// The file.
        path: String,
        /// What went wrong.
        #[source]
        source: reqwest::Error,
    },
    /// The server has no such file.
    #[error("the server answers {status} for {path}")]
    Status {
        /// The file.
        path: String,
        /// The answer.
        status: StatusCode,
    },
    /// More bytes than a file of its kind has.
    #[error("{path} has more than {max} bytes, which no such file has")]
    TooLong {
        /// The file.
        path: String,
        /// The bound.
        max: usize,
    },
    /// A full bundle of entries, read for a partial one, that is none.
    #[error("{path} is malformed")]
    Malformed {
        /// The file.
        path: TilePath,
        /// What is wrong.
        #[source]
        source: BundleError,
    },
}

impl SourceError {
    /// Whether the file simply is not there.
    fn is_absent(&self) -> bool {
        match self {
            SourceError::Status { status, .. } => {
                matches!(*status, StatusCode::NOT_FOUND | StatusCode::GONE)
            }
            SourceError::Input(InputError::Unreadable { source, .. }) => {
                source.kind() == std::io::ErrorKind::NotFound
            }
            _ => false,
        }
    }
}

/// A log that can be read.
#[derive(Debug, Clone)]
pub enum Source {
    /// A folder with `checkpoint` and `tile/`.
    Folder(PathBuf),
    /// A server's prefix, which ends in a slash.
    Server(Client, Url),
}

impl Source {
    /// The log at a folder or an `https://` address. With `ca`, PEM certificates, these alone vouch for the server.
    ///
    /// # Errors
    /// [`SourceError`] for an address of another kind, or an unusable CA file.
    pub fn open(place: &str, ca: Option<&[u8]>) -> Result<Source, SourceError> {
        if !place.contains("://") {
            return Ok(Source::Folder(PathBuf::from(place)));
        }
        let wrong = || SourceError::Address(place.to_owned());
        let mut url: Url = place.parse().map_err(|_| wrong())?;
        if url.scheme() != "https" || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong());
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let mut client = Client::builder()
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .tls_version_min(reqwest::tls::Version::TLS_1_3)
            .connect_timeout(PATIENCE)
            .timeout(PATIENCE);
        if let Some(pem) = ca {
            let certificates =
                reqwest::Certificate::from_pem_bundle(pem).map_err(SourceError::Ca)?;
            client = client.tls_certs_only(certificates);
        }
        Ok(Source::Server(
            client.build().map_err(SourceError::Client)?,
            url,
        ))
    }

    /// The file of the signed checkpoint.
    ///
    /// # Errors
    /// [`SourceError`] if it is not there or too long.
    pub async fn checkpoint(&self) -> Result<Vec<u8>, SourceError> {
        self.file("checkpoint", MAX_NOTE_BYTES).await
    }

    /// The file of a tile. For a partial one that is gone, the beginning of the full one.
    ///
    /// # Errors
    /// [`SourceError`] if neither is there, or a file is too long.
    pub async fn tile(&self, path: &TilePath) -> Result<Vec<u8>, SourceError> {
        let max = match path.kind() {
            TileKind::Hashes(_) => MAX_HASHES_BYTES,
            TileKind::Entries => MAX_ENTRIES_BYTES,
        };
        match self.file(&path.to_string(), max).await {
            Err(absent) if absent.is_absent() && !path.is_full() => {
                let full = self.file(&path.full().to_string(), max).await;
                full.map_err(|_| absent)
                    .and_then(|file| beginning(path, file))
            }
            answer => answer,
        }
    }

    async fn file(&self, path: &str, max: usize) -> Result<Vec<u8>, SourceError> {
        match self {
            Source::Folder(folder) => Ok(input::read(&folder.join(path), max)?),
            Source::Server(client, prefix) => fetch(client, prefix, path, max).await,
        }
    }
}

/// What the partial tile at `path` would hold, from the file of the full one.
fn beginning(path: &TilePath, mut full: Vec<u8>) -> Result<Vec<u8>, SourceError> {
    let malformed = |source| SourceError::Malformed {
        path: path.full(),
        source,
    };
    if let TileKind::Hashes(_) = path.kind() {
        full.truncate(32 * usize::from(path.width()));
        return Ok(full);
    }
    let entries = bundle::decode(&full, FULL_WIDTH).map_err(malformed)?;
    let entries: Vec<&[u8]> = entries
        .into_iter()
        .take(usize::from(path.width()))
        .collect();
    bundle::encode(&entries).map_err(malformed)
}

async fn fetch(
    client: &Client,
    prefix: &Url,
    path: &str,
    max: usize,
) -> Result<Vec<u8>, SourceError> {
    let failed = |source| SourceError::Fetch {
        path: path.to_owned(),
        source,
    };
    let mut url = prefix.clone();
    url.set_path(&format!("{}{path}", prefix.path()));
    let mut answer = client.get(url).send().await.map_err(failed)?;
    if answer.status() != StatusCode::OK {
        return Err(SourceError::Status {
            path: path.to_owned(),
            status: answer.status(),
        });
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if bytes.len() + chunk.len() > max {
            return Err(SourceError::TooLong {
                path: path.to_owned(),
                max,
            });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
