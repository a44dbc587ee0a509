//! Files that a person names, read within bounds.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use ledger::key::{KeyTextError, MAX_KEY_BYTES, Vkey};
use wire::disclosure::MAX_DISCLOSURE_BYTES;

/// Most files of a disclosures folder; a round lists about fifty.
pub const MAX_DISCLOSURES: usize = 4096;
/// Most bytes of all disclosures of a round together.
pub const MAX_DISCLOSURES_BYTES: usize = 256 * 1024 * 1024;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// It cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Longer than anything of its kind.
    #[error("{} has more than {max} bytes, which no such file has", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The bound.
        max: usize,
    },
    /// A link, a folder or a device where a file should be.
    #[error("{} is no regular file (links are not followed)", path.display())]
    NotAFile {
        /// What it is.
        path: PathBuf,
    },
    /// A name that is not UTF-8.
    #[error("{} has a name that is no disclosure's", path.display())]
    Name {
        /// The file.
        path: PathBuf,
    },
    /// More files, or more bytes, than a round has.
    #[error("{} has more than {MAX_DISCLOSURES} files or {MAX_DISCLOSURES_BYTES} bytes", path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
    },
    /// Neither a vkey nor the path of a file with one.
    #[error("{text:?} is neither a verifier key nor a file with one line that is")]
    Vkey {
        /// What was given.
        text: String,
        /// Why the text is no key.
        #[source]
        source: KeyTextError,
    },
}

/// The bytes of a file of at most `max` bytes.
///
/// # Errors
/// [`InputError`] if it cannot be read or is longer.
pub fn read(path: &Path, max: usize) -> Result<Vec<u8>, InputError> {
    let unreadable = |source| InputError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    let mut bounded = file.take(max as u64 + 1);
    io::copy(&mut bounded, &mut bytes).map_err(unreadable)?;
    if bytes.len() > max {
        return Err(InputError::TooLong {
            path: path.to_owned(),
            max,
        });
    }
    Ok(bytes)
}

/// A log's verifier key from an argument: the key itself, or the path of a file whose only line it is.
///
/// # Errors
/// [`InputError`] if it is neither.
pub fn vkey(argument: &str) -> Result<Vkey, InputError> {
    let source = match argument.parse() {
        Ok(key) => return Ok(key),
        Err(error) => error,
    };
    let path = Path::new(argument);
    let text = match read(path, MAX_KEY_BYTES + 1) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error @ InputError::TooLong { .. }) => return Err(error),
        Err(error) if path.exists() => return Err(error),
        Err(_) => {
            return Err(InputError::Vkey {
                text: shown(argument),
                source,
            });
        }
    };
    let line = text.strip_suffix('\n').unwrap_or(&text);
    line.parse().map_err(|source| InputError::Vkey {
        text: shown(argument),
        source,
    })
}

/// An argument for a message. A private key given by mistake is not shown again.
fn shown(argument: &str) -> String {
    if argument.starts_with("PRIVATE") {
        return "PRIVATE+KEY+…".to_owned();
    }
    argument.chars().take(120).collect()
}

/// The files of a disclosures folder, by name. Everything in it must be a regular file within bounds.
///
/// # Errors
/// [`InputError`] naming the first thing that is not.
pub fn disclosures(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, InputError> {
    let unreadable = |source| InputError::Unreadable {
        path: folder.to_owned(),
        source,
    };
    let mut files = BTreeMap::new();
    let mut total = 0;
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        if !entry.file_type().map_err(unreadable)?.is_file() {
            return Err(InputError::NotAFile { path });
        }
        let Ok(name) = entry.file_name().into_string() else {
            return Err(InputError::Name { path });
        };
        let bytes = read(&path, MAX_DISCLOSURE_BYTES)?;
        total += bytes.len();
        files.insert(name, bytes);
        if files.len() > MAX_DISCLOSURES || total > MAX_DISCLOSURES_BYTES {
            return Err(InputError::TooMany {
                path: folder.to_owned(),
            });
        }
    }
    Ok(files)
}
