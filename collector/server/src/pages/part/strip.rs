//! A period of one check on one host as stretches of time, left to right.

use askama::Template;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::{Mark, Standing, When, percent_of, span};

/// A drawing has at most this many bars; a screen shows no more of them apart.
const BARS_MAX: usize = 240;
/// The same for a line in a table row.
const LINE_BARS_MAX: usize = 60;
/// The table behind a drawing shows the newest stretches, at most this many.
const ROWS_MAX: usize = 60;
const DAY_MS: i64 = 86_400_000;
/// A tick's label needs this share of the axis to its right, in percent.
const LABEL_ROOM: f64 = 92.0;

/// Least width of a bar, in percent: a failure of a minute in a year is there to be seen.
const LEAST_WIDTH: f64 = 0.5;

/// The stretches of one period as a drawing, with the table behind it.
///
/// Time that no stretch covers is drawn and counted as unobserved: a gap is a gap. Only before the host was enrolled
/// there was nobody to observe.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "part/strip.html")]
pub struct Strip {
    /// Unique on the page; starts with a letter.
    pub id: String,
    /// What is drawn: `sshd.root on web-01`.
    pub title: String,
    /// Start of the period, in milliseconds since the epoch.
    pub from_ms: i64,
    /// End of the period, on the same scale.
    pub to_ms: i64,
    /// When the host was enrolled, on the same scale.
    pub enrolled_ms: i64,
    /// What was observed, in order of time, without overlap.
    pub stretches: Vec<Stretch>,
}

/// A stretch of time in which the outcome and its reason stayed the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// How the check stood.
    pub standing: Standing,
    /// The reason code of the outcome.
    pub reason: String,
    /// Its start, in milliseconds since the epoch.
    pub from_ms: i64,
    /// Its end, on the same scale.
    pub to_ms: i64,
}

/// The same drawing as one line of a table row, without axis and table.
#[derive(Clone, Debug, Template)]
#[template(path = "part/strip_line.html")]
pub struct Line<'a> {
    strip: &'a Strip,
}

impl Line<'_> {
    fn bars(&self) -> Vec<Bar> {
        self.strip.drawn(LINE_BARS_MAX)
    }
}

/// A rectangle of the drawing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) tone: &'static str,
    pub(super) x: String,
    pub(super) width: String,
    pub(super) title: String,
}

/// A mark on the axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tick {
    pub(super) x: String,
    pub(super) label: String,
}

impl Strip {
    /// As one line of a table row.
    pub fn line(&self) -> Line<'_> {
        Line { strip: self }
    }

    /// The drawing in words: how often it failed, how long, and how much was not observed.
    pub fn words(&self) -> String {
        let failing: Vec<&Stretch> = self.of(Standing::Fail).collect();
        let failed_ms: i64 = failing.iter().map(|stretch| self.length(stretch)).sum();
        let open_ms = self.unobserved_ms();
        let mut words = match failing.len() {
            0 => "no failure in the period".to_owned(),
            1 => format!("failed once, for {}", span(failed_ms)),
            times => format!("failed {times} times, for {} in all", span(failed_ms)),
        };
        if open_ms > 0 {
            words.push_str(&format!("; {} not observed", span(open_ms)));
        }
        let before_ms = self.known_from() - self.from_ms;
        if before_ms > 0 {
            words.push_str(&format!("; not enrolled in the first {}", span(before_ms)));
        }
        words
    }

    fn of(&self, standing: Standing) -> impl Iterator<Item = &Stretch> {
        self.stretches
            .iter()
            .filter(move |stretch| stretch.standing == standing && self.length(stretch) > 0)
    }

    fn length(&self, stretch: &Stretch) -> i64 {
        let from = stretch.from_ms.max(self.from_ms);
        (stretch.to_ms.min(self.to_ms) - from).max(0)
    }

    /// Time without a stretch, or with one that says that nothing could be learnt.
    fn unobserved_ms(&self) -> i64 {
        let observed: i64 = self
            .stretches
            .iter()
            .filter(|stretch| {
                !matches!(
                    stretch.standing,
                    Standing::Missing | Standing::Stale | Standing::Error
                )
            })
            .map(|stretch| self.length(stretch))
            .sum();
        (self.to_ms - self.known_from() - observed).max(0)
    }

    /// From when on the host could be observed: its enrolment, or a first stretch that its clock puts before that.
    fn known_from(&self) -> i64 {
        let first = self.stretches.first().map_or(i64::MAX, |one| one.from_ms);
        self.enrolled_ms.min(first).clamp(self.from_ms, self.to_ms)
    }

    /// Width of the part before the host was enrolled, if there is one.
    fn before(&self) -> Option<String> {
        let before = self.known_from() - self.from_ms;
        (before > 0).then(|| percent_of(before as f64, (self.to_ms - self.from_ms) as f64))
    }

    fn bars(&self) -> Vec<Bar> {
        self.drawn(BARS_MAX)
    }

    /// At most `most` bars, failures last, so that a short one is not painted over.
    fn drawn(&self, most: usize) -> Vec<Bar> {
        let mut pieces = merged(
            self.stretches
                .iter()
                .filter(|stretch| self.length(stretch) > 0),
        );
        if pieces.len() > most {
            pieces = self.cells(most);
        }
        pieces.sort_by_key(|piece| piece.standing == Standing::Fail);
        pieces.iter().map(|piece| self.bar(piece)).collect()
    }

    /// The period cut into equal cells, each as the worst that happened in it: more changes than
    /// a screen has points never hide a failure.
    fn cells(&self, number: usize) -> Vec<Stretch> {
        let step = ((self.to_ms - self.from_ms) / number as i64).max(1);
        let mut worst: Vec<Option<&Stretch>> = vec![None; number];
        for stretch in &self.stretches {
            if self.length(stretch) == 0 {
                continue;
            }
            let first = (stretch.from_ms.max(self.from_ms) - self.from_ms) / step;
            let last = (stretch.to_ms.min(self.to_ms) - self.from_ms - 1) / step;
            for cell in worst
                .iter_mut()
                .take(last as usize + 1)
                .skip(first as usize)
            {
                if cell.is_none_or(|other| stretch.standing < other.standing) {
                    *cell = Some(stretch);
                }
            }
        }
        let cells: Vec<Stretch> = worst
            .into_iter()
            .zip(0i64..)
            .filter_map(|(stretch, place)| {
                stretch.map(|stretch| Stretch {
                    standing: stretch.standing,
                    reason: stretch.reason.clone(),
                    from_ms: self.from_ms + place * step,
                    to_ms: (self.from_ms + (place + 1) * step).min(self.to_ms),
                })
            })
            .collect();
        merged(cells.iter())
    }

    fn bar(&self, stretch: &Stretch) -> Bar {
        let whole = (self.to_ms - self.from_ms) as f64;
        let from = stretch.from_ms.max(self.from_ms);
        let mark = stretch.standing.mark();
        let least = whole * LEAST_WIDTH / 100.0;
        let width = (self.length(stretch) as f64).max(least);
        let x = ((from - self.from_ms) as f64).min(whole - width);
        Bar {
            tone: mark.tone,
            x: percent_of(x, whole),
            width: percent_of(width, whole),
            title: format!(
                "{} ({}) for {} from {}",
                mark.word,
                stretch.reason,
                span(self.length(stretch)),
                When::at(from, self.to_ms).absolute()
            ),
        }
    }

    fn ticks(&self) -> Vec<Tick> {
        ticks(self.from_ms, self.to_ms)
    }

    /// Stretches that the table behind the drawing leaves out, since there are too many.
    fn older(&self) -> u64 {
        self.stretches.len().saturating_sub(ROWS_MAX) as u64
    }

    /// Rows of the table behind the drawing, newest first.
    fn rows(&self) -> Vec<(Mark, &str, When, When, String)> {
        self.stretches
            .iter()
            .rev()
            .take(ROWS_MAX)
            .map(|stretch| {
                (
                    stretch.standing.mark(),
                    stretch.reason.as_str(),
                    When::at(stretch.from_ms, self.to_ms),
                    When::at(stretch.to_ms, self.to_ms),
                    span(stretch.to_ms - stretch.from_ms),
                )
            })
            .collect()
    }
}

/// Stretches that touch and stand the same as one, under the reason of the first.
fn merged<'a>(stretches: impl Iterator<Item = &'a Stretch>) -> Vec<Stretch> {
    let mut out: Vec<Stretch> = Vec::new();
    for stretch in stretches {
        match out.last_mut() {
            Some(last) if last.standing == stretch.standing && last.to_ms == stretch.from_ms => {
                last.to_ms = stretch.to_ms;
            }
            _ => out.push(stretch.clone()),
        }
    }
    out
}

/// Marks at the starts of months, weeks, or days, whichever leaves them readable.
pub(super) fn ticks(from_ms: i64, to_ms: i64) -> Vec<Tick> {
    let (Some(from), Some(to)) = (civil(from_ms), civil(to_ms)) else {
        return Vec::new();
    };
    let days = (to_ms - from_ms) / DAY_MS;
    let (first, step, format) = match days {
        100.. => (from.first_of_month(), 1.month(), "%b"),
        10.. => (from, 7.days(), "%-d %b"),
        _ => (from, 1.day(), "%-d %b"),
    };
    let whole = (to_ms - from_ms) as f64;
    let mut ticks = Vec::new();
    for number in 0..64 {
        let Ok(date) = step
            .checked_mul(number)
            .and_then(|ahead| first.checked_add(ahead))
        else {
            break;
        };
        if date > to {
            break;
        }
        let Ok(start) = date.to_zoned_datetime(TimeZone::UTC) else {
            break;
        };
        let ahead = start.timestamp().as_millisecond() - from_ms;
        if ahead >= 0 && (ahead as f64 / whole * 100.0) < LABEL_ROOM {
            ticks.push(Tick {
                x: percent_of(ahead as f64, whole),
                label: date.strftime(format).to_string(),
            });
        }
    }
    ticks
}

fn civil(ms: i64) -> Option<Date> {
    Timestamp::from_millisecond(ms)
        .ok()
        .map(|moment| moment.to_zoned_datetime(TimeZone::UTC).date())
}

#[cfg(test)]
mod tests {
    use super::{DAY_MS, Standing, Stretch, Strip, ticks};

    const FROM: i64 = 1_764_547_200_000; // 2025-12-01T00:00:00Z

    fn stretch(standing: Standing, from_day: i64, to_day: i64) -> Stretch {
        Stretch {
            standing,
            reason: "ok".to_owned(),
            from_ms: FROM + from_day * DAY_MS,
            to_ms: FROM + to_day * DAY_MS,
        }
    }

    fn strip(stretches: Vec<Stretch>) -> Strip {
        Strip {
            id: "s".to_owned(),
            title: "t".to_owned(),
            from_ms: FROM,
            to_ms: FROM + 100 * DAY_MS,
            enrolled_ms: FROM,
            stretches,
        }
    }

    #[test]
    fn what_no_stretch_covers_is_told_as_not_observed() {
        assert_eq!(
            strip(Vec::new()).words(),
            "no failure in the period; 100 d not observed"
        );
        let seen = strip(vec![
            stretch(Standing::Pass, 0, 40),
            stretch(Standing::Fail, 40, 42),
            stretch(Standing::Error, 42, 50),
            stretch(Standing::Pass, 50, 100),
        ]);
        assert_eq!(seen.words(), "failed once, for 2 d; 8 d not observed");
    }

    #[test]
    fn a_failure_of_a_minute_is_seen_at_the_right_edge() {
        let end = FROM + 100 * DAY_MS;
        let minute = Stretch {
            standing: Standing::Fail,
            reason: "extra".to_owned(),
            from_ms: end - 60_000,
            to_ms: end,
        };
        for bars in [
            strip(vec![stretch(Standing::Pass, 0, 99), minute.clone()]).bars(),
            strip(vec![stretch(Standing::Pass, 0, 99), minute]).drawn(60),
        ] {
            let last = bars.last().unwrap();
            assert_eq!(
                (last.tone, last.x.as_str(), last.width.as_str()),
                ("fail", "99.5%", "0.5%")
            );
        }
    }

    #[test]
    fn time_before_enrolment_is_not_told_as_not_observed() {
        let mut young = strip(vec![stretch(Standing::Pass, 91, 100)]);
        young.enrolled_ms = FROM + 90 * DAY_MS;
        assert_eq!(
            young.words(),
            "no failure in the period; 1 d not observed; not enrolled in the first 90 d"
        );
        assert_eq!(young.before().unwrap(), "90%");
        let drawing = young.to_string();
        assert!(drawing.contains("f-before"), "{drawing}");
        assert!(young.line().to_string().contains("f-before"));
        young.enrolled_ms = FROM - DAY_MS;
        assert_eq!(young.before(), None);
        assert!(!young.to_string().contains("f-before"));
    }

    #[test]
    fn stretches_are_cut_at_the_edges_of_the_period() {
        let bars = strip(vec![
            stretch(Standing::Fail, -50, 10),
            stretch(Standing::Pass, 10, 200),
        ])
        .bars();
        assert_eq!(
            (bars[0].x.as_str(), bars[0].width.as_str(), bars[0].tone),
            ("10%", "90%", "pass")
        );
        assert_eq!(
            (bars[1].x.as_str(), bars[1].width.as_str(), bars[1].tone),
            ("0%", "10%", "fail")
        );
    }

    #[test]
    fn more_changes_than_points_hide_no_failure() {
        let mut stretches: Vec<Stretch> = (0..100)
            .map(|day| stretch(Standing::Pass, day, day + 1))
            .collect();
        assert_eq!(
            strip(stretches.clone()).bars().len(),
            1,
            "equal neighbours are one bar"
        );
        for (day, part) in stretches.iter_mut().enumerate() {
            if day % 2 == 1 {
                part.standing = Standing::NotApplicable;
            }
        }
        stretches[71].standing = Standing::Fail;
        let few = strip(stretches).drawn(10);
        assert!(few.len() <= 10);
        let last = few.last().unwrap();
        assert_eq!(
            (last.tone, last.x.as_str(), last.width.as_str()),
            ("fail", "70%", "10%")
        );
    }

    #[test]
    fn a_year_has_months_and_a_month_has_weeks() {
        let year: Vec<String> = ticks(FROM, FROM + 365 * DAY_MS)
            .into_iter()
            .map(|tick| tick.label)
            .collect();
        assert_eq!(
            year,
            [
                "Dec", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov"
            ]
        );
        let month: Vec<String> = ticks(FROM, FROM + 30 * DAY_MS)
            .into_iter()
            .map(|tick| tick.label)
            .collect();
        assert_eq!(month, ["1 Dec", "8 Dec", "15 Dec", "22 Dec"]);
        assert!(ticks(FROM, i64::MAX).is_empty());
    }
}
