//! Selectors of syslog.conf(5): which facilities and severities a rule takes.

/// Facilities by number (RFC 5424); 12 to 15 have names of their own in rsyslog.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];
/// Severities by number, most severe first.
const SEVERITIES: [&str; 8] = [
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
];
/// Everything but debug: what counts as all of a facility.
const ALL_BUT_DEBUG: u8 = 0x7f;

/// A set of messages: for each facility the severities, bit 0 the most severe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Messages([u8; 24]);

impl Messages {
    pub(super) const ALL: Messages = Messages([0xff; 24]);
    pub(super) const NONE: Messages = Messages([0; 24]);

    pub(super) fn and(self, other: Messages) -> Messages {
        Messages(std::array::from_fn(|i| self.0[i] & other.0[i]))
    }

    pub(super) fn without(self, other: Messages) -> Messages {
        Messages(std::array::from_fn(|i| self.0[i] & !other.0[i]))
    }

    pub(super) fn or(self, other: Messages) -> Messages {
        Messages(std::array::from_fn(|i| self.0[i] | other.0[i]))
    }

    /// Whether all that programs say of log-ons is in the set.
    pub(super) fn hold_log_ons(self) -> bool {
        self.and(Messages::of_log_ons()) == Messages::of_log_ons()
    }

    /// What programs say of log-ons: `auth` and `authpriv`.
    pub(super) fn of_log_ons() -> Messages {
        let both = ["auth", "authpriv"]
            .into_iter()
            .filter_map(Messages::of_facility);
        both.fold(Messages::NONE, Messages::or)
    }

    /// Those of one facility.
    pub(super) fn of_facility(name: &str) -> Option<Messages> {
        let number = facility(name)?;
        Some(Messages(std::array::from_fn(|i| {
            if i == number { 0xff } else { 0 }
        })))
    }

    /// Facilities of which all but debug messages are in the set.
    pub(super) fn facilities(self) -> Vec<String> {
        let whole = self.0.iter().zip(FACILITIES);
        whole
            .filter(|(severities, _)| **severities & ALL_BUT_DEBUG == ALL_BUT_DEBUG)
            .map(|(_, name)| name.to_owned())
            .collect()
    }

    /// `auth,authpriv.*;mail.none`: parts from left to right, each adding or taking away.
    pub(super) fn parse(selector: &str) -> Option<Messages> {
        let mut set = Messages::NONE;
        for part in selector.split(';').filter(|part| !part.is_empty()) {
            let (names, severity) = part.rsplit_once('.')?;
            let (severities, taken) = severities(severity)?;
            for name in names.split(',') {
                let chosen: Vec<usize> = if name == "*" {
                    (0..FACILITIES.len()).collect()
                } else {
                    vec![facility(name)?]
                };
                for number in chosen {
                    if let Some(known) = set.0.get_mut(number) {
                        if taken {
                            *known &= !severities;
                        } else {
                            *known |= severities;
                        }
                    }
                }
            }
        }
        Some(set)
    }
}

fn facility(name: &str) -> Option<usize> {
    let name = name.to_ascii_lowercase();
    let name = if name == "security" {
        "auth"
    } else {
        name.as_str()
    };
    FACILITIES.iter().position(|known| *known == name)
}

/// The severities, and whether they are taken away.
fn severities(text: &str) -> Option<(u8, bool)> {
    let (taken, text) = match text.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (exact, text) = match text.strip_prefix('=') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let word = text.to_ascii_lowercase();
    let number = match word.as_str() {
        "*" => return Some((0xff, taken)),
        "none" => return Some((0xff, true)),
        "panic" => 0,
        "error" => 3,
        "warn" => 4,
        word => SEVERITIES.iter().position(|known| *known == word)?,
    };
    let bits = if exact {
        1_u8 << number
    } else {
        // This severity and everything more severe.
        u8::try_from((1_u16 << (number + 1)) - 1).ok()?
    };
    Some((bits, taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_add_and_take_away() {
        let all = Messages::parse("*.*").unwrap();
        assert_eq!(all, Messages::ALL);
        let without_auth = Messages::parse("*.*;auth,authpriv.none").unwrap();
        let names = without_auth.facilities();
        assert!(!names.contains(&"auth".to_owned()) && !names.contains(&"authpriv".to_owned()));
        assert_eq!(names.len(), 22);
        assert_eq!(
            Messages::parse("auth,authpriv.info").unwrap().facilities(),
            ["auth", "authpriv"]
        );
        assert!(
            Messages::parse("authpriv.warning")
                .unwrap()
                .facilities()
                .is_empty()
        );
        assert!(
            Messages::parse("*.info;*.!err")
                .unwrap()
                .facilities()
                .is_empty()
        );
        assert!(
            Messages::parse("auth.=info")
                .unwrap()
                .facilities()
                .is_empty()
        );
        for text in ["auth", "nothing.*", "auth.loud", "*"] {
            assert_eq!(Messages::parse(text), None, "{text}");
        }
    }
}
