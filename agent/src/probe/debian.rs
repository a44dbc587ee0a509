//! What Debian and its descendants keep on disk about packages: dpkg's database, apt's configuration, sources and lists.
//!
//! Everything is read from the files themselves, so that a live host and an unpacked root are read by the same code and
//! no package tool takes a lock or rewrites a cache.

pub mod archive;
pub mod configuration;
pub mod list;
pub mod origin;
pub mod package;
pub mod preference;
pub mod release;
pub mod source;
pub mod stanza;
pub mod trust;
pub mod version;

use evidence::outcome::Reason;

use super::system::OsRelease;
use super::{Observation, Unobservable};

/// The release that os-release(5) names, as apt and unattended-upgrades use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// `ID`, for example `debian`.
    pub id: String,
    /// The distributor's name as lsb_release(1) says it, for example `Debian`; what `${distro_id}` stands for.
    pub distributor: String,
    /// Code name of the Debian or Ubuntu release whose packages these are, for example `bookworm`.
    pub codename: Option<String>,
}

/// The distribution, if packages are managed by dpkg and apt; `None` for another family.
///
/// # Errors
/// [`Unobservable`] if os-release(5) cannot be read.
pub fn distribution(
    observation: &mut Observation<'_>,
) -> Result<Option<Distribution>, Unobservable> {
    let release = OsRelease::read(observation)?;
    let id = release.get("ID").unwrap_or_default();
    let like = release.get("ID_LIKE").unwrap_or_default();
    let mut names = std::iter::once(id.as_str()).chain(like.split_whitespace());
    if !names.any(|name| name == "debian" || name == "ubuntu") {
        return Ok(None);
    }
    let codename = ["UBUNTU_CODENAME", "DEBIAN_CODENAME", "VERSION_CODENAME"]
        .into_iter()
        .find_map(|name| release.get(name));
    let distributor = match id.as_str() {
        "debian" => "Debian".to_owned(),
        "ubuntu" => "Ubuntu".to_owned(),
        _ => release.get("NAME").unwrap_or_else(|| id.clone()),
    };
    Ok(Some(Distribution {
        id,
        distributor,
        codename,
    }))
}

/// As [`distribution`], for probes that know no other package manager.
///
/// # Errors
/// [`Unobservable`] with reason `tool_missing` on another family.
pub fn require(observation: &mut Observation<'_>) -> Result<Distribution, Unobservable> {
    distribution(observation)?.ok_or_else(|| {
        Unobservable::new(
            Reason::ToolMissing,
            "only dpkg and apt are read so far; this host's distribution uses another package manager",
        )
    })
}
