//! Archives that apt is told to use: sources.list(5) in its one-line and its deb822 form.

use super::configuration::{Configuration, parser::quote_word, parts, truth};
use super::stanza::{Stanza, Stanzas};
use super::trust::Trust;
use crate::probe::quoted::quoted;
use crate::probe::{Observation, Unobservable};

/// The main file.
const MAIN: &str = "/etc/apt/sources.list";
/// Directory of further files.
const PARTS: &str = "/etc/apt/sources.list.d";
/// Most enabled sources of one host.
const MAX_SOURCES: usize = 1000;
/// Most components or architectures of one source.
const MAX_WORDS: usize = 50;

/// One enabled source of binary packages: one URI and one suite.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    /// Where the archive is, as written but for `$(ARCH)`.
    pub uri: String,
    /// Suite or code name; a path that ends in `/` for an archive without suites.
    pub suite: String,
    /// Components; none for an archive without suites.
    pub components: Vec<String>,
    /// Architectures whose indexes are wanted.
    pub architectures: Vec<String>,
    /// How it is verified.
    pub trust: Trust,
    /// The file that names it.
    pub file: String,
}

impl Source {
    /// Whether packages of an architecture are taken from it. An archive without suites has one index for all.
    #[must_use]
    pub fn serves(&self, architecture: &str) -> bool {
        self.components.is_empty() || self.architectures.iter().any(|name| name == architecture)
    }
}

/// The enabled sources of binary packages, in apt's order. A medium such as a CD is none: nobody updates it.
///
/// # Errors
/// [`Unobservable`] naming the file that apt, too, could not read.
pub fn enabled(
    observation: &mut Observation<'_>,
    architectures: &Architectures,
) -> Result<Vec<Source>, Unobservable> {
    let mut paths = vec![MAIN.to_owned()];
    paths.extend(parts(observation, PARTS, &["list", "sources"])?);
    let mut sources = Vec::new();
    for path in paths {
        let Some(text) = observation.text(&path)? else {
            continue;
        };
        let read = if path.ends_with(".sources") {
            read_stanzas(&text, architectures)
        } else {
            read_lines(&text, architectures)
        };
        let mut read = read.map_err(|problem| Unobservable::unparsable(&path, problem))?;
        for source in &mut read {
            source.file.clone_from(&path);
        }
        sources.extend(read);
        if sources.len() > MAX_SOURCES {
            return Err(Unobservable::unparsable(&path, "too many sources"));
        }
    }
    Ok(sources)
}

/// The architectures of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Architectures {
    /// The native one.
    pub native: String,
    /// All whose packages may be installed, the native one first.
    pub all: Vec<String>,
}

impl Architectures {
    /// From apt's configuration and what dpkg says.
    ///
    /// # Errors
    /// [`Unobservable`] if dpkg's list of architectures cannot be read.
    pub fn read(
        observation: &mut Observation<'_>,
        configuration: &Configuration,
        native: &str,
    ) -> Result<Architectures, Unobservable> {
        let native = configuration
            .value("APT::Architecture")
            .filter(|name| !name.is_empty())
            .unwrap_or(native)
            .to_owned();
        let mut all = vec![native.clone()];
        let configured = configuration.list("APT::Architectures");
        let foreign = observation.text("/var/lib/dpkg/arch")?.unwrap_or_default();
        let more: Vec<&str> = if configured.is_empty() {
            foreign.lines().map(str::trim).collect()
        } else {
            configured
        };
        if more.len() > MAX_WORDS {
            let path = "/var/lib/dpkg/arch";
            return Err(Unobservable::unparsable(
                path,
                "more architectures than there are",
            ));
        }
        for name in more {
            if !name.is_empty() && !all.iter().any(|known| known == name) {
                all.push(name.to_owned());
            }
        }
        Ok(Architectures { native, all })
    }
}

/// Changes to the list of architectures: `arch=`, `arch+=`, `arch-=` or the fields of the same meaning.
#[derive(Default)]
struct Selection {
    set: Option<Vec<String>>,
    add: Vec<String>,
    remove: Vec<String>,
}

impl Selection {
    fn of(self, architectures: &Architectures) -> Result<Vec<String>, String> {
        let mut selected = self.set.unwrap_or_else(|| architectures.all.clone());
        selected.extend(self.add);
        if selected.len() > MAX_WORDS || self.remove.len() > MAX_WORDS {
            return Err("more architectures than there are".to_owned());
        }
        selected.retain(|name| !self.remove.contains(name));
        Ok(selected)
    }
}

/// What is written before it is multiplied out: several URIs and suites share their components.
struct Written {
    uris: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
    selection: Selection,
    trust: Trust,
}

impl Written {
    fn expand(self, architectures: &Architectures) -> Result<Vec<Source>, String> {
        if self.uris.is_empty() || self.suites.is_empty() {
            return Err("a source without URI or suite".to_owned());
        }
        let wanted = self.selection.of(architectures)?;
        if self.uris.len().saturating_mul(self.suites.len()) > MAX_SOURCES
            || self.components.len() > MAX_WORDS
        {
            return Err("more URIs, suites or components than a source has".to_owned());
        }
        let mut sources = Vec::new();
        for uri in &self.uris {
            if !uri.contains(':') {
                return Err(format!("{} is no URI", quoted(uri)));
            }
            if uri.starts_with("cdrom:") {
                continue;
            }
            for suite in &self.suites {
                if suite.ends_with('/') != self.components.is_empty() {
                    return Err(format!(
                        "suite {} needs components unless it ends in a slash",
                        quoted(suite)
                    ));
                }
                sources.push(Source {
                    uri: uri.replace("$(ARCH)", &architectures.native),
                    suite: suite.replace("$(ARCH)", &architectures.native),
                    components: self.components.clone(),
                    architectures: wanted.clone(),
                    trust: self.trust.clone(),
                    file: String::new(),
                });
            }
        }
        Ok(sources)
    }
}

fn read_lines(text: &str, architectures: &Architectures) -> Result<Vec<Source>, String> {
    let mut sources = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let at = |problem: String| format!("line {}: {problem}", number + 1);
        let line = without_comment(line).replace('\t', " ");
        let Some((kind, rest)) = quote_word(line.trim()) else {
            if line.trim().is_empty() {
                continue;
            }
            return Err(at("an unclosed quote or bracket".to_owned()));
        };
        match kind.as_str() {
            "deb" => {
                let written = read_line(rest).map_err(at)?;
                sources.extend(written.expand(architectures).map_err(at)?);
            }
            "deb-src" => {}
            other => return Err(at(format!("{} is no type of source", quoted(other)))),
        }
    }
    Ok(sources)
}

/// A `#` begins a comment anywhere but in brackets.
fn without_comment(line: &str) -> &str {
    let mut bracket = false;
    for (at, c) in line.char_indices() {
        match c {
            '[' => bracket = true,
            ']' => bracket = false,
            '#' if !bracket => return &line[..at],
            _ => {}
        }
    }
    line
}

fn read_line(rest: &str) -> Result<Written, String> {
    let mut rest = rest.trim_start();
    let mut selection = Selection::default();
    let mut trust = Trust::default();
    if let Some(inner) = rest.strip_prefix('[') {
        let (options, after) = inner.split_once(']').ok_or("options without an end")?;
        for option in options.split_whitespace() {
            let (name, value) = option
                .split_once('=')
                .ok_or_else(|| format!("option {} has no value", quoted(option)))?;
            let values = || value.split(',').map(str::to_owned).collect();
            match name {
                "arch" => selection.set = Some(values()),
                "arch+" => selection.add = values(),
                "arch-" => selection.remove = values(),
                name => trust.take(name, value),
            }
        }
        rest = after.trim_start();
    }
    let mut words = Vec::new();
    while let Some((word, after)) = quote_word(rest) {
        words.push(word);
        rest = after;
    }
    if !rest.trim().is_empty() {
        return Err("an unclosed quote or bracket".to_owned());
    }
    let mut words = words.into_iter();
    Ok(Written {
        uris: words.next().into_iter().collect(),
        suites: words.next().into_iter().collect(),
        components: words.collect(),
        selection,
        trust,
    })
}

fn read_stanzas(text: &str, architectures: &Architectures) -> Result<Vec<Source>, String> {
    let mut stanzas = Stanzas::new(
        text.as_bytes(),
        &[
            "Enabled",
            "Types",
            "URIs",
            "Suites",
            "Components",
            "Architectures",
            "Architectures-Add",
            "Architectures-Remove",
            "Trusted",
            "Allow-Insecure",
            "Allow-Weak",
            "Allow-Downgrade-To-Insecure",
            "Check-Valid-Until",
            "Check-Date",
            "Signed-By",
        ],
    );
    let mut sources = Vec::new();
    while let Some(stanza) = stanzas.next_stanza().map_err(|error| error.to_string())? {
        let enabled = stanza.get("Enabled").and_then(truth).unwrap_or(true);
        let mut types = stanza.words("Types").peekable();
        if types.peek().is_none() && stanza.get("Types").is_none() && stanza == Stanza::default() {
            continue;
        }
        if let Some(other) = stanza
            .words("Types")
            .find(|kind| !matches!(*kind, "deb" | "deb-src"))
        {
            return Err(format!("{} is no type of source", quoted(other)));
        }
        if types.peek().is_none() {
            return Err("a source without Types".to_owned());
        }
        if !enabled || !types.any(|kind| kind == "deb") {
            continue;
        }
        let words = |field: &str| stanza.words(field).map(str::to_owned).collect::<Vec<_>>();
        let written = Written {
            uris: words("URIs"),
            suites: words("Suites"),
            components: words("Components"),
            selection: Selection {
                set: Some(words("Architectures")).filter(|set| !set.is_empty()),
                add: words("Architectures-Add"),
                remove: words("Architectures-Remove"),
            },
            trust: Trust::of_stanza(&stanza),
        };
        sources.extend(written.expand(architectures)?);
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amd64() -> Architectures {
        Architectures {
            native: "amd64".into(),
            all: vec!["amd64".into(), "i386".into()],
        }
    }

    #[test]
    fn one_line_sources() {
        let found = read_lines(
            "# deb http://no x y\n\n deb [arch=amd64,arm64 signed-by=/a#b] http://a/debian bookworm main contrib # end\ndeb-src http://a b c\ndeb http://flat ./\ndeb cdrom:[Debian 12]/ bookworm main\n",
            &amd64(),
        )
        .unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].uri, "http://a/debian");
        assert_eq!(found[0].components, ["main", "contrib"]);
        assert_eq!(found[0].architectures, ["amd64", "arm64"]);
        assert_eq!(found[1].suite, "./");
        assert_eq!(found[1].architectures, ["amd64", "i386"]);
        for bad in [
            "deb http://a",
            "deb http://a b",
            "deb [arch=x http://a b c",
            "rpm http://a b c",
            "deb nowhere b c",
            "deb [arch] http://a b c",
        ] {
            assert!(read_lines(bad, &amd64()).is_err(), "{bad}");
        }
    }

    #[test]
    fn options_that_weaken_are_told() {
        let trust = |option: &str| {
            let line = format!("deb [{option}] http://a/debian bookworm main\n");
            read_lines(&line, &amd64()).unwrap().remove(0).trust
        };
        assert_eq!(trust("trusted=yes").weakened, ["trusted=yes"]);
        assert_eq!(trust("allow-weak=1").weakened, ["allow-weak=1"]);
        assert_eq!(trust("check-date=no").replay, ["check-date=no"]);
        assert_eq!(
            trust("signed-by=/k.gpg").signed_by.as_deref(),
            Some("/k.gpg")
        );
        for without in ["Trusted=yes", "trusted=no", "check-date=yes", "lang=none"] {
            assert_eq!(trust(without), Trust::default(), "{without}");
        }
        let stanza = "Types: deb\nURIs: http://a\nSuites: s\nComponents: main\nTRUSTED: On\nCheck-Valid-Until: no\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n";
        let trust = read_stanzas(stanza, &amd64()).unwrap().remove(0).trust;
        assert_eq!(trust.weakened, ["trusted=On"]);
        assert_eq!(trust.replay, ["check-valid-until=no"]);
        assert_eq!(trust.signed_by.as_deref(), Some("an embedded key"));
    }

    #[test]
    fn deb822_sources() {
        let found = read_stanzas(
            "# head\nTypes: deb deb-src\nURIs: http://a http://b\nSuites: s s-updates\nComponents: main\nArchitectures-Remove: i386\nSigned-By:\n -----BEGIN\n .\n x\n\nTypes: deb\nEnabled: no\nURIs: http://c\nSuites: s\nComponents: main\n\n# only a comment\n\nTypes: deb-src\nURIs: http://d\nSuites: s\nComponents: main\n",
            &amd64(),
        )
        .unwrap();
        assert_eq!(found.len(), 4);
        assert!(found.iter().all(|source| source.architectures == ["amd64"]));
        assert!(read_stanzas("Types: deb\nURIs: http://a\nComponents: main\n", &amd64()).is_err());
        assert!(
            read_stanzas(
                "Types: rpm\nURIs: http://a\nSuites: b\nComponents: main\n",
                &amd64()
            )
            .is_err()
        );
        assert!(read_stanzas("URIs: http://a\nSuites: b\nComponents: main\n", &amd64()).is_err());
    }

    /// apt itself says which release files it would fetch, and under which names it would keep them.
    #[test]
    fn sources_and_file_names_are_those_of_apt() {
        let apt = "/usr/bin/apt-get";
        assert!(
            std::path::Path::new(apt).exists(),
            "this test compares with {apt}; run it on Debian or Ubuntu"
        );
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        for directory in [
            "etc/apt/sources.list.d",
            "var/lib/apt/lists/partial",
            "var/lib/dpkg",
            "var/cache/apt/archives/partial",
        ] {
            std::fs::create_dir_all(path.join(directory)).unwrap();
        }
        let files = [
            ("var/lib/dpkg/status", ""),
            (
                "first.conf",
                &format!(
                    "Dir \"{}\"; APT::Architecture \"amd64\"; APT::Architectures {{ \"amd64\"; }};",
                    path.display()
                ),
            ),
            (
                "etc/apt/sources.list",
                "deb http://a.example/debian/ bookworm main contrib # comment\n\n  deb\t[arch=amd64 signed-by=/k] https://u:p@b.example:8080/x~y_z s main\n#deb http://no.example/ s main\ndeb file:/srv/repo ./\ndeb http://flat.example/a//b//  /sub/\ndeb http://flat.example/a /\ndeb-src http://src.example s main\ndeb http://c.example/debian bullseye/updates main\ndeb http://d.example/$(ARCH) s main\n",
            ),
            (
                "etc/apt/sources.list.d/one.sources",
                "# x\nTypes: deb deb-src\nURIs: http://e.example/debian http://f.example/%7Ex\nSuites: s\n s-updates\nComponents: main\n\nTypes: deb\nEnabled: false\nURIs: http://g.example\nSuites: s\nComponents: main\n",
            ),
            (
                "etc/apt/sources.list.d/two.list",
                "deb http://[2001:db8::1]:80/debian s main\n",
            ),
            (
                "etc/apt/sources.list.d/three.list.save",
                "deb http://h.example s main\n",
            ),
            (
                "etc/apt/sources.list.d/no-ending",
                "deb http://i.example s main\n",
            ),
        ];
        for (name, text) in files {
            std::fs::write(path.join(name), text).unwrap();
        }
        let output = std::process::Command::new(apt)
            .args(["--print-uris", "update"])
            .env("APT_CONFIG", path.join("first.conf"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut theirs: Vec<String> = text
            .lines()
            .filter_map(|line| {
                line.rsplit("' ")
                    .next()?
                    .split(' ')
                    .next()
                    .map(str::to_owned)
            })
            .filter(|name| name.ends_with("_InRelease") && !name.starts_with("src."))
            .collect();
        let host = crate::host::FileSystemHost::offline(path).unwrap();
        let mut memory = crate::probe::VolatileMemory::default();
        let now = evidence::time::Timestamp::from_unix_ms(0);
        let mut observation = Observation::new(&host, &mut memory, "test", now);
        let architectures = Architectures {
            native: "amd64".into(),
            all: vec!["amd64".into()],
        };
        let mut ours: Vec<String> = enabled(&mut observation, &architectures)
            .unwrap()
            .iter()
            .map(|source| super::super::list::release_path(source, "InRelease"))
            .map(|path| path.rsplit('/').next().unwrap().to_owned())
            .collect();
        ours.sort();
        theirs.sort();
        assert!(
            theirs.len() > 8,
            "{text} {}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(ours, theirs);
    }
}
