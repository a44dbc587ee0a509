//! The configuration file of the daemon: TOML, every key known, errors that say file, key and what was expected.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Certificate, Url};
use serde::Deserialize;

use crate::host::{AllowedFile, MAX_FILES};
use crate::spool::Bounds;

/// Largest configuration file.
const MAX_CONFIG_BYTES: u64 = 64 * 1024;
/// Smallest bound of the spool: room for one round with all its facts, and for a gap beside it.
const MIN_SPOOL_BYTES: u64 = 1024 * 1024;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of another kind.
    #[error("{path}{at}: {problem}", at = line.map(|line| format!(":{line}")).unwrap_or_default())]
    Form {
        /// The file.
        path: String,
        /// The line, from 1.
        line: Option<usize>,
        /// What is wrong.
        problem: String,
    },
    /// A value outside what is possible.
    #[error("{path}: {key}: {found} found, expected {expected}")]
    Value {
        /// The file.
        path: String,
        /// The key.
        key: &'static str,
        /// What is there.
        found: String,
        /// What should be.
        expected: &'static str,
    },
}

/// The configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where the collector is.
    pub collector: Url,
    /// PEM file with the certificate authority of the collector: the only one believed.
    pub ca: PathBuf,
    /// The state folder.
    pub state: PathBuf,
    /// How much the spool may hold.
    pub spool: Bounds,
    /// How the log is written.
    pub log: Log,
    /// Files of which named settings may be read; none by default.
    pub settings: Vec<AllowedFile>,
    /// What observing may do beyond reading.
    pub observe: Observe,
}

/// What observing may do beyond reading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observe {
    /// Connections to TLS listeners of this very host, to see what they accept.
    #[serde(default)]
    pub connect_to_own_listeners: bool,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Text or JSON.
    #[serde(default)]
    pub format: LogFormat,
    /// What is logged at least.
    #[serde(default)]
    pub level: LogLevel,
}

impl Default for Log {
    fn default() -> Log {
        Log {
            format: LogFormat::Text,
            level: LogLevel::Info,
        }
    }
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people and the journal.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged at least.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Only what needs a person.
    Error,
    /// And what may come to need one.
    Warn,
    /// And each round.
    #[default]
    Info,
    /// And each request.
    Debug,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    collector: String,
    ca: PathBuf,
    state: PathBuf,
    #[serde(default)]
    spool: SpoolSection,
    #[serde(default)]
    log: Log,
    #[serde(default)]
    observe: Observe,
    #[serde(default)]
    settings: Vec<AllowedFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SpoolSection {
    max_bytes: u64,
    max_age_days: u64,
}

impl Default for SpoolSection {
    fn default() -> SpoolSection {
        SpoolSection {
            max_bytes: 64 * 1024 * 1024,
            max_age_days: 90,
        }
    }
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`ConfigError`] naming file and key.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        use std::io::Read as _;
        let read = || -> std::io::Result<String> {
            let mut text = String::new();
            std::fs::File::open(path)?
                .take(MAX_CONFIG_BYTES)
                .read_to_string(&mut text)?;
            Ok(text)
        };
        let name = path.display().to_string();
        match read() {
            Ok(text) => Config::parse(&name, &text),
            Err(source) => Err(ConfigError::Read { path: name, source }),
        }
    }

    /// Reads the text of a configuration; `path` is its name in messages.
    ///
    /// # Errors
    /// [`ConfigError`] naming the key.
    pub fn parse(path: &str, text: &str) -> Result<Config, ConfigError> {
        let file: File = toml::from_str(text).map_err(|error| ConfigError::Form {
            path: path.to_owned(),
            line: error.span().map(|span| {
                let before = text.get(..span.start).unwrap_or_default();
                before.bytes().filter(|byte| *byte == b'\n').count() + 1
            }),
            problem: error.message().to_owned(),
        })?;
        let wrong = |key, found: String, expected| ConfigError::Value {
            path: path.to_owned(),
            key,
            found,
            expected,
        };
        let collector = Url::parse(&file.collector)
            .ok()
            .filter(is_base)
            .ok_or_else(|| {
                wrong(
                    "collector",
                    format!("{:?}", file.collector),
                    "an address such as \"https://assay.example:8443\", without path",
                )
            })?;
        for (key, path) in [("ca", &file.ca), ("state", &file.state)] {
            if !path.is_absolute() {
                return Err(wrong(key, format!("{path:?}"), "an absolute path"));
            }
        }
        if file.spool.max_bytes < MIN_SPOOL_BYTES {
            let found = file.spool.max_bytes.to_string();
            return Err(wrong("spool.max_bytes", found, "at least 1048576"));
        }
        if !(1..=3650).contains(&file.spool.max_age_days) {
            let found = file.spool.max_age_days.to_string();
            return Err(wrong("spool.max_age_days", found, "1 to 3650"));
        }
        for allowed in &file.settings {
            allowed
                .check()
                .map_err(|(key, found, expected)| wrong(key, found, expected))?;
        }
        if file.settings.len() > MAX_FILES {
            let found = file.settings.len().to_string();
            return Err(wrong("settings", found, "at most 64 files"));
        }
        Ok(Config {
            collector,
            ca: file.ca,
            state: file.state,
            spool: Bounds {
                max_bytes: file.spool.max_bytes,
                max_age: Duration::from_secs(file.spool.max_age_days * 24 * 3600),
            },
            log: file.log,
            observe: file.observe,
            settings: file.settings,
        })
    }

    /// Whether the certificate authority of the configuration at `path` can be used: for those who will contact the
    /// collector, before anything is done.
    ///
    /// # Errors
    /// [`ConfigError::Value`] for `ca`.
    pub fn verify_ca(&self, path: &Path) -> Result<(), ConfigError> {
        let wrong = |problem: String| ConfigError::Value {
            path: path.display().to_string(),
            key: "ca",
            found: format!("{:?} ({problem})", self.ca),
            expected: "a file with certificates in PEM: keys/ca.pem of the collector's data folder",
        };
        let pem = std::fs::read(&self.ca).map_err(|error| wrong(error.to_string()))?;
        match Certificate::from_pem_bundle(&pem) {
            Ok(certificates) if !certificates.is_empty() => Ok(()),
            Ok(_) => Err(wrong("no certificate in it".to_owned())),
            Err(error) => Err(wrong(error.to_string())),
        }
    }
}

fn is_base(url: &Url) -> bool {
    url.scheme() == "https"
        && url.has_host()
        && url.path() == "/"
        && url.query().is_none()
        && url.username().is_empty()
        && url.password().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../configs/agent.toml");

    #[test]
    fn the_sample_is_a_configuration_with_every_key() {
        let sample = Config::parse("configs/agent.toml", SAMPLE).unwrap();
        assert_eq!(sample.spool.max_bytes, SpoolSection::default().max_bytes);
        for key in [
            "collector",
            "ca",
            "state",
            "max_bytes",
            "max_age_days",
            "format",
            "level",
            "connect_to_own_listeners",
        ] {
            assert!(
                SAMPLE
                    .lines()
                    .any(|line| line.starts_with(&format!("{key} = "))),
                "{key} is not in the sample"
            );
        }
    }

    #[test]
    fn settings_are_allowed_one_by_one_and_never_where_secrets_are() {
        let sample = Config::parse("agent.toml", SAMPLE).unwrap();
        assert!(sample.settings.is_empty(), "nothing is allowed by default");
        let with = |path: &str, names: &str| {
            let allowed = format!(
                "{SAMPLE}\n[[settings]]\npath = {path:?}\nformat = \"ini\"\nnames = {names}\n"
            );
            Config::parse("agent.toml", &allowed).map_err(|error| error.to_string())
        };
        let config = with("/etc/app/app.ini", "[\"server.port\"]").unwrap();
        assert_eq!(config.settings[0].names, ["server.port"]);
        for (path, names, says) in [
            ("/etc/shadow", "[\"root\"]", "settings.path"),
            ("/etc/../etc/shadow", "[\"root\"]", "settings.path"),
            ("/etc/app", "[]", "settings.names"),
        ] {
            let error = with(path, names).unwrap_err();
            assert!(
                error.contains("agent.toml: ") && error.contains(says),
                "{error}"
            );
        }
    }

    #[test]
    fn errors_name_file_key_and_what_was_expected() {
        let with = |from: &str, to: &str| {
            assert!(SAMPLE.contains(from), "{from}");
            let error = Config::parse("agent.toml", &SAMPLE.replacen(from, to, 1)).unwrap_err();
            error.to_string()
        };
        for (from, to, says) in [
            ("https://", "http://", &["collector", "https://"][..]),
            ("state = \"/", "state = \"", &["state", "absolute"]),
            (
                "max_bytes = 67108864",
                "max_bytes = 5",
                &["spool.max_bytes", "1048576"],
            ),
            (
                "max_age_days = 90",
                "max_age_days = 0",
                &["spool.max_age_days", "1 to 3650"],
            ),
            ("max_age_days", "max_age", &["agent.toml:", "max_age"]),
            (
                "format = \"text\"",
                "format = \"xml\"",
                &["agent.toml:", "xml", "json"],
            ),
        ] {
            let message = with(from, to);
            for word in says {
                assert!(message.contains(word), "{to}: {message}");
            }
        }
    }

    #[test]
    fn an_authority_that_is_none_is_named_by_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "no certificate\n").unwrap();
        for ca in [Path::new("/nonexistent"), &empty] {
            let text = SAMPLE.replacen("\"/etc/assay/ca.pem\"", &format!("{ca:?}"), 1);
            let config = Config::parse("agent.toml", &text).unwrap();
            let error = config.verify_ca(Path::new("agent.toml")).unwrap_err();
            let error = error.to_string();
            let says = format!("agent.toml: ca: {ca:?} (");
            assert!(error.starts_with(&says), "{error}");
            assert!(
                error.contains("expected a file with certificates in PEM"),
                "{error}"
            );
        }
    }
}
