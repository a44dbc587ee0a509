//! When a file system will be full: the slope through one sample a day, by least squares.

use serde::{Deserialize, Serialize};

/// Days looked back.
const MAX_DAYS: i64 = 30;
/// Samples needed: fewer days would take one large copy for a trend.
const MIN_SAMPLES: usize = 7;
/// What is told, in days.
const STEPS: [u32; 7] = [90, 60, 30, 14, 7, 3, 0];
/// Samples are kept in this unit, bytes.
const UNIT: u64 = 1024 * 1024;

/// Free room by day.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct History(Vec<(i64, u64)>);

impl History {
    /// Takes the first sample of a day.
    pub(super) fn add(&mut self, day: i64, available_bytes: u64) {
        // After a clock set back, later days are from a future that will not come.
        self.0
            .retain(|(known, _)| *known <= day && *known > day - MAX_DAYS);
        if self.0.last().is_none_or(|(known, _)| *known < day) {
            self.0.push((day, available_bytes / UNIT));
        }
    }

    /// Days until nothing is left, as the largest step that is not above them; `None` if that is far or never.
    pub(super) fn full_in_days(&self) -> Option<u32> {
        let (first, _) = *self.0.first()?;
        let (_, left) = *self.0.last()?;
        if self.0.len() < MIN_SAMPLES {
            return None;
        }
        let n = self.0.len() as i128;
        let points = self
            .0
            .iter()
            .map(|(day, room)| (i128::from(day - first), i128::from(*room)));
        let (mut sx, mut sy, mut sxx, mut sxy) = (0, 0, 0, 0);
        for (x, y) in points {
            sx += x;
            sy += y;
            sxx += x * x;
            sxy += x * y;
        }
        // Room lost a day is `lost / spread`.
        let lost = sx * sy - n * sxy;
        let spread = n * sxx - sx * sx;
        if lost <= 0 || spread <= 0 {
            return None;
        }
        let days = i128::from(left) * spread / lost;
        // More than the largest step by as much again is no forecast but a line drawn too far.
        if days >= 180 {
            return None;
        }
        STEPS.into_iter().find(|step| i128::from(*step) <= days)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(rooms: &[u64]) -> History {
        let mut history = History::default();
        for (day, room) in (100_i64..).zip(rooms) {
            history.add(day, room * UNIT);
        }
        history
    }

    #[test]
    fn a_steady_loss_is_followed_to_its_end() {
        let losing: Vec<u64> = (0..10).map(|day| 1000 - day * 50).collect();
        assert_eq!(
            history(&losing).full_in_days(),
            Some(7),
            "550 left at 50 a day"
        );
        assert_eq!(history(&losing[..6]).full_in_days(), None, "too few days");
        assert_eq!(history(&[500; 20]).full_in_days(), None);
        let growing: Vec<u64> = (0..20).map(|day| 100 + day).collect();
        assert_eq!(history(&growing).full_in_days(), None);
        let slow: Vec<u64> = (0..20).map(|day| 100_000 - day).collect();
        assert_eq!(history(&slow).full_in_days(), None);
    }

    #[test]
    fn a_day_has_one_sample_and_a_month_is_kept() {
        let mut history = history(&[10; 60]);
        assert_eq!(history.0.len(), 30);
        let before = history.clone();
        history.add(159, 1);
        assert_eq!(history, before, "a second sample of the day");
        history.add(140, 5 * UNIT);
        assert!(history.0.iter().all(|(day, _)| *day <= 140), "set back");
        let mut extreme = History::default();
        for day in 0..30 {
            extreme.add(day, u64::MAX - day.unsigned_abs() * UNIT);
        }
        assert_eq!(extreme.full_in_days(), None);
    }
}
