//! What reading hostile bytes may cost: CPU time and allocations of this process, so that a busy machine changes nothing.

use std::time::Duration;

use peak_alloc::PeakAlloc;
use rustix::time::{ClockId, clock_gettime};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// What a piece of work cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// CPU time of this process.
    pub cpu: Duration,
    /// Most memory held at one moment beyond what was held before, in bytes.
    pub memory: usize,
}

/// Does `work` and says what it cost.
pub fn measure<T>(work: impl FnOnce() -> T) -> (T, Cost) {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let began = cpu_time();
    let done = work();
    let cost = Cost {
        cpu: cpu_time().saturating_sub(began),
        memory: ALLOCATOR.peak_usage().saturating_sub(before),
    };
    (done, cost)
}

fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_time_are_seen() {
        let (sum, cost) = measure(|| {
            let bytes = vec![1_u8; 8 << 20];
            bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>()
        });
        assert_eq!(sum, 8 << 20);
        assert!(
            cost.memory >= 8 << 20 && cost.cpu > Duration::ZERO,
            "{cost:?}"
        );
    }
}
