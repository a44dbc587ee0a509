//! Pins (apt_preferences(5)): why an update that is there would not be chosen.

use super::configuration::parts;
use super::origin::matches_glob;
use super::release::Release;
use super::stanza::{Stanza, Stanzas};
use crate::probe::{Observation, Unobservable};

/// One pin for packages named; pins for every package shift whole archives and are kept too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    packages: Vec<String>,
    what: String,
    priority: i64,
}

/// The pins of a host.
///
/// # Errors
/// [`Unobservable`] for a file that cannot be read.
pub fn read(observation: &mut Observation<'_>) -> Result<Vec<Pin>, Unobservable> {
    let mut paths = vec!["/etc/apt/preferences".to_owned()];
    paths.extend(parts(observation, "/etc/apt/preferences.d", &["pref", ""])?);
    let mut pins = Vec::new();
    for path in paths {
        let Some(text) = observation.text(&path)? else {
            continue;
        };
        let mut stanzas = Stanzas::new(text.as_bytes(), &["Package", "Pin", "Pin-Priority"]);
        while let Some(stanza) = stanzas
            .next_stanza()
            .map_err(|error| Unobservable::unparsable(&path, error))?
        {
            pins.extend(Pin::of(&stanza));
        }
    }
    Ok(pins)
}

impl Pin {
    fn of(stanza: &Stanza) -> Option<Pin> {
        Some(Pin {
            packages: stanza.words("Package").map(str::to_owned).collect(),
            what: stanza.get("Pin")?.to_owned(),
            priority: stanza.get("Pin-Priority")?.parse().ok()?,
        })
    }

    fn names(&self, package: &str) -> bool {
        self.packages
            .iter()
            .any(|pattern| matches_glob(pattern, package))
    }

    /// Whether the pin is about this version from this archive on `site`.
    fn selects(&self, release: &Release, site: &str, version: &str) -> bool {
        let (kind, rest) = self
            .what
            .split_once([' ', '\t'])
            .unwrap_or((&self.what, ""));
        match kind {
            "version" => matches_glob(rest.trim(), version),
            "origin" => matches_glob(rest.trim().trim_matches('"'), site),
            "release" => selects_release(rest, release),
            _ => false,
        }
    }

    fn is_for_all(&self) -> bool {
        self.packages.iter().any(|pattern| pattern == "*")
    }
}

fn selects_release(terms: &str, release: &Release) -> bool {
    terms.split(',').all(|term| {
        // A word alone is the suite or the code name.
        let Some((name, value)) = term.split_once('=') else {
            let names = [&release.suite, &release.codename];
            return names.iter().any(|name| matches_glob(term.trim(), name));
        };
        let field = match name.trim() {
            "o" => &release.origin,
            "l" => &release.label,
            "a" => &release.suite,
            "n" => &release.codename,
            _ => return true,
        };
        matches_glob(value.trim().trim_matches('"'), field)
    })
}

/// Whether pins for every package keep an archive as a whole from being chosen over what is installed.
#[must_use]
pub fn keeps_out(pins: &[Pin], release: &Release, site: &str) -> bool {
    let whole = |pin: &&Pin| pin.is_for_all() && !pin.what.starts_with("version");
    pins.iter()
        .filter(whole)
        .any(|pin| pin.priority <= 100 && pin.selects(release, site, ""))
}

/// Whether pins keep `version` of `package` from being chosen: a priority below that of what is installed, or a pin of
/// the package to something else.
#[must_use]
pub fn keeps_back(
    pins: &[Pin],
    package: &str,
    (release, site): (&Release, &str),
    version: &str,
) -> bool {
    pins.iter().filter(|pin| pin.names(package)).any(|pin| {
        let selected = pin.selects(release, site, version);
        (selected && pin.priority <= 100) || (!selected && !pin.is_for_all() && pin.priority > 500)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_that_keep_an_update_back() {
        let release = Release {
            label: "Debian-Security".into(),
            codename: "bookworm-security".into(),
            ..Release::default()
        };
        let pin = |packages: &str, what: &str, priority: i64| Pin {
            packages: packages.split(' ').map(str::to_owned).collect(),
            what: what.into(),
            priority,
        };
        for (pin, expected) in [
            (pin("openssl", "release l=Debian-Security", -1), true),
            (pin("open*", "version *", -1), true),
            (pin("openssl", "version 3.0.11-1*", 1001), true),
            (pin("openssl", "version 3.0.15-1*", 1001), false),
            (pin("*", "release l=Debian-Security", -1), true),
            (pin("*", "release l=Debian", 990), false),
            (pin("nginx", "version *", -1), false),
            (pin("*", "origin \"security.debian.org\"", -1), true),
            (pin("*", "origin deb.debian.org", -1), false),
            (pin("*", "release bookworm-security", 1), true),
            (pin("*", "release bookworm", 1), false),
        ] {
            assert_eq!(
                keeps_back(
                    std::slice::from_ref(&pin),
                    "openssl",
                    (&release, "security.debian.org"),
                    "3.0.15-1~deb12u1"
                ),
                expected,
                "{pin:?}"
            );
        }
    }
}
