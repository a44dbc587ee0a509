//! Since when a fix has been public at the latest, where a host without history can still tell.
//!
//! A point release of Debian takes in the security fixes that came before it. So if the main archive of the same release,
//! as published on its `Date`, has a version at least as new as the fix, the fix was public by then.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{FileState, Pending, state};
use crate::probe::debian::archive::{Archive, Archives};
use crate::probe::debian::list::{ListFile, index_path};
use crate::probe::debian::stanza::Stanzas;
use crate::probe::debian::version::compare;
use crate::probe::{Observation, Unobservable};

/// Versions that were looked up in a main list: it is large and changes every few months, so it is read again only for
/// packages that were not asked for before.
#[derive(Debug, Serialize, Deserialize)]
struct LookedUp {
    file: FileState,
    /// By package and architecture; `None` for what the list does not have.
    versions: BTreeMap<String, Option<String>>,
}

/// Moves `first_seen` of each pending update back to when main archives prove its fix to have been public.
pub(super) fn date(
    observation: &mut Observation<'_>,
    archives: &Archives,
    pending: &mut [Pending],
) -> Result<(), Unobservable> {
    for archive in archives
        .archives
        .iter()
        .filter(|archive| is_main(archive, archives))
    {
        let Some(published) = archive.release.as_ref().and_then(|release| release.date) else {
            continue;
        };
        if pending.iter().all(|update| update.first_seen <= published) {
            continue;
        }
        for (path, _) in archive.indexes() {
            let at = index_path(&archive.source, &path);
            let Some(file) = ListFile::find(observation.host(), &at)? else {
                continue;
            };
            let versions = look_up(observation, &file, pending)?;
            for update in pending.iter_mut() {
                let main = versions.get(&key(update)).and_then(Option::as_deref);
                if main.is_some_and(|main| compare(&update.fixed_by, main) != Ordering::Greater) {
                    update.first_seen = update.first_seen.min(published);
                }
            }
        }
    }
    Ok(())
}

/// The main archive of the host's own Debian release; an archive of backports has other versions and another code name.
fn is_main(archive: &Archive, archives: &Archives) -> bool {
    archive.release.as_ref().is_some_and(|release| {
        release.origin == "Debian"
            && release.label == "Debian"
            && Some(&release.codename) == archives.distribution.codename.as_ref()
    })
}

fn key(update: &Pending) -> String {
    format!("{}:{}", update.name, update.architecture)
}

fn look_up(
    observation: &mut Observation<'_>,
    file: &ListFile,
    pending: &[Pending],
) -> Result<BTreeMap<String, Option<String>>, Unobservable> {
    let state = state(observation, file.path.clone())?;
    let memory = format!("versions {}", file.path);
    let known: Option<LookedUp> = observation.recall(&memory);
    if let Some(known) = known
        && known.file == state
        && pending
            .iter()
            .all(|update| known.versions.contains_key(&key(update)))
    {
        return Ok(known.versions);
    }
    let mut versions: BTreeMap<String, Option<String>> =
        pending.iter().map(|update| (key(update), None)).collect();
    let wrong = |error: std::io::Error| Unobservable::unparsable(&file.path, error);
    let stream = file.open(observation.host())?;
    let mut stanzas = Stanzas::new(stream, &["Package", "Version", "Architecture"]);
    while let Some(stanza) = stanzas.next_stanza().map_err(wrong)? {
        let (Some(name), Some(version), Some(architecture)) = (
            stanza.get("Package"),
            stanza.get("Version"),
            stanza.get("Architecture"),
        ) else {
            continue;
        };
        if let Some(known) = versions.get_mut(&format!("{name}:{architecture}"))
            && known
                .as_deref()
                .is_none_or(|known| compare(version, known) == Ordering::Greater)
        {
            *known = Some(version.to_owned());
        }
    }
    observation.remember(
        &memory,
        &LookedUp {
            file: state,
            versions: versions.clone(),
        },
    );
    Ok(versions)
}
