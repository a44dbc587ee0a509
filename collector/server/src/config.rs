//! The collector's configuration: one TOML file, refused with file, key and what was expected.

mod value;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::tls;

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
    /// Not TOML, an unknown key, or a value of another kind.
    #[error("{}: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Line, key and what was expected.
        problem: String,
    },
    /// A value that cannot be used.
    #[error("{}: {key}: found {found}, expected {expected}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What is there.
        found: String,
        /// What should be.
        expected: &'static str,
    },
}

/// The configuration of `assay-collector serve`.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    pub names: Vec<String>,
    /// Log lines: `text` or `json`.
    pub log: LogFormat,
}

/// The file as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    data: PathBuf,
    listen: String,
    origin: String,
    url: Option<String>,
    checkpoint: Option<PathBuf>,
    tls: Option<TlsConfig>,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    log: LogFormat,
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
        let file: File = toml::from_str(text).map_err(|error| ConfigError::Content {
            path: path.to_owned(),
            problem: error.to_string().trim_end().to_owned(),
        })?;
        let wrong = |(key, found, expected)| ConfigError::Value {
            path: path.to_owned(),
            key,
            found,
            expected,
        };
        let given = file.tls.as_ref();
        for (key, value) in [
            ("data", Some(&file.data)),
            ("checkpoint", file.checkpoint.as_ref()),
            ("tls.certificate", given.map(|tls| &tls.certificate)),
            ("tls.key", given.map(|tls| &tls.key)),
        ] {
            if let Some(value) = value {
                value::absolute(key, value).map_err(wrong)?;
            }
        }
        value::origin(&file.origin).map_err(wrong)?;
        if let Some(url) = &file.url {
            value::url(url).map_err(wrong)?;
        }
        value::names(&file.names).map_err(wrong)?;
        Ok(Config {
            listen: value::listen(&file.listen).map_err(wrong)?,
            data: file.data,
            origin: file.origin,
            url: file.url,
            checkpoint: file.checkpoint,
            tls: file.tls,
            names: file.names,
            log: file.log,
        })
    }

    /// Whether the files that the configuration of `path` names can be used; nothing is written. For those who will use
    /// them, before anything is made.
    ///
    /// # Errors
    /// [`ConfigError::Value`] naming the key.
    pub fn verify_files(&self, path: &Path) -> Result<(), ConfigError> {
        let wrong = |(key, found, expected)| ConfigError::Value {
            path: path.to_owned(),
            key,
            found,
            expected,
        };
        value::data(&self.data).map_err(wrong)?;
        if let Some(checkpoint) = &self.checkpoint {
            value::checkpoint(checkpoint, &self.data).map_err(wrong)?;
        }
        if let Some(given) = &self.tls {
            tls::given(given).map_err(|error| wrong(value::tls(given, &error)))?;
        }
        Ok(())
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
                "listen = \"localhost\"",
                vec!["collector.toml: listen: found \"localhost\", expected an address and a port"],
            ),
            (
                "names = [\"bad name!\"]",
                vec!["collector.toml: names: found \"bad name!\", expected host names"],
            ),
            (
                "checkpoint = \"rel\"",
                vec!["collector.toml: checkpoint: found \"rel\", expected an absolute path"],
            ),
            (
                "tls = { certificate = \"chain.pem\", key = \"/k\" }",
                vec![
                    "collector.toml: tls.certificate: found \"chain.pem\", expected an absolute path",
                ],
            ),
            (
                "url = \"https://bad name\"",
                vec!["collector.toml: url: found \"https://bad name\", expected https://"],
            ),
            ("url = \"https://x:99999\"", vec!["collector.toml: url"]),
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

    #[test]
    fn files_that_cannot_be_used_are_named_by_their_key() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let pair = rcgen::generate_simple_self_signed(["collector.test".to_owned()]).unwrap();
        let other = rcgen::KeyPair::generate().unwrap();
        let write = |name: &str, text: &str, mode: u32| {
            std::fs::write(at(name), text).unwrap();
            std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        write("chain.pem", &pair.cert.pem(), 0o644);
        write("key.pem", &pair.signing_key.serialize_pem(), 0o600);
        write("open.pem", &pair.signing_key.serialize_pem(), 0o644);
        write("other.pem", &other.serialize_pem(), 0o600);
        write("empty.pem", "", 0o600);
        let verify = |certificate: &str, key: &str, checkpoint: &str, data: &str| {
            let text = format!(
                "data = {:?}\nlisten = \"[::]:1\"\norigin = \"o\"\ncheckpoint = {:?}\n[tls]\ncertificate = {:?}\nkey = {:?}\n",
                at(data),
                at(checkpoint),
                at(certificate),
                at(key)
            );
            let path = Path::new("collector.toml");
            let config = Config::parse(path, &text).unwrap();
            let found = config.verify_files(path).map_err(|error| error.to_string());
            assert!(!at("data").exists(), "nothing is made");
            found
        };
        assert_eq!(
            verify("chain.pem", "key.pem", "data/checkpoint", "data"),
            Ok(())
        );
        for (certificate, key, checkpoint, data, says) in [
            (
                "none.pem",
                "key.pem",
                "c",
                "data",
                "collector.toml: tls.certificate: found",
            ),
            (
                "empty.pem",
                "key.pem",
                "c",
                "data",
                "collector.toml: tls.certificate: found",
            ),
            (
                "chain.pem",
                "none.pem",
                "c",
                "data",
                "collector.toml: tls.key: found",
            ),
            (
                "chain.pem",
                "chain.pem",
                "c",
                "data",
                "collector.toml: tls.key: found",
            ),
            (
                "chain.pem",
                "open.pem",
                "c",
                "data",
                "collector.toml: tls.key: found",
            ),
            (
                "chain.pem",
                "other.pem",
                "c",
                "data",
                "collector.toml: tls.key: found",
            ),
            (
                "chain.pem",
                "key.pem",
                "none/c",
                "data",
                "collector.toml: checkpoint: found",
            ),
            (
                "chain.pem",
                "key.pem",
                "",
                "data",
                "collector.toml: checkpoint: found",
            ),
            (
                "chain.pem",
                "key.pem",
                "c",
                "key.pem",
                "collector.toml: data: found",
            ),
        ] {
            let error = verify(certificate, key, checkpoint, data).unwrap_err();
            assert!(
                error.starts_with(says) && error.contains(", expected "),
                "{error}"
            );
        }
    }
}
