//! Whether the host is a virtual machine, by positive signs only: hardware checks may pass over a host for no less.
//!
//! On x86 the processor says so itself (CPUID leaf 1, ECX bit 31, the flag `hypervisor` of `/proc/cpuinfo`), which also
//! tells a cloud's bare-metal instance from its virtual machines. Other processors have no such flag; there the firmware
//! names the hypervisor in its tables or its device tree. The control domain of Xen owns the hardware and is no guest.

use super::{Observation, Unobservable};
use crate::host::{Host, HostError};

/// Vendors and products that firmware tables of virtual machines name (SMBIOS type 1).
const GUESTS: [&str; 12] = [
    "QEMU",
    "KVM",
    "VMware",
    "VirtualBox",
    "innotek GmbH",
    "Xen",
    "Virtual Machine",
    "Google Compute Engine",
    "Amazon EC2",
    "Parallels",
    "BHYVE",
    "Apple Virtualization",
];

/// Whether hardware is only simulated to this host.
pub(super) fn is_virtual(observation: &mut Observation<'_>) -> Result<bool, Unobservable> {
    const CPUS: &str = "/proc/cpuinfo";
    let host = observation.host();
    if text(host, "/proc/xen/capabilities")?.contains("control_d") {
        observation.note("/proc/xen/capabilities");
        return Ok(false);
    }
    let head = match host.read_head(CPUS, 16 * 1024) {
        Ok(head) => String::from_utf8_lossy(&head).into_owned(),
        Err(HostError::NotFound(_)) => String::new(),
        Err(error) => return Err(error.into()),
    };
    observation.note(CPUS);
    let mut flags = head.lines().filter(|line| line.starts_with("flags"));
    if let Some(first) = flags.next() {
        return Ok(first.split_whitespace().any(|flag| flag == "hypervisor"));
    }
    firmware_names_a_hypervisor(observation)
}

fn firmware_names_a_hypervisor(observation: &mut Observation<'_>) -> Result<bool, Unobservable> {
    let host = observation.host();
    if text(host, "/sys/hypervisor/type")?.trim() == "xen"
        || !text(host, "/proc/device-tree/hypervisor/compatible")?.is_empty()
    {
        return Ok(true);
    }
    observation.note("/sys/class/dmi/id");
    let vendor = text(host, "/sys/class/dmi/id/sys_vendor")?;
    let product = text(host, "/sys/class/dmi/id/product_name")?;
    // Bare-metal instances bear the provider's name as well.
    if product.trim().ends_with(".metal") {
        return Ok(false);
    }
    Ok(GUESTS
        .iter()
        .any(|guest| vendor.trim().starts_with(guest) || product.trim().starts_with(guest)))
}

fn text(host: &dyn Host, path: &str) -> Result<String, Unobservable> {
    match host.read(path, 4096) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(HostError::NotFound(_)) => Ok(String::new()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use evidence::time::Timestamp;

    use super::*;
    use crate::host::RecordedHost;
    use crate::probe::VolatileMemory;

    fn judged(files: &[(&str, &str)]) -> bool {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("host.toml");
        let text: String = files
            .iter()
            .map(|(path, text)| format!("[files.\"{path}\"]\ntext = \"{text}\"\n"))
            .collect();
        std::fs::write(&path, text).unwrap();
        let host = RecordedHost::load(&path).unwrap();
        let mut memory = VolatileMemory::default();
        let now = Timestamp::from_unix_ms(0);
        is_virtual(&mut Observation::new(
            &host,
            &mut memory,
            "virtual_machine",
            now,
        ))
        .unwrap()
    }

    #[test]
    fn the_processor_speaks_first() {
        let guest = ("/proc/cpuinfo", "flags : fpu hypervisor lm\\n");
        let metal = ("/proc/cpuinfo", "flags : fpu lm\\n");
        let amazon = ("/sys/class/dmi/id/sys_vendor", "Amazon EC2\\n");
        assert!(judged(&[guest]));
        assert!(!judged(&[metal, amazon]), "a bare-metal instance");
        assert!(!judged(&[
            guest,
            ("/proc/xen/capabilities", "control_d\\n")
        ]));
        assert!(!judged(&[]));
    }

    #[test]
    fn firmware_speaks_where_the_processor_has_no_flag() {
        let arm = ("/proc/cpuinfo", "Features : fp asimd\\n");
        let amazon = ("/sys/class/dmi/id/sys_vendor", "Amazon EC2\\n");
        assert!(judged(&[arm, amazon]));
        let metal = ("/sys/class/dmi/id/product_name", "c7g.metal\\n");
        assert!(!judged(&[arm, amazon, metal]));
        assert!(!judged(&[arm, ("/sys/class/dmi/id/sys_vendor", "HPE\\n")]));
        assert!(judged(&[
            arm,
            ("/proc/device-tree/hypervisor/compatible", "linux,kvm")
        ]));
    }
}
