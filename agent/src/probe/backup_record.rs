//! What backups, checks of repositories and restore tests left behind as a record of themselves.
//!
//! A timer that ended well proves nothing: the step that writes the backup may have been skipped. So the tool's wrapper
//! leaves a file of JSON for each run in a folder that only root can write, and what it says is held against policy:
//!
//! ```text
//! /var/lib/assay-agent/dropin/backup/NAME.json
//! {"tool": "restic", "repository": "s3-fra1", "snapshot": "3f9c…", "started": "2026-11-24T01:00:00.000Z",
//!  "ended": "2026-11-24T01:12:40.000Z", "exit": 0, "paths": ["/etc", "/home"], "files": 81234, "bytes": 912345678}
//!
//! …/dropin/verify/NAME.json    with "scope": "data" if file contents were read, "metadata" if not
//! …/dropin/restore/NAME.json   with "compared", "mismatched" (files), "seconds", "by", "evidence"
//! ```

use std::collections::{BTreeMap, BTreeSet};

use evidence::outcome::Reason;
use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Observation, Probe, Unobservable};
use crate::host::{FileKind, HostError};

/// The probe `backup_record`.
pub struct BackupRecord;

/// Facts of runs, each the newest of its tool and repository, and the newest that ended with exit code 0.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BackupRecordFacts {
    /// Backups, one entry a path that the snapshot holds; the path is empty if the record names none.
    backups: Vec<BackupRun>,
    /// Checks of repositories.
    checks: Vec<CheckRun>,
    /// Restore tests.
    restores: Vec<RestoreRun>,
    /// Records that are not believed or not understood, as `file: why`.
    problems: Vec<String>,
}

/// A path of a backup that was made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
struct BackupRun {
    /// The tool.
    tool: String,
    /// The repository, by a name that tells it from others.
    repository: String,
    /// The path saved.
    path: String,
    /// When it ended.
    ended: Timestamp,
    /// The tool's exit code.
    exit: i64,
    /// The snapshot or archive that was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<String>,
    /// Files in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<i64>,
    /// Bytes in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<i64>,
}

/// A check of a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
struct CheckRun {
    /// The tool.
    tool: String,
    /// The repository.
    repository: String,
    /// When it ended.
    ended: Timestamp,
    /// The tool's exit code.
    exit: i64,
    /// What was read.
    scope: Scope,
}

/// What a check of a repository reads.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
enum Scope {
    /// Contents of files, all or a part.
    Data,
    /// Structure alone: damaged contents pass.
    Metadata,
}

/// A restore test.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
struct RestoreRun {
    /// The tool.
    tool: String,
    /// The repository.
    repository: String,
    /// When it ended.
    ended: Timestamp,
    /// Exit code.
    exit: i64,
    /// Files compared with what they should be.
    compared: i64,
    /// Files that were not what they should be.
    mismatched: i64,
    /// How long it took, if that was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<i64>,
    /// Where the evidence is: a path, an address or a digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<String>,
}

const DIRECTORY: &str = "/var/lib/assay-agent/dropin";
const MAX_RECORDS: usize = 1000;
const MAX_BYTES: usize = 64 * 1024;
const MAX_PATHS: usize = 200;
const MAX_TEXT: usize = 512;
const MAX_PROBLEMS: usize = 20;
const OTHERS_WRITE: u32 = 0o022;

/// A record as it lies there.
#[derive(Debug, Deserialize)]
struct Record {
    tool: String,
    repository: String,
    #[serde(default)]
    snapshot: Option<String>,
    ended: Timestamp,
    exit: i64,
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    files: Option<i64>,
    #[serde(default)]
    bytes: Option<i64>,
    #[serde(default)]
    scope: Option<Scope>,
    #[serde(default)]
    compared: Option<i64>,
    #[serde(default)]
    mismatched: Option<i64>,
    #[serde(default)]
    seconds: Option<i64>,
    #[serde(default)]
    evidence: Option<String>,
}

impl Probe for BackupRecord {
    const ID: &'static str = "backup_record";
    type Facts = BackupRecordFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<BackupRecordFacts, Unobservable> {
        let mut problems = Vec::new();
        let backups = records(observation, "backup", &mut problems)?;
        let checks = records(observation, "verify", &mut problems)?;
        let restores = records(observation, "restore", &mut problems)?;
        problems.truncate(MAX_PROBLEMS);
        Ok(BackupRecordFacts {
            backups: sorted(backups.iter().flat_map(backup_runs)),
            checks: sorted(checks.iter().map(check_run)),
            restores: sorted(restores.iter().map(restore_run)),
            problems,
        })
    }
}

fn sorted<T: Ord>(runs: impl Iterator<Item = T>) -> Vec<T> {
    runs.collect::<BTreeSet<T>>().into_iter().collect()
}

fn backup_runs(record: &Record) -> Vec<BackupRun> {
    let run = |path: &str| BackupRun {
        tool: record.tool.clone(),
        repository: record.repository.clone(),
        path: path.to_owned(),
        ended: record.ended,
        exit: record.exit,
        snapshot: record.snapshot.clone().filter(|id| !id.is_empty()),
        files: record.files,
        bytes: record.bytes,
    };
    if record.paths.is_empty() {
        return vec![run("")];
    }
    record
        .paths
        .iter()
        .map(|path| match path.trim_end_matches('/') {
            "" => run("/"),
            path => run(path),
        })
        .collect()
}

fn check_run(record: &Record) -> CheckRun {
    CheckRun {
        tool: record.tool.clone(),
        repository: record.repository.clone(),
        ended: record.ended,
        exit: record.exit,
        scope: record.scope.unwrap_or(Scope::Metadata),
    }
}

fn restore_run(record: &Record) -> RestoreRun {
    RestoreRun {
        tool: record.tool.clone(),
        repository: record.repository.clone(),
        ended: record.ended,
        exit: record.exit,
        compared: record.compared.unwrap_or_default(),
        mismatched: record.mismatched.unwrap_or_default(),
        seconds: record.seconds,
        evidence: record.evidence.clone().filter(|text| !text.is_empty()),
    }
}

/// The records of one kind that count: by tool and repository the newest, and the newest that ended with 0.
fn records(
    observation: &mut Observation<'_>,
    kind: &str,
    problems: &mut Vec<String>,
) -> Result<Vec<Record>, Unobservable> {
    let directory = format!("{DIRECTORY}/{kind}");
    let Some(folder) = observation.stat(&directory)? else {
        return Ok(Vec::new());
    };
    if folder.uid != 0 || folder.mode & OTHERS_WRITE != 0 {
        problems.push(format!("{directory}: others than root can write it"));
        return Ok(Vec::new());
    }
    let entries: Vec<String> = observation
        .list(&directory)?
        .unwrap_or_default()
        .into_iter()
        .filter(|entry| entry.kind == FileKind::Regular && entry.name.ends_with(".json"))
        .map(|entry| entry.name)
        .collect();
    if entries.len() > MAX_RECORDS {
        return Err(Unobservable::new(
            Reason::Unparsable,
            format!("{directory}: more than {MAX_RECORDS} records; remove old ones"),
        ));
    }
    let mut newest: BTreeMap<(String, String, bool), Record> = BTreeMap::new();
    for name in entries {
        let path = format!("{directory}/{name}");
        let record = match read(observation, &directory, &name)? {
            Ok(record) => record,
            Err(problem) => {
                problems.push(format!("{path}: {problem}"));
                continue;
            }
        };
        let succeeded = record.exit == 0;
        let key = (record.tool.clone(), record.repository.clone(), succeeded);
        let is_newer = newest
            .get(&key)
            .is_none_or(|known| known.ended < record.ended);
        if is_newer {
            newest.insert(key, record);
        }
    }
    Ok(newest.into_values().collect())
}

fn read(
    observation: &mut Observation<'_>,
    directory: &str,
    name: &str,
) -> Result<Result<Record, String>, Unobservable> {
    let host = observation.host();
    let path = format!("{directory}/{name}");
    let stat = match host.lstat(&path) {
        Ok(stat) => stat,
        Err(HostError::NotFound(_)) => return Ok(Err("gone meanwhile".to_owned())),
        Err(error) => return Err(error.into()),
    };
    if stat.uid != 0 || stat.mode & OTHERS_WRITE != 0 {
        return Ok(Err("others than root can write it".to_owned()));
    }
    let bytes = match host.read_beneath(directory, name, MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(
            error @ (HostError::NotFound(_) | HostError::NotRegular(_) | HostError::TooLarge(..)),
        ) => {
            return Ok(Err(error.to_string()));
        }
        Err(error) => return Err(error.into()),
    };
    observation.note(&path);
    Ok(parse(&bytes))
}

fn parse(bytes: &[u8]) -> Result<Record, String> {
    let record: Record = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let texts = [&record.tool, &record.repository]
        .into_iter()
        .chain(&record.snapshot)
        .chain(&record.evidence)
        .chain(&record.paths);
    if record.paths.len() > MAX_PATHS || texts.into_iter().any(|text| text.len() > MAX_TEXT) {
        return Err(format!(
            "more than {MAX_PATHS} paths, or a text of more than {MAX_TEXT} bytes"
        ));
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_bounded_and_whole() {
        let text = r#"{"tool": "restic", "repository": "far", "ended": "2026-11-24T01:12:40.000Z", "exit": 0, "paths": ["/", "/home/"], "future": 1}"#;
        let record = parse(text.as_bytes()).unwrap();
        let paths: Vec<String> = backup_runs(&record)
            .into_iter()
            .map(|run| run.path)
            .collect();
        assert_eq!(paths, ["/", "/home"]);
        assert!(parse(text.replace("\"exit\": 0,", "").as_bytes()).is_err());
        assert!(parse(text.replace("2026", "yesterday").as_bytes()).is_err());
        assert!(parse(text.replace("far", &"x".repeat(600)).as_bytes()).is_err());
        assert!(parse(b"").is_err());
        assert!(parse(b"\xff").is_err());
    }
}
