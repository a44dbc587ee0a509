//! Installed packages, from dpkg's status file.

use super::stanza::Stanzas;
use crate::host::{Host, HostError};
use crate::probe::{Observation, Unobservable};

/// dpkg's database of packages.
pub const STATUS: &str = "/var/lib/dpkg/status";
/// Most packages of one host.
const MAX_PACKAGES: usize = 200_000;

/// One installed package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its architecture, or `all`.
    pub architecture: String,
    /// The version that is installed.
    pub version: String,
    /// The administrator asked to keep this version (`apt-mark hold`).
    pub held: bool,
    /// Name of the source package, if the entry says one.
    pub source: Option<String>,
    /// How far its installation went.
    pub state: State,
}

/// How far an installation went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum State {
    /// To its end.
    #[default]
    Installed,
    /// Unpacked in part or whole, but not configured.
    Unfinished,
}

/// The packages that are on disk, whole or in part: `config-files` and `not-installed` are not.
///
/// # Errors
/// [`Unobservable`] if there is no status file, or it is no control file.
pub fn installed(observation: &mut Observation<'_>) -> Result<Vec<Package>, Unobservable> {
    if observation.stat(STATUS)?.is_none() {
        return Err(HostError::NotFound(STATUS.to_owned()).into());
    }
    read(observation.host())
}

fn read(host: &dyn Host) -> Result<Vec<Package>, Unobservable> {
    let mut stanzas = Stanzas::new(
        host.open(STATUS)?,
        &["Package", "Status", "Architecture", "Version", "Source"],
    );
    let wrong = |problem: String| Unobservable::unparsable(STATUS, problem);
    let mut packages = Vec::new();
    while let Some(stanza) = stanzas
        .next_stanza()
        .map_err(|error| wrong(error.to_string()))?
    {
        let name = stanza
            .get("Package")
            .ok_or_else(|| wrong("an entry without Package".to_owned()))?;
        let mut status = stanza.words("Status");
        let (wish, _flag, state) = (status.next(), status.next(), status.next());
        let state = state.ok_or_else(|| wrong(format!("package {name} has no Status")))?;
        if matches!(state, "config-files" | "not-installed") {
            continue;
        }
        let version = stanza
            .get("Version")
            .ok_or_else(|| wrong(format!("package {name} is {state} without Version")))?;
        if packages.len() == MAX_PACKAGES {
            return Err(wrong(format!("more than {MAX_PACKAGES} packages")));
        }
        packages.push(Package {
            name: name.to_owned(),
            architecture: stanza.get("Architecture").unwrap_or("all").to_owned(),
            version: version.to_owned(),
            held: wish == Some("hold"),
            source: stanza.words("Source").next().map(str::to_owned),
            state: match state {
                "installed" | "triggers-pending" | "triggers-awaited" => State::Installed,
                _ => State::Unfinished,
            },
        });
    }
    if packages.is_empty() {
        return Err(wrong("no package is installed".to_owned()));
    }
    Ok(packages)
}

/// The architecture that dpkg itself was built for: the native one.
#[must_use]
pub fn native_architecture(packages: &[Package]) -> Option<&str> {
    packages
        .iter()
        .find(|package| package.name == "dpkg")
        .map(|package| package.architecture.as_str())
}
