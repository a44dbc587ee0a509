//! Whether the kernel loads unsigned modules, and whether it ever did since boot.
//!
//! `sig_enforce` starts as CONFIG_MODULE_SIG_FORCE says and can only be raised (kernel/module/signing.c), so it tells more
//! than the kernel's configuration; a kernel without it cannot verify modules. Lockdown refuses unsigned modules as well,
//! while `sig_enforce` still reads N. What was loaded and taken out again leaves its mark in `/proc/sys/kernel/tainted`
//! (Documentation/admin-guide/tainted-kernels.rst): bit 1 for a forced load, bit 13 for an unsigned module.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Observation, Probe, Unobservable};

const MODULES: &str = "/proc/modules";
const DISABLED: &str = "/proc/sys/kernel/modules_disabled";
const ENFORCE: &str = "/sys/module/module/parameters/sig_enforce";
const TAINTED: &str = "/proc/sys/kernel/tainted";
const FORCED: u64 = 1 << 1;
const UNSIGNED: u64 = 1 << 13;
/// Most modules listed; there are a few hundred.
const MAX_LISTED: usize = 200;

/// The probe `kernel_module`.
pub struct KernelModule;

/// Facts of loadable kernel modules.
#[derive(Debug, Serialize, JsonSchema)]
pub struct KernelModuleFacts {
    /// The kernel can load modules at all.
    loadable: bool,
    /// Loading is switched off until the next boot (`kernel.modules_disabled`).
    disabled: bool,
    /// The kernel refuses modules without a valid signature; absent if it cannot verify any.
    #[serde(skip_serializing_if = "Option::is_none")]
    signatures_enforced: Option<bool>,
    /// A module was loaded by force since boot.
    ever_forced: bool,
    /// An unsigned module was loaded since boot.
    ever_unsigned: bool,
    /// Loaded modules that are unsigned, forced, from outside the kernel's tree or proprietary.
    foreign: Vec<Foreign>,
    /// Every loaded module was looked at.
    complete: bool,
}

/// A loaded module that taints the kernel.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Foreign {
    /// Its name.
    name: String,
    /// Without a valid signature (E).
    unsigned: bool,
    /// Loaded by force (F).
    forced: bool,
    /// Built outside the kernel's tree (O).
    out_of_tree: bool,
    /// Under a proprietary licence (P).
    proprietary: bool,
}

impl Probe for KernelModule {
    const ID: &'static str = "kernel_module";
    type Facts = KernelModuleFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<KernelModuleFacts, Unobservable> {
        observation.require_live("loaded kernel modules")?;
        let listed = observation.text(MODULES)?;
        let disabled = observation.text(DISABLED)?;
        let signatures_enforced = match observation.text(ENFORCE)?.as_deref().map(str::trim) {
            None => None,
            Some("Y" | "1") => Some(true),
            Some("N" | "0") => Some(false),
            Some(other) => return Err(Unobservable::unparsable(ENFORCE, format!("{other:.80}"))),
        };
        let taint: u64 = observation
            .required_text(TAINTED)?
            .trim()
            .parse()
            .map_err(|error| Unobservable::unparsable(TAINTED, error))?;
        let text = listed.as_deref().unwrap_or_default();
        let mut foreign: Vec<Foreign> = text.lines().filter_map(Foreign::of_line).collect();
        foreign.sort_by(|a, b| a.name.cmp(&b.name));
        let complete = foreign.len() <= MAX_LISTED;
        foreign.truncate(MAX_LISTED);
        Ok(KernelModuleFacts {
            loadable: listed.is_some() || disabled.is_some(),
            disabled: disabled.is_some_and(|text| text.trim() == "1"),
            signatures_enforced,
            ever_forced: taint & FORCED != 0,
            ever_unsigned: taint & UNSIGNED != 0,
            foreign,
            complete,
        })
    }
}

impl Foreign {
    /// `nvidia 39059456 2 nvidia_modeset, Live 0x0000000000000000 (POE)`; `+` and `-` follow while it comes or goes.
    fn of_line(line: &str) -> Option<Foreign> {
        let name = line.split_whitespace().next()?;
        let taints = line.trim_end().strip_suffix(')')?.rsplit_once('(')?.1;
        let has = |flag: char| taints.contains(flag);
        Some(Foreign {
            name: name.to_owned(),
            unsigned: has('E'),
            forced: has('F'),
            out_of_tree: has('O'),
            proprietary: has('P'),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taints_stand_at_the_end_of_the_line() {
        let module = Foreign::of_line(
            "vboxdrv 696320 2 vboxnetadp,vboxnetflt, Live 0xffffffffc0a00000 (OE+)",
        )
        .unwrap();
        assert!(module.unsigned && module.out_of_tree && !module.forced && !module.proprietary);
        assert_eq!(module.name, "vboxdrv");
        for line in [
            "ext4 1093632 2 - Live 0xffffffffc0600000",
            "",
            ")",
            "a)",
            "()",
        ] {
            assert!(
                Foreign::of_line(line).is_none_or(|module| !module.unsigned),
                "{line:?}"
            );
        }
    }
}
