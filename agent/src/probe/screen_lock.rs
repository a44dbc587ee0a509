//! When the screens of a desktop lock, as it takes effect for each user who is logged on and for those to come.
//!
//! GNOME (and Budgie, which uses its settings) is read from dconf databases: key files below `/etc/dconf/db` count only
//! once compiled, and only if the profile names their database; a lock holds a key against the user's own value. KDE is
//! read from `kscreenlockerrc`. A user on any other desktop is named as unknown, never taken for locked.
//!
//! Users' own files lie where users write: they are opened without following a link, and only the few keys are looked at.

mod desktop;
mod gnome;
mod gvdb;
mod kde;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use self::desktop::{Desktops, Kind};
use super::nss;
use super::{Observation, Probe, Unobservable};
use crate::host::HostError;

/// Most bytes of one user's settings.
const MAX_USER_BYTES: usize = 4 * 1024 * 1024;

/// The probe `screen_lock`.
pub struct ScreenLock;

/// Facts of screen locks.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ScreenLockFacts {
    /// There is a desktop: a display manager, a kind of graphical session to choose, or a user in one.
    desktop: bool,
    /// Kinds of graphical session installed, by the names of their files.
    installed: Vec<String>,
    /// What takes effect, for users without settings of their own and for each user in a graphical session.
    settings: Vec<Setting>,
    /// Settings of the administrator that do not take effect, with why.
    without_effect: Vec<String>,
    /// Users and desktops whose settings cannot be told, with why.
    unknown: Vec<String>,
}

/// What takes effect for one user.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Setting {
    /// The desktop.
    desktop: Kind,
    /// The user; absent for users without settings of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// The screen locks by itself.
    enabled: bool,
    /// Seconds without input until it blanks; 0 is never.
    idle_seconds: i64,
    /// Seconds from then until a password is needed.
    grace_seconds: i64,
    /// The user cannot change any of it.
    enforced: bool,
}

impl Probe for ScreenLock {
    const ID: &'static str = "screen_lock";
    type Facts = ScreenLockFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<ScreenLockFacts, Unobservable> {
        let desktops = desktop::read(observation)?;
        let mut facts = ScreenLockFacts {
            desktop: desktops.is_there(),
            installed: desktops.installed.clone(),
            settings: Vec::new(),
            without_effect: Vec::new(),
            unknown: Vec::new(),
        };
        if !facts.desktop {
            return Ok(facts);
        }
        let gnome = gnome::System::read(observation)?;
        let kde = kde::System::read(observation)?;
        let kinds = desktops.kinds();
        if kinds.contains(&Kind::Gnome) {
            facts.without_effect = gnome.without_effect(observation)?;
            facts.settings.push(gnome.setting(None, None));
        }
        if kinds.contains(&Kind::Kde) {
            facts.settings.push(kde.setting(None, None));
        }
        if kinds.is_empty() {
            facts.unknown.push(format!(
                "no desktop that is known: {}",
                desktops.installed.join(", ")
            ));
        }
        facts.users(observation, &desktops, &gnome, &kde)?;
        facts.settings.sort();
        facts.unknown.sort();
        Ok(facts)
    }
}

impl ScreenLockFacts {
    fn users(
        &mut self,
        observation: &mut Observation<'_>,
        desktops: &Desktops,
        gnome: &gnome::System,
        kde: &kde::System,
    ) -> Result<(), Unobservable> {
        if desktops.sessions.is_empty() {
            return Ok(());
        }
        let accounts = nss::accounts(observation)?.entries;
        let mut seen = BTreeSet::new();
        for session in &desktops.sessions {
            let Some(account) = accounts.iter().find(|account| account.uid == session.uid) else {
                self.unknown.push(format!(
                    "the user with id {} has no local account that would name a home",
                    session.uid
                ));
                continue;
            };
            let kinds = session.kinds(desktops);
            if kinds.is_empty() {
                let name = session.desktop.as_deref().unwrap_or("not named");
                self.unknown
                    .push(format!("{}: desktop {name}", account.name));
            }
            for kind in kinds {
                if !seen.insert((session.uid, kind)) {
                    continue;
                }
                let setting = match kind {
                    Kind::Gnome => own(observation, &account.home, gnome::USER_FILE)
                        .map(|own| gnome.setting(Some(&account.name), own.as_deref())),
                    Kind::Kde => own(observation, &account.home, kde::USER_FILE)
                        .map(|own| kde.setting(Some(&account.name), own.as_deref())),
                };
                match setting {
                    Ok(setting) => self.settings.push(setting),
                    Err(error) => self.unknown.push(format!("{}: {error}", account.name)),
                }
            }
        }
        Ok(())
    }
}

/// A file of a user's own settings; `None` if the user has none.
fn own(
    observation: &mut Observation<'_>,
    home: &str,
    path: &str,
) -> Result<Option<Vec<u8>>, HostError> {
    match observation.host().read_beneath(home, path, MAX_USER_BYTES) {
        Ok(bytes) => {
            observation.note(&format!("{}/{path}", home.trim_end_matches('/')));
            Ok(Some(bytes))
        }
        Err(HostError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
