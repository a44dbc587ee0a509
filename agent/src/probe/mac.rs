//! Mandatory access control: SELinux and AppArmor, now and after the next boot.
//!
//! A module on the kernel's list alone confines nothing: SELinux may have no policy loaded (the context of every process
//! is then `kernel`), AppArmor no profile in enforce mode. Profiles in complain mode or with the flag `unconfined`, which
//! Debian 13 and Ubuntu ship by the dozen, do not confine either.

mod apparmor;
mod selinux;

use schemars::JsonSchema;
use serde::Serialize;

use self::apparmor::AppArmor;
use self::selinux::SeLinux;
use super::{Observation, Probe, Unobservable, lockdown};

/// The probe `mac`.
pub struct Mac;

/// Facts of mandatory access control.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MacFacts {
    /// securityfs shows the active security modules; false on an unpacked root.
    securityfs: bool,
    /// Active security modules, in the kernel's order.
    modules: Vec<String>,
    /// SELinux; absent if the host has neither the module nor its configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    selinux: Option<SeLinux>,
    /// AppArmor; absent if the host has neither the module nor its profiles.
    #[serde(skip_serializing_if = "Option::is_none")]
    apparmor: Option<AppArmor>,
}

impl Probe for Mac {
    const ID: &'static str = "mac";
    type Facts = MacFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<MacFacts, Unobservable> {
        let active = if observation.is_live() {
            lockdown::active_modules(observation)?
        } else {
            None
        };
        let modules = active.clone().unwrap_or_default();
        Ok(MacFacts {
            securityfs: active.is_some(),
            selinux: selinux::read(observation, &modules)?,
            apparmor: apparmor::read(observation, &modules)?,
            modules,
        })
    }
}
