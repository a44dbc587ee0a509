//! What to give up when there is no room: pure.

use std::time::Duration;

use evidence::time::Timestamp;

/// More than a gap takes in the spool.
pub(super) const GAP_BYTES: u64 = 4096;

/// How much the spool may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Most bytes of statements.
    pub max_bytes: u64,
    /// Longest that a statement waits; the oldest of all waits without end.
    pub max_age: Duration,
}

/// A statement in the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// The first number it stands for: its own, or that of the gap it declares.
    pub first: u64,
    /// Its size.
    pub bytes: u64,
    /// When it was made.
    pub made: Timestamp,
}

/// Whether a new statement fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// It does.
    Enough,
    /// It does after everything from this number on is given up under a gap.
    GiveUp {
        /// First number given up; never that of the oldest statement.
        from: u64,
        /// Why, as the gap says it.
        reason: &'static str,
    },
    /// It does not, and giving up more would not help: nothing may be signed.
    Full,
}

/// Whether a statement of `needed` bytes fits beside these, which are in order.
#[must_use]
pub fn room(kept: &[Kept], needed: u64, bounds: Bounds, now: Timestamp) -> Room {
    let max_age = i64::try_from(bounds.max_age.as_millis()).unwrap_or(i64::MAX);
    if let Some(second) = kept.get(1)
        && now.ms_since(second.made) > max_age
    {
        return Room::GiveUp {
            from: second.first,
            reason: "expired",
        };
    }
    let total: u64 = kept.iter().map(|one| one.bytes).sum();
    if total.saturating_add(needed) <= bounds.max_bytes {
        return Room::Enough;
    }
    let mut older = 0;
    let mut keep = 0;
    for one in kept {
        let fits_half = older + one.bytes <= bounds.max_bytes / 2;
        if keep > 0 && (!fits_half || older + one.bytes + GAP_BYTES + needed > bounds.max_bytes) {
            break;
        }
        older += one.bytes;
        keep += 1;
    }
    let gain = total - older;
    match kept.get(keep) {
        Some(first) if gain > GAP_BYTES && older + GAP_BYTES + needed <= bounds.max_bytes => {
            Room::GiveUp {
                from: first.first,
                reason: "spool_full",
            }
        }
        _ => Room::Full,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: Bounds = Bounds {
        max_bytes: 1_000_000,
        max_age: Duration::from_secs(3600),
    };

    fn kept(sizes: &[u64]) -> Vec<Kept> {
        (1..)
            .zip(sizes)
            .map(|(first, bytes)| Kept {
                first,
                bytes: *bytes,
                made: Timestamp::from_unix_seconds(0),
            })
            .collect()
    }

    #[test]
    fn the_older_half_stays() {
        let full = kept(&[100_000; 10]);
        let now = Timestamp::from_unix_seconds(60);
        assert_eq!(
            room(&full, 50_000, BOUNDS, now),
            Room::GiveUp {
                from: 6,
                reason: "spool_full"
            }
        );
        assert_eq!(room(&full[..9], 50_000, BOUNDS, now), Room::Enough);
        assert_eq!(room(&kept(&[990_000]), 50_000, BOUNDS, now), Room::Full);
    }

    #[test]
    fn age_gives_up_all_but_the_oldest_once() {
        let now = Timestamp::from_unix_seconds(3601);
        let mut old = kept(&[10, 10, 10]);
        assert_eq!(
            room(&old, 10, BOUNDS, now),
            Room::GiveUp {
                from: 2,
                reason: "expired"
            }
        );
        old.truncate(1);
        old.push(Kept {
            first: 2,
            bytes: 10,
            made: now,
        });
        assert_eq!(room(&old, 10, BOUNDS, now), Room::Enough);
    }

    proptest! {
        #[test]
        fn what_fits_fits_and_the_oldest_is_never_given_up(
            sizes in proptest::collection::vec(1u64..400_000, 0..20),
            needed in 1u64..1_200_000,
        ) {
            let kept = kept(&sizes);
            match room(&kept, needed, BOUNDS, Timestamp::from_unix_seconds(0)) {
                Room::Enough => prop_assert!(sizes.iter().sum::<u64>() + needed <= BOUNDS.max_bytes),
                Room::GiveUp { from, .. } => {
                    prop_assert!(from > 1);
                    let left: u64 = kept.iter().filter(|one| one.first < from).map(|one| one.bytes).sum();
                    prop_assert!(left + GAP_BYTES + needed <= BOUNDS.max_bytes);
                }
                Room::Full => prop_assert!(sizes.iter().sum::<u64>() + needed > BOUNDS.max_bytes),
            }
        }
    }
}
