use std::borrow::Borrow;

/// A whole number with a comma between groups of three digits: `10,180`.
pub fn count(number: impl Borrow<u64>) -> String {
    let digits = number.borrow().to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number with its noun, singular for one: `1 host`, `1,204 hosts`, `no hosts`.
pub fn counted(number: impl Borrow<u64>, noun: &str) -> String {
    let number = *number.borrow();
    let name = if number == 1 {
        noun.to_owned()
    } else {
        plural(noun)
    };
    match number {
        0 => format!("no {name}"),
        _ => format!("{} {name}", count(number)),
    }
}

fn plural(noun: &str) -> String {
    if noun.ends_with('s') || noun.ends_with("ch") {
        return format!("{noun}es");
    }
    match noun.strip_suffix('y') {
        Some(stem) if !noun.ends_with("ay") && !noun.ends_with("ey") => format!("{stem}ies"),
        _ => format!("{noun}s"),
    }
}

/// A part of a whole that keeps both numbers, so that it is never shown without them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The part.
    pub of: u64,
    /// The whole; zero means that the share is unknown.
    pub whole: u64,
}

impl Share {
    /// A share of `of` in `whole`.
    pub fn new(of: u64, whole: u64) -> Self {
        Self { of, whole }
    }

    /// The share in percent with one decimal. What is not the whole never reads `100 %`, what is
    /// not nothing never reads `0 %`, and a share of nothing reads `unknown`.
    pub fn percent(self) -> String {
        if self.whole == 0 {
            return "unknown".to_owned();
        }
        if self.of >= self.whole {
            return "100 %".to_owned();
        }
        if self.of == 0 {
            return "0 %".to_owned();
        }
        let permille = (u128::from(self.of) * 2000 / u128::from(self.whole)).div_ceil(2);
        match permille {
            0 => "< 0.1 %".to_owned(),
            1000.. => "> 99.9 %".to_owned(),
            _ if permille % 10 == 0 => format!("{} %", permille / 10),
            _ => format!("{}.{} %", permille / 10, permille % 10),
        }
    }

    /// `9,812 of 10,180`.
    pub fn ratio(self) -> String {
        format!("{} of {}", count(self.of), count(self.whole))
    }
}

/// A place on an axis from 0 to `whole` as a percentage for an SVG attribute, at most two decimals.
pub fn percent_of(part: f64, whole: f64) -> String {
    if whole <= 0.0 {
        return "0%".to_owned();
    }
    let text = format!("{:.2}", (part / whole * 100.0).clamp(0.0, 100.0));
    let short = text.trim_end_matches('0').trim_end_matches('.');
    format!("{short}%")
}

#[cfg(test)]
mod tests {
    use super::{Share, count, counted, percent_of};

    #[test]
    fn one_failure_in_twenty_thousand_is_not_rounded_away() {
        assert_eq!(Share::new(19_999, 20_000).percent(), "> 99.9 %");
        assert_eq!(Share::new(1, 20_000).percent(), "< 0.1 %");
        assert_eq!(Share::new(20_000, 20_000).percent(), "100 %");
        assert_eq!(Share::new(0, 20_000).percent(), "0 %");
        assert_eq!(Share::new(0, 0).percent(), "unknown");
        assert_eq!(Share::new(u64::MAX - 1, u64::MAX).percent(), "> 99.9 %");
    }

    #[test]
    fn shares_round_half_up_to_one_decimal() {
        assert_eq!(Share::new(9_812, 10_180).percent(), "96.4 %");
        assert_eq!(Share::new(7_128, 7_164).percent(), "99.5 %");
        assert_eq!(Share::new(1, 2).percent(), "50 %");
        assert_eq!(Share::new(1, 3).percent(), "33.3 %");
        assert_eq!(Share::new(2, 3).percent(), "66.7 %");
        assert_eq!(Share::new(1, 1_000).percent(), "0.1 %");
    }

    #[test]
    fn numbers_are_grouped_and_nouns_agree() {
        assert_eq!(count(0u64), "0");
        assert_eq!(count(999u64), "999");
        assert_eq!(count(1_234_567u64), "1,234,567");
        assert_eq!(counted(1, "entry"), "1 entry");
        assert_eq!(counted(2, "entry"), "2 entries");
        assert_eq!(counted(3, "day"), "3 days");
        assert_eq!(counted(2, "witness"), "2 witnesses");
        assert_eq!(counted(2, "match"), "2 matches");
        assert_eq!(counted(0, "host"), "no hosts");
    }

    #[test]
    fn axis_places_stay_on_the_axis() {
        assert_eq!(percent_of(1.0, 3.0), "33.33%");
        assert_eq!(percent_of(5.0, 4.0), "100%");
        assert_eq!(percent_of(1.0, 0.0), "0%");
        assert_eq!(percent_of(1.0, 2.0), "50%");
    }
}
