//! Repositories of apk (apk-repositories(5)). Signatures are always required, unless apk's own options say otherwise.

use super::{Effect, PackageSourcesFacts, Setting, SourceFacts, Tool, shown};
use crate::probe::{Observation, Unobservable};

const MAIN: &str = "/etc/apk/repositories";
/// Parts (apk 3).
const PARTS: [&str; 2] = ["/etc/apk/repositories.d", "/lib/apk/repositories.d"];
/// Options that stand for every call (apk 3).
const OPTIONS: &str = "/etc/apk/config";

pub(super) fn read(
    observation: &mut Observation<'_>,
    facts: &mut PackageSourcesFacts,
) -> Result<(), Unobservable> {
    if observation.stat("/etc/apk")?.is_none() {
        return Ok(());
    }
    facts.tools.push(Tool::Apk);
    for (path, line) in lines(observation)? {
        facts.repositories.push(source(&line, &path));
    }
    let options = observation.text(OPTIONS)?.unwrap_or_default();
    let loose = options
        .lines()
        .map(|line| line.trim().trim_start_matches('-'))
        .filter(|line| line.starts_with("allow-untrusted"));
    facts.settings.extend(loose.map(|line| Setting {
        tool: Tool::Apk,
        text: format!("{line} in {OPTIONS}"),
        effect: Effect::Verification,
    }));
    Ok(())
}

/// The lines that name repositories, each with its file.
pub(super) fn lines(
    observation: &mut Observation<'_>,
) -> Result<Vec<(String, String)>, Unobservable> {
    let mut paths = vec![MAIN.to_owned()];
    for directory in PARTS {
        for entry in observation.list(directory)?.unwrap_or_default() {
            if entry.name.ends_with(".list") {
                paths.push(format!("{directory}/{}", entry.name));
            }
        }
    }
    let mut found = Vec::new();
    for path in paths {
        let text = observation.text(&path)?.unwrap_or_default();
        let lines = text.lines().map(str::trim);
        let named = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        found.extend(named.map(|line| (path.clone(), line.to_owned())));
    }
    Ok(found)
}

/// A repository: a URL or path, with a tag before it for packages that are asked for by that tag only.
fn source(line: &str, file: &str) -> SourceFacts {
    let name: Vec<String> = line.split_whitespace().map(shown).collect();
    SourceFacts {
        tool: Tool::Apk,
        name: name.join(" "),
        file: file.to_owned(),
        verified: true,
        weakened: Vec::new(),
        replay: Vec::new(),
        signed_by: None,
    }
}
