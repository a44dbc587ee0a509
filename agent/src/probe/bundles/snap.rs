//! snapd's own state file: what is installed, what it knows to be newer, and what holds refreshes back.

use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{Pending, since};
use crate::probe::{Observation, Unobservable};

const STATE: &str = "/var/lib/snapd/state.json";
const MAX_STATE_BYTES: usize = 16 * 1024 * 1024;

/// snapd's state.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Snaps {
    /// Snaps that are installed.
    installed: Vec<String>,
    /// When all were last refreshed.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_refresh: Option<Timestamp>,
    /// Snaps that have a newer revision, which waits for example for the application to be closed.
    pending: Vec<Pending>,
    /// All refreshes are held until further notice.
    held_forever: bool,
    /// Until when all refreshes are held.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_until: Option<Timestamp>,
    /// Snaps whose refreshes the administrator holds.
    held: Vec<String>,
}

pub(super) fn read(observation: &mut Observation<'_>) -> Result<Option<Snaps>, Unobservable> {
    let Some(bytes) = observation.secret_bytes(STATE, MAX_STATE_BYTES)? else {
        return Ok(None);
    };
    let state: Value =
        serde_json::from_slice(&bytes).map_err(|error| Unobservable::unparsable(STATE, error))?;
    let Some(data) = state.get("data") else {
        return Err(Unobservable::unparsable(STATE, "no member data"));
    };
    let installed = names(data.get("snaps"));
    if installed.is_empty() {
        return Ok(None);
    }
    let hold = data
        .pointer("/config/core/refresh/hold")
        .and_then(Value::as_str);
    let pending = names(data.get("refresh-candidates"));
    Ok(Some(Snaps {
        pending: since(observation, "snaps", pending),
        last_refresh: data
            .get("last-refresh")
            .and_then(Value::as_str)
            .and_then(time),
        held_forever: hold == Some("forever"),
        held_until: hold.and_then(time),
        held: held(data.get("snaps-hold")),
        installed,
    }))
}

fn names(object: Option<&Value>) -> Vec<String> {
    let members = object.and_then(Value::as_object);
    let mut names: Vec<String> = members
        .into_iter()
        .flatten()
        .map(|(name, _)| name.clone())
        .collect();
    names.sort();
    names
}

/// Snaps held by `system`, which stands for the administrator; other snaps hold for days at most.
fn held(holds: Option<&Value>) -> Vec<String> {
    let by_admin = |holders: &Value| holders.get("system").is_some();
    let members = holds.and_then(Value::as_object);
    let mut names: Vec<String> = members
        .into_iter()
        .flatten()
        .filter(|(_, holders)| by_admin(holders))
        .map(|(name, _)| name.clone())
        .collect();
    names.sort();
    names
}

fn time(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::from_unix_seconds(time.as_second()))
}
