//! The mutations and the roots that they are applied to, as `tests/mutations/` holds them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use acceptance::machine::{Installer, Package};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::edit::Edit;

/// Policy of a root's group: parameters in place of the defaults, by check.
pub type Params = BTreeMap<String, BTreeMap<String, Value>>;

/// A file of `roots/`: roots that are hardened in the same way.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RootFile {
    #[serde(default)]
    packages: Vec<String>,
    #[serde(default)]
    edits: Vec<Edit>,
    #[serde(default)]
    params: Params,
    root: BTreeMap<String, Root>,
}

/// A root file system.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// The family, for the table.
    pub family: String,
    /// What it is made from.
    pub made: Made,
    /// Packages beyond those of the image.
    #[serde(default)]
    pub packages: Vec<String>,
    /// What makes its checks pass.
    #[serde(default)]
    pub edits: Vec<Edit>,
    /// Its policy.
    #[serde(default)]
    pub params: Params,
}

/// What a root is made from.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Made {
    /// A plain Debian server of this suite, by debootstrap.
    Debian(String),
    /// Packages that are built here, offered by a signed repository and installed by the family's own tool.
    Packages(Packages),
    /// The same, by pacman.
    Pacman(PacmanPackages),
    /// Nothing: its files are written by its edits, from the documentation of the family.
    ByHand,
}

/// The packages of a root.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packages {
    /// The tool that installs them.
    pub installer: Installer,
    /// Their files.
    pub content: Vec<Edit>,
    /// What there is; a file belongs to the package that names it.
    pub packages: Vec<Package>,
}

/// The packages of a root of pacman.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PacmanPackages {
    /// Their files.
    pub content: Vec<Edit>,
    /// What there is; a file belongs to the package that names it.
    pub packages: Vec<Package>,
}

/// A file of `cases/`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    /// The roots of mutations that do not name their own.
    #[serde(default)]
    on: Vec<String>,
    mutation: Vec<Mutation>,
}

/// One change of a root or of a recorded host.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutation {
    /// Its name, once in the suite.
    pub id: String,
    /// What somebody did, and why it counts or does not.
    pub says: String,
    /// The roots.
    #[serde(default)]
    pub on: Vec<String>,
    /// A recorded host instead, as a path below `tests/fixtures/hosts/`.
    pub host: Option<String>,
    /// A deviation: the checks that must turn, each with the outcome and reason that it must turn to.
    #[serde(default)]
    pub turns: BTreeMap<String, String>,
    /// A trap: the checks that a careless reader would turn.
    #[serde(default)]
    pub tempts: BTreeSet<String>,
    /// What changes on a root.
    #[serde(default)]
    pub edits: Vec<Edit>,
    /// What changes on a recorded host, in the form of recordings.
    pub recording: Option<toml::Table>,
    /// What changes among the loaded audit rules of a recorded host.
    pub audit_rules: Option<RuleEdit>,
}

/// A change of a list of rules.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleEdit {
    /// Rules that begin like this are gone; each must fit one at least.
    #[serde(default)]
    pub without: Vec<String>,
    /// Rules before all others.
    #[serde(default)]
    pub first: Vec<String>,
    /// Rules after all others.
    #[serde(default)]
    pub last: Vec<String>,
}

/// The whole suite.
#[derive(Debug)]
pub struct Plan {
    /// By name.
    pub roots: BTreeMap<String, Root>,
    /// In the order of the files.
    pub mutations: Vec<Mutation>,
}

impl Plan {
    /// Reads the suite and holds it against its rules.
    ///
    /// # Panics
    /// Naming the file and what is wrong: the suite has failed.
    pub fn load() -> Plan {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("mutations");
        let mut plan = Plan {
            roots: BTreeMap::new(),
            mutations: Vec::new(),
        };
        for path in files(&folder.join("roots")) {
            let file: RootFile = parse(&path);
            for (name, mut root) in file.root {
                root.packages.splice(0..0, file.packages.iter().cloned());
                root.edits.splice(0..0, file.edits.iter().cloned());
                for (check, params) in &file.params {
                    let own = root.params.entry(check.clone()).or_default();
                    for (name, value) in params {
                        own.entry(name.clone()).or_insert_with(|| value.clone());
                    }
                }
                plan.roots.insert(name, root);
            }
        }
        for path in files(&folder.join("cases")) {
            let file: CaseFile = parse(&path);
            for mut mutation in file.mutation {
                if mutation.on.is_empty() && mutation.host.is_none() {
                    mutation.on.clone_from(&file.on);
                }
                plan.mutations.push(mutation);
            }
        }
        plan.check();
        plan
    }

    /// The mutations of one root.
    pub fn of_root(&self, root: &str) -> impl Iterator<Item = &Mutation> {
        let root = root.to_owned();
        self.mutations
            .iter()
            .filter(move |mutation| mutation.on.contains(&root))
    }

    fn check(&self) {
        let mut seen = BTreeSet::new();
        for mutation in &self.mutations {
            let id = &mutation.id;
            assert!(seen.insert(id), "{id} is there twice");
            assert!(
                mutation.turns.is_empty() != mutation.tempts.is_empty(),
                "{id} must have either `turns` or `tempts`"
            );
            let on_root = !mutation.on.is_empty() && !mutation.edits.is_empty();
            let on_recording = mutation.host.is_some()
                && (mutation.recording.is_some() || mutation.audit_rules.is_some());
            assert!(
                on_root != on_recording,
                "{id} must have `edits` on a root, or a `recording` on a `host`"
            );
            for root in &mutation.on {
                assert!(self.roots.contains_key(root), "{id}: no root {root}");
            }
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    found.sort();
    found
}

fn parse<T: DeserializeOwned>(path: &Path) -> T {
    let text = std::fs::read_to_string(path).unwrap();
    toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
