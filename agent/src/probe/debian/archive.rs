//! The enabled archives with their release files: which are there, and which carry the security fixes of this release.

use super::configuration::{self, Configuration};
use super::list::{ListFile, release_path};
use super::package::{self, Package};
use super::release::Release;
use super::source::{self, Architectures, Source};
use super::{Distribution, require};
use crate::probe::{Observation, Unobservable};

/// What apt is told and what it has fetched.
#[derive(Debug)]
pub struct Archives {
    /// The release of this host.
    pub distribution: Distribution,
    /// apt's merged configuration.
    pub configuration: Configuration,
    /// Installed packages.
    pub packages: Vec<Package>,
    /// The enabled archives.
    pub archives: Vec<Archive>,
}

/// One enabled archive: a URI and a suite.
#[derive(Debug)]
pub struct Archive {
    /// The source with all components that are enabled for it.
    pub source: Source,
    /// Its release file, if it was fetched.
    pub release: Option<Release>,
    /// Whether it carries security fixes of the host's own release and architecture, alone or among other updates.
    pub security: bool,
}

impl Archives {
    /// Reads configuration, sources, installed packages and release files.
    ///
    /// # Errors
    /// [`Unobservable`] on another family, or for a file that apt itself could not read.
    pub fn read(observation: &mut Observation<'_>) -> Result<Archives, Unobservable> {
        let distribution = require(observation)?;
        let packages = package::installed(observation)?;
        let configuration = configuration::read(observation)?;
        let native = package::native_architecture(&packages).ok_or_else(|| {
            Unobservable::unparsable(package::STATUS, "package dpkg is not installed")
        })?;
        let architectures = Architectures::read(observation, &configuration, native)?;
        let mut archives: Vec<Archive> = Vec::new();
        for source in source::enabled(observation, &architectures)? {
            let known = archives
                .iter_mut()
                .find(|known| known.source.uri == source.uri && known.source.suite == source.suite);
            match known {
                Some(known) => known.merge(source),
                None => archives.push(Archive::fetched(observation, source, &distribution)?),
            }
        }
        for archive in &mut archives {
            archive.security &= archive.source.serves(&architectures.native);
        }
        Ok(Archives {
            distribution,
            configuration,
            packages,
            archives,
        })
    }

    /// The archives with security fixes for this release.
    pub fn security(&self) -> impl Iterator<Item = &Archive> {
        self.archives.iter().filter(|archive| archive.security)
    }
}

impl Archive {
    fn fetched(
        observation: &mut Observation<'_>,
        source: Source,
        distribution: &Distribution,
    ) -> Result<Archive, Unobservable> {
        for name in ["InRelease", "Release"] {
            let path = release_path(&source, name);
            if observation.stat(&path)?.is_none() {
                continue;
            }
            let release = Release::read(observation.host().open(&path)?)
                .map_err(|error| Unobservable::unparsable(&path, error))?;
            let security = is_security(&release, distribution);
            return Ok(Archive {
                source,
                release: Some(release),
                security,
            });
        }
        Ok(Archive {
            source,
            release: None,
            security: false,
        })
    }

    fn merge(&mut self, other: Source) {
        for (into, from) in [
            (&mut self.source.components, other.components),
            (&mut self.source.architectures, other.architectures),
        ] {
            for name in from {
                if !into.contains(&name) {
                    into.push(name);
                }
            }
        }
    }

    /// Host and path of the archive, without scheme and credentials, and the suite that is asked for.
    #[must_use]
    pub fn name(&self) -> String {
        let rest = self.source.uri.split_once(':').map_or("", |(_, rest)| rest);
        let rest = rest.trim_start_matches('/').trim_end_matches('/');
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        format!("{host}/{path} {}", self.source.suite)
    }

    /// The host that the archive is on; nothing for one on this host's own disks.
    #[must_use]
    pub fn site(&self) -> String {
        let name = self.name();
        name.split('/').next().unwrap_or_default().to_owned()
    }

    /// The package indexes that apt would fetch: those that the release file has for the enabled components and
    /// architectures, but the empty ones.
    #[must_use]
    pub fn indexes(&self) -> Vec<(String, Option<u64>)> {
        let Some(release) = &self.release else {
            return Vec::new();
        };
        let wanted: Vec<String> = if self.source.components.is_empty() {
            vec!["Packages".to_owned()]
        } else {
            let architectures = self.source.architectures.iter().map(String::as_str);
            let architectures: Vec<&str> = architectures.chain(["all"]).collect();
            self.source
                .components
                .iter()
                .flat_map(|component| {
                    architectures
                        .iter()
                        .map(move |name| format!("{component}/binary-{name}/Packages"))
                })
                .collect()
        };
        wanted
            .into_iter()
            .filter_map(|path| Some((release.indexes.get(&path).copied()?, path)))
            .filter(|(length, _)| *length != Some(0))
            .map(|(length, path)| (path, length))
            .collect()
    }

    /// Indexes of [`Archive::indexes`] that are not on disk. Those of architecture `all` and of foreign architectures
    /// may be left out by apt, so only the first architecture counts.
    ///
    /// # Errors
    /// [`Unobservable`] if the agent may not look.
    pub fn missing(&self, observation: &Observation<'_>) -> Result<Vec<String>, Unobservable> {
        let native = self.source.architectures.first();
        let mut missing = Vec::new();
        for (path, _) in self.indexes() {
            let counts = path == "Packages"
                || native
                    .is_some_and(|native| path.ends_with(&format!("/binary-{native}/Packages")));
            let at = super::list::index_path(&self.source, &path);
            if counts && ListFile::find(observation.host(), &at)?.is_none() {
                missing.push(path);
            }
        }
        Ok(missing)
    }
}

/// Whether an archive carries the security fixes of a release. The suite's name does not tell: `stable-security` becomes
/// `oldstable-security` when the next release comes.
fn is_security(release: &Release, distribution: &Distribution) -> bool {
    let Some(codename) = &distribution.codename else {
        return false;
    };
    match release.origin.as_str() {
        "Debian" => {
            release.label == "Debian-Security"
                && [format!("{codename}-security"), codename.clone()].contains(&release.codename)
        }
        "Ubuntu" => release.suite == format!("{codename}-security"),
        "UbuntuESM" => release.suite == format!("{codename}-infra-security"),
        "UbuntuESMApps" => release.suite == format!("{codename}-apps-security"),
        "Devuan" => {
            release.label == "Devuan-Security" && release.codename == format!("{codename}-security")
        }
        // These publish fixes in their one archive, among other updates.
        "Raspbian" | "Kali" => release.label == release.origin && release.codename == *codename,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(origin: &str, label: &str, suite: &str, codename: &str) -> Release {
        Release {
            origin: origin.into(),
            label: label.into(),
            suite: suite.into(),
            codename: codename.into(),
            ..Release::default()
        }
    }

    #[test]
    fn security_archives_are_known_by_code_name() {
        let host = |id: &str, codename: &str| Distribution {
            id: id.into(),
            distributor: String::new(),
            codename: Some(codename.into()),
        };
        let bookworm = host("debian", "bookworm");
        assert!(is_security(
            &release(
                "Debian",
                "Debian-Security",
                "oldstable-security",
                "bookworm-security"
            ),
            &bookworm
        ));
        assert!(is_security(
            &release("Debian", "Debian-Security", "oldoldstable", "buster"),
            &host("debian", "buster")
        ));
        assert!(!is_security(
            &release(
                "Debian",
                "Debian-Security",
                "stable-security",
                "trixie-security"
            ),
            &bookworm
        ));
        assert!(!is_security(
            &release("Debian", "Debian", "oldstable", "bookworm"),
            &bookworm
        ));
        assert!(is_security(
            &release("Raspbian", "Raspbian", "oldstable", "bookworm"),
            &host("raspbian", "bookworm")
        ));
        assert!(!is_security(
            &release("Raspbian", "Raspbian", "stable", "trixie"),
            &host("raspbian", "bookworm")
        ));
        assert!(is_security(
            &release("Kali", "Kali", "kali-rolling", "kali-rolling"),
            &host("kali", "kali-rolling")
        ));
        assert!(!is_security(
            &release("Devuan", "Devuan", "stable", "daedalus"),
            &host("devuan", "daedalus")
        ));
        assert!(!is_security(
            &release("Evil", "Debian-Security", "x", "bookworm-security"),
            &bookworm
        ));
        let noble = host("ubuntu", "noble");
        assert!(is_security(
            &release("Ubuntu", "Ubuntu", "noble-security", "noble"),
            &noble
        ));
        assert!(!is_security(
            &release("Ubuntu", "Ubuntu", "noble-updates", "noble"),
            &noble
        ));
        assert!(is_security(
            &release("UbuntuESM", "UbuntuESM", "noble-infra-security", "noble"),
            &noble
        ));
    }
}
