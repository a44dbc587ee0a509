//! AppArmor: the loaded profiles with their modes, whether profiles are loaded at boot, and the files on an unpacked root.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use crate::host::FileKind;
use crate::probe::unit::boot::Obstacle;
use crate::probe::{Observation, Unobservable, unit};

const ENABLED: &str = "/sys/module/apparmor/parameters/enabled";
const PROFILES: &str = "/sys/kernel/security/apparmor/profiles";
const FILES: &str = "/etc/apparmor.d";
/// Most bytes of the list of loaded profiles: snaps load hundreds.
const MAX_PROFILES_BYTES: usize = 1024 * 1024;
/// Most profiles listed by name.
const MAX_LISTED: usize = 100;
/// Most profile files read on an unpacked root.
const MAX_FILES: usize = 2000;

/// Facts of AppArmor.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AppArmor {
    /// The kernel says that it is on; false on an unpacked root.
    enabled: bool,
    /// Profiles in enforce or kill mode, which confine: loaded ones, or those of files on an unpacked root.
    enforced: usize,
    /// Profiles that only log (complain, prompt), the first 100 by name.
    complaining: Vec<String>,
    /// Profiles with the flag `unconfined`, which allow everything.
    unconfined: usize,
    /// Profiles are loaded at boot: `apparmor.service`, or the OpenRC service of that name, is enabled.
    loaded_at_boot: bool,
}

/// Profiles by what they do.
#[derive(Debug, Default, PartialEq, Eq)]
struct Profiles {
    enforced: usize,
    complaining: BTreeSet<String>,
    unconfined: usize,
}

pub(super) fn read(
    observation: &mut Observation<'_>,
    modules: &[String],
) -> Result<Option<AppArmor>, Unobservable> {
    let active = modules.iter().any(|module| module == "apparmor");
    let (enabled, profiles) = if observation.is_live() {
        let switch = observation.text(ENABLED)?;
        if !active && switch.is_none() {
            return Ok(None);
        }
        (
            active && switch.is_some_and(|text| text.trim() == "Y"),
            loaded(observation)?,
        )
    } else {
        if observation.stat(FILES)?.is_none() {
            return Ok(None);
        }
        (false, of_files(observation)?)
    };
    Ok(Some(AppArmor {
        enabled,
        enforced: profiles.enforced,
        complaining: profiles.complaining.into_iter().take(MAX_LISTED).collect(),
        unconfined: profiles.unconfined,
        loaded_at_boot: is_loaded_at_boot(observation)?,
    }))
}

fn loaded(observation: &mut Observation<'_>) -> Result<Profiles, Unobservable> {
    let bytes = observation
        .bytes(PROFILES, MAX_PROFILES_BYTES)?
        .unwrap_or_default();
    of_list(&String::from_utf8_lossy(&bytes))
        .map_err(|problem| Unobservable::unparsable(PROFILES, problem))
}

/// Lines such as `/usr/sbin/ntpd (enforce)`.
fn of_list(text: &str) -> Result<Profiles, String> {
    let mut profiles = Profiles::default();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let parts = line
            .strip_suffix(')')
            .and_then(|line| line.rsplit_once(" ("));
        match parts {
            Some((_, "enforce" | "kill")) => profiles.enforced += 1,
            Some((_, "unconfined")) => profiles.unconfined += 1,
            Some((name, "complain" | "prompt")) => {
                profiles.complaining.insert(name.to_owned());
            }
            _ => return Err(format!("no profile: {line:.120}")),
        }
    }
    Ok(profiles)
}

fn is_loaded_at_boot(observation: &mut Observation<'_>) -> Result<bool, Unobservable> {
    for level in ["sysinit", "boot", "default"] {
        let service = format!("/etc/runlevels/{level}/apparmor");
        if observation.stat(&service)?.is_some() {
            return Ok(true);
        }
    }
    let units = unit::persisted(observation, &["apparmor.service"])?;
    let wanted = units
        .get("apparmor.service")
        .is_some_and(|unit| unit.enabled && !unit.masked);
    if !wanted {
        return Ok(false);
    }
    // Debian's own conditions ask for the kernel's support, which only a boot shows: what is not known hinders nothing here.
    let hindered = match unit::text(observation, "apparmor.service")? {
        Some(text) => unit::boot::obstacle(observation, &text)?,
        None => None,
    };
    Ok(!matches!(hindered, Some(Obstacle::Hinders(_))))
}

/// The profiles of `/etc/apparmor.d` as a boot would load them.
fn of_files(observation: &mut Observation<'_>) -> Result<Profiles, Unobservable> {
    let mut profiles = Profiles::default();
    let entries = observation.list(FILES)?.unwrap_or_default();
    let names = entries
        .into_iter()
        .filter(|entry| entry.kind != FileKind::Directory && !entry.name.starts_with('.'));
    for entry in names.take(MAX_FILES) {
        let host = observation.host();
        if host
            .lstat(&format!("{FILES}/disable/{}", entry.name))
            .is_ok()
        {
            continue;
        }
        let only_logs = host
            .lstat(&format!("{FILES}/force-complain/{}", entry.name))
            .is_ok();
        if let Some(text) = observation.text(&format!("{FILES}/{}", entry.name))? {
            profiles.add_file(&text, only_logs);
        }
    }
    Ok(profiles)
}

impl Profiles {
    /// A profile begins with a line that ends in `{`, not indented: `profile name /path flags=(complain) {`.
    fn add_file(&mut self, text: &str, only_logs: bool) {
        for line in text.lines().map(str::trim_end) {
            let begins = line.ends_with('{')
                && (line.starts_with("profile ") || line.starts_with(['/', '"', '@']));
            if !begins {
                continue;
            }
            let flags = line
                .split_once("flags=(")
                .and_then(|(_, rest)| rest.split_once(')'))
                .map_or("", |(flags, _)| flags);
            let has = |flag: &str| flags.split([',', ' ']).any(|known| known.trim() == flag);
            if has("unconfined") {
                self.unconfined += 1;
            } else if only_logs || has("complain") || has("prompt") {
                let name = line.strip_prefix("profile ").unwrap_or(line);
                let name = name.split_whitespace().next().unwrap_or_default();
                self.complaining.insert(name.to_owned());
            } else {
                self.enforced += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loaded_profiles_are_counted_by_mode() {
        let text = "/usr/sbin/ntpd (enforce)\nlsb_release (complain)\n1password (unconfined)\ndocker-default (enforce)\na (b) (kill)\n";
        let profiles = of_list(text).unwrap();
        assert_eq!((profiles.enforced, profiles.unconfined), (3, 1));
        assert!(profiles.complaining.contains("lsb_release"));
        assert_eq!(of_list("").unwrap(), Profiles::default());
        for text in ["x", "x (enforce", "x (what)", "(enforce)"] {
            assert!(of_list(text).is_err(), "{text}");
        }
    }

    #[test]
    fn profile_files_are_read_by_their_first_lines() {
        let mut profiles = Profiles::default();
        profiles.add_file(
            "include <tunables/global>\n\n/usr/sbin/ntpd flags=(attach_disconnected) {\n  profile child {\n  }\n}\nprofile 1password /opt/1Password/1password flags=(unconfined) {\n  userns,\n}\nprofile lsb_release flags=(complain,attach_disconnected) {\n}\n",
            false,
        );
        assert_eq!((profiles.enforced, profiles.unconfined), (1, 1));
        assert!(profiles.complaining.contains("lsb_release"));
        profiles.add_file("profile x /usr/bin/x {\n}\n", true);
        assert_eq!(profiles.enforced, 1, "forced to complain");
    }
}
