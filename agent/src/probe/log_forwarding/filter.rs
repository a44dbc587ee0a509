//! Which messages a rule or a condition of rsyslog is for.
//!
//! A filter is either a set of facilities and severities, or known to leave authentication alone, or unknown: then a
//! `stop` under it is refused, and an action under it counts for nothing.

use super::selector::Messages;

/// Programs whose messages are log-ons and uses of privileges.
const AUTH_PROGRAMS: [&str; 6] = ["sshd", "sudo", "su", "login", "pam", "systemd-logind"];
/// Words by which a filter on the text would catch such messages.
const AUTH_WORDS: [&str; 7] = [
    "session", "Accepted", "Failed", "ssh", "sudo", "pam", "auth",
];

/// Which messages a statement sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Filter {
    /// All of these.
    Select(Messages),
    /// A few, none of them about authentication.
    Narrow(String),
    /// Some, which may be about authentication.
    Unknown(String),
    /// Some, among them surely all log-ons of one kind.
    LogOns(String),
}

impl Filter {
    pub(super) fn and(&self, inner: Filter) -> Filter {
        match (self, inner) {
            (Filter::Select(a), Filter::Select(b)) => Filter::Select(a.and(b)),
            (Filter::Narrow(text), _) => Filter::Narrow(text.clone()),
            (_, Filter::Narrow(text)) => Filter::Narrow(text),
            (Filter::Select(set), Filter::LogOns(text)) if set.hold_log_ons() => {
                Filter::LogOns(text)
            }
            (Filter::LogOns(text), Filter::Select(set)) if set.hold_log_ons() => {
                Filter::LogOns(text.clone())
            }
            (Filter::Unknown(text) | Filter::LogOns(text), _) => Filter::Unknown(text.clone()),
            (_, Filter::Unknown(text) | Filter::LogOns(text)) => Filter::Unknown(text),
        }
    }

    /// What the other branch of a condition sees.
    pub(super) fn complement(&self) -> Filter {
        match self {
            Filter::Select(set) => Filter::Select(Messages::ALL.without(*set)),
            // All but a few.
            Filter::Narrow(_) => Filter::Select(Messages::ALL),
            Filter::Unknown(text) | Filter::LogOns(text) => {
                Filter::Unknown(format!("not ({text})"))
            }
        }
    }
}

/// The filter of a rule: a selector, or a property compared with a value.
pub(super) fn selected(text: &str) -> Option<Filter> {
    let Some(rest) = text.strip_prefix(':') else {
        return Messages::parse(text).map(Filter::Select);
    };
    let mut parts = rest.splitn(3, ',').map(str::trim);
    let (property, operation, value) = (parts.next()?, parts.next()?, parts.next()?);
    Some(comparison(
        property,
        operation,
        value.trim_matches('"'),
        text,
    ))
}

/// A condition of RainerScript.
pub(super) fn condition_filter(condition: &str) -> Filter {
    let text = without_parentheses(condition);
    let unknown = || Filter::Unknown(text.to_owned());
    if let Some(selector) = text
        .strip_prefix("prifilt(\"")
        .and_then(|rest| rest.strip_suffix("\")"))
    {
        return Messages::parse(selector).map_or_else(unknown, Filter::Select);
    }
    let lower = text.to_ascii_lowercase();
    if lower.contains(" or ") || lower.starts_with("not") || lower.contains(" not ") {
        let parts: Vec<&str> = text.split(" or ").collect();
        return if parts.len() > 1 && !lower.contains("not ") && !lower.contains(" and ") {
            any_of(parts.into_iter().map(condition_filter).collect(), text)
        } else {
            unknown()
        };
    }
    if let Some((first, second)) = text.split_once(" and ") {
        if text.contains(['(', ')']) {
            return unknown();
        }
        return condition_filter(first).and(condition_filter(second));
    }
    let Some((property, rest)) = text
        .strip_prefix('$')
        .and_then(|rest| rest.split_once([' ', '=']))
    else {
        return unknown();
    };
    let rest = rest.trim();
    let (operation, value) = match rest.find(['\'', '"']) {
        Some(quote) => rest.split_at(quote),
        None => return unknown(),
    };
    let operation = match operation.trim().to_ascii_lowercase().as_str() {
        "==" | "=" => "isequal",
        "startswith" => "startswith",
        "contains" => "contains",
        "!=" | "<>" => "!isequal",
        _ => return unknown(),
    };
    comparison(property, operation, value.trim_matches(['\'', '"']), text)
}

/// What stands in parentheses that hold the whole.
fn without_parentheses(text: &str) -> &str {
    let text = text.trim();
    let inside = text
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'));
    match inside {
        Some(inside) if !inside.contains(['(', ')']) => inside.trim(),
        _ => text,
    }
}

/// The filter of conditions of which one must hold.
fn any_of(parts: Vec<Filter>, text: &str) -> Filter {
    let text = text.to_owned();
    if parts.iter().any(|part| matches!(part, Filter::LogOns(_))) {
        return Filter::LogOns(text);
    }
    if parts.iter().all(|part| matches!(part, Filter::Narrow(_))) {
        return Filter::Narrow(text);
    }
    let sets = parts.iter().map(|part| match part {
        Filter::Select(set) => Some(*set),
        _ => None,
    });
    match sets.collect::<Option<Vec<Messages>>>() {
        Some(sets) => Filter::Select(sets.into_iter().fold(Messages::NONE, Messages::or)),
        None => Filter::Unknown(text),
    }
}

fn comparison(property: &str, operation: &str, value: &str, text: &str) -> Filter {
    let property = property.to_ascii_lowercase();
    let operation = operation.to_ascii_lowercase();
    let unknown = Filter::Unknown(text.to_owned());
    let narrow = Filter::Narrow(text.to_owned());
    match (property.as_str(), operation.as_str()) {
        ("syslogfacility-text", "isequal") => {
            Messages::of_facility(value).map_or(unknown, Filter::Select)
        }
        ("programname" | "syslogtag" | "app-name", "isequal" | "startswith") => {
            let about_auth = AUTH_PROGRAMS
                .iter()
                .any(|program| program.starts_with(value) || value.starts_with(program));
            let all_of_one = AUTH_PROGRAMS
                .iter()
                .any(|program| match operation.as_str() {
                    "isequal" => property != "syslogtag" && *program == value,
                    _ => program.starts_with(value),
                });
            match (about_auth, all_of_one) {
                (_, true) => Filter::LogOns(text.to_owned()),
                (true, false) => unknown,
                (false, false) => narrow,
            }
        }
        // Messages that came from elsewhere.
        ("fromhost-ip", "!isequal") if value == "127.0.0.1" => narrow,
        ("msg" | "rawmsg", "contains" | "startswith") => {
            let about_auth = AUTH_WORDS.iter().any(|word| value.contains(word));
            if about_auth || value.trim().len() < 4 {
                unknown
            } else {
                narrow
            }
        }
        _ => unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_narrow_only_if_it_surely_is() {
        for text in [
            "$programname == 'haproxy'",
            "$programname startswith \"dnsmasq\"",
            "$msg contains 'UFW BLOCK'",
            "$programname == 'a1' or $programname == 'b2'",
            "$programname == 'a1' and re_match($msg, 'x')",
            "$fromhost-ip != '127.0.0.1'",
        ] {
            let found = condition_filter(text);
            let expected = !text.contains("re_match");
            assert_eq!(matches!(found, Filter::Narrow(_)), expected, "{text}");
        }
        for text in [
            "not ($programname == 'a1')",
            "$programname != 'a1'",
            "$msg contains 'session opened'",
            "$msg contains ' '",
            "$fromhost-ip == '127.0.0.1'",
            "true",
            "",
        ] {
            assert!(
                matches!(condition_filter(text), Filter::Unknown(_)),
                "{text}"
            );
        }
        for text in [
            "$programname == 'sshd'",
            "($programname == \"sudo\")",
            "$programname startswith 's'",
            "$programname == 'a1' or $programname == 'sshd'",
        ] {
            let found = condition_filter(text);
            assert!(matches!(found, Filter::LogOns(_)), "{text}");
        }
        assert!(matches!(
            condition_filter("$programname == 'sshd' and $msg contains 'preauth'"),
            Filter::Unknown(_)
        ));
        assert_eq!(
            condition_filter(
                "$syslogfacility-text == 'auth' or ($syslogfacility-text == 'authpriv')"
            ),
            Filter::Select(Messages::parse("auth,authpriv.*").unwrap())
        );
        let auth = Filter::Select(Messages::of_facility("authpriv").unwrap());
        assert_eq!(condition_filter("$syslogfacility-text == 'authpriv'"), auth);
        assert_eq!(condition_filter("prifilt(\"authpriv.*\")"), auth);
        assert_eq!(selected("authpriv.*").unwrap(), auth);
        assert_eq!(selected("nonsense"), None);
    }
}
