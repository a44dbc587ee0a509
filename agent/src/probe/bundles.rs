//! Software that comes beside the package manager: snaps, flatpaks, and systems that are updated as one image.

mod image;
mod snap;

use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Observation, Probe, Unobservable};
use crate::host::FileKind;
use image::Image;
use snap::Snaps;

/// Where flatpak's system installation keeps its applications and runtimes.
const FLATPAKS: [&str; 2] = ["/var/lib/flatpak/app", "/var/lib/flatpak/runtime"];

/// The probe `bundles`.
pub struct Bundles;

/// Facts of bundled software.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BundlesFacts {
    /// snapd's state, if snaps are installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    snaps: Option<Snaps>,
    /// The image that the system runs from, if it is updated as one.
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<Image>,
    /// Applications and runtimes of flatpak's system installation.
    flatpaks: Vec<String>,
}

/// What waits to be installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
struct Pending {
    /// Its name.
    name: String,
    /// When the agent first saw it.
    first_seen: Timestamp,
}

impl Probe for Bundles {
    const ID: &'static str = "bundles";
    type Facts = BundlesFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<BundlesFacts, Unobservable> {
        let mut flatpaks = Vec::new();
        for directory in FLATPAKS {
            for entry in observation.list(directory)?.unwrap_or_default() {
                if entry.kind == FileKind::Directory {
                    flatpaks.push(entry.name);
                }
            }
        }
        Ok(BundlesFacts {
            snaps: snap::read(observation)?,
            image: image::read(observation)?,
            flatpaks,
        })
    }
}

/// The names with the time since when each has been waiting.
fn since(observation: &mut Observation<'_>, key: &str, names: Vec<String>) -> Vec<Pending> {
    let known: std::collections::BTreeMap<String, Timestamp> =
        observation.recall(key).unwrap_or_default();
    let now = observation.now();
    let pending: Vec<Pending> = names
        .into_iter()
        .map(|name| Pending {
            first_seen: known.get(&name).copied().unwrap_or(now),
            name,
        })
        .collect();
    let seen: std::collections::BTreeMap<&str, Timestamp> = pending
        .iter()
        .map(|one| (one.name.as_str(), one.first_seen))
        .collect();
    observation.remember(key, &seen);
    pending
}
