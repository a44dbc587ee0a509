//! apt's sources, and the settings of apt.conf(5) that take away from their verification.

use super::{Effect, PackageSourcesFacts, Setting, SourceFacts, Tool, shown};
use crate::probe::debian::configuration::{self, Configuration};
use crate::probe::debian::package;
use crate::probe::debian::source::{self, Architectures, Source};
use crate::probe::{Observation, Unobservable};

const DIRECTORY: &str = "/etc/apt";

/// Settings that do away with the need of a signature if they are true.
const INSECURE: [&str; 6] = [
    "APT::Get::AllowUnauthenticated",
    "Acquire::AllowInsecureRepositories",
    "Acquire::AllowWeakRepositories",
    "Acquire::AllowDowngradeToInsecureRepositories",
    "Aptitude::CmdLine::Ignore-Trust-Violations",
    "APT::Authentication::TrustCDROM",
];
/// Guards against the replay of old indexes; on unless they are false.
const GUARDS: [&str; 2] = ["Acquire::Check-Valid-Until", "Acquire::Check-Date"];
/// The program that verifies signatures, if it is another than apt's own choice.
const VERIFIER: &str = "APT::Key::GPGVCommand";

pub(super) fn read(
    observation: &mut Observation<'_>,
    facts: &mut PackageSourcesFacts,
) -> Result<(), Unobservable> {
    if observation.stat(DIRECTORY)?.is_none() || observation.stat(package::STATUS)?.is_none() {
        return Ok(());
    }
    facts.tools.push(Tool::Apt);
    let configuration = configuration::read(observation)?;
    facts.settings.extend(settings(&configuration));
    let packages = package::installed(observation)?;
    let native = package::native_architecture(&packages).unwrap_or("all");
    let architectures = Architectures::read(observation, &configuration, native)?;
    let sources = source::enabled(observation, &architectures)?;
    facts
        .repositories
        .extend(sources.into_iter().map(of_source));
    Ok(())
}

fn settings(configuration: &Configuration) -> Vec<Setting> {
    let setting = |name: &str, effect: Effect| Setting {
        tool: Tool::Apt,
        text: format!("{name} {:?}", configuration.value(name).unwrap_or_default()),
        effect,
    };
    let insecure = INSECURE
        .into_iter()
        .filter(|name| configuration.flag(name, false))
        .map(|name| setting(name, Effect::Verification));
    let verifier = Some(VERIFIER)
        .filter(|name| {
            configuration
                .value(name)
                .is_some_and(|value| !value.is_empty())
        })
        .map(|name| setting(name, Effect::Verification));
    let guards = GUARDS
        .into_iter()
        .filter(|name| !configuration.flag(name, true))
        .map(|name| setting(name, Effect::ReplayGuard));
    insecure.chain(verifier).chain(guards).collect()
}

fn of_source(source: Source) -> SourceFacts {
    let mut name = format!("deb {} {}", shown(&source.uri), source.suite);
    for component in &source.components {
        name.push(' ');
        name.push_str(component);
    }
    SourceFacts {
        tool: Tool::Apt,
        name,
        file: source.file,
        verified: source.trust.weakened.is_empty(),
        weakened: source.trust.weakened,
        replay: source.trust.replay,
        signed_by: source.trust.signed_by,
    }
}
