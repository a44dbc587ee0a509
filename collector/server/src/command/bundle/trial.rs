//! `assay-collector bundle test`: what check files conclude of hosts whose facts were written down.

mod host;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use evidence::baseline;
use evidence::bundle::Bundle;
use evidence::check::plain;
use evidence::evaluate::Evaluator;
use evidence::id::CheckId;
use evidence::outcome::{Judgement, Outcome};

use super::{check_files, toml_files};
use host::TrialHost;

/// Folder of the hosts, in the folder of the check files.
const HOSTS: &str = "hosts";

pub(super) const HELP: &str = "\
A host is a TOML file in DIR/hosts. It names what `assay-agent check --format json --bundle DIR` wrote of a host and says \
what is expected, or it is a recording of `assay-agent record`, which assay-agent (beside this program) replays:

    facts = \"web1.json\"                  # beside this file
    unset = [\"/passwd/accounts/0\"]       # facts to take out, by JSON pointer
    [set]                                # facts to change
    \"/system/name\" = \"Debian 13\"
    [params.\"motd.named\"]                # parameters in place of the defaults
    names = [\"Debian 12\"]
    [expect]
    \"motd.named\" = \"fail weaker_than_policy\"

Every check needs a host that passes it and one that fails it, unless no rule of it can say so. Exit code 0: all as \
expected; 1: not, or a file is wrong, which is named with its line.";

/// What the trial of a folder came to.
struct Trial {
    bundle: Bundle,
    lines: Vec<String>,
    wrong: usize,
    seen: BTreeMap<CheckId, Vec<Outcome>>,
}

/// Judges every host of the folder and prints what came of it.
///
/// # Errors
/// A file that cannot be used, with its line; or outcomes that are not as expected.
pub(super) fn run(folder: &Path) -> anyhow::Result<()> {
    let files = check_files(folder)?;
    anyhow::ensure!(
        !files.is_empty(),
        "{}: no file here ends in .toml, as check files do",
        folder.display()
    );
    let mut trial = Trial {
        bundle: Bundle::from_files(1, "trial", &files, &baseline::schemas()?)?,
        lines: Vec::new(),
        wrong: 0,
        seen: BTreeMap::new(),
    };
    let hosts = host_files(&folder.join(HOSTS))?;
    for path in &hosts {
        let host = TrialHost::load(path, folder)?;
        trial.judge(&host, &name(path, folder))?;
    }
    trial.cover();
    for line in &trial.lines {
        println!("{line}");
    }
    anyhow::ensure!(
        trial.wrong == 0,
        "{} of what was expected did not come out",
        trial.wrong
    );
    println!(
        "{} checks, {} hosts: all as expected",
        trial.bundle.checks.len(),
        hosts.len()
    );
    Ok(())
}

fn name(path: &Path, folder: &Path) -> String {
    path.strip_prefix(folder)
        .unwrap_or(path)
        .display()
        .to_string()
}

/// The hosts of a folder and of the folders in it.
fn host_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    anyhow::ensure!(
        folder.is_dir(),
        "{} is not there; a check is tested by hosts that pass and fail it (`bundle test --help` shows their form)",
        folder.display()
    );
    let mut files = toml_files(folder)?;
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(toml_files(&path)?);
        }
    }
    files.sort();
    Ok(files)
}

impl Trial {
    fn judge(&mut self, host: &TrialHost, name: &str) -> anyhow::Result<()> {
        let bundle = host.policy(&self.bundle)?;
        let evaluator = Evaluator::new(&bundle);
        let judged = evaluator.judge(host.expect.keys(), &host.facts, host.now)?;
        let observed = evaluator.observe(host.expect.keys(), &host.facts, host.now)?;
        for (check, judgement) in judged {
            let expected = host.expect.get(&check).copied();
            if expected == Some(judgement) {
                self.lines
                    .push(format!("ok     {name}  {check}  {}", words(judgement)));
            } else {
                self.wrong += 1;
                let found = observed.get(&check).map(plain).unwrap_or_default();
                self.lines.push(format!(
                    "WRONG  {name}  {check}  expected {}, is {}; found {found}",
                    expected.map(words).unwrap_or_default(),
                    words(judgement),
                ));
            }
            self.seen.entry(check).or_default().push(judgement.outcome);
        }
        Ok(())
    }

    /// A check that no host passes, or none fails, is not tested.
    fn cover(&mut self) {
        for (id, check) in &self.bundle.checks {
            let seen = self.seen.get(id).map_or(&[][..], Vec::as_slice);
            for (outcome, word) in [(Outcome::Pass, "passes"), (Outcome::Fail, "fails")] {
                let can = check.otherwise.then == outcome
                    || check.rules.iter().any(|rule| rule.then == outcome);
                if can && !seen.contains(&outcome) {
                    self.wrong += 1;
                    self.lines.push(format!("WRONG  {id}  no host {word} it"));
                }
            }
        }
    }
}

fn words(judgement: Judgement) -> String {
    match judgement.reason {
        Some(reason) => format!("{} {reason}", judgement.outcome),
        None => judgement.outcome.to_string(),
    }
}
