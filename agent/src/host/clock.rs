//! The kernel's clock discipline, adjtimex(2) with no modes set: reads, changes nothing and needs no privilege.
//!
//! Neither rustix nor nix wraps that call; rtime-clock does, and makes it without anything unsafe on our side.

use rtime_clock::adjtime::{Timex, adjtimex};

use super::{ClockState, HostError};

/// STA_UNSYNC of linux/timex.h.
const UNSYNCHRONISED: i32 = 0x40;

/// What the kernel says. Errors are in microseconds whatever STA_NANO says (adjtimex(2)).
pub(super) fn state() -> Result<ClockState, HostError> {
    let mut timex = Timex::new();
    adjtimex(&mut timex).map_err(|error| match error.kind() {
        // Containers may be kept from the call altogether.
        std::io::ErrorKind::PermissionDenied => HostError::Permission("adjtimex(2)".to_owned()),
        _ => HostError::Io("adjtimex(2)".to_owned(), error.to_string()),
    })?;
    Ok(ClockState {
        unsynchronised: timex.0.status & UNSYNCHRONISED != 0,
        max_error_us: timex.0.maxerror,
        estimated_error_us: timex.0.esterror,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_answers_within_its_own_bounds() {
        let state = state().unwrap();
        // NTP_PHASE_LIMIT caps the maximum error at 16 s and a little.
        assert!((0..=17_000_000).contains(&state.max_error_us), "{state:?}");
        assert!(state.estimated_error_us >= 0, "{state:?}");
    }
}
