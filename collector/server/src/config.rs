//! The collector's configuration: one TOML file, refused with file, key and what was expected.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Largest configuration file.
const MAX_CONFIG_BYTES: u64 = 64 * 1024;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file says something that is not expected.
    #[error("{}: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Line, key and what was expected.
        problem: String,
    },
}

/// The configuration of `assay-collector serve`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The folder of everything that lasts: database, keys, checkpoint.
    pub data: PathBuf,
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// The log's name for ever: a host name and path without scheme. Written into every checkpoint.
    pub origin: String,
    /// The address that agents and people use, for links and for the certificate.
    pub url: Option<String>,
    /// Where the newest checkpoint is kept outside the database; best on another disk. Default: `checkpoint` in `data`.
    pub checkpoint: Option<PathBuf>,
    /// Certificates; without this section the collector makes its own authority at first start.
    pub tls: Option<TlsConfig>,
    /// Host names and addresses for which the collector's own authority certifies it.
    #[serde(default)]
    pub names: Vec<String>,
    /// Log lines: `text` or `json`.
    #[serde(default)]
    pub log: LogFormat,
}

/// Certificates given from outside.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM chain, leaf first.
    pub certificate: PathBuf,
    /// PEM private key, mode 0600.
    pub key: PathBuf,
}

/// Form of log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`ConfigError`] naming file, line, key and what was expected.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let read = |source| ConfigError::Read {
            path: path.to_owned(),
            source,
        };
        let size = std::fs::metadata(path).map_err(read)?.len();
        if size > MAX_CONFIG_BYTES {
            return Err(ConfigError::Content {
                path: path.to_owned(),
                problem: format!("{size} bytes are more than any configuration has"),
            });
        }
        Config::parse(path, &std::fs::read_to_string(path).map_err(read)?)
    }

    /// Reads the text of a configuration; `path` is for messages.
    ///
    /// # Errors
    /// [`ConfigError::Content`].
    pub fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
        let content = |problem: String| ConfigError::Content {
            path: path.to_owned(),
            problem,
        };
        let config: Config = toml::from_str(text)
            .map_err(|error| content(error.to_string().trim_end().to_owned()))?;
        if config.origin.parse::<ledger::key::KeyName>().is_err() {
            return Err(content(format!(
                "origin: expected a name without blanks and plus signs, such as log.example.org/assay, found {:?}",
                config.origin
            )));
        }
        if !config.data.is_absolute() {
            return Err(content(format!(
                "data: expected an absolute path, found {:?}",
                config.data
            )));
        }
        if config
            .url
            .as_ref()
            .is_some_and(|url| !url.starts_with("https://") || url.ends_with('/'))
        {
            return Err(content(
                "url: expected https://HOST[:PORT] without a slash at the end".to_owned(),
            ));
        }
        Ok(config)
    }

    /// Where the newest checkpoint is kept outside the database.
    #[must_use]
    pub fn checkpoint_file(&self) -> PathBuf {
        self.checkpoint
            .clone()
            .unwrap_or_else(|| self.data.join("checkpoint"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../../configs/collector.toml");

    #[test]
    fn the_sample_explains_every_key_and_is_valid() {
        let config = Config::parse(Path::new("collector.toml"), SAMPLE).unwrap();
        assert_eq!(config.origin, "assay.example.org");
        for key in [
            "data",
            "listen",
            "origin",
            "url",
            "checkpoint",
            "names",
            "log",
            "[tls]",
            "certificate",
            "key",
        ] {
            assert!(SAMPLE.contains(key), "{key}");
        }
        let all = SAMPLE
            .lines()
            .map(|line| line.strip_prefix("#: ").unwrap_or(line))
            .collect::<Vec<_>>()
            .join("\n");
        let config = Config::parse(Path::new("collector.toml"), &all).unwrap();
        assert!(config.tls.is_some() && config.checkpoint.is_some());
    }

    #[test]
    fn errors_name_file_key_and_what_was_expected() {
        for (change, names) in [
            (
                "lisen = \"[::]:1\"",
                vec!["collector.toml", "lisen", "expected one of"],
            ),
            ("listen = 8443", vec!["collector.toml", "listen"]),
            (
                "origin = \"a b\"",
                vec!["collector.toml", "origin", "expected a name"],
            ),
            (
                "data = \"relative\"",
                vec!["collector.toml", "data", "expected an absolute path"],
            ),
            (
                "url = \"http://x\"",
                vec!["collector.toml", "url", "expected https://"],
            ),
            ("log = \"xml\"", vec!["collector.toml", "log", "text"]),
        ] {
            let key = change.split(' ').next().unwrap_or_default();
            let text: String = SAMPLE
                .lines()
                .filter(|line| !line.starts_with(&format!("{key} =")))
                .map(|line| format!("{line}\n"))
                .collect();
            let error = Config::parse(Path::new("collector.toml"), &format!("{change}\n{text}"))
                .unwrap_err()
                .to_string();
            for name in names {
                assert!(error.contains(name), "{change}: {error}");
            }
        }
    }
}
