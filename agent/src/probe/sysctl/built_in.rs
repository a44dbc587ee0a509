//! What a kernel starts with where its build decides: no file of sysctl.d(5) need set what the build sets already.
//!
//! The build's configuration (`/boot/config-RELEASE` and its like) tells three of the settings. Others come from patches
//! that Debian and Ubuntu carry, which no configuration shows; those kernels name the distribution in `/proc/version`.

use std::io::{BufReader, Read as _};

use crate::host::{Host, HostError};

/// Most bytes of a kernel's configuration; it is some 300 kB.
const MAX_CONFIG_BYTES: u64 = 4 * 1024 * 1024;
/// Where distributions put it, beside `/boot`.
const PLACES: [(&str, &str); 3] = [
    ("/boot/config-", ""),
    ("/usr/lib/modules/", "/config"),
    ("/lib/modules/", "/config"),
];

/// What is known of the running kernel's build.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct BuiltIn {
    dmesg_restrict: Option<&'static str>,
    unprivileged_bpf_disabled: Option<&'static str>,
    sysrq: Option<String>,
    debian: bool,
    ubuntu: bool,
}

impl BuiltIn {
    /// Of the running kernel; of an unpacked root nothing is known, as it may hold several.
    ///
    /// # Errors
    /// [`HostError`] if something is there and cannot be read.
    pub(super) fn read(host: &dyn Host) -> Result<BuiltIn, HostError> {
        let mut built_in = BuiltIn::default();
        if !host.is_live() {
            return Ok(built_in);
        }
        let release = text(host, "/proc/sys/kernel/osrelease")?;
        let version = text(host, "/proc/version")?;
        built_in.ubuntu = version.contains("Ubuntu");
        built_in.debian = version.contains("Debian") && !built_in.ubuntu;
        let release = release.trim();
        if release.is_empty() || release.contains('/') {
            return Ok(built_in);
        }
        for (before, after) in PLACES {
            match host.open(&format!("{before}{release}{after}")) {
                Err(HostError::NotFound(_)) => {}
                Err(error) => return Err(error),
                Ok(file) => {
                    built_in.configuration(BufReader::new(file.take(MAX_CONFIG_BYTES)));
                    break;
                }
            }
        }
        Ok(built_in)
    }

    /// A line that cannot be read ends the reading: what was not seen stays unknown.
    fn configuration(&mut self, file: impl std::io::BufRead) {
        for line in file.lines().map_while(Result::ok) {
            match line.as_str() {
                "CONFIG_SECURITY_DMESG_RESTRICT=y" => self.dmesg_restrict = Some("1"),
                "# CONFIG_SECURITY_DMESG_RESTRICT is not set" => self.dmesg_restrict = Some("0"),
                "CONFIG_BPF_UNPRIV_DEFAULT_OFF=y" => self.unprivileged_bpf_disabled = Some("2"),
                "# CONFIG_BPF_UNPRIV_DEFAULT_OFF is not set" => {
                    self.unprivileged_bpf_disabled = Some("0");
                }
                other => {
                    if let Some(mask) = other.strip_prefix("CONFIG_MAGIC_SYSRQ_DEFAULT_ENABLE=0x") {
                        let mask = u32::from_str_radix(mask, 16).ok();
                        self.sysrq = mask.map(|mask| mask.to_string());
                    }
                }
            }
        }
    }

    /// The value that the kernel starts with, if the build tells.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        let patched = self.debian || self.ubuntu;
        match key {
            "kernel.dmesg_restrict" => self.dmesg_restrict,
            "kernel.unprivileged_bpf_disabled" => self.unprivileged_bpf_disabled,
            "kernel.sysrq" => self.sysrq.as_deref(),
            // Link protections are off in the kernel as it is published, on in these two.
            "fs.protected_hardlinks" | "fs.protected_symlinks" => {
                Some(if patched { "1" } else { "0" })
            }
            // Yama starts with 1; Debian takes that back.
            "kernel.yama.ptrace_scope" => Some(if self.debian { "0" } else { "1" }),
            "kernel.perf_event_paranoid" => Some(match (self.debian, self.ubuntu) {
                (true, _) => "3",
                (_, true) => "4",
                _ => "2",
            }),
            _ => None,
        }
    }
}

fn text(host: &dyn Host, path: &str) -> Result<String, HostError> {
    match host.read(path, 4096) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(HostError::NotFound(_)) => Ok(String::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_tells_what_its_configuration_says() {
        let mut built_in = BuiltIn::default();
        built_in.configuration(
            "CONFIG_SECURITY_DMESG_RESTRICT=y\n# CONFIG_BPF_UNPRIV_DEFAULT_OFF is not set\nCONFIG_MAGIC_SYSRQ_DEFAULT_ENABLE=0x01b6\n".as_bytes(),
        );
        assert_eq!(built_in.get("kernel.dmesg_restrict"), Some("1"));
        assert_eq!(built_in.get("kernel.unprivileged_bpf_disabled"), Some("0"));
        assert_eq!(built_in.get("kernel.sysrq"), Some("438"));
        assert_eq!(built_in.get("kernel.core_pattern"), None);
        let mut unread = BuiltIn::default();
        unread.configuration(&b"\xff\nCONFIG_SECURITY_DMESG_RESTRICT=y\n"[..]);
        assert_eq!(unread, BuiltIn::default());
    }
}
