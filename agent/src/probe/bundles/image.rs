//! Systems of rpm-ostree (ostree(1)): the image that runs, and a newer one that waits for a reboot.

use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{Pending, since};
use crate::host::{HostError, Program};
use crate::probe::{Observation, Unobservable};

/// There on a system that was booted from an image.
const BOOTED: &str = "/run/ostree-booted";

/// An image.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Image {
    /// The version that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// When it was built.
    #[serde(skip_serializing_if = "Option::is_none")]
    built: Option<Timestamp>,
    /// A newer image that is known, or waits for a reboot.
    pending: Vec<Pending>,
}

pub(super) fn read(observation: &mut Observation<'_>) -> Result<Option<Image>, Unobservable> {
    if observation.stat(BOOTED)?.is_none() {
        return Ok(None);
    }
    let program = Program::new("/usr/bin/rpm-ostree", &["status", "--json"]);
    let output = observation
        .run(&program)?
        .ok_or_else(|| HostError::ToolMissing("/usr/bin/rpm-ostree".to_owned()))?;
    let status: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| Unobservable::unparsable(&program.line(), error))?;
    let deployments = status.get("deployments").and_then(Value::as_array);
    let is_booted = |one: &&Value| one.get("booted").and_then(Value::as_bool) == Some(true);
    let booted = deployments
        .into_iter()
        .flatten()
        .find(is_booted)
        .ok_or_else(|| Unobservable::unparsable(&program.line(), "no deployment is booted"))?;
    let built = booted.get("timestamp").and_then(Value::as_i64);
    let version = |one: &Value| {
        one.get("version")
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    // What stands before the running image is what the next boot takes.
    let staged = deployments
        .into_iter()
        .flatten()
        .take_while(|one| !is_booted(one));
    let known = status
        .get("cached-update")
        .filter(|update| !update.is_null());
    let mut names: Vec<String> = staged
        .chain(known)
        .map(|one| version(one).unwrap_or_else(|| "an image without a version".to_owned()))
        .collect();
    names.sort();
    names.dedup();
    Ok(Some(Image {
        version: version(booted),
        built: built.map(Timestamp::from_unix_seconds),
        pending: since(observation, "image", names),
    }))
}
