//! What the firmware says about verified booting, and whether a TPM is there.
//!
//! UEFI variables are files of efivarfs: four bytes of attributes, then the value (Linux, Documentation/filesystems/
//! efivarfs.rst; UEFI specification 2.10, section 3.3). shim keeps a switch of its own: with `MokSBStateRT` at 1 it
//! starts whatever it is given, though `SecureBoot` still reads 1 (shim, `mok.c`); without the variable it verifies.

use evidence::outcome::Reason;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Observation, Probe, Unobservable, virtual_machine};
use crate::host::HostError;

const EFI: &str = "/sys/firmware/efi";
const VARIABLES: &str = "/sys/firmware/efi/efivars";
/// EFI_GLOBAL_VARIABLE.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// SHIM_LOCK_GUID.
const SHIM: &str = "605dab50-e046-4300-abb6-3dd810dd8b23";
const TPMS: &str = "/sys/class/tpm";
/// Most TPMs listed; machines have one.
const MAX_TPMS: usize = 8;

/// The probe `firmware`.
pub struct Firmware;

/// Facts of firmware and TPM.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FirmwareFacts {
    /// The kernel was started by UEFI.
    uefi: bool,
    /// UEFI variables can be read: efivarfs is mounted and not empty.
    variables: bool,
    /// `SecureBoot`: the firmware verified what it started. Absent if the firmware has no such variable.
    #[serde(skip_serializing_if = "Option::is_none")]
    secure_boot: Option<bool>,
    /// `SetupMode`: no platform key is enrolled, so anybody can enrol one.
    #[serde(skip_serializing_if = "Option::is_none")]
    setup_mode: Option<bool>,
    /// shim passes on what is not signed (`MokSBStateRT`).
    shim_validation_off: bool,
    /// TPMs that the kernel drives.
    tpms: Vec<Tpm>,
    /// A virtual machine, whose firmware is its hypervisor's.
    virtual_machine: bool,
}

/// One TPM.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Tpm {
    /// Its name, for example `tpm0`.
    name: String,
    /// Major version of the TPM specification, 1 or 2; absent if the kernel does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u8>,
    /// Its resource manager's device (`/dev/tpmrm0`) is there, through which programs use a TPM 2.0.
    usable: bool,
}

impl Probe for Firmware {
    const ID: &'static str = "firmware";
    type Facts = FirmwareFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<FirmwareFacts, Unobservable> {
        observation.require_live("the firmware")?;
        let uefi = observation.stat(EFI)?.is_some();
        let variables = uefi
            && observation
                .list(VARIABLES)?
                .is_some_and(|entries| !entries.is_empty());
        let (mut secure_boot, mut setup_mode, mut shim_validation_off) = (None, None, false);
        if variables {
            secure_boot = variable(observation, &format!("SecureBoot-{GLOBAL}"))?;
            setup_mode = variable(observation, &format!("SetupMode-{GLOBAL}"))?;
            shim_validation_off =
                variable(observation, &format!("MokSBStateRT-{SHIM}"))?.unwrap_or(false);
        }
        Ok(FirmwareFacts {
            uefi,
            variables,
            secure_boot,
            setup_mode,
            shim_validation_off,
            tpms: tpms(observation)?,
            virtual_machine: virtual_machine::is_virtual(observation)?,
        })
    }
}

/// A variable of one byte, 0 or 1.
fn variable(observation: &mut Observation<'_>, name: &str) -> Result<Option<bool>, Unobservable> {
    let path = format!("{VARIABLES}/{name}");
    match observation.bytes(&path, 64)?.as_deref() {
        None => Ok(None),
        Some([_, _, _, _, 0]) => Ok(Some(false)),
        Some([_, _, _, _, 1]) => Ok(Some(true)),
        Some(other) => Err(Unobservable::unparsable(
            &path,
            format!("{} bytes that are no switch", other.len()),
        )),
    }
}

fn tpms(observation: &mut Observation<'_>) -> Result<Vec<Tpm>, Unobservable> {
    let entries = observation.list(TPMS)?.unwrap_or_default();
    if entries.len() > MAX_TPMS {
        return Err(Unobservable::new(
            Reason::Unparsable,
            format!("{TPMS}: {} TPMs", entries.len()),
        ));
    }
    entries
        .into_iter()
        .map(|entry| tpm(observation, entry.name))
        .collect()
}

fn tpm(observation: &mut Observation<'_>, name: String) -> Result<Tpm, Unobservable> {
    let number = name.strip_prefix("tpm").unwrap_or_default();
    let manager = format!("tpmrm{number}");
    let host = observation.host();
    let is_there = |path: &str| match host.stat(path) {
        Ok(_) => Ok(true),
        Err(HostError::NotFound(_)) => Ok(false),
        Err(error) => Err(Unobservable::from(error)),
    };
    let written = observation.text(&format!("{TPMS}/{name}/tpm_version_major"))?;
    let version = match written.as_deref().map(str::trim) {
        Some("1") => Some(1),
        Some("2") => Some(2),
        Some(other) => {
            return Err(Unobservable::unparsable(
                &format!("{TPMS}/{name}/tpm_version_major"),
                format!("version {other:?}"),
            ));
        }
        // Kernels before 5.6 do not tell the version, but have a resource manager for 2.0 alone.
        None if is_there(&format!("/sys/class/tpmrm/{manager}"))? => Some(2),
        None if is_there(&format!("{TPMS}/{name}/device/caps"))? => Some(1),
        None => None,
    };
    Ok(Tpm {
        usable: is_there(&format!("/dev/{manager}"))?,
        name,
        version,
    })
}
