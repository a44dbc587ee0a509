//! Decimal numbers as integers of microseconds.

/// The next number of the series 1, 2, 5, 10, 20, 50 … that is not smaller; 0 stays 0.
pub(super) fn rounded_up(value: i64) -> i64 {
    if value <= 0 {
        return 0;
    }
    let mut step: i64 = 1;
    loop {
        for factor in [1, 2, 5] {
            match step.checked_mul(factor) {
                Some(bound) if bound >= value => return bound,
                Some(_) => {}
                None => return i64::MAX,
            }
        }
        match step.checked_mul(10) {
            Some(next) => step = next,
            None => return i64::MAX,
        }
    }
}

/// A decimal number times ten to the power of `digits`, rounded away from zero: `-0.0000014` with 6 digits is -2.
pub(super) fn scaled(text: &str, digits: usize) -> Option<i64> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let kept: String = fraction
        .chars()
        .chain(std::iter::repeat('0'))
        .take(digits)
        .collect();
    let more = fraction.bytes().skip(digits).any(|byte| byte != b'0');
    let value: i64 = format!("{whole}{kept}").parse().ok()?;
    let value = value.checked_add(i64::from(more))?;
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_become_integers_without_becoming_smaller() {
        assert_eq!(scaled("-0.000001431", 6), Some(-2));
        assert_eq!(scaled("+3600.5", 6), Some(3_600_500_000));
        assert_eq!(scaled("0.000000000", 6), Some(0));
        assert_eq!(scaled("12", 3), Some(12_000));
        for text in [
            "",
            "-",
            ".5",
            "1e3",
            "1.2.3",
            "nan",
            "99999999999999999999",
            "9223372036854775807.9",
            "1,5",
        ] {
            assert_eq!(scaled(text, 6), None, "{text}");
        }
    }

    #[test]
    fn bounds_are_never_below_the_value() {
        for (value, bound) in [
            (-5, 0),
            (0, 0),
            (1, 1),
            (3, 5),
            (6, 10),
            (10, 10),
            (11, 20),
            (999_999, 1_000_000),
            (1_000_000, 1_000_000),
            (1_000_001, 2_000_000),
            (16_000_000, 20_000_000),
            (i64::MAX, i64::MAX),
        ] {
            assert_eq!(rounded_up(value), bound, "{value}");
        }
    }
}
