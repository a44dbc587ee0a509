//! Which desktops are installed, and who uses one now.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use crate::host::{FileKind, HostError};
use crate::probe::{Observation, Unobservable};

/// Where kinds of graphical session are described, a file each.
const SESSION_FILES: [&str; 2] = ["/usr/share/xsessions", "/usr/share/wayland-sessions"];
/// What systemd starts as display manager: an alias of the one installed.
const DISPLAY_MANAGER: &str = "/etc/systemd/system/display-manager.service";
/// Display managers as services of OpenRC.
const OPENRC: [&str; 6] = [
    "display-manager",
    "gdm",
    "lightdm",
    "sddm",
    "lxdm",
    "greetd",
];
/// Sessions of systemd-logind, a file each.
const SESSIONS: &str = "/run/systemd/sessions";
/// Most sessions looked at.
const MAX_SESSIONS: usize = 500;

/// A desktop whose settings are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// GNOME, and Budgie with the same settings.
    Gnome,
    /// KDE Plasma.
    Kde,
}

impl Kind {
    /// By the name of a session file, or what logind calls the desktop.
    fn of(name: &str) -> Option<Kind> {
        let name = name.to_ascii_lowercase();
        let name = name.rsplit('/').next().unwrap_or_default();
        if ["gnome", "ubuntu", "budgie"]
            .iter()
            .any(|start| name.starts_with(start))
        {
            Some(Kind::Gnome)
        } else if name.starts_with("plasma") || name.starts_with("kde") {
            Some(Kind::Kde)
        } else {
            None
        }
    }
}

/// The desktops of a host.
#[derive(Debug, Default)]
pub(super) struct Desktops {
    display_manager: bool,
    pub(super) installed: Vec<String>,
    pub(super) sessions: Vec<Session>,
}

/// A user in a graphical session.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Session {
    pub(super) uid: u32,
    pub(super) desktop: Option<String>,
}

impl Desktops {
    pub(super) fn is_there(&self) -> bool {
        self.display_manager || !self.installed.is_empty() || !self.sessions.is_empty()
    }

    /// Known desktops among those installed.
    pub(super) fn kinds(&self) -> BTreeSet<Kind> {
        self.installed
            .iter()
            .filter_map(|name| Kind::of(name))
            .collect()
    }
}

impl Session {
    /// The known desktops that the session may be: the one it names, or any that is installed.
    pub(super) fn kinds(&self, desktops: &Desktops) -> BTreeSet<Kind> {
        match &self.desktop {
            Some(name) => Kind::of(name).into_iter().collect(),
            None => desktops.kinds(),
        }
    }
}

pub(super) fn read(observation: &mut Observation<'_>) -> Result<Desktops, Unobservable> {
    let mut installed = BTreeSet::new();
    for directory in SESSION_FILES {
        for entry in observation.list(directory)?.unwrap_or_default() {
            if let Some(name) = entry.name.strip_suffix(".desktop") {
                installed.insert(name.to_owned());
            }
        }
    }
    Ok(Desktops {
        display_manager: has_display_manager(observation)?,
        installed: installed.into_iter().collect(),
        sessions: sessions(observation)?,
    })
}

fn has_display_manager(observation: &mut Observation<'_>) -> Result<bool, Unobservable> {
    observation.note(DISPLAY_MANAGER);
    match observation.host().lstat(DISPLAY_MANAGER) {
        Ok(stat) if stat.kind == FileKind::Link => {
            let target = observation.host().read_link(DISPLAY_MANAGER)?;
            if target != "/dev/null" {
                return Ok(true);
            }
        }
        Ok(_) => return Ok(true),
        Err(HostError::NotFound(_)) => {}
        Err(error) => return Err(error.into()),
    }
    for service in OPENRC {
        let path = format!("/etc/runlevels/default/{service}");
        if observation.stat(&path)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn sessions(observation: &mut Observation<'_>) -> Result<Vec<Session>, Unobservable> {
    if !observation.is_live() {
        return Ok(Vec::new());
    }
    let mut found = BTreeSet::new();
    let entries = observation.list(SESSIONS)?.unwrap_or_default();
    let files = entries
        .into_iter()
        .filter(|entry| entry.kind == FileKind::Regular);
    for entry in files.take(MAX_SESSIONS) {
        let path = format!("{SESSIONS}/{}", entry.name);
        match observation.host().read(&path, 64 * 1024) {
            Ok(bytes) => found.extend(session(&String::from_utf8_lossy(&bytes))),
            // It ended meanwhile.
            Err(HostError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found.into_iter().collect())
}

/// A graphical session of a user, from the file that logind keeps of it.
fn session(text: &str) -> Option<Session> {
    let value = |name: &str| {
        text.lines()
            .filter_map(|line| line.split_once('='))
            .find_map(|(key, value)| (key == name && !value.is_empty()).then_some(value))
    };
    let graphical = matches!(value("TYPE"), Some("x11" | "wayland" | "mir"));
    let of_user = value("CLASS").is_some_and(|class| class.starts_with("user"));
    if !graphical || !of_user || value("STATE") == Some("closing") {
        return None;
    }
    Some(Session {
        uid: value("UID")?.parse().ok()?,
        desktop: value("DESKTOP").map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graphical_sessions_of_users_count() {
        let text = "# This is private data. Do not parse.\nUID=1000\nUSER=anna\nACTIVE=1\nSTATE=active\nTYPE=wayland\nCLASS=user\nDESKTOP=gnome\n";
        let found = session(text).unwrap();
        assert_eq!((found.uid, found.desktop.as_deref()), (1000, Some("gnome")));
        assert_eq!(session(&text.replace("wayland", "tty")), None);
        assert_eq!(session(&text.replace("CLASS=user", "CLASS=greeter")), None);
        assert_eq!(session(&text.replace("active", "closing")), None);
        assert_eq!(session(""), None);
    }

    #[test]
    fn desktops_are_known_by_their_names() {
        for (name, kind) in [
            ("ubuntu-xorg", Some(Kind::Gnome)),
            ("gnome-classic", Some(Kind::Gnome)),
            ("plasmawayland", Some(Kind::Kde)),
            ("/usr/share/xsessions/plasma", Some(Kind::Kde)),
            ("sway", None),
            ("", None),
        ] {
            assert_eq!(Kind::of(name), kind, "{name}");
        }
    }
}
