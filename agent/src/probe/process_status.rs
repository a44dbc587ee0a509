//! /proc/PID/status (proc(5)): what a process may do, as the kernel holds it.

use std::collections::BTreeMap;

/// SECCOMP_MODE_FILTER of seccomp(2).
const SECCOMP_FILTER: i64 = 2;

/// What matters of /proc/PID/status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProcessStatus {
    /// Effective user.
    pub uid: i64,
    /// Capabilities it has now, a bit each.
    pub effective: u64,
    /// Capabilities it could ever get.
    pub bounding: u64,
    /// No set-user-id program gives it more.
    pub no_new_privileges: bool,
    seccomp: i64,
    /// Largest resident memory in KiB.
    pub peak_kib: i64,
}

impl ProcessStatus {
    /// The error is the name of the field that is missing or of another form.
    pub(super) fn parse(text: &str) -> Result<ProcessStatus, &'static str> {
        let fields: BTreeMap<&str, &str> = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name, value.trim()))
            .collect();
        let word = |name: &'static str, at: usize| {
            fields
                .get(name)
                .and_then(|value| value.split_whitespace().nth(at))
                .ok_or(name)
        };
        let number =
            |name: &'static str, at: usize| word(name, at)?.parse::<i64>().map_err(|_| name);
        let mask = |name: &'static str| u64::from_str_radix(word(name, 0)?, 16).map_err(|_| name);
        Ok(ProcessStatus {
            uid: number("Uid", 1)?,
            effective: mask("CapEff")?,
            bounding: mask("CapBnd")?,
            no_new_privileges: number("NoNewPrivs", 0)? == 1,
            // Kernels without seccomp do not show the field: no filter then.
            seccomp: number("Seccomp", 0).unwrap_or_default(),
            peak_kib: number("VmHWM", 0)?,
        })
    }

    /// Whether a filter limits its system calls.
    pub(super) fn is_filtered(&self) -> bool {
        self.seccomp == SECCOMP_FILTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_without_a_field_is_refused() {
        let whole = "Uid:\t0\t0\t0\t0\nCapEff:\t0000000000000002\nCapBnd:\t0000000000000006\nNoNewPrivs:\t1\nSeccomp:\t2\nVmHWM:\t   9000 kB\n";
        let status = ProcessStatus::parse(whole).ok().unwrap();
        assert_eq!((status.uid, status.bounding, status.peak_kib), (0, 6, 9000));
        assert!(status.no_new_privileges);
        for field in ["Uid", "CapEff", "CapBnd", "NoNewPrivs", "VmHWM"] {
            let cut: String = whole
                .lines()
                .filter(|line| !line.starts_with(field))
                .map(|line| format!("{line}\n"))
                .collect();
            assert_eq!(ProcessStatus::parse(&cut).err(), Some(field));
        }
    }
}
