//! `/etc/fstab`, fstab(5): what is mounted at boot, and which options then hold.

use std::collections::BTreeSet;

use super::{is_within, limits};

/// Binds that lead to one another are followed this far.
const MAX_BINDS: usize = 8;

/// A line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// What is mounted; of a bind the directory.
    source: String,
    /// Where.
    pub(super) point: String,
    options: String,
}

/// The lines, comments and what is too short left out.
pub(super) fn lines(text: &str) -> Vec<Line> {
    text.lines()
        .map(str::trim_start)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let (source, point) = (fields.next()?, fields.next()?);
            let options = fields.nth(1).unwrap_or("defaults");
            let point = plain(point);
            Some(Line {
                source: plain(source),
                point: match point.trim_end_matches('/') {
                    "" => "/".to_owned(),
                    point => point.to_owned(),
                },
                options: options.to_owned(),
            })
        })
        .collect()
}

/// The line of a mount point that counts: systemd-fstab-generator(8) makes a unit of the first and passes over the others,
/// while `mount -a` mounts one over the other.
pub(super) fn line<'l>(lines: &'l [Line], point: &str, systemd: bool) -> Option<&'l Line> {
    let mut fitting = lines.iter().filter(|line| line.point == point);
    if systemd {
        fitting.next()
    } else {
        fitting.rfind(|line| line.starts_at_boot())
    }
}

impl Line {
    fn has(&self, name: &str) -> bool {
        self.options.split(',').any(|option| option == name)
    }

    /// Whether it is mounted at boot, or as soon as anybody looks there.
    pub(super) fn starts_at_boot(&self) -> bool {
        !self.has("noauto") || self.has("x-systemd.automount")
    }

    /// What the mount limits. A bind without options has the limits of the mount that it shows a part of.
    pub(super) fn limits(&self, lines: &[Line], systemd: bool) -> BTreeSet<String> {
        let mut current = self;
        for _ in 0..MAX_BINDS {
            let own = limits_of(&current.options);
            let binds = current.has("bind") || current.has("rbind");
            if !binds || !own.is_empty() {
                return own;
            }
            let above = lines
                .iter()
                .filter(|line| line.point != current.point && line.starts_at_boot())
                .filter(|line| is_within(&current.source, &line.point))
                .max_by_key(|line| line.point.len())
                .and_then(|found| line(lines, &found.point, systemd));
            match above {
                Some(above) => current = above,
                None => return own,
            }
        }
        BTreeSet::new()
    }
}

/// What mount options limit: those of users imply others, of two that contradict the later counts, and `defaults` sets
/// nothing (mount(8); tried with util-linux 2.38).
pub(super) fn limits_of(options: &str) -> BTreeSet<String> {
    let mut set: BTreeSet<&str> = BTreeSet::new();
    for option in options.split(',') {
        match option.trim() {
            "user" | "users" => set.extend(["nosuid", "nodev", "noexec"]),
            "owner" | "group" => set.extend(["nosuid", "nodev"]),
            "suid" => drop(set.remove("nosuid")),
            "dev" => drop(set.remove("nodev")),
            "exec" => drop(set.remove("noexec")),
            "rw" => drop(set.remove("ro")),
            other => drop(set.insert(other)),
        }
    }
    limits(set.into_iter())
}

/// A field with its octal escapes (`\040` for a blank) undone.
fn plain(field: &str) -> String {
    let mut parts = field.split('\\');
    let mut found = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.get(..3).and_then(|it| u8::from_str_radix(it, 8).ok());
        match digits {
            Some(byte) => {
                found.push(char::from(byte));
                found.push_str(part.get(3..).unwrap_or_default());
            }
            None => {
                found.push('\\');
                found.push_str(part);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits_at(table: &str, point: &str, systemd: bool) -> Option<String> {
        let lines = lines(table);
        let found = line(&lines, point, systemd).filter(|line| line.starts_at_boot())?;
        let limits: Vec<_> = found.limits(&lines, systemd).into_iter().collect();
        Some(limits.join(","))
    }

    #[test]
    fn systemd_takes_the_first_line_and_mount_the_last() {
        let table = "# /dev/x /tmp ext4 nosuid 0 0\n/dev/a /tmp ext4 nosuid,nodev 0 0\n/dev/b /tmp/ ext4 rw,noexec\n/dev/c /home ext4\nshort\n/dev/d /var/tmp ext4 noauto,nosuid\n/dev/e /mnt ext4 users,exec,suid\n/dev/f /a\\040b ext4 noauto,x-systemd.automount,nodev\n";
        assert_eq!(limits_at(table, "/tmp", true).unwrap(), "nodev,nosuid");
        assert_eq!(limits_at(table, "/tmp", false).unwrap(), "noexec");
        assert_eq!(limits_at(table, "/home", true).unwrap(), "");
        assert_eq!(limits_at(table, "/var/tmp", true), None);
        assert_eq!(limits_at(table, "/mnt", true).unwrap(), "nodev");
        assert_eq!(limits_at(table, "/a b", true).unwrap(), "nodev");
    }

    #[test]
    fn a_bind_has_the_limits_of_what_it_shows() {
        let table = "tmpfs /tmp tmpfs nosuid,nodev,defaults 0 0\n/tmp/x /var/tmp none bind 0 0\n/srv /home none rbind 0 0\n/tmp /opt none bind,noexec 0 0\n/a /b none bind\n/b /a none bind\n";
        assert_eq!(limits_at(table, "/var/tmp", true).unwrap(), "nodev,nosuid");
        assert_eq!(limits_at(table, "/home", true).unwrap(), "");
        assert_eq!(limits_at(table, "/opt", true).unwrap(), "noexec");
        assert_eq!(limits_at(table, "/a", true).unwrap(), "", "in a circle");
    }

    #[test]
    fn any_text_is_read() {
        for text in [
            "",
            "\\",
            "a \\9",
            "a b\\04",
            "\\777 /x y z",
            "é \\é\\0401 x y",
        ] {
            let _ = lines(text);
        }
    }
}
