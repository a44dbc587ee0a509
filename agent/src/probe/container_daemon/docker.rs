//! dockerd(8): where it takes commands, by its arguments and daemon.json.

use serde_json::Value;

use super::{ContainerDaemonFacts, Endpoint, Runtime, listening, socket};
use crate::host::HostError;
use crate::probe::{Observation, Unobservable, unit};

/// Where daemon.json lies unless an argument says otherwise.
const FILE: &str = "/etc/docker/daemon.json";
/// Largest daemon.json.
const MAX_BYTES: usize = 1024 * 1024;

/// What arguments or a file say.
#[derive(Default)]
struct Settings {
    hosts: Vec<String>,
    verify: Option<bool>,
    file: Option<String>,
}

/// What the units and the file say, for the next start.
pub(super) fn persisted(
    observation: &mut Observation<'_>,
    facts: &mut ContainerDaemonFacts,
) -> Result<(), Unobservable> {
    let mut arguments = Vec::new();
    if let Some(text) = unit::text(observation, "docker.service")? {
        facts.runtimes.insert(Runtime::Docker);
        let command_line = unit::command::of_service(observation, "docker.service", &text)?;
        arguments = command_line.into_iter().flatten().skip(1).collect();
        command(observation, &arguments, "docker.service", None, facts)?;
    } else if observation.stat(FILE)?.is_some() {
        facts.runtimes.insert(Runtime::Docker);
        command(observation, &[], FILE, None, facts)?;
    }
    if let Some(text) = unit::text(observation, "docker.socket")? {
        let verify = verifies(observation, &arguments)?;
        facts
            .endpoints
            .extend(listening(&text, Runtime::Docker, verify, "docker.socket"));
        if !observation.is_live() {
            let socket = socket::of_unit(Runtime::Docker, &text);
            facts.sockets.extend(socket);
        }
    }
    Ok(())
}

/// Adds where a daemon with these arguments takes commands over the network.
pub(super) fn command(
    observation: &mut Observation<'_>,
    arguments: &[String],
    source: &str,
    pid: Option<u32>,
    facts: &mut ContainerDaemonFacts,
) -> Result<(), Unobservable> {
    let given = settings(arguments);
    let own = match &given.file {
        // A daemon without root has its file in a home directory, where no link is followed.
        Some(path) if pid.is_some() && !path.starts_with("/etc/") => of_home(observation, path)?,
        Some(path) => of_file(observation, path)?,
        None => of_file(observation, FILE)?,
    };
    let mutual_tls = given.verify.or(own.verify).unwrap_or(false);
    for address in given.hosts.iter().chain(&own.hosts) {
        if !address.starts_with("tcp:") && address.contains("://") {
            continue;
        }
        facts.endpoints.insert(Endpoint {
            runtime: Runtime::Docker,
            address: address.clone(),
            mutual_tls,
            source: source.to_owned(),
        });
    }
    Ok(())
}

fn verifies(observation: &mut Observation<'_>, arguments: &[String]) -> Result<bool, Unobservable> {
    let given = settings(arguments);
    let own = of_file(observation, given.file.as_deref().unwrap_or(FILE))?;
    Ok(given.verify.or(own.verify).unwrap_or(false))
}

fn settings(arguments: &[String]) -> Settings {
    let mut found = Settings::default();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        match name {
            "-H" | "--host" => found.hosts.extend(value.or_else(|| words.next().cloned())),
            "--config-file" => found.file = value.or_else(|| words.next().cloned()),
            "--tlsverify" => found.verify = Some(value.as_deref() != Some("false")),
            short if short.starts_with("-H") => found.hosts.push(word[2..].to_owned()),
            _ => {}
        }
    }
    found
}

fn of_file(observation: &mut Observation<'_>, path: &str) -> Result<Settings, Unobservable> {
    match observation.text(path)? {
        Some(text) => parse(&text).map_err(|problem| Unobservable::unparsable(path, problem)),
        None => Ok(Settings::default()),
    }
}

fn of_home(observation: &mut Observation<'_>, path: &str) -> Result<Settings, Unobservable> {
    let inside = path.trim_start_matches('/');
    match observation.host().read_beneath("/", inside, MAX_BYTES) {
        Ok(bytes) => {
            observation.note(path);
            parse(&String::from_utf8_lossy(&bytes))
                .map_err(|problem| Unobservable::unparsable(path, problem))
        }
        Err(HostError::NotFound(_)) => Ok(Settings::default()),
        Err(error) => Err(error.into()),
    }
}

fn parse(text: &str) -> Result<Settings, String> {
    if text.trim().is_empty() {
        return Ok(Settings::default());
    }
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let hosts = value.get("hosts").and_then(Value::as_array);
    Ok(Settings {
        hosts: hosts
            .into_iter()
            .flatten()
            .filter_map(|host| host.as_str().map(str::to_owned))
            .collect(),
        verify: value.get("tlsverify").and_then(Value::as_bool),
        file: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_in_every_form() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let found = settings(&words(
            "-H fd:// -H=tcp://0.0.0.0:2375 --host tcp://[::1]:1 -Htcp://2 --tlsverify --config-file /x",
        ));
        assert_eq!(
            found.hosts,
            ["fd://", "tcp://0.0.0.0:2375", "tcp://[::1]:1", "tcp://2"]
        );
        assert_eq!(
            (found.verify, found.file.as_deref()),
            (Some(true), Some("/x"))
        );
        assert_eq!(settings(&words("--tlsverify=false")).verify, Some(false));
        assert!(settings(&words("-H")).hosts.is_empty());
        assert!(parse("{").is_err() && parse("").is_ok());
    }
}
