//! Whether the kernel that runs is the newest one installed.

mod rpm;

use std::cmp::Ordering;

use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::debian::package::{self, Package};
use super::debian::{self, version::compare};
use super::{Observation, Probe, Unobservable, packages};
use crate::host::HostError;

/// Written by package scripts where update-notifier-common or unattended-upgrades is installed; its absence proves
/// nothing.
const REBOOT_REQUIRED: &str = "/run/reboot-required";
/// Live patches that are loaded.
const LIVEPATCH: &str = "/sys/kernel/livepatch";

/// The probe `kernel_package`.
pub struct KernelPackage;

/// Facts of the running and the installed kernels.
#[derive(Debug, Serialize, JsonSchema)]
pub struct KernelPackageFacts {
    /// Kernels come from packages of a manager that is read: dpkg or rpm.
    managed: bool,
    /// The running kernel's release (`uname -r`).
    running: String,
    /// Package version of the running kernel, from its build (`uname -v`): a fix may keep the release.
    #[serde(skip_serializing_if = "Option::is_none")]
    running_version: Option<String>,
    /// Flavour of the running kernel, for example `amd64` or `generic`.
    flavour: String,
    /// The build names a package version, and kernel packages of this flavour are installed.
    known: bool,
    /// Newest installed version of the flavour.
    #[serde(skip_serializing_if = "Option::is_none")]
    newest: Option<String>,
    /// Installed kernels of the flavour that are newer than the running one.
    newer: Vec<Kernel>,
    /// Since when a newer kernel waits for a reboot.
    #[serde(skip_serializing_if = "Option::is_none")]
    newer_since: Option<Timestamp>,
    /// Since when packages ask for a reboot; absent if none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    required_since: Option<Timestamp>,
    /// Packages that ask for it.
    required_by: Vec<String>,
    /// Live patches loaded and enabled. The kernel does not say what they fix.
    livepatches: Vec<String>,
}

/// An installed kernel.
#[derive(Debug, Serialize, JsonSchema)]
struct Kernel {
    /// Its package.
    package: String,
    /// Its version.
    version: String,
    /// When it was unpacked.
    installed: Timestamp,
}

/// When a reboot was first asked for in this boot: the file's own time moves with every package that asks.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    boot: String,
    since: Timestamp,
}

impl Probe for KernelPackage {
    const ID: &'static str = "kernel_package";
    type Facts = KernelPackageFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<KernelPackageFacts, Unobservable> {
        observation.require_live("the running kernel")?;
        let running = line(observation, "/proc/sys/kernel/osrelease")?;
        let build = line(observation, "/proc/sys/kernel/version")?;
        let flavour = flavour(&running).to_owned();
        let running_version = version_of_build(&running, &build);
        let dpkg = debian::distribution(observation)?.is_some();
        if !dpkg && packages::rpm::locate(observation)?.is_some() {
            return rpm::observe(observation, running);
        }
        let packages = if dpkg {
            package::installed(observation)?
        } else {
            Vec::new()
        };
        let kernels: Vec<&Package> = packages
            .iter()
            .filter(|package| {
                kernel_release(&package.name)
                    .is_some_and(|release| self::flavour(release) == flavour)
            })
            .collect();
        let newest = kernels
            .iter()
            .map(|kernel| &kernel.version)
            .max_by(|a, b| compare(a, b));
        let newer = newer(observation, &kernels, running_version.as_deref())?;
        let (required_since, required_by) = required(observation)?;
        Ok(KernelPackageFacts {
            managed: dpkg,
            known: running_version.is_some() && !kernels.is_empty(),
            newest: newest.cloned(),
            newer_since: newer.iter().map(|kernel| kernel.installed).min(),
            newer,
            required_since,
            required_by,
            livepatches: livepatches(observation)?,
            running,
            running_version,
            flavour,
        })
    }
}

fn line(observation: &mut Observation<'_>, path: &str) -> Result<String, Unobservable> {
    Ok(observation.required_text(path)?.trim().to_owned())
}

/// The release of a kernel package's name; `None` for other packages and for those that only depend on the newest.
fn kernel_release(package: &str) -> Option<&str> {
    let name = package.strip_prefix("linux-image-")?;
    let name = name.strip_prefix("unsigned-").unwrap_or(name);
    let name = name.strip_suffix("-unsigned").unwrap_or(name);
    name.starts_with(|c: char| c.is_ascii_digit())
        .then_some(name)
}

/// What follows version and ABI number: `amd64` of `6.1.0-28-amd64` and of `6.12.57+deb13-amd64`.
fn flavour(release: &str) -> &str {
    let (_, rest) = release.split_once('-').unwrap_or((release, ""));
    match rest.split_once('-') {
        Some((abi, flavour)) if abi.starts_with(|c: char| c.is_ascii_digit()) => flavour,
        _ => rest,
    }
}

/// The package version that Debian (`… Debian 6.1.119-1 (date)`) and Ubuntu (`#53-Ubuntu` of 6.8.0-52-generic is
/// 6.8.0-52.53) leave in the build.
fn version_of_build(release: &str, build: &str) -> Option<String> {
    let mut words = build.split_whitespace();
    if let Some(number) = words
        .next()
        .and_then(|word| word.strip_prefix('#')?.strip_suffix("-Ubuntu"))
    {
        let base = release.strip_suffix(flavour(release))?.strip_suffix('-')?;
        return Some(format!("{base}.{number}"));
    }
    words.find(|word| *word == "Debian")?;
    words
        .next()
        .filter(|version| version.starts_with(|c: char| c.is_ascii_digit()))
        .map(str::to_owned)
}

fn newer(
    observation: &mut Observation<'_>,
    kernels: &[&Package],
    running: Option<&str>,
) -> Result<Vec<Kernel>, Unobservable> {
    let Some(running) = running else {
        return Ok(Vec::new());
    };
    let mut newer = Vec::new();
    for kernel in kernels {
        if compare(&kernel.version, running) != Ordering::Greater {
            continue;
        }
        let list = format!("/var/lib/dpkg/info/{}.list", kernel.name);
        let unpacked = observation.stat(&list)?.map(|stat| stat.mtime);
        newer.push(Kernel {
            package: kernel.name.clone(),
            version: kernel.version.clone(),
            installed: unpacked.unwrap_or(observation.now()),
        });
    }
    newer.sort_by(|a, b| compare(&a.version, &b.version).then_with(|| a.package.cmp(&b.package)));
    Ok(newer)
}

fn required(
    observation: &mut Observation<'_>,
) -> Result<(Option<Timestamp>, Vec<String>), Unobservable> {
    let Some(stat) = observation.stat(REBOOT_REQUIRED)? else {
        return Ok((None, Vec::new()));
    };
    let boot = observation
        .text("/proc/sys/kernel/random/boot_id")?
        .unwrap_or_default();
    let earlier: Option<Asked> = observation.recall("required");
    let since = match earlier {
        Some(earlier) if earlier.boot == boot => earlier.since.min(stat.mtime),
        _ => stat.mtime,
    };
    observation.remember("required", &Asked { boot, since });
    let names = observation
        .text("/run/reboot-required.pkgs")?
        .unwrap_or_default();
    let mut names: Vec<String> = names
        .lines()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    names.sort();
    names.dedup();
    Ok((Some(since), names))
}

fn livepatches(observation: &mut Observation<'_>) -> Result<Vec<String>, Unobservable> {
    let mut enabled = Vec::new();
    for entry in observation.list(LIVEPATCH)?.unwrap_or_default() {
        let path = format!("{LIVEPATCH}/{}/enabled", entry.name);
        match observation.host().read(&path, 16) {
            Ok(value) if value.trim_ascii() == b"1" => enabled.push(entry.name),
            Ok(_) | Err(HostError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(enabled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_name_their_package() {
        for (release, build, version, expected_flavour) in [
            (
                "6.1.0-28-amd64",
                "#1 SMP PREEMPT_DYNAMIC Debian 6.1.119-1 (2024-11-22)",
                Some("6.1.119-1"),
                "amd64",
            ),
            (
                "6.12.57+deb13-cloud-amd64",
                "#1 SMP PREEMPT_DYNAMIC Debian 6.12.57-1 (2025-11-05)",
                Some("6.12.57-1"),
                "cloud-amd64",
            ),
            (
                "6.8.0-52-generic",
                "#53-Ubuntu SMP PREEMPT_DYNAMIC Sat Jan 11 00:06:25 UTC 2025",
                Some("6.8.0-52.53"),
                "generic",
            ),
            (
                "6.8.0-52-generic",
                "#53~22.04.1-Ubuntu SMP PREEMPT_DYNAMIC Wed Jan 15 19:18:46 UTC 2",
                Some("6.8.0-52.53~22.04.1"),
                "generic",
            ),
            (
                "6.18.44-fc-v595",
                "#1 SMP PREEMPT_DYNAMIC @0",
                None,
                "fc-v595",
            ),
            ("6.9.1", "#3 SMP Debian", None, ""),
            ("", "", None, ""),
        ] {
            assert_eq!(
                version_of_build(release, build).as_deref(),
                version,
                "{build}"
            );
            assert_eq!(flavour(release), expected_flavour, "{release}");
        }
    }

    #[test]
    fn only_kernels_count_as_kernels() {
        assert_eq!(
            kernel_release("linux-image-6.1.0-28-amd64"),
            Some("6.1.0-28-amd64")
        );
        assert_eq!(
            kernel_release("linux-image-unsigned-6.8.0-52-generic"),
            Some("6.8.0-52-generic")
        );
        assert_eq!(
            kernel_release("linux-image-6.1.0-28-amd64-unsigned"),
            Some("6.1.0-28-amd64")
        );
        assert_eq!(kernel_release("linux-image-amd64"), None);
        assert_eq!(kernel_release("linux-headers-6.1.0-28-amd64"), None);
    }
}
