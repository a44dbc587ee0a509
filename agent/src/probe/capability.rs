//! Capabilities by their names, capabilities(7).

/// Names in the order of their numbers (linux/capability.h), without `cap_`.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// The names in a set, in the order of their numbers; one without a name is its number.
pub(super) fn names(set: u64) -> Vec<String> {
    let held = (0..64).filter(|bit| set >> bit & 1 != 0);
    held.map(|bit: usize| match NAMES.get(bit) {
        Some(name) => (*name).to_owned(),
        None => bit.to_string(),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_named() {
        assert_eq!(names(0), Vec::<String>::new());
        assert_eq!(names(0b110), ["dac_override", "dac_read_search"]);
        assert_eq!(names(1 << 60), ["60"]);
        let by_default = names(0xa804_25fb);
        assert_eq!(by_default.len(), 14, "what Docker leaves by default");
        assert!(names(1 << 21).contains(&"sys_admin".to_owned()));
    }
}
