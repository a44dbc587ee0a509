//! Kernel settings below /proc/sys: what holds now, and what the files of sysctl.d(5) will set at the next boot.
//!
//! Settings of network interfaces are given as they take effect, which needs more than the interface's own value
//! (Documentation/networking/ip-sysctl.rst): the kernel combines it with the value under `all`, by a rule that differs
//! from key to key. What a file writes to `default` reaches, for IPv4, every interface that has no assignment of its own;
//! for IPv6 the interfaces that appear later. `all` reaches no interface's own value.

mod boot;
mod built_in;
mod interface;
mod pattern;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Observation, Probe, Unobservable};
use crate::host::{Host, HostError};

pub(super) use boot::{Boot, Loader};
use interface::InterfaceSetting;
pub(super) use interface::shortened;

/// Longest value of a setting, bytes.
const MAX_VALUE: usize = 4096;

/// Settings of the whole kernel, with the value that every Linux kernel starts with where that is the same for all.
const KEYS: [(&str, Option<&str>); 27] = [
    ("dev.tty.ldisc_autoload", None),
    ("fs.protected_fifos", Some("0")),
    ("fs.protected_hardlinks", None),
    ("fs.protected_regular", Some("0")),
    ("fs.protected_symlinks", None),
    ("fs.suid_dumpable", Some("0")),
    ("kernel.apparmor_restrict_unprivileged_userns", None),
    ("kernel.core_pattern", None),
    ("kernel.dmesg_restrict", None),
    ("kernel.kexec_load_disabled", Some("0")),
    ("kernel.kptr_restrict", Some("0")),
    ("kernel.modules_disabled", Some("0")),
    ("kernel.perf_event_paranoid", None),
    ("kernel.randomize_va_space", Some("2")),
    ("kernel.sysrq", None),
    ("kernel.unprivileged_bpf_disabled", None),
    ("kernel.unprivileged_userns_clone", None),
    ("kernel.yama.ptrace_scope", None),
    ("net.core.bpf_jit_harden", Some("0")),
    ("net.ipv4.icmp_echo_ignore_broadcasts", Some("1")),
    ("net.ipv4.icmp_ignore_bogus_error_responses", Some("1")),
    ("net.ipv4.ip_forward", Some("0")),
    ("net.ipv4.tcp_syncookies", Some("1")),
    ("net.ipv6.conf.all.forwarding", Some("0")),
    ("user.max_user_namespaces", None),
    ("vm.mmap_min_addr", None),
    ("vm.unprivileged_userfaultfd", None),
];

/// The probe `sysctl`.
pub struct Sysctl;

/// Facts about kernel settings.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SysctlFacts {
    /// What loads the files at boot.
    loader: Loader,
    /// Settings of the whole kernel by name, for example `kernel.kptr_restrict`.
    settings: BTreeMap<String, Setting>,
    /// Settings of network interfaces and of `default`, which stands for those to come, as they take effect. Names that
    /// container engines and hypervisors draw by lot are shortened to a prefix and `*`.
    interfaces: Vec<InterfaceSetting>,
}

/// One setting.
#[derive(Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
struct Setting {
    /// The kernel's value, if it is a number; absent on an unpacked root and if this kernel has no such setting.
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<i64>,
    /// The kernel's value, if it is no number.
    #[serde(skip_serializing_if = "Option::is_none")]
    now_text: Option<String>,
    /// The value after the next boot, if it is a number and known: set by a file, or what this kernel starts with.
    #[serde(skip_serializing_if = "Option::is_none")]
    boot: Option<i64>,
    /// The value after the next boot, if it is no number.
    #[serde(skip_serializing_if = "Option::is_none")]
    boot_text: Option<String>,
    /// The file that sets it at boot; absent if none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
}

impl Probe for Sysctl {
    const ID: &'static str = "sysctl";
    type Facts = SysctlFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<SysctlFacts, Unobservable> {
        let (loader, boot) = Boot::read(observation)?;
        if observation.is_live() {
            observation.note("/proc/sys");
        }
        let built_in = built_in::BuiltIn::read(observation.host())?;
        let mut settings = BTreeMap::new();
        for (key, start) in KEYS {
            let start = start.or_else(|| built_in.get(key));
            let setting = setting(observation.host(), &boot, key, start)?;
            settings.insert(key.to_owned(), setting);
        }
        Ok(SysctlFacts {
            loader,
            settings,
            interfaces: interface::settings(observation.host(), &boot)?,
        })
    }
}

fn setting(
    host: &dyn Host,
    boot: &Boot,
    key: &str,
    start: Option<&str>,
) -> Result<Setting, HostError> {
    let path = key.replace('.', "/");
    let assigned = boot.get(&path);
    let at_boot = assigned.map(|found| found.value.as_str()).or(start);
    let (now, now_text) = parted(value(host, &path)?.as_deref());
    let (boot, boot_text) = match at_boot.and_then(boot::number) {
        Some(number) if key != "kernel.core_pattern" => (Some(number), None),
        _ => parted(at_boot),
    };
    Ok(Setting {
        now,
        now_text,
        boot,
        boot_text,
        file: assigned.map(|found| found.file.clone()),
    })
}

/// A value as a number, or else as text.
fn parted(value: Option<&str>) -> (Option<i64>, Option<String>) {
    match value {
        None => (None, None),
        Some(text) => match text.parse() {
            Ok(number) => (Some(number), None),
            Err(_) => (None, Some(text.to_owned())),
        },
    }
}

/// The kernel's value at `path` below `/proc/sys`; `None` if it has none, and on an unpacked root.
pub(super) fn value(host: &dyn Host, path: &str) -> Result<Option<String>, HostError> {
    if !host.is_live() {
        return Ok(None);
    }
    match host.read(&format!("/proc/sys/{path}"), MAX_VALUE) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).trim().to_owned())),
        Err(HostError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// As [`value`], for a setting that is a number; anything else is an error.
pub(super) fn number(host: &dyn Host, path: &str) -> Result<Option<i64>, HostError> {
    value(host, path)?
        .map(|text| {
            text.parse()
                .map_err(|_| HostError::Io(format!("/proc/sys/{path}"), "is no number".to_owned()))
        })
        .transpose()
}
