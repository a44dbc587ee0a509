//! Named settings of the files that the agent's own configuration allows.

mod parse;
mod secret;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Observation, Probe, Unobservable};
use crate::host::{AllowedFile, HostError};
use secret::is_secret;

/// Most bytes of one file.
const MAX_BYTES: usize = 1024 * 1024;
/// Most values of one setting that occurs more than once.
const MAX_VALUES: usize = 64;

/// The probe `settings`.
pub struct NamedSettings;

/// Facts about the files allowed; empty where none is.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SettingsFacts {
    /// The files, by path.
    files: Vec<SettingsFile>,
}

/// One file.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct SettingsFile {
    /// Its path.
    path: String,
    /// Whether it could be read.
    state: FileState,
    /// The settings that were asked for, by name; empty unless the file was read.
    settings: Vec<Setting>,
}

/// Whether a file could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum FileState {
    /// Read whole and understood.
    Read,
    /// Not there.
    Absent,
    /// There, but the agent may not read it.
    Denied,
    /// A link or behind one, no regular file, longer than 1 MiB, or not written in its format.
    Refused,
}

/// One setting.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct Setting {
    /// Its name, as the agent's configuration spells it.
    name: String,
    /// Whether it stands in the file.
    state: SettingState,
    /// Its values as text, in the order of the file; of a list each item, of a table none.
    values: Vec<String>,
    /// The values in one text, with commas between them.
    value: String,
}

/// Whether a setting stands in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum SettingState {
    /// It does.
    Set,
    /// It does, with a value that looks like a secret and is not told.
    Withheld,
    /// It does not.
    Absent,
}

impl Probe for NamedSettings {
    const ID: &'static str = "settings";
    type Facts = SettingsFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<SettingsFacts, Unobservable> {
        let mut allowed = observation.host().allowed_settings().to_vec();
        allowed.sort_by(|a, b| a.path.cmp(&b.path));
        let read = |file: &AllowedFile| read(observation, file);
        Ok(SettingsFacts {
            files: allowed.iter().map(read).collect(),
        })
    }
}

fn read(observation: &mut Observation<'_>, file: &AllowedFile) -> SettingsFile {
    let failed = |state| SettingsFile {
        path: file.path.clone(),
        state,
        settings: Vec::new(),
    };
    let inside = file.path.trim_start_matches('/');
    let found = observation.host().read_beneath("/", inside, MAX_BYTES);
    observation.note(&file.path);
    let bytes = match found {
        Ok(bytes) => bytes,
        Err(HostError::NotFound(_)) => return failed(FileState::Absent),
        Err(HostError::Permission(_)) => return failed(FileState::Denied),
        Err(_) => return failed(FileState::Refused),
    };
    let parsed = String::from_utf8(bytes)
        .ok()
        .and_then(|text| parse::settings(file.format, &text));
    let Some(parsed) = parsed else {
        return failed(FileState::Refused);
    };
    let mut names = file.names.clone();
    names.sort();
    names.dedup();
    let told = |name: String| {
        let found = parsed.get(&parse::spelled(file.format, &name));
        setting(name, found.map(Vec::as_slice))
    };
    SettingsFile {
        settings: names.into_iter().map(told).collect(),
        ..failed(FileState::Read)
    }
}

/// A setting as it may be told.
fn setting(name: String, values: Option<&[String]>) -> Setting {
    let (state, values) = match values {
        None => (SettingState::Absent, Vec::new()),
        Some(values) if values.len() > MAX_VALUES => (SettingState::Withheld, Vec::new()),
        Some(values) if values.iter().any(|value| is_secret(&name, value)) => {
            (SettingState::Withheld, Vec::new())
        }
        Some(values) => (SettingState::Set, values.to_vec()),
    };
    Setting {
        value: values.join(", "),
        name,
        state,
        values,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::host::RecordedHost;
    use crate::probe::{self, VolatileMemory};

    fn observe(recording: &str) -> Value {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("host.toml");
        std::fs::write(&path, recording).unwrap();
        let host = RecordedHost::load(&path).unwrap();
        let id = "settings".parse().unwrap();
        let facts = probe::observe_all(&host, &mut VolatileMemory::default(), host.now(), [&id]);
        facts[&id].to_value()["files"].clone()
    }

    const FILES: &str = r#"
[files."/etc/app/app.ini"]
text = "[server]\nport = 8443\n[db]\npassword = hunter2\nurl = postgres://u:p@db/x\n"
[files."/etc/app/link.ini"]
link = "/etc/app/app.ini"
[files."/etc/app/denied.ini"]
text = "[a]\nb = c\n"
denied = true
[files."/etc/app/broken.json"]
text = "{"
"#;

    #[test]
    fn nothing_is_read_that_is_not_allowed() {
        assert_eq!(observe(FILES), json!([]));
    }

    #[test]
    fn named_settings_are_told_and_secrets_only_as_present() {
        let allowed = r#"
[[settings]]
path = "/etc/app/app.ini"
format = "ini"
names = ["server.port", "server.host", "db.password", "db.url"]
"#;
        let setting = |name: &str, state: &str, values: &[&str]| json!({"name": name, "state": state, "values": values, "value": values.join(", ")});
        assert_eq!(
            observe(&format!("{allowed}{FILES}")),
            json!([{"path": "/etc/app/app.ini", "state": "read", "settings": [
                setting("db.password", "withheld", &[]),
                setting("db.url", "withheld", &[]),
                setting("server.host", "absent", &[]),
                setting("server.port", "set", &["8443"])]}])
        );
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let allowed: String = ["link.ini", "denied.ini", "absent.ini"]
            .map(|name| format!("[[settings]]\npath = \"/etc/app/{name}\"\nformat = \"ini\"\nnames = [\"a.b\"]\n"))
            .concat();
        let json =
            "[[settings]]\npath = \"/etc/app/broken.json\"\nformat = \"json\"\nnames = [\"a\"]\n";
        let found = observe(&format!("{allowed}{json}{FILES}"));
        let states: Vec<(&str, &str)> = found
            .as_array()
            .unwrap()
            .iter()
            .map(|file| {
                (
                    file["path"].as_str().unwrap(),
                    file["state"].as_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            states,
            [
                ("/etc/app/absent.ini", "absent"),
                ("/etc/app/broken.json", "refused"),
                ("/etc/app/denied.ini", "denied"),
                ("/etc/app/link.ini", "refused"),
            ]
        );
    }
}
