//! Which OpenSSH server is installed: from dpkg's status, else from the program itself.

use std::str::FromStr;

use crate::host::HostError;
use crate::probe::{Observation, Unobservable};

/// The server.
pub(super) const PROGRAM: &str = "/usr/sbin/sshd";
const STATUS: &str = "/var/lib/dpkg/status";
const MAX_STATUS_BYTES: usize = 16 * 1024 * 1024;
const MAX_PROGRAM_BYTES: usize = 4 * 1024 * 1024;

/// A version of OpenSSH portable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    /// Upstream version, for example `9.2p1`.
    pub upstream: String,
    /// The whole version of the package, for example `1:9.2p1-2+deb12u10`.
    pub package: Option<String>,
    major: u32,
    minor: u32,
}

impl FromStr for Version {
    type Err = String;

    /// Reads `9.2p1` or a package version around it.
    fn from_str(text: &str) -> Result<Version, String> {
        let unusable = || format!("{text:?} is no version of OpenSSH");
        let without_epoch = text.split_once(':').map_or(text, |(_, rest)| rest);
        let upstream: String = without_epoch
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '.')
            .collect();
        let (major, rest) = upstream.split_once('.').ok_or_else(unusable)?;
        let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
        Ok(Version {
            major: major.parse().map_err(|_| unusable())?,
            minor: minor.parse().map_err(|_| unusable())?,
            package: (without_epoch != upstream).then(|| text.to_owned()),
            upstream,
        })
    }
}

impl Version {
    pub(super) fn at_least(&self, major: u32, minor: u32) -> bool {
        (self.major, self.minor) >= (major, minor)
    }

    /// As `Match version` sees it.
    pub(super) fn release(&self) -> String {
        format!("OpenSSH_{}", self.upstream)
    }

    /// Debian 12 offers this key exchange under its registered name too since deb12u4.
    pub(super) fn has_unsuffixed_sntrup(&self) -> bool {
        let update = self
            .package
            .as_ref()
            .and_then(|package| package.strip_prefix("1:9.2p1-2+deb12u"))
            .and_then(|update| update.parse::<u32>().ok());
        update.is_some_and(|update| update >= 4)
    }
}

/// The installed server's version; `None` if no server is installed.
///
/// # Errors
/// [`Unobservable`] if there is a server whose version cannot be told.
pub(super) fn installed(
    observation: &mut Observation<'_>,
) -> Result<Option<Version>, Unobservable> {
    if observation.stat(PROGRAM)?.is_none() {
        return Ok(None);
    }
    if let Some(version) = from_dpkg(observation)? {
        return Ok(Some(version));
    }
    let bytes = observation.host().read_head(PROGRAM, MAX_PROGRAM_BYTES)?;
    from_program(&bytes)
        .map(Some)
        .ok_or_else(|| Unobservable::unparsable(PROGRAM, "names no version of OpenSSH"))
}

fn from_dpkg(observation: &mut Observation<'_>) -> Result<Option<Version>, Unobservable> {
    package_version(observation, "openssh-server")?
        .map(|version| {
            version
                .parse()
                .map_err(|problem: String| Unobservable::unparsable(STATUS, problem))
        })
        .transpose()
}

/// The version of an installed package by dpkg's status; `None` if it is not installed or dpkg is not used.
///
/// # Errors
/// [`Unobservable`] if the file cannot be read.
pub(in crate::probe) fn package_version(
    observation: &mut Observation<'_>,
    package: &str,
) -> Result<Option<String>, Unobservable> {
    // The file changes with every package and has no place among the digests of sources.
    let bytes = match observation.host().read(STATUS, MAX_STATUS_BYTES) {
        Ok(bytes) => bytes,
        Err(HostError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    observation.note(STATUS);
    let Some(fields) = paragraph(&bytes, package.as_bytes()) else {
        return Ok(None);
    };
    let field = |name: &str| {
        fields
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
    };
    Ok(match (field("Status:"), field("Version:")) {
        (Some(status), Some(version)) if status.ends_with(" installed") => Some(version.to_owned()),
        _ => None,
    })
}

/// The paragraph of a package in dpkg's status file.
fn paragraph(status: &[u8], package: &[u8]) -> Option<String> {
    let head = [b"Package: ".as_slice(), package, b"\n"].concat();
    let mut from = 0;
    loop {
        let at = from + find(status.get(from..)?, &head)?;
        if at == 0 || status.get(at - 1) == Some(&b'\n') {
            let rest = status.get(at..)?;
            let end = find(rest, b"\n\n").unwrap_or(rest.len());
            return Some(String::from_utf8_lossy(rest.get(..end)?).into_owned());
        }
        from = at + 1;
    }
}

/// The first `OpenSSH_<version>` in the program's bytes.
fn from_program(bytes: &[u8]) -> Option<Version> {
    let mut from = 0;
    loop {
        let at = from + find(bytes.get(from..)?, b"OpenSSH_")? + b"OpenSSH_".len();
        let text: String = bytes
            .get(at..)?
            .iter()
            .take(16)
            .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'.')
            .map(|byte| char::from(*byte))
            .collect();
        if let Ok(version) = text.parse() {
            return Some(version);
        }
        from = at;
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_packages_and_programs() {
        let version: Version = "1:9.2p1-2+deb12u10".parse().unwrap();
        assert!(
            version.at_least(9, 2) && !version.at_least(9, 3) && version.has_unsuffixed_sntrup()
        );
        assert_eq!(version.release(), "OpenSSH_9.2p1");
        assert!("".parse::<Version>().is_err() && "1:p1".parse::<Version>().is_err());
        assert_eq!(
            from_program(b"..OpenSSH_%s..OpenSSH_9.9p2\0")
                .unwrap()
                .upstream,
            "9.9p2"
        );
        assert_eq!(from_program(b"OpenSSH_"), None);
        let status =
            b"Package: openssh-server-x\nVersion: 1\n\nPackage: openssh-server\nVersion: 2\n\n";
        assert_eq!(
            paragraph(status, b"openssh-server").unwrap(),
            "Package: openssh-server\nVersion: 2"
        );
    }
}
