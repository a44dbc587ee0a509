//! The filter of the list of hosts: `os:debian fail:disk. group:web silent:>1h` and plain words.

use evidence::time::Timestamp;

use super::HostSummary;

/// What narrows and orders the list of hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFilter {
    /// Terms as they were typed.
    pub text: String,
    /// The order.
    pub order: HostOrder,
}

/// The order of the list of hosts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HostOrder {
    /// Worst failures first.
    #[default]
    Fails,
    /// By name.
    Name,
    /// By group, then name.
    Group,
    /// By operating system, then name.
    System,
    /// Longest silence first.
    LastRound,
    /// Least observed first.
    Observed,
    /// Most errors first.
    Errors,
}

impl HostOrder {
    /// Every order there is.
    pub const ALL: [HostOrder; 7] = [
        HostOrder::Name,
        HostOrder::Group,
        HostOrder::System,
        HostOrder::LastRound,
        HostOrder::Observed,
        HostOrder::Fails,
        HostOrder::Errors,
    ];

    /// The word used in addresses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            HostOrder::Fails => "fails",
            HostOrder::Name => "name",
            HostOrder::Group => "group",
            HostOrder::System => "system",
            HostOrder::LastRound => "last-round",
            HostOrder::Observed => "observed",
            HostOrder::Errors => "errors",
        }
    }

    /// The order of that word; the usual one for any other.
    #[must_use]
    pub fn from_word(word: &str) -> HostOrder {
        let found = HostOrder::ALL
            .into_iter()
            .find(|order| order.as_str() == word);
        found.unwrap_or_default()
    }

    pub(super) fn sort(self, hosts: &mut [HostSummary]) {
        hosts.sort_by(|left, right| left.name.cmp(&right.name));
        match self {
            HostOrder::Name => {}
            HostOrder::Fails => hosts.sort_by_key(|host| std::cmp::Reverse(host.fails)),
            HostOrder::Group => hosts.sort_by(|left, right| left.group.cmp(&right.group)),
            HostOrder::System => hosts.sort_by(|left, right| left.system.cmp(&right.system)),
            HostOrder::LastRound => hosts.sort_by_key(|host| host.last_round),
            HostOrder::Observed => hosts.sort_by_key(|host| host.observed.per_mille),
            HostOrder::Errors => hosts.sort_by_key(|host| std::cmp::Reverse(host.errors)),
        }
    }
}

/// One term of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Term {
    Words(String),
    Group(String),
    System(String),
    State(String),
    Fail(String),
    Error(String),
    SilentForMs(i64),
}

impl HostFilter {
    /// The terms.
    ///
    /// # Errors
    /// A sentence that says which one was not understood and what is.
    pub(super) fn terms(&self) -> Result<Vec<Term>, String> {
        self.text.split_whitespace().map(term).collect()
    }
}

fn term(text: &str) -> Result<Term, String> {
    let Some((key, value)) = text.split_once(':') else {
        return Ok(Term::Words(text.to_lowercase()));
    };
    let lower = value.to_lowercase();
    match key {
        "group" => Ok(Term::Group(lower)),
        "os" => Ok(Term::System(lower)),
        "state" => Ok(Term::State(lower)),
        "fail" => Ok(Term::Fail(lower)),
        "error" => Ok(Term::Error(lower)),
        "silent" => silence(&lower).map(Term::SilentForMs).ok_or_else(|| {
            format!("“{text}” is not understood: write silent:>90m, silent:>1h or silent:>2d.")
        }),
        _ => Err(format!(
            "“{key}:” is not understood: use group:, os:, state:, fail:, error: or silent:, or plain words of a name."
        )),
    }
}

/// `>90m`, `>1h`, `>2d` in milliseconds.
fn silence(text: &str) -> Option<i64> {
    let length = text.strip_prefix('>')?;
    let number = length.get(..length.len().checked_sub(1)?)?;
    let unit_ms = match length.as_bytes().last()? {
        b'm' => 60_000,
        b'h' => 3_600_000,
        b'd' => 86_400_000,
        _ => return None,
    };
    let number: u32 = number.parse().ok()?;
    i64::from(number).checked_mul(unit_ms)
}

impl Term {
    pub(super) fn admits(&self, host: &HostSummary, now: Timestamp) -> bool {
        let has = |text: &str, part: &str| text.to_lowercase().contains(part);
        match self {
            Term::Words(words) => has(&host.name, words) || host.id.starts_with(words.as_str()),
            Term::Group(group) => host.group == *group,
            Term::System(system) => {
                has(&host.system.replace(' ', "-"), system) || has(&host.system, system)
            }
            Term::State(state) => host.state == *state,
            Term::Fail(check) => host.failing.iter().any(|id| id.as_str().starts_with(check)),
            Term::Error(check) => host.erring.iter().any(|id| id.as_str().starts_with(check)),
            Term::SilentForMs(ms) => host.last_round.is_none_or(|last| now.ms_since(last) > *ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_read_and_what_is_none_is_named() {
        let terms = |text: &str| {
            HostFilter {
                text: text.to_owned(),
                order: HostOrder::default(),
            }
            .terms()
        };
        assert_eq!(
            terms("os:Debian fail:disk. silent:>2h Web").unwrap(),
            [
                Term::System("debian".to_owned()),
                Term::Fail("disk.".to_owned()),
                Term::SilentForMs(7_200_000),
                Term::Words("web".to_owned()),
            ]
        );
        assert_eq!(terms("  ").unwrap(), []);
        assert!(terms("silent:1h").unwrap_err().contains("silent:>1h"));
        for wrong in [
            "silent:>",
            "silent:>é",
            "silent:>99999999999d",
            "silent:>1w",
            "colour:red",
        ] {
            assert!(terms(wrong).is_err(), "{wrong}");
        }
    }
}
