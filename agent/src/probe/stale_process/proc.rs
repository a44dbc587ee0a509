//! One process as proc(5) shows it. A process that ends while it is looked at is no error.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};

use crate::host::{FileKind, Host, HostError};

/// Most bytes of one process' mappings.
const MAX_MAPS_BYTES: u64 = 32 * 1024 * 1024;
/// Most bytes of other files of a process.
const MAX_BYTES: usize = 1024 * 1024;
/// Most bytes of a table of sockets.
const MAX_SOCKETS_BYTES: usize = 16 * 1024 * 1024;
/// What the kernel adds to the path of a file that has no name any more.
const DELETED: &str = " (deleted)";

/// A running process.
pub struct Process<'h> {
    host: &'h dyn Host,
    /// Its id.
    pub pid: u32,
}

/// The ids of all processes.
///
/// # Errors
/// [`HostError`] if /proc cannot be listed.
pub fn pids(host: &dyn Host) -> Result<Vec<u32>, HostError> {
    let mut pids: Vec<u32> = host
        .list("/proc")?
        .iter()
        .filter(|entry| entry.kind == FileKind::Directory)
        .filter_map(|entry| entry.name.parse().ok())
        .collect();
    pids.sort_unstable();
    Ok(pids)
}

impl<'h> Process<'h> {
    pub fn new(host: &'h dyn Host, pid: u32) -> Process<'h> {
        Process { host, pid }
    }

    /// The path of one of its files below /proc.
    pub fn path(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.pid)
    }

    fn text(&self, name: &str) -> Option<String> {
        let bytes = self.host.read(&self.path(name), MAX_BYTES).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Whether it has ended.
    pub fn is_gone(&self) -> bool {
        matches!(self.host.stat(&self.path("")), Err(HostError::NotFound(_)))
    }

    /// Files of the package manager's directories that it executes and that no longer exist under their name.
    ///
    /// # Errors
    /// [`HostError`] if its mappings cannot be read.
    pub fn replaced_code(&self) -> Result<Vec<String>, HostError> {
        let path = self.path("maps");
        let failed = |error: std::io::Error| HostError::Io(path.clone(), error.to_string());
        let maps = self.host.open(&path)?.take(MAX_MAPS_BYTES + 1);
        let mut maps = BufReader::with_capacity(64 * 1024, maps);
        let mut files = BTreeSet::new();
        let mut line = Vec::new();
        let mut total = 0;
        loop {
            line.clear();
            let length = maps.read_until(b'\n', &mut line).map_err(failed)? as u64;
            total += length;
            if total > MAX_MAPS_BYTES {
                return Err(failed(std::io::Error::other("too many mappings")));
            }
            if length == 0 {
                return Ok(files.into_iter().collect());
            }
            if let Some(file) = replaced(&line) {
                files.insert(file);
            }
        }
    }

    /// Whether it lives in another PID namespace than the agent: its files are those of a container's image.
    pub fn is_in_container(&self) -> bool {
        let own = self.host.read_link("/proc/self/ns/pid");
        let its = self.host.read_link(&self.path("ns/pid"));
        matches!((own, its), (Ok(own), Ok(its)) if own != its)
    }

    /// Its id with its start: ids are used again, ids with starts are not.
    pub fn identity(&self) -> String {
        let stat = self.text("stat").unwrap_or_default();
        // The name in parentheses may hold anything, so fields are counted from its end; the start is the 22nd.
        let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let start = after.split_whitespace().nth(19).unwrap_or_default();
        format!("{}/{start}", self.pid)
    }

    /// The name of its command.
    pub fn command(&self) -> String {
        self.text("comm").unwrap_or_default().trim().to_owned()
    }

    /// The unit that its control group names.
    pub fn unit(&self) -> Option<String> {
        let groups = self.text("cgroup")?;
        // With the first version of control groups systemd has a hierarchy of its own.
        let mut paths = groups.lines().filter_map(|line| {
            line.strip_prefix("0::")
                .or_else(|| Some(line.split_once(":name=systemd:")?.1))
        });
        paths.find_map(|path| {
            path.rsplit('/')
                .find(|part| part.ends_with(".service") || part.ends_with(".scope"))
                .map(str::to_owned)
        })
    }

    /// Whether its effective user is the superuser. One that cannot be told counts as such.
    pub fn is_superuser(&self) -> bool {
        let status = self.text("status").unwrap_or_default();
        let effective = status
            .lines()
            .find_map(|line| line.strip_prefix("Uid:"))
            .and_then(|users| users.split_whitespace().nth(1));
        effective.is_none_or(|user| user == "0")
    }

    /// The program it executes, as its own mount namespace names it; `None` for a kernel thread.
    ///
    /// # Errors
    /// [`HostError`] if it may not be looked at.
    pub fn program(&self) -> Result<Option<String>, HostError> {
        match self.host.read_link(&self.path("exe")) {
            Ok(path) => Ok(Some(path.strip_suffix(DELETED).unwrap_or(&path).to_owned())),
            Err(HostError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The network namespace it lives in, as namespaces(7) writes it: `net:[4026531840]`.
    pub fn network(&self) -> Option<String> {
        self.host.read_link(&self.path("ns/net")).ok()
    }

    /// The inodes of the sockets that it holds open; none if it has ended.
    ///
    /// # Errors
    /// [`HostError`] if its open files may not be looked at.
    pub fn sockets(&self) -> Result<BTreeSet<String>, HostError> {
        let entries = match self.host.list(&self.path("fd")) {
            Err(HostError::NotFound(_)) => return Ok(BTreeSet::new()),
            other => other?,
        };
        Ok(entries
            .iter()
            .filter_map(|entry| {
                self.host
                    .read_link(&self.path(&format!("fd/{}", entry.name)))
                    .ok()
            })
            .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
            .collect())
    }

    /// Whether one of its sockets listens (TCP) or is bound to an address (UDP).
    ///
    /// # Errors
    /// [`HostError`] if its open files or its network's sockets may not be looked at.
    pub fn is_listening(&self) -> Result<bool, HostError> {
        let own = self.sockets()?;
        if own.is_empty() {
            return Ok(false);
        }
        for (table, state) in [("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")] {
            let bytes = match self
                .host
                .read(&self.path(&format!("net/{table}")), MAX_SOCKETS_BYTES)
            {
                Err(HostError::NotFound(_)) => continue,
                other => other?,
            };
            let text = String::from_utf8_lossy(&bytes);
            let mut sockets = text.lines().skip(1).filter_map(|line| socket(line, state));
            if sockets.any(|inode| own.contains(inode)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The inode of a socket in this state, from a line of /proc/net/tcp.
fn socket<'l>(line: &'l str, state: &str) -> Option<&'l str> {
    let mut fields = line.split_whitespace().skip(3);
    (fields.next()? == state).then_some(())?;
    fields.nth(5)
}

/// The file of an executable mapping that has been deleted, if it lay where only the package manager writes: after a
/// new version was unpacked no package owns the old name, so it is the place that tells.
fn replaced(line: &[u8]) -> Option<String> {
    let line = line.trim_ascii_end();
    let line = line.strip_suffix(DELETED.as_bytes())?;
    let text = std::str::from_utf8(line).ok()?;
    let path = &text[text.find('/')?..];
    let mode = text.split_whitespace().nth(1)?;
    let system = [
        "/usr/", "/lib/", "/lib32/", "/lib64/", "/libx32/", "/bin/", "/sbin/",
    ]
    .iter()
    .any(|directory| path.starts_with(directory));
    (mode.contains('x') && system && !path.starts_with("/usr/local/")).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_replaced_code_of_packages_counts() {
        for (line, expected) in [
            (
                "7f00-7f01 r-xp 00001000 08:01 42    /usr/lib/x86_64-linux-gnu/libssl.so.3 (deleted)\n",
                Some("/usr/lib/x86_64-linux-gnu/libssl.so.3"),
            ),
            (
                "7f00-7f01 r--p 00000000 08:01 42    /usr/lib/x86_64-linux-gnu/libssl.so.3 (deleted)\n",
                None,
            ),
            (
                "7f00-7f01 r-xp 00001000 08:01 42    /usr/lib/x86_64-linux-gnu/libssl.so.3\n",
                None,
            ),
            (
                "7f00-7f01 rwxp 00001000 00:01 42    /memfd:jit (deleted)\n",
                None,
            ),
            (
                "7f00-7f01 r-xp 00001000 08:01 42    /usr/local/bin/own (deleted)\n",
                None,
            ),
            (
                "7f00-7f01 r-xp 00001000 08:01 42    /home/a/usr/lib/x (deleted)\n",
                None,
            ),
            (
                "7f00-7f01 rw-s 00001000 08:01 42    /dev/zero (deleted)\n",
                None,
            ),
            (" (deleted)", None),
            ("", None),
        ] {
            assert_eq!(replaced(line.as_bytes()).as_deref(), expected, "{line}");
        }
        assert_eq!(replaced(b"\xff /usr/x (deleted)"), None);
    }

    #[test]
    fn sockets_are_found_by_state() {
        let line = "   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 0000";
        assert_eq!(socket(line, "0A"), Some("12345"));
        assert_eq!(socket(line, "07"), None);
        assert_eq!(socket("", "07"), None);
    }
}
