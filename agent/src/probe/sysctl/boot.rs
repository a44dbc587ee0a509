//! What a boot sets: the files of sysctl.d(5) in the order that the host's own loader reads them.
//!
//! - systemd-sysctl(8): `*.conf` of `/etc`, `/run`, `/usr/local/lib`, `/usr/lib` (and `/lib`, where it is a directory of
//!   its own) merged by file name; of two with one name the directory that comes first counts. `/etc/sysctl.conf` counts
//!   only where a link in `/etc/sysctl.d` leads to it. A key set by name beats a pattern, wherever they stand.
//! - `sysctl --system` of procps and the OpenRC service `sysctl`: the same directories, and `/etc/sysctl.conf` last.
//! - Before all of them `sysctl.` parameters of the kernel command line; after them `/etc/ufw/sysctl.conf` where ufw
//!   starts at boot, which loads it itself.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::pattern::{matches, one_of};
use crate::host::FileKind;
use crate::probe::{Observation, Unobservable, kernel_cmdline, system, unit};

/// Directories in order of precedence.
const DIRECTORIES: [&str; 5] = [
    "/etc/sysctl.d",
    "/run/sysctl.d",
    "/usr/local/lib/sysctl.d",
    "/usr/lib/sysctl.d",
    "/lib/sysctl.d",
];
/// The file that loaders other than systemd's read last.
const MAIN: &str = "/etc/sysctl.conf";
/// Most files read.
const MAX_FILES: usize = 256;
/// Most assignments kept.
const MAX_ASSIGNMENTS: usize = 20_000;
/// Most patterns of keys, and most keys that no pattern reaches.
const MAX_PATTERNS: usize = 1000;

/// What loads the files at boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::probe) enum Loader {
    /// systemd-sysctl(8).
    Systemd,
    /// The OpenRC service `sysctl`.
    Openrc,
    /// The init script of procps.
    Procps,
    /// Nothing: the files stay without effect at boot.
    None,
}

/// A value that a boot sets, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::probe) struct Assigned {
    /// The value as written.
    pub(in crate::probe) value: String,
    /// The file.
    pub(in crate::probe) file: String,
}

impl Assigned {
    /// The value as the kernel takes it for a setting that is one number: the first word, octal or hexadecimal by its prefix,
    /// whatever stands behind it (proc_dointvec, kernel/sysctl.c).
    pub(in crate::probe) fn number(&self) -> Option<i64> {
        number(&self.value)
    }
}

/// See [`Assigned::number`].
pub(super) fn number(value: &str) -> Option<i64> {
    let word = value.split_whitespace().next()?;
    let (sign, digits) = match word.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, word),
    };
    let hexadecimal = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"));
    let number = match hexadecimal {
        Some(digits) => i64::from_str_radix(digits, 16),
        None if digits.len() > 1 && digits.starts_with('0') => i64::from_str_radix(digits, 8),
        None => digits.parse(),
    };
    number.ok().map(|number| sign * number)
}

/// Everything that a boot sets.
#[derive(Debug, Default)]
pub(in crate::probe) struct Boot {
    exact: BTreeMap<String, Assigned>,
    patterns: Vec<(String, Assigned)>,
    /// Keys that no pattern reaches (a line `-key` without a value).
    spared: Vec<String>,
}

impl Boot {
    /// Reads what the host's loader would read.
    ///
    /// # Errors
    /// [`Unobservable`] if a file is there and cannot be read.
    pub(in crate::probe) fn read(
        observation: &mut Observation<'_>,
    ) -> Result<(Loader, Boot), Unobservable> {
        let loader = loader(observation)?;
        let mut boot = Boot::default();
        boot.command_line(observation)?;
        if loader != Loader::None {
            for path in files(observation)? {
                boot.file(observation, &path)?;
            }
        }
        if matches!(loader, Loader::Openrc | Loader::Procps) {
            boot.file(observation, MAIN)?;
        }
        if let Some(path) = ufw_file(observation)? {
            boot.file(observation, &path)?;
        }
        Ok((loader, boot))
    }

    /// Interfaces whose settings of `family` (`ipv4`, `ipv6`) are set by name or by a pattern of names.
    pub(in crate::probe) fn interfaces(&self, family: &str) -> BTreeSet<String> {
        let start = format!("net/{family}/conf/");
        let patterns = self.patterns.iter().map(|(pattern, _)| pattern);
        self.exact
            .keys()
            .chain(patterns)
            .filter_map(|path| Some(one_of(path.strip_prefix(&start)?.split_once('/')?.0)))
            .filter(|name| !["all", "default"].contains(&name.as_str()))
            .collect()
    }

    /// What a boot writes to `path` below `/proc/sys` (`net/ipv4/ip_forward`): set by name, else by the last pattern.
    pub(in crate::probe) fn get(&self, path: &str) -> Option<&Assigned> {
        self.exact.get(path).or_else(|| {
            if self.spared.iter().any(|spared| spared == path) {
                return None;
            }
            let matching = |pattern: &str| matches(pattern.as_bytes(), path.as_bytes());
            let mut patterns = self.patterns.iter().rev();
            patterns
                .find(|(pattern, _)| matching(pattern))
                .map(|(_, assigned)| assigned)
        })
    }

    fn command_line(&mut self, observation: &mut Observation<'_>) -> Result<(), Unobservable> {
        const CMDLINE: &str = "/proc/cmdline";
        const ENTRY: &str = "the boot loader's entry";
        if observation.is_live() {
            let line = observation.text(CMDLINE)?.unwrap_or_default();
            for (key, value) in parameters(&line) {
                self.set(key, value, CMDLINE);
            }
            return Ok(());
        }
        let lines = kernel_cmdline::at_next_boot(observation)?;
        let of_lines: Vec<_> = lines.iter().map(|line| parameters(line)).collect();
        if of_lines.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(Unobservable::unparsable(
                "the boot loader's menu",
                "its entries set different sysctl. parameters",
            ));
        }
        for (key, value) in of_lines.first().into_iter().flatten() {
            self.set(key, value, ENTRY);
        }
        Ok(())
    }

    fn file(&mut self, observation: &mut Observation<'_>, path: &str) -> Result<(), Unobservable> {
        let Some(text) = observation.text(path)? else {
            return Ok(());
        };
        for line in text.lines() {
            self.line(line, path);
        }
        if self.exact.len() > MAX_ASSIGNMENTS
            || self.patterns.len() > MAX_PATTERNS
            || self.spared.len() > MAX_PATTERNS
        {
            return Err(Unobservable::unparsable(path, "too many assignments"));
        }
        Ok(())
    }

    fn line(&mut self, line: &str, file: &str) {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            return;
        }
        match line.split_once('=') {
            // A leading minus only says that a failure to write is no failure of the service.
            Some((key, value)) => {
                let key = key.trim();
                self.set(key.strip_prefix('-').unwrap_or(key), value.trim(), file);
            }
            None => {
                if let Some(key) = line.strip_prefix('-') {
                    self.spared.push(normal(key.trim()));
                }
            }
        }
    }

    fn set(&mut self, key: &str, value: &str, file: &str) {
        let path = normal(key);
        let assigned = Assigned {
            value: value.to_owned(),
            file: file.to_owned(),
        };
        if path.contains(['*', '?', '[']) {
            // Past the bound the file is refused as a whole; looking for each of a million patterns would take for ever.
            if self.patterns.len() <= MAX_PATTERNS {
                self.patterns.retain(|(pattern, _)| *pattern != path);
                self.patterns.push((path, assigned));
            }
        } else {
            self.exact.insert(path, assigned);
        }
    }
}

/// Parameters by which the kernel itself (5.8 and later) sets values before it starts init, up to `--`
/// (Documentation/admin-guide/kernel-parameters.rst, "sysctl.*").
fn parameters(line: &str) -> Vec<(&str, &str)> {
    line.split_whitespace()
        .take_while(|word| *word != "--")
        .filter_map(|word| {
            word.strip_prefix("sysctl.")
                .or_else(|| word.strip_prefix("sysctl/"))
        })
        .filter_map(|parameter| parameter.split_once('='))
        .collect()
}

/// A key as a path below `/proc/sys`: the first separator says which of `.` and `/` parts the names.
fn normal(key: &str) -> String {
    let path = match key.find(['.', '/']) {
        Some(at) if key.as_bytes().get(at) == Some(&b'.') => key
            .chars()
            .map(|letter| match letter {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect(),
        _ => key.to_owned(),
    };
    path.trim_start_matches('/').to_owned()
}

fn loader(observation: &mut Observation<'_>) -> Result<Loader, Unobservable> {
    if system::runs_systemd(observation)? {
        const SERVICE: &str = "systemd-sysctl.service";
        let service = unit::persisted(observation, &[SERVICE])?
            .remove(SERVICE)
            .unwrap_or_default();
        let starts = !service.masked && (service.enabled || !service.exists);
        let installed = observation
            .stat("/usr/lib/systemd/systemd-sysctl")?
            .is_some()
            || observation.stat("/lib/systemd/systemd-sysctl")?.is_some();
        return Ok(if installed && starts {
            Loader::Systemd
        } else {
            Loader::None
        });
    }
    for level in ["sysinit", "boot", "default"] {
        if observation
            .stat(&format!("/etc/runlevels/{level}/sysctl"))?
            .is_some()
        {
            return Ok(Loader::Openrc);
        }
    }
    let scripts = observation.list("/etc/rcS.d")?.unwrap_or_default();
    let started = scripts
        .iter()
        .any(|script| script.name.starts_with('S') && script.name.ends_with("procps"));
    Ok(if started {
        Loader::Procps
    } else {
        Loader::None
    })
}

/// The files that count, in the order of their names.
fn files(observation: &mut Observation<'_>) -> Result<Vec<String>, Unobservable> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for directory in DIRECTORIES {
        for entry in observation.list(directory)?.unwrap_or_default() {
            if entry.name.ends_with(".conf") && entry.kind != FileKind::Directory {
                let path = format!("{directory}/{}", entry.name);
                found.entry(entry.name).or_insert(path);
            }
        }
    }
    if found.len() > MAX_FILES {
        return Err(Unobservable::unparsable(
            "/etc/sysctl.d",
            "too many files to read",
        ));
    }
    let host = observation.host();
    found.retain(|_, path| {
        host.stat(path)
            .map_or(true, |stat| stat.kind == FileKind::Regular)
    });
    Ok(found.into_values().collect())
}

/// The file that ufw loads when it starts, if it starts at boot (`IPT_SYSCTL` of /etc/default/ufw).
fn ufw_file(observation: &mut Observation<'_>) -> Result<Option<String>, Unobservable> {
    let Some(text) = observation.text("/etc/ufw/ufw.conf")? else {
        return Ok(None);
    };
    let value = |text: &str, name: &str| {
        text.lines()
            .filter_map(|line| line.trim().split_once('='))
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value.trim().trim_matches(['"', '\'']).to_owned())
            .next_back()
    };
    let enabled = value(&text, "ENABLED").is_some_and(|value| value.eq_ignore_ascii_case("yes"));
    let wanted = observation
        .host()
        .lstat("/etc/systemd/system/multi-user.target.wants/ufw.service")
        .is_ok();
    if !enabled || !wanted {
        return Ok(None);
    }
    let defaults = observation.text("/etc/default/ufw")?.unwrap_or_default();
    Ok(value(&defaults, "IPT_SYSCTL").filter(|path| path.starts_with('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(lines: &[(&str, &str)]) -> Boot {
        let mut boot = Boot::default();
        for (file, line) in lines {
            boot.line(line, file);
        }
        boot
    }

    #[test]
    fn numbers_are_read_as_the_kernel_does() {
        for (value, expected) in [
            ("1", Some(1)),
            ("1 # on", Some(1)),
            ("0x2", Some(2)),
            ("010", Some(8)),
            ("-1", Some(-1)),
            ("1#on", None),
            ("", None),
            ("on", None),
        ] {
            assert_eq!(number(value), expected, "{value}");
        }
    }

    #[test]
    fn sets_of_letters_match() {
        let fits = |pattern: &str, path: &str| matches(pattern.as_bytes(), path.as_bytes());
        assert_eq!(one_of("e[nt]h[0-9]*"), "enh0*");
        assert!(fits("conf/[ad]*/x", "conf/all/x") && fits("e[a-t]h[!1]", "eth0"));
        assert!(!fits("conf/[!ad]*/x", "conf/all/x") && !fits("[", "a") && !fits("a[]", "ab"));
    }

    #[test]
    fn keys_are_paths_whichever_separator_comes_first() {
        assert_eq!(normal("net.ipv4.ip_forward"), "net/ipv4/ip_forward");
        assert_eq!(
            normal("net.ipv4.conf.eth0/100.rp_filter"),
            "net/ipv4/conf/eth0.100/rp_filter"
        );
        assert_eq!(
            normal("net/ipv4/conf/eth0.100/rp_filter"),
            "net/ipv4/conf/eth0.100/rp_filter"
        );
        assert_eq!(normal("/kernel/sysrq"), "kernel/sysrq");
        assert_eq!(normal(""), "");
    }

    #[test]
    fn the_last_assignment_by_name_counts_and_beats_patterns() {
        let boot = set(&[
            ("10", "net.ipv4.conf.eth0.rp_filter = 1"),
            ("20", "net.ipv4.conf.*.rp_filter=2"),
            ("30", "-net.ipv4.conf.all.rp_filter"),
            ("40", "# kernel.sysrq = 1"),
            ("40", "; kernel.sysrq = 1"),
            ("40", "-kernel.sysrq=0"),
            ("50", "kernel.sysrq=16"),
            ("50", "nonsense"),
        ]);
        let value = |path: &str| boot.get(path).map(|found| found.value.as_str());
        assert_eq!(value("net/ipv4/conf/eth0/rp_filter"), Some("1"));
        assert_eq!(value("net/ipv4/conf/eth1/rp_filter"), Some("2"));
        assert_eq!(value("net/ipv4/conf/all/rp_filter"), None);
        assert_eq!(value("kernel/sysrq"), Some("16"));
        assert_eq!(value("nonsense"), None);
    }

    #[test]
    fn the_boot_entry_of_an_unpacked_root_comes_before_the_files() {
        let read = |entries: &str| {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("host.toml");
            let host = format!(
                "live = false\n[files.\"/etc/sysctl.d/10-a.conf\"]\ntext = \"kernel.sysrq = 0\\n\"\n[files.\"/etc/runlevels/boot/sysctl\"]\ntext = \"x\"\n[files.\"/boot/extlinux/extlinux.conf\"]\ntext = {entries:?}\n"
            );
            std::fs::write(&path, host).unwrap();
            let host = crate::host::RecordedHost::load(&path).unwrap();
            let mut memory = crate::probe::VolatileMemory::default();
            let start = evidence::time::Timestamp::from_unix_ms(0);
            let mut observation = Observation::new(&host, &mut memory, "sysctl", start);
            Boot::read(&mut observation).map(|(_, boot)| boot)
        };
        let one = "label a\n append quiet sysctl.kernel.sysrq=1 sysctl.net/ipv4/ip_forward=1 -- sysctl.vm.x=1\n";
        let boot = read(one).unwrap();
        let value = |path: &str| boot.get(path).map(|found| found.value.as_str());
        assert_eq!(value("kernel/sysrq"), Some("0"));
        assert_eq!(value("net/ipv4/ip_forward"), Some("1"));
        assert_eq!(value("vm/x"), None);
        let two = format!("{one}label b\n append sysctl.kernel.sysrq=1\n");
        assert!(read(&two).is_err(), "entries that differ");
    }
}
