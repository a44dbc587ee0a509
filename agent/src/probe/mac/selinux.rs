//! SELinux: selinuxfs, and selinux_config(5) as libselinux reads it.

use schemars::JsonSchema;
use serde::Serialize;

use crate::probe::{Observation, Unobservable};

const CONFIG: &str = "/etc/selinux/config";
const ENFORCE: &str = "/sys/fs/selinux/enforce";
/// The context of the reader; without a policy every process has the kernel's.
const CONTEXT: &str = "/proc/self/attr/current";

/// Facts of SELinux.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SeLinux {
    /// The module is active and a policy is loaded.
    loaded: bool,
    /// The mode of the running kernel; absent without selinuxfs.
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
    /// The mode that the configuration sets at boot; absent if it sets none.
    #[serde(skip_serializing_if = "Option::is_none")]
    configured: Option<Mode>,
    /// The policy that the configuration names is installed.
    policy_installed: bool,
}

/// A mode of SELinux.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Mode {
    /// Denies what the policy does not allow.
    Enforcing,
    /// Logs it only.
    Permissive,
    /// Off.
    Disabled,
}

pub(super) fn read(
    observation: &mut Observation<'_>,
    modules: &[String],
) -> Result<Option<SeLinux>, Unobservable> {
    let active = modules.iter().any(|module| module == "selinux");
    let config = observation.text(CONFIG)?;
    let mode = if observation.is_live() {
        mode_now(observation)?
    } else {
        None
    };
    if !active && mode.is_none() && config.is_none() {
        return Ok(None);
    }
    let loaded = mode.is_some() && has_policy(observation)?;
    let (configured, policy) = configuration(config.as_deref().unwrap_or_default());
    Ok(Some(SeLinux {
        loaded,
        mode,
        configured,
        policy_installed: is_installed(observation, &policy)?,
    }))
}

fn mode_now(observation: &mut Observation<'_>) -> Result<Option<Mode>, Unobservable> {
    match observation.text(ENFORCE)?.as_deref().map(str::trim) {
        None => Ok(None),
        Some("1") => Ok(Some(Mode::Enforcing)),
        Some("0") => Ok(Some(Mode::Permissive)),
        Some(other) => Err(Unobservable::unparsable(ENFORCE, format!("{other:.40}"))),
    }
}

fn has_policy(observation: &mut Observation<'_>) -> Result<bool, Unobservable> {
    let context = observation.required_text(CONTEXT)?;
    let context = context.trim_end_matches(['\0', '\n']);
    Ok(!context.is_empty() && context != "kernel")
}

/// The first `SELINUX=` with a mode counts, at the beginning of its line; the last `SELINUXTYPE=` names the policy.
fn configuration(text: &str) -> (Option<Mode>, String) {
    let mode = text
        .lines()
        .filter_map(|line| line.strip_prefix("SELINUX="))
        .find_map(|value| {
            let value = value.trim_start().to_ascii_lowercase();
            [
                ("enforcing", Mode::Enforcing),
                ("permissive", Mode::Permissive),
                ("disabled", Mode::Disabled),
            ]
            .into_iter()
            .find_map(|(word, mode)| value.starts_with(word).then_some(mode))
        });
    let policy = text
        .lines()
        .filter_map(|line| line.strip_prefix("SELINUXTYPE="))
        .next_back()
        .map_or("targeted", str::trim);
    (mode, policy.to_owned())
}

fn is_installed(observation: &mut Observation<'_>, policy: &str) -> Result<bool, Unobservable> {
    if policy.is_empty() || policy.contains('/') || policy.starts_with('.') {
        return Ok(false);
    }
    let directory = format!("/etc/selinux/{policy}/policy");
    Ok(observation
        .list(&directory)?
        .unwrap_or_default()
        .iter()
        .any(|entry| entry.name.starts_with("policy.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_mode_counts() {
        let text = "# SELINUX=disabled\nSELINUX=Enforcing \nSELINUX=permissive\nSELINUXTYPE=mls\n";
        assert_eq!(
            configuration(text),
            (Some(Mode::Enforcing), "mls".to_owned())
        );
        assert_eq!(configuration(" SELINUX=enforcing").0, None);
        assert_eq!(
            configuration("SELINUX=\nSELINUX=disabled").0,
            Some(Mode::Disabled)
        );
        assert_eq!(configuration(""), (None, "targeted".to_owned()));
    }
}
