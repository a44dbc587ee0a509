//! Which security modules the kernel runs, and its lockdown mode (kernel_lockdown(7)).

use schemars::JsonSchema;
use serde::Serialize;

use super::{Observation, Probe, Unobservable};

/// The active security modules, in the kernel's order, separated by commas.
const MODULES: &str = "/sys/kernel/security/lsm";
const LOCKDOWN: &str = "/sys/kernel/security/lockdown";

/// The probe `lockdown`.
pub struct Lockdown;

/// Facts of the kernel's lockdown.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LockdownFacts {
    /// securityfs is mounted and shows the security modules.
    securityfs: bool,
    /// Active security modules, in the kernel's order.
    modules: Vec<String>,
    /// The mode; absent if securityfs does not show it.
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
}

/// How far the kernel is locked against its own superuser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Mode {
    /// Not at all.
    None,
    /// Nothing can change the running kernel.
    Integrity,
    /// Nor read secrets out of it.
    Confidentiality,
}

impl Probe for Lockdown {
    const ID: &'static str = "lockdown";
    type Facts = LockdownFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<LockdownFacts, Unobservable> {
        observation.require_live("the kernel's lockdown")?;
        let modules = active_modules(observation)?;
        let mode = match observation.text(LOCKDOWN)? {
            Some(text) => Some(mode(&text).ok_or_else(|| {
                Unobservable::unparsable(LOCKDOWN, format!("{:.80}", text.trim()))
            })?),
            None => None,
        };
        Ok(LockdownFacts {
            securityfs: modules.is_some(),
            modules: modules.unwrap_or_default(),
            mode,
        })
    }
}

/// The active security modules; `None` if securityfs does not show them.
pub(super) fn active_modules(
    observation: &mut Observation<'_>,
) -> Result<Option<Vec<String>>, Unobservable> {
    let text = observation.text(MODULES)?;
    Ok(text.map(|text| {
        text.trim()
            .split(',')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    }))
}

/// `none [integrity] confidentiality`: the one in brackets is in force.
fn mode(text: &str) -> Option<Mode> {
    let (_, rest) = text.split_once('[')?;
    match rest.split_once(']')?.0 {
        "none" => Some(Mode::None),
        "integrity" => Some(Mode::Integrity),
        "confidentiality" => Some(Mode::Confidentiality),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_in_brackets_is_in_force() {
        assert_eq!(mode("[none] integrity confidentiality\n"), Some(Mode::None));
        assert_eq!(
            mode("none [integrity] confidentiality\n"),
            Some(Mode::Integrity)
        );
        assert_eq!(
            mode("none integrity [confidentiality]\n"),
            Some(Mode::Confidentiality)
        );
        for text in ["", "none integrity", "[", "]none[", "[other]"] {
            assert_eq!(mode(text), None, "{text:?}");
        }
    }
}
