//! Whether audit events were lost since the sample before.

use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Observation, Probe, Unobservable, audit};
use crate::host::HostError;

/// The probe `audit_loss`.
pub struct AuditLoss;

/// Counters of the kernel's audit, now and at the sample before.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AuditLossFacts {
    /// The counters; absent inside a container, on an unpacked root and on a kernel without audit.
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<Sample>,
    /// The counters of the sample before; absent at the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<Sample>,
    /// Events waiting, in hundredths of the limit; 0 if there is no limit.
    backlog_percent: u32,
    /// Events that may wait.
    backlog_limit: u32,
}

/// What is kept from one sample to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct Sample {
    /// The boot it was taken in, `/proc/sys/kernel/random/boot_id`: counters begin anew with each.
    boot: String,
    /// Events lost since boot.
    lost: u32,
    /// When this count was first seen.
    since: Timestamp,
}

impl Probe for AuditLoss {
    const ID: &'static str = "audit_loss";
    type Facts = AuditLossFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<AuditLossFacts, Unobservable> {
        let unknown = AuditLossFacts {
            current: None,
            previous: None,
            backlog_percent: 0,
            backlog_limit: 0,
        };
        if !audit::is_reachable(observation)? {
            return Ok(unknown);
        }
        observation.note("netlink: AUDIT_GET");
        let status = match observation.host().audit_status() {
            Ok(status) => status,
            Err(HostError::ToolMissing(_)) => return Ok(unknown),
            Err(error) => return Err(error.into()),
        };
        let boot = observation
            .required_text("/proc/sys/kernel/random/boot_id")?
            .trim()
            .to_owned();
        let previous: Option<Sample> = observation.recall("sample");
        let unchanged = previous
            .as_ref()
            .filter(|sample| sample.boot == boot && sample.lost == status.lost);
        let current = Sample {
            since: unchanged.map_or(observation.now(), |sample| sample.since),
            boot,
            lost: status.lost,
        };
        observation.remember("sample", &current);
        let percent = u64::from(status.backlog) * 100 / u64::from(status.backlog_limit.max(1));
        Ok(AuditLossFacts {
            current: Some(current),
            previous,
            backlog_percent: if status.backlog_limit == 0 {
                0
            } else {
                u32::try_from(percent).unwrap_or(u32::MAX)
            },
            backlog_limit: status.backlog_limit,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::RecordedHost;
    use crate::probe::VolatileMemory;

    fn host(boot: &str, lost: u32) -> RecordedHost {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("host.toml");
        let text = format!(
            "[files.\"/proc/sys/kernel/random/boot_id\"]\ntext = \"{boot}\\n\"\n[kernel]\naudit = {{ enabled = 1, failure = 1, pid = 1, rate_limit = 0, backlog_limit = 64, lost = {lost}, backlog = 63, backlog_wait_time_actual = 0 }}\n"
        );
        std::fs::write(&path, text).unwrap();
        RecordedHost::load(&path).unwrap()
    }

    #[test]
    fn a_sample_is_kept_for_the_next_round() {
        let mut memory = VolatileMemory::default();
        let mut observe = |boot: &str, lost: u32, seconds: i64| {
            let host = host(boot, lost);
            let now = Timestamp::from_unix_seconds(seconds);
            AuditLoss::observe(&mut Observation::new(&host, &mut memory, "audit_loss", now))
                .unwrap()
        };
        let first = observe("a", 3, 10);
        assert_eq!(
            (first.previous.is_none(), first.backlog_percent),
            (true, 98)
        );
        let second = observe("a", 3, 20);
        assert_eq!(
            second.previous, second.current,
            "an unchanged count is the same fact, with the time it was first seen"
        );
        let third = observe("a", 5, 30);
        assert_eq!(third.previous, second.current);
        assert_eq!(third.current.as_ref().unwrap().lost, 5);
        let reset = observe("a", 0, 40);
        assert_eq!(
            reset.previous, third.current,
            "the check sees a counter that fell"
        );
        assert_eq!(observe("b", 0, 50).previous.unwrap().boot, "a");
    }
}
