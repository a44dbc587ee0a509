//! KDE Plasma's screen locker: `kscreenlockerrc`, the user's over the system's, with KConfig's mark `[$i]` for what users
//! cannot change (of a key, a group or the whole file).

use super::Setting;
use super::desktop::Kind;
use crate::probe::{Observation, Unobservable};

/// A user's own file, beneath the home directory.
pub(super) const USER_FILE: &str = ".config/kscreenlockerrc";
const SYSTEM_FILE: &str = "/etc/xdg/kscreenlockerrc";

/// What the administrator sets.
#[derive(Debug, Default)]
pub(super) struct System(Daemon);

/// The group `Daemon` of a file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Daemon {
    autolock: Option<Value>,
    timeout: Option<Value>,
    grace: Option<Value>,
}

/// A value as written, and whether users can change it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Value {
    text: String,
    fixed: bool,
}

impl System {
    pub(super) fn read(observation: &mut Observation<'_>) -> Result<System, Unobservable> {
        let text = observation.text(SYSTEM_FILE)?.unwrap_or_default();
        Ok(System(Daemon::parse(&text)))
    }

    /// What takes effect for a user with this own file. Defaults are those of kscreenlocker: on, 5 minutes, 5 seconds.
    pub(super) fn setting(&self, user: Option<&str>, own: Option<&[u8]>) -> Setting {
        let own = Daemon::parse(&String::from_utf8_lossy(own.unwrap_or_default()));
        let autolock = merged(&self.0.autolock, &own.autolock);
        let timeout = merged(&self.0.timeout, &own.timeout);
        let grace = merged(&self.0.grace, &own.grace);
        let fixed = |value: &Option<Value>| value.as_ref().is_some_and(|value| value.fixed);
        let number = |text: Option<&str>, default: i64| match text {
            None => default,
            // What is no number is 0 to KConfig, which here is never.
            Some(text) => text.trim().parse::<i64>().unwrap_or(0).max(0),
        };
        Setting {
            desktop: Kind::Kde,
            user: user.map(str::to_owned),
            enabled: autolock.is_none_or(|text| {
                matches!(
                    text.trim().to_ascii_lowercase().as_str(),
                    "true" | "1" | "on" | "yes"
                )
            }),
            idle_seconds: number(timeout, 5).saturating_mul(60),
            grace_seconds: number(grace, 5),
            enforced: fixed(&self.0.autolock) && fixed(&self.0.timeout) && fixed(&self.0.grace),
        }
    }
}

fn merged<'v>(system: &'v Option<Value>, own: &'v Option<Value>) -> Option<&'v str> {
    let first = match system {
        Some(value) if value.fixed => Some(value),
        _ => own.as_ref().or(system.as_ref()),
    };
    first.map(|value| value.text.as_str())
}

impl Daemon {
    fn parse(text: &str) -> Daemon {
        let mut daemon = Daemon::default();
        let mut fixed_file = false;
        let mut fixed_group = false;
        let mut inside = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with('#') {
                continue;
            }
            if line == "[$i]" && !inside {
                fixed_file = true;
            } else if line.starts_with('[') {
                inside = line == "[Daemon]" || line == "[Daemon][$i]";
                fixed_group = line.ends_with("[$i]");
            } else if let (true, Some((name, value))) = (inside, line.split_once('=')) {
                let name = name.trim();
                let bare = name.strip_suffix("[$i]");
                let value = Value {
                    text: value.trim().to_owned(),
                    fixed: fixed_file || fixed_group || bare.is_some(),
                };
                match bare.unwrap_or(name) {
                    "Autolock" => daemon.autolock = Some(value),
                    "Timeout" => daemon.timeout = Some(value),
                    "LockGrace" => daemon.grace = Some(value),
                    _ => {}
                }
            }
        }
        daemon
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(system: &str, own: Option<&str>) -> Setting {
        System(Daemon::parse(system)).setting(Some("anna"), own.map(str::as_bytes))
    }

    #[test]
    fn the_users_file_goes_over_the_systems_unless_fixed() {
        let default = setting("", None);
        assert_eq!(
            (
                default.enabled,
                default.idle_seconds,
                default.grace_seconds,
                default.enforced
            ),
            (true, 300, 5, false)
        );
        let own = Some("[Daemon]\nAutolock=false\nTimeout=60\n");
        let free = setting("[Daemon]\nAutolock=true\nTimeout=5\n", own);
        assert_eq!((free.enabled, free.idle_seconds), (false, 3600));
        for system in [
            "[Daemon][$i]\nAutolock=true\nTimeout=5\nLockGrace=0\n",
            "[$i]\n[Daemon]\nAutolock=true\nTimeout=5\nLockGrace=0\n",
            "[Daemon]\nAutolock[$i]=true\nTimeout[$i]=5\nLockGrace[$i]=0\n",
        ] {
            let fixed = setting(system, own);
            assert!(fixed.enabled && fixed.enforced, "{system}");
            assert_eq!((fixed.idle_seconds, fixed.grace_seconds), (300, 0));
        }
        assert_eq!(
            setting("[Other]\nTimeout=1\n[Daemon]\nTimeout=x", None).idle_seconds,
            0
        );
    }
}
