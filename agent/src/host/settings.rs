//! Files whose named settings the agent's own configuration allows to be read, for checks that its makers did not foresee.
//!
//! Nothing is allowed by default. A bundle cannot allow anything: it comes from the collector, this from the host.

use serde::{Deserialize, Serialize};

use super::FileSystemHost;

/// Most files allowed.
pub const MAX_FILES: usize = 64;
/// Most settings of one file.
pub const MAX_NAMES: usize = 64;
/// Longest name of a setting, in bytes.
const MAX_NAME_BYTES: usize = 200;
/// Where nothing is allowed: kernel interfaces, devices, and files whose content is secret as a whole.
const NEVER: &[&str] = &[
    "/proc/",
    "/sys/",
    "/dev/",
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/security/opasswd",
    "/var/lib/assay-agent/",
];

/// One file with the settings that may be read of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowedFile {
    /// Its absolute path, which may lead through no link.
    pub path: String,
    /// How it is written.
    pub format: SettingsFormat,
    /// The settings: `name`, or `section.name` where the format has sections.
    pub names: Vec<String>,
}

/// How a file of settings is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettingsFormat {
    /// `[section]` with `name = value` or `name: value`; comments begin with `#` or `;`. As `section.name`.
    Ini,
    /// `NAME=value` as in /etc/default, with quotes as in a shell; nothing is expanded.
    KeyValue,
    /// TOML, as `table.name`.
    Toml,
    /// JSON, as `object.name`.
    Json,
    /// sysctl.d(5): `name = value`; a slash in a name counts as a dot.
    Sysctl,
    /// sshd_config(5) and its like: `Name value`; names in any case. Only what stands before the first `Match` or `Host`.
    Sshd,
}

impl AllowedFile {
    /// What is wrong with it: the key, what stands there, and what is expected.
    ///
    /// # Errors
    /// These three.
    pub fn check(&self) -> Result<(), (&'static str, String, &'static str)> {
        let path = &self.path;
        let parts = path.split('/').skip(1);
        let plain = path.starts_with('/')
            && path.len() > 1
            && parts.clone().all(|part| !matches!(part, "" | "." | ".."));
        if !plain {
            let expected = "an absolute path without `.`, `..` and double slashes";
            return Err(("settings.path", format!("{path:?}"), expected));
        }
        if NEVER.iter().any(|never| path.starts_with(never)) {
            let expected = "no kernel interface, device or file of secrets";
            return Err(("settings.path", format!("{path:?}"), expected));
        }
        if self.names.is_empty() || self.names.len() > MAX_NAMES {
            let found = self.names.len().to_string();
            return Err(("settings.names", found, "1 to 64 names"));
        }
        let wrong = |name: &&String| {
            name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control)
        };
        match self.names.iter().find(wrong) {
            Some(name) => {
                let expected = "a name of 1 to 200 bytes without control characters";
                Err(("settings.names", format!("{name:?}"), expected))
            }
            None => Ok(()),
        }
    }
}

impl FileSystemHost {
    /// The same host with files whose named settings the agent's configuration allows.
    #[must_use]
    pub fn allowing(mut self, settings: Vec<AllowedFile>) -> FileSystemHost {
        self.settings = settings;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_of_plain_files_can_be_allowed() {
        let file = |path: &str| AllowedFile {
            path: path.to_owned(),
            format: SettingsFormat::Ini,
            names: vec!["a".to_owned()],
        };
        assert!(file("/etc/app/app.ini").check().is_ok());
        for bad in [
            "etc/app",
            "/",
            "",
            "/etc//app",
            "/etc/../app",
            "/etc/./app",
            "/etc/app/",
            "/proc/1/environ",
            "/sys/x",
            "/etc/shadow",
            "/etc/shadow-",
            "/dev/sda",
        ] {
            assert!(file(bad).check().is_err(), "{bad}");
        }
        for names in [
            vec![],
            vec![String::new()],
            vec!["a\n".to_owned()],
            vec!["a".to_owned(); 65],
        ] {
            let mut bad = file("/etc/app");
            bad.names = names;
            assert!(bad.check().is_err(), "{:?}", bad.names);
        }
    }
}
