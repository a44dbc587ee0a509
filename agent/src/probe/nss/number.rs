//! Numbers in name service files: strtoul(3) on 64 bits, as glibc's file parser calls it.

use super::BLANKS;

/// The number at the start of `text` and what follows it; no number leaves `text` as it is. `Err` if it does not fit 32
/// bits: the C library then skips the line.
fn leading(text: &str) -> Result<(Option<u32>, &str), OutOfRange> {
    let digits = text.trim_start_matches(BLANKS);
    let (negative, digits) = match digits.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, digits.strip_prefix('+').unwrap_or(digits)),
    };
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    if digits.is_empty() {
        return Ok((None, text));
    }
    let value: u64 = digits.parse().map_err(|_| OutOfRange)?;
    let value = if negative {
        value.wrapping_neg()
    } else {
        value
    };
    let value = u32::try_from(value).map_err(|_| OutOfRange)?;
    Ok((Some(value), rest))
}

/// A number that does not fit 32 bits.
struct OutOfRange;

/// A whole field that must be a number.
pub(super) fn required(field: &str) -> Option<u32> {
    match leading(field) {
        Ok((value, "")) => value,
        _ => None,
    }
}

/// Takes a field that may be blank from the start of `line`, with its colon. `None` if the line ends before it or the
/// field is no number: the C library then skips the line.
pub(super) fn optional(line: &mut &str) -> Option<Option<u32>> {
    if line.is_empty() {
        return None;
    }
    let (value, rest) = leading(line).ok()?;
    *line = match rest.strip_prefix(':') {
        Some(rest) => rest,
        None if rest.is_empty() => rest,
        None => return None,
    };
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::required;

    /// Each line was given to `getent -s files passwd` of glibc 2.36.
    #[test]
    fn numbers_are_read_as_the_c_library_does() {
        for zero in [
            "0",
            "00",
            "+0",
            "-0",
            " 0",
            "\t0",
            "0000000000000000000000000",
        ] {
            assert_eq!(required(zero), Some(0), "{zero:?}");
        }
        for ignored in [
            "0x0",
            "",
            "4294967296",
            "99999999999999999999",
            "18446744073709551616",
            "-1",
            "-4294967296",
            "0 ",
            "++0",
            "+-1",
            "a",
        ] {
            assert_eq!(required(ignored), None, "{ignored:?}");
        }
        assert_eq!(required("-18446744073709551615"), Some(1));
        assert_eq!(required("4294967295"), Some(u32::MAX));
    }
}
