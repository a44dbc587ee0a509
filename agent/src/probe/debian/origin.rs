//! Which archives unattended-upgrades installs from: its patterns, matched as it matches them.

use super::Distribution;
use super::configuration::Configuration;
use super::release::Release;

/// One pattern in the form `origin=Debian,label=Debian-Security`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    parts: Vec<(Field, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Origin,
    Label,
    Suite,
    Component,
    Site,
    Codename,
}

/// A pattern on which unattended-upgrades itself gives up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unattended-upgrades cannot use the pattern {0:?}")]
pub struct BadPattern(String);

/// The patterns of `Allowed-Origins` and `Origins-Pattern`, with variables filled in.
///
/// # Errors
/// [`BadPattern`] for the first that unattended-upgrades would stop at.
pub fn patterns(
    configuration: &Configuration,
    distribution: &Distribution,
) -> Result<Vec<Pattern>, BadPattern> {
    let mut texts = Vec::new();
    for legacy in configuration.list("Unattended-Upgrade::Allowed-Origins") {
        texts.push(from_legacy(legacy).ok_or_else(|| BadPattern(legacy.to_owned()))?);
    }
    let current = configuration.list("Unattended-Upgrade::Origins-Pattern");
    texts.extend(current.into_iter().map(str::to_owned));
    texts
        .into_iter()
        .filter(|text| !text.trim().is_empty())
        .map(|text| Pattern::parse(&substitute(&text, distribution)).ok_or(BadPattern(text)))
        .collect()
}

/// `Debian:bookworm-security` compares with origin and suite.
fn from_legacy(text: &str) -> Option<String> {
    let escaped = text.replace("\\:", "\u{0}");
    let words: Vec<&str> = if escaped.contains(':') {
        escaped.split(':').collect()
    } else {
        escaped.split_whitespace().collect()
    };
    let [origin, suite] = words.as_slice() else {
        return None;
    };
    let plain = |word: &str| word.replace('\u{0}', ":").replace(',', "\\,");
    Some(format!("o={},a={}", plain(origin), plain(suite)))
}

fn substitute(text: &str, distribution: &Distribution) -> String {
    let codename = distribution.codename.as_deref().unwrap_or_default();
    [
        ("distro_id", distribution.distributor.as_str()),
        ("distro_codename", codename),
    ]
    .iter()
    .fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("${{{name}}}"), value)
            .replace(&format!("${name}"), value)
    })
}

impl Pattern {
    fn parse(text: &str) -> Option<Pattern> {
        let escaped = text.trim().replace("\\,", "%2C");
        let mut parts = Vec::new();
        for token in escaped.split(',') {
            let (name, value) = token.split_once('=')?;
            if value.contains('=') {
                return None;
            }
            let field = match name.trim() {
                "o" | "origin" => Field::Origin,
                "l" | "label" => Field::Label,
                "a" | "suite" | "archive" => Field::Suite,
                "c" | "component" => Field::Component,
                "site" => Field::Site,
                "n" | "codename" => Field::Codename,
                _ => return None,
            };
            parts.push((field, value.trim().replace("%2C", ",")));
        }
        Some(Pattern {
            text: text.to_owned(),
            parts,
        })
    }

    /// The pattern with its variables filled in.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether packages of `component` of an archive on `site` match.
    #[must_use]
    pub fn matches(&self, release: &Release, site: &str, component: &str) -> bool {
        self.parts.iter().all(|(field, glob)| {
            let value = match field {
                Field::Origin => &release.origin,
                Field::Label => &release.label,
                Field::Suite => &release.suite,
                Field::Codename => &release.codename,
                Field::Component => component,
                Field::Site => site,
            };
            matches_glob(glob, value)
        })
    }
}

/// fnmatch(3) without special treatment of slashes and dots.
#[must_use]
pub fn matches_glob(glob: &str, text: &str) -> bool {
    let glob: Vec<char> = glob.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut g, mut t) = (0, 0);
    // Where to go on after a `*`, should the rest not match: one character further each time.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if glob.get(g) == Some(&'*') {
            retry = Some((g + 1, t));
            g += 1;
        } else if let Some(length) = matches_one(&glob[g..], text[t]) {
            g += length;
            t += 1;
        } else if let Some((after_star, from)) = retry {
            retry = Some((after_star, from + 1));
            (g, t) = (after_star, from + 1);
        } else {
            return false;
        }
    }
    glob[g..].iter().all(|c| *c == '*')
}

/// How many characters of `glob` match the one character, if they do.
fn matches_one(glob: &[char], c: char) -> Option<usize> {
    match glob.first()? {
        '?' => Some(1),
        '[' => {
            let negated = glob.get(1) == Some(&'!');
            let start = if negated { 2 } else { 1 };
            // A `]` in first place is a member.
            let end = (start + 1..glob.len()).find(|at| glob[*at] == ']');
            let Some(end) = end else {
                return (c == '[').then_some(1);
            };
            (in_class(&glob[start..end], c) != negated).then_some(end + 1)
        }
        literal => (*literal == c).then_some(1),
    }
}

fn in_class(mut class: &[char], c: char) -> bool {
    while let Some((first, rest)) = class.split_first() {
        if let ['-', last, after @ ..] = rest {
            if (*first..=*last).contains(&c) {
                return true;
            }
            class = after;
        } else {
            if *first == c {
                return true;
            }
            class = rest;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bookworm() -> Distribution {
        Distribution {
            id: "debian".into(),
            distributor: "Debian".into(),
            codename: Some("bookworm".into()),
        }
    }

    fn security() -> Release {
        Release {
            origin: "Debian".into(),
            label: "Debian-Security".into(),
            suite: "oldstable-security".into(),
            codename: "bookworm-security".into(),
            ..Release::default()
        }
    }

    #[test]
    fn patterns_match_what_they_match_in_unattended_upgrades() {
        for (pattern, expected) in [
            (
                "origin=Debian,codename=${distro_codename},label=Debian-Security",
                false,
            ),
            (
                "origin=Debian,codename=${distro_codename}-security,label=Debian-Security",
                true,
            ),
            ("origin=${distro_id},archive=stable-security", false),
            ("o=Debian,a=oldstable-security", true),
            ("origin=*", true),
            ("l=Debian-Sec*,n=book?orm-[rst]ecurity", true),
            ("origin=debian", false),
            (
                "origin=Debian, component = main , site=security.debian.org",
                true,
            ),
            ("origin=Debian,component=contrib", false),
            ("origin=De\\,bian", false),
        ] {
            let pattern = Pattern::parse(&substitute(pattern, &bookworm())).unwrap();
            assert_eq!(
                pattern.matches(&security(), "security.debian.org", "main"),
                expected,
                "{pattern:?}"
            );
        }
        assert_eq!(
            from_legacy("Debian:bookworm-security").unwrap(),
            "o=Debian,a=bookworm-security"
        );
        assert_eq!(from_legacy("Debian stable").unwrap(), "o=Debian,a=stable");
        assert_eq!(from_legacy("a:b:c"), None);
        for bad in ["origin", "colour=red", "origin=a=b", "origin=a,,label=b"] {
            assert_eq!(Pattern::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn globs_end_whatever_they_hold() {
        assert!(matches_glob("a*b*c", "aXbXbc"));
        assert!(!matches_glob("a*b*c", "aXbXb"));
        assert!(matches_glob("[]a]", "]"));
        assert!(matches_glob("[!a]", "b"));
        assert!(matches_glob("[", "["));
        assert!(matches_glob("[a-", "[a-"));
        assert!(matches_glob("**", ""));
        assert!(!matches_glob("", "a"));
        assert!(!matches_glob(&"*a".repeat(50), &"b".repeat(200)));
    }
}
