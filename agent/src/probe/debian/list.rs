//! Files in which apt keeps what it downloaded: their names and their compression.

use std::io::Read;

use super::source::Source;
use crate::host::{Host, HostError};
use crate::probe::Unobservable;
use crate::probe::packages::compression;

/// Where apt keeps them.
pub const DIRECTORY: &str = "/var/lib/apt/lists";

/// The path of a release file of a source: `name` is `InRelease` or `Release`.
#[must_use]
pub fn release_path(source: &Source, name: &str) -> String {
    format!("{DIRECTORY}/{}", file_name(&below(source, name)))
}

/// The path of a package index of a source, without the ending of its compression. `index` is its path below the release
/// file, such as `main/binary-amd64/Packages`.
#[must_use]
pub fn index_path(source: &Source, index: &str) -> String {
    release_path(source, index)
}

fn below(source: &Source, name: &str) -> String {
    let slash = if source.uri.ends_with('/') { "" } else { "/" };
    let base = format!("{}{slash}", source.uri);
    match source.suite.as_str() {
        "/" => format!("{base}{name}"),
        flat if flat.ends_with('/') => format!("{base}{flat}{name}"),
        suite => format!("{base}dists/{suite}/{name}"),
    }
}

/// A URI as apt makes a file name of it: no scheme, no user, odd characters as `%xx`, slashes as `_`.
fn file_name(uri: &str) -> String {
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    let rest = match rest.strip_prefix("//") {
        Some(location) => {
            let (host, path) = location.split_once('/').unwrap_or((location, ""));
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            // An IPv6 address loses its brackets.
            format!("{}/{path}", host.replace(['[', ']'], ""))
        }
        None => rest.to_owned(),
    };
    let mut name = String::new();
    for byte in rest.bytes() {
        if byte == b'/' {
            name.push('_');
        } else if byte <= b' ' || byte >= 0x7f || b"\\|{}[]<>\"^~_=!@#$%^&*".contains(&byte) {
            name.push_str(&format!("%{byte:02x}"));
        } else {
            name.push(char::from(byte));
        }
    }
    name
}

/// A list as it lies on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListFile {
    /// Its path with the ending of its compression.
    pub path: String,
    compression: Compression,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    None,
    Gzip,
    Lz4,
    Zstd,
    Zchunk,
    Unread,
}

/// Endings that apt uses; it keeps a list plain, or as the cheapest compression it has (`Acquire::GzipIndexes`).
/// dnf keeps lists of zchunk beside them.
const ENDINGS: [(&str, Compression); 8] = [
    ("", Compression::None),
    (".lz4", Compression::Lz4),
    (".gz", Compression::Gzip),
    (".zst", Compression::Zstd),
    (".zck", Compression::Zchunk),
    (".xz", Compression::Unread),
    (".lzma", Compression::Unread),
    (".bz2", Compression::Unread),
];

impl ListFile {
    /// The list at `path`, under whatever compression; `None` if there is none.
    ///
    /// # Errors
    /// [`Unobservable`] if the agent may not look.
    pub fn find(host: &dyn Host, path: &str) -> Result<Option<ListFile>, Unobservable> {
        for (ending, compression) in ENDINGS {
            let path = format!("{path}{ending}");
            match host.stat(&path) {
                Ok(_) => return Ok(Some(ListFile { path, compression })),
                Err(HostError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// Its content as a stream.
    ///
    /// # Errors
    /// [`Unobservable`] if it cannot be opened, or has a compression that is not read.
    pub fn open<'h>(&self, host: &'h dyn Host) -> Result<Box<dyn Read + 'h>, Unobservable> {
        let wrong = |problem: &dyn std::fmt::Display| Unobservable::unparsable(&self.path, problem);
        let file = host.open(&self.path)?;
        Ok(match self.compression {
            Compression::None => file,
            Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(file)),
            Compression::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(file)),
            Compression::Zstd => {
                let mut decoder =
                    zstd::stream::read::Decoder::new(file).map_err(|error| wrong(&error))?;
                // 8 MiB: what zstd -19 uses; more is a bomb, not a list.
                decoder.window_log_max(23).map_err(|error| wrong(&error))?;
                Box::new(decoder)
            }
            Compression::Zchunk => compression::open_zchunk(host, &self.path)?,
            Compression::Unread => {
                return Err(wrong(
                    &"a list compressed this way is not read; set Acquire::GzipIndexes \"false\" and run apt-get update",
                ));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(uri: &str, suite: &str) -> Source {
        Source {
            uri: uri.into(),
            suite: suite.into(),
            ..Source::default()
        }
    }

    #[test]
    fn names_are_those_of_apt() {
        for (uri, suite, name) in [
            (
                "http://deb.debian.org/debian",
                "bookworm",
                "deb.debian.org_debian_dists_bookworm_InRelease",
            ),
            (
                "http://deb.debian.org/debian/",
                "bookworm/updates",
                "deb.debian.org_debian_dists_bookworm_updates_InRelease",
            ),
            (
                "https://user:secret@host:8080/x~y_z",
                "s",
                "host:8080_x%7ey%5fz_dists_s_InRelease",
            ),
            ("file:/srv/repo", "./", "_srv_repo_._InRelease"),
            ("http://flat/a", "/", "flat_a_InRelease"),
            ("http://flat/a//b//", "/sub/", "flat_a__b___sub_InRelease"),
        ] {
            assert_eq!(
                release_path(&source(uri, suite), "InRelease"),
                format!("{DIRECTORY}/{name}")
            );
        }
    }
}
