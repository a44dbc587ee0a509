//! What a command looks at: this host, or a root file system unpacked into a directory.

use std::path::Path;

use agent::host::{FileKind, FileSystemHost, Host, HostError};
use anyhow::Context as _;

use super::WrongUsage;

/// Where os-release(5) may lie.
const OS_RELEASE: [&str; 2] = ["/etc/os-release", "/usr/lib/os-release"];

/// This host, or the unpacked root file system named.
///
/// # Errors
/// If the directory cannot be opened; [`WrongUsage`] if it holds no root file system: what an empty directory lacks
/// would otherwise be taken for what a host goes without.
pub(super) fn host(root: Option<&Path>) -> anyhow::Result<FileSystemHost> {
    let Some(root) = root else {
        return Ok(FileSystemHost::live()?);
    };
    let host = FileSystemHost::offline(root).context("--root")?;
    let missing = missing(&host)?;
    if !missing.is_empty() {
        return Err(WrongUsage(format!(
            "--root {}: no root file system of a host: {} missing; name the directory that holds etc and usr",
            root.display(),
            missing.join(", ")
        ))
        .into());
    }
    Ok(host)
}

/// What every distribution's root has and this one lacks.
fn missing(host: &dyn Host) -> Result<Vec<&'static str>, HostError> {
    let mut missing = Vec::new();
    for directory in ["/etc", "/usr"] {
        if !is(host, directory, FileKind::Directory)? {
            missing.push(directory);
        }
    }
    let named = OS_RELEASE
        .iter()
        .map(|path| is(host, path, FileKind::Regular))
        .collect::<Result<Vec<_>, _>>()?;
    if !named.contains(&true) {
        missing.push("/etc/os-release (or /usr/lib/os-release)");
    }
    Ok(missing)
}

fn is(host: &dyn Host, path: &str, kind: FileKind) -> Result<bool, HostError> {
    match host.stat(path) {
        Ok(stat) => Ok(stat.kind == kind),
        Err(HostError::NotFound(_) | HostError::NotRegular(_)) => Ok(false),
        Err(error) => Err(error),
    }
}
