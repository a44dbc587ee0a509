//! What a timer and its service come to with all their drop-ins (systemd.timer(5), systemd.service(5)).

use crate::host::HostError;
use crate::probe::systemd_config::of_unit;
use crate::probe::{Observation, Unobservable};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// What it comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::probe) enum Effect {
    /// It starts the program, at least every so many seconds; `None` if no file says when.
    Runs(Option<i64>),
    /// It starts something else, or never.
    Disarmed,
}

/// The effect of the timer and the service of this stem, which are to start one of the `jobs`.
pub(in crate::probe) fn effect(
    observation: &mut Observation<'_>,
    stem: &str,
    jobs: &[&str],
) -> Result<Effect, Unobservable> {
    let timer = of_unit(observation, &format!("{stem}.timer"), "Timer")?;
    let service_name = format!("{stem}.service");
    let unit = effective(&timer, "Unit");
    if unit.last().is_some_and(|unit| *unit != service_name) {
        return Ok(Effect::Disarmed);
    }
    let starts = of_unit(observation, &service_name, "Service")?;
    let starts_anything = starts.iter().any(|(name, _)| name == "ExecStart");
    let starts_job = effective(&starts, "ExecStart")
        .iter()
        .filter_map(|line| program(line).rsplit('/').next())
        .any(|program| jobs.contains(&program));
    if starts_anything && !starts_job {
        return Ok(Effect::Disarmed);
    }
    for name in [format!("{stem}.timer"), service_name] {
        let unit = of_unit(observation, &name, "Unit")?;
        for path in effective(&unit, "ConditionPathExists") {
            if !holds(observation, path)? {
                return Ok(Effect::Disarmed);
            }
        }
    }
    when(&timer).map_err(|problem| Unobservable::unparsable(&format!("{stem}.timer"), problem))
}

/// The values of a list setting: an empty one takes back what was set before.
fn effective<'a>(assignments: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    let mut values = Vec::new();
    for (_, value) in assignments.iter().filter(|(known, _)| known == name) {
        if value.is_empty() {
            values.clear();
        } else {
            values.push(value.as_str());
        }
    }
    values
}

/// The program of a command line, without the signs that may stand before it.
fn program(line: &str) -> &str {
    let line = line.trim_start_matches(['@', '-', ':', '+', '!', '|']);
    line.split_whitespace().next().unwrap_or_default()
}

/// A condition on a path; `|` makes it one of several of which one must hold, which is not followed.
fn holds(observation: &mut Observation<'_>, condition: &str) -> Result<bool, HostError> {
    if condition.starts_with('|') {
        return Ok(true);
    }
    let (wanted, path) = match condition.strip_prefix('!') {
        Some(path) => (false, path),
        None => (true, condition),
    };
    match observation.host().stat(path) {
        Ok(_) => Ok(wanted),
        Err(HostError::NotFound(_)) => Ok(!wanted),
        Err(error) => Err(error),
    }
}

/// How often the timer comes at least.
fn when(timer: &[(String, String)]) -> Result<Effect, String> {
    let mut every: Option<i64> = None;
    let mut set = false;
    for (name, value) in timer {
        let period = match name.as_str() {
            "OnCalendar" if value.is_empty() => {
                (every, set) = (None, true);
                continue;
            }
            "OnCalendar" => {
                calendar(value).ok_or_else(|| format!("OnCalendar={value} is not understood"))?
            }
            "OnUnitActiveSec" | "OnUnitInactiveSec" if !value.is_empty() => span(value),
            _ => continue,
        };
        set = true;
        if let Some(period) = period {
            every = Some(every.map_or(period, |every| every.min(period)));
        }
    }
    Ok(match every {
        Some(every) => Effect::Runs(Some(every)),
        None if set => Effect::Disarmed,
        None => Effect::Runs(None),
    })
}

/// The longest time between two occurrences of a calendar event (systemd.time(7)), in seconds, rounded up: `Some(None)`
/// for one that never comes again, `None` for a form that is not known.
fn calendar(event: &str) -> Option<Option<i64>> {
    let named = match event.to_ascii_lowercase().as_str() {
        "minutely" => 60,
        "hourly" => HOUR,
        "daily" => DAY,
        "weekly" => 7 * DAY,
        "monthly" => 31 * DAY,
        "quarterly" => 92 * DAY,
        "semiannually" => 184 * DAY,
        "yearly" | "annually" => 366 * DAY,
        _ => 0,
    };
    if named > 0 {
        return Some(Some(named));
    }
    let (mut days, mut date, mut time) = (None, None, None);
    for word in event.split_whitespace() {
        if word.contains(':') {
            time = Some(word);
        } else if word.contains('-') {
            date = Some(word);
        } else if word.starts_with(|c: char| c.is_ascii_alphabetic()) {
            // A time zone stands at the end, days of the week at the beginning.
            if date.is_none() && time.is_none() {
                days = Some(word);
            }
        } else {
            return None;
        }
    }
    let by_date = match date {
        None => DAY,
        Some(date) => {
            let parts: Vec<&str> = date.split('-').collect();
            let (year, month, day) = match *parts.as_slice() {
                [year, month, day] => (year, month, day),
                [month, day] => ("*", month, day),
                _ => return None,
            };
            if year != "*" {
                return Some(None);
            }
            match (month, day) {
                ("*", "*") => DAY,
                ("*", _) => 31 * DAY,
                _ => 366 * DAY,
            }
        }
    };
    let by_week = match days {
        None => DAY,
        Some(days) if days.eq_ignore_ascii_case("mon..sun") => DAY,
        Some(days) if days.eq_ignore_ascii_case("mon..fri") => 3 * DAY,
        Some(_) => 7 * DAY,
    };
    let longest = by_date.max(by_week);
    let hourly = time.is_some_and(|time| time.starts_with("*:"));
    Some(Some(if longest == DAY && hourly {
        HOUR
    } else {
        longest
    }))
}

/// A time span such as `12h` or `1d 6h`; `None` for one of another form.
fn span(text: &str) -> Option<i64> {
    let mut total: i64 = 0;
    for word in text.split_whitespace() {
        let end = word
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(word.len());
        let number: i64 = word[..end].parse().ok()?;
        let unit = match &word[end..] {
            "" | "s" | "sec" | "seconds" => 1,
            "m" | "min" | "minutes" => 60,
            "h" | "hr" | "hours" | "hour" => HOUR,
            "d" | "day" | "days" => DAY,
            "w" | "week" | "weeks" => 7 * DAY,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
    }
    (total > 0).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calendar_events_have_a_longest_gap() {
        for (event, expected) in [
            ("daily", Some(Some(DAY))),
            ("*-*-* 6,18:00", Some(Some(DAY))),
            ("*-*-* 6:00", Some(Some(DAY))),
            ("06:00", Some(Some(DAY))),
            ("*:0/15", Some(Some(HOUR))),
            ("Mon *-*-* 06:00:00", Some(Some(7 * DAY))),
            ("Mon..Fri 06:00", Some(Some(3 * DAY))),
            ("yearly", Some(Some(366 * DAY))),
            ("*-*-01 06:00", Some(Some(31 * DAY))),
            ("*-02-29", Some(Some(366 * DAY))),
            ("2001-01-01 00:00", Some(None)),
            ("*-*-* 06:00 UTC", Some(Some(DAY))),
            ("99", None),
        ] {
            assert_eq!(calendar(event), expected, "{event}");
        }
        assert_eq!(span("1d 6h"), Some(30 * HOUR));
        assert_eq!(span("1fortnight"), None);
    }

    #[test]
    fn an_empty_assignment_takes_back() {
        let set = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs
                .iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
                .collect()
        };
        let starts = set(&[
            ("ExecStart", "/usr/lib/apt/apt.systemd.daily update"),
            ("ExecStart", ""),
            ("ExecStart", "-/bin/true"),
        ]);
        assert_eq!(effective(&starts, "ExecStart"), ["-/bin/true"]);
        assert_eq!(program("-/bin/true x"), "/bin/true");
        let timer = set(&[("OnCalendar", "daily"), ("OnCalendar", "")]);
        assert_eq!(when(&timer).unwrap(), Effect::Disarmed);
        assert_eq!(when(&[]).unwrap(), Effect::Runs(None));
        let timer = set(&[
            ("OnCalendar", "daily"),
            ("OnCalendar", ""),
            ("OnCalendar", "yearly"),
        ]);
        assert_eq!(when(&timer).unwrap(), Effect::Runs(Some(366 * DAY)));
    }
}
