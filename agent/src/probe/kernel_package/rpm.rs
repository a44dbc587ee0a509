//! Kernels of rpm packages: the running kernel's release is version, release and architecture of its package.

use std::cmp::Ordering;

use evidence::time::Timestamp;

use super::{Kernel, KernelPackageFacts, livepatches, required};
use crate::probe::packages::{self, Manager, Package};
use crate::probe::rpm_repository::version::compare;
use crate::probe::{Observation, Unobservable};

/// Packages that hold a kernel itself; those of one name are one flavour.
const KERNELS: [&str; 12] = [
    "kernel-core",
    "kernel",
    "kernel-rt-core",
    "kernel-64k-core",
    "kernel-debug-core",
    "kernel-uek-core",
    "kernel-uek",
    "kernel6.12",
    "kernel-default",
    "kernel-default-base",
    "kernel-azure",
    "kernel-rt",
];
/// What zypper leaves after an update that needs a reboot.
const REBOOT_NEEDED: &str = "/run/reboot-needed";

pub(super) fn observe(
    observation: &mut Observation<'_>,
    running: String,
) -> Result<KernelPackageFacts, Unobservable> {
    let packages = packages::of(observation, Manager::Rpm)?;
    // A metapackage has the version of the kernel too: the package with the kernel in it stands first.
    let own = KERNELS.into_iter().find_map(|name| {
        let mut named = packages.iter().filter(|package| package.name == name);
        named.find(|package| is_release(package, &running))
    });
    let kernels: Vec<&Package> = packages
        .iter()
        .filter(|package| own.is_some_and(|own| own.name == package.name))
        .collect();
    let mut newer: Vec<Kernel> = kernels
        .iter()
        .filter(|kernel| {
            own.is_some_and(|own| compare(&kernel.version, &own.version) == Ordering::Greater)
        })
        .map(|kernel| Kernel {
            package: kernel.name.clone(),
            version: kernel.version.clone(),
            installed: kernel.installed.unwrap_or(observation.now()),
        })
        .collect();
    newer.sort_by(|a, b| compare(&a.version, &b.version));
    let newest = kernels
        .iter()
        .map(|kernel| &kernel.version)
        .max_by(|a, b| compare(a, b))
        .cloned();
    let (mut required_since, required_by) = required(observation)?;
    let needed: Option<Timestamp> = observation.stat(REBOOT_NEEDED)?.map(|stat| stat.mtime);
    required_since = required_since.into_iter().chain(needed).min();
    Ok(KernelPackageFacts {
        managed: true,
        known: own.is_some(),
        flavour: own.map(|own| own.name.clone()).unwrap_or_default(),
        running_version: own.map(|own| own.version.clone()),
        newest,
        newer_since: newer.iter().map(|kernel| kernel.installed).min(),
        newer,
        required_since,
        required_by,
        livepatches: livepatches(observation)?,
        running,
    })
}

/// Whether this package brought the kernel of this release: `VERSION-RELEASE.ARCHITECTURE`, with a `+` and its flavour on
/// kernels for other purposes; SUSE leaves the architecture and the last number of the release out, and adds the flavour.
fn is_release(package: &Package, running: &str) -> bool {
    let version = package
        .version
        .split_once(':')
        .map_or(package.version.as_str(), |(_, rest)| rest);
    let (base, flavour) = running.split_once('+').unwrap_or((running, ""));
    let redhat = format!("{version}.{}", package.architecture);
    let suse = package
        .name
        .strip_prefix("kernel-")
        .and_then(|flavour| running.strip_suffix(flavour)?.strip_suffix('-'));
    base == redhat && (flavour.is_empty() || package.name.contains(flavour))
        || suse.is_some_and(|base| {
            version == base
                || version.strip_prefix(base).is_some_and(|rest| {
                    rest.strip_prefix('.').is_some_and(|number| {
                        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
                    })
                })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_name_their_package() {
        let package = |name: &str, version: &str| Package {
            name: name.into(),
            version: version.into(),
            architecture: "x86_64".into(),
            ..Package::default()
        };
        for (name, version, running, expected) in [
            (
                "kernel-core",
                "5.14.0-503.11.1.el9_5",
                "5.14.0-503.11.1.el9_5.x86_64",
                true,
            ),
            (
                "kernel-core",
                "5.14.0-503.15.1.el9_5",
                "5.14.0-503.11.1.el9_5.x86_64",
                false,
            ),
            (
                "kernel-rt-core",
                "5.14.0-503.11.1.el9_5",
                "5.14.0-503.11.1.el9_5.x86_64+rt",
                true,
            ),
            (
                "kernel-core",
                "5.14.0-503.11.1.el9_5",
                "5.14.0-503.11.1.el9_5.x86_64+rt",
                false,
            ),
            (
                "kernel-default",
                "6.4.0-150600.23.25.1",
                "6.4.0-150600.23.25-default",
                true,
            ),
            (
                "kernel-default",
                "6.4.0-150600.23.250.1",
                "6.4.0-150600.23.25-default",
                false,
            ),
            (
                "kernel-azure",
                "6.4.0-150600.23.25.1",
                "6.4.0-150600.23.25-default",
                false,
            ),
        ] {
            assert_eq!(
                is_release(&package(name, version), running),
                expected,
                "{running}"
            );
        }
    }
}
