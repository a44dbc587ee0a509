//! What a package says of its programs and libraries.

use evidence::time::Timestamp;

use super::digest::Expected;
use crate::host::Stat;

/// One package.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Its name, with its architecture where several may be installed.
    pub(super) package: String,
    /// What changes when another version of it is installed.
    pub(super) version: String,
    /// When it was unpacked.
    pub(super) unpacked: Option<Timestamp>,
    /// Its programs and libraries, by path.
    pub(super) items: Vec<Item>,
    /// Programs and libraries that it names without a digest.
    pub(super) unlisted: Vec<String>,
}

/// One file.
#[derive(Debug)]
pub(super) struct Item {
    /// Where it is: behind a diversion, the place that it was diverted to.
    pub(super) path: String,
    pub(super) digest: Expected,
    /// Permission bits that its package gives it, where the database says.
    pub(super) mode: Option<u32>,
    /// Seconds since 1970 of the file as it was packed, where the database says.
    pub(super) mtime: Option<i64>,
    /// A local diversion puts another file in its place.
    pub(super) diverted: bool,
    /// The package manager was told to leave such files out, or the package allows it.
    pub(super) may_be_missing: bool,
    /// It may be a link, whose digest is that of where it leads: the database does not tell one from a file.
    pub(super) may_be_link: bool,
}

impl Item {
    /// Whether the file has permission bits beyond its package's; without those, whether every user may write to it.
    pub(super) fn has_more_rights(&self, stat: &Stat) -> bool {
        let allowed = self.mode.map_or(!0o002, |mode| mode & 0o7777);
        stat.mode & 0o7777 & !allowed != 0
    }
}

/// Whether an absolute path is one of a program or library: data, documents and firmware are left out.
pub(super) fn is_program(path: &str) -> bool {
    const PROGRAMS: [&str; 11] = [
        "/usr/bin/",
        "/usr/sbin/",
        "/usr/lib/",
        "/usr/lib32/",
        "/usr/lib64/",
        "/usr/libx32/",
        "/usr/libexec/",
        "/bin/",
        "/sbin/",
        "/lib",
        "/opt/",
    ];
    const DATA: [&str; 6] = [
        "/usr/lib/firmware/",
        "/lib/firmware/",
        "/usr/lib/debug/",
        "/usr/lib/locale/",
        "/usr/lib/sysimage/",
        "/usr/lib/.build-id/",
    ];
    PROGRAMS.iter().any(|start| path.starts_with(start))
        && !DATA.iter().any(|start| path.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_told_from_data() {
        for path in [
            "/usr/bin/ls",
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib64/ld-linux.so.2",
            "/opt/x/y",
        ] {
            assert!(is_program(path), "{path}");
        }
        for path in [
            "/usr/share/doc/x",
            "/etc/passwd",
            "/lib/firmware/x.bin",
            "/usr/local/bin/x",
        ] {
            assert!(!is_program(path), "{path}");
        }
    }
}
