//! Monitoring agents: endpoint detection, log shippers, inventories. Which are there, whether they run, and whether they
//! speak with their server.

use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::daemon_process::{DaemonProcess, daemons, is_connected};
use super::unit::units;
use super::{Observation, Probe, Unobservable};
use crate::host::Program;

/// The probe `monitoring_agent`.
pub struct MonitoringAgent;

/// Facts of monitoring agents.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MonitoringAgentFacts {
    /// Every agent that this probe knows, installed or not, by name.
    agents: Vec<Agent>,
}

/// One agent.
#[derive(Debug, Serialize, JsonSchema)]
struct Agent {
    /// Its name.
    name: String,
    /// It is there.
    installed: bool,
    /// It runs; always false on an unpacked root.
    active: bool,
    /// It starts at boot.
    enabled: bool,
    /// It holds a TCP connection to another host, or says itself that it is connected.
    connected: bool,
    /// When its server last answered, to the minute, if it keeps a record of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    answered: Option<Timestamp>,
    /// What it says of itself, if it says anything: `healthy`, or its own word for what is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
}

/// What is known of an agent: name, unit, program or folder of programs, and a file that is there if it is installed.
struct Known {
    name: &'static str,
    unit: &'static str,
    programs: &'static str,
    installed: &'static str,
}

const KNOWN: [Known; 12] = [
    Known {
        name: "auditbeat",
        unit: "auditbeat.service",
        programs: "/usr/share/auditbeat/",
        installed: "/usr/share/auditbeat",
    },
    Known {
        name: "cortex",
        unit: "traps_pmd.service",
        programs: "/opt/traps/bin/",
        installed: "/opt/traps/bin/cytool",
    },
    Known {
        name: "defender",
        unit: "mdatp.service",
        programs: "/opt/microsoft/mdatp/sbin/",
        installed: "/usr/bin/mdatp",
    },
    Known {
        name: "elastic-agent",
        unit: "elastic-agent.service",
        programs: "/opt/Elastic/Agent/",
        installed: "/opt/Elastic/Agent",
    },
    Known {
        name: "falcon",
        unit: "falcon-sensor.service",
        programs: "/opt/CrowdStrike/",
        installed: "/opt/CrowdStrike/falconctl",
    },
    Known {
        name: "filebeat",
        unit: "filebeat.service",
        programs: "/usr/share/filebeat/",
        installed: "/usr/share/filebeat",
    },
    Known {
        name: "fluent-bit",
        unit: "fluent-bit.service",
        programs: "/opt/fluent-bit/bin/",
        installed: "/opt/fluent-bit/bin/fluent-bit",
    },
    Known {
        name: "osquery",
        unit: "osqueryd.service",
        programs: "/opt/osquery/bin/",
        installed: "/opt/osquery/bin/osqueryd",
    },
    Known {
        name: "sentinelone",
        unit: "sentinelone.service",
        programs: "/opt/sentinelone/",
        installed: "/opt/sentinelone/bin/sentinelctl",
    },
    Known {
        name: "splunk",
        unit: "SplunkForwarder.service",
        programs: "/opt/splunkforwarder/bin/",
        installed: "/opt/splunkforwarder/bin/splunkd",
    },
    Known {
        name: "velociraptor",
        unit: "velociraptor_client.service",
        programs: "/usr/local/bin/velociraptor_client",
        installed: "/usr/local/bin/velociraptor_client",
    },
    Known {
        name: "wazuh",
        unit: "wazuh-agent.service",
        programs: "/var/ossec/bin/",
        installed: "/var/ossec/bin/wazuh-agentd",
    },
];

const WAZUH_STATE: &str = "/var/ossec/var/run/wazuh-agentd.state";
const ELASTIC_AGENT: &str = "/opt/Elastic/Agent/elastic-agent";
const HEALTHY: &str = "healthy";
const MINUTE_MS: i64 = 60_000;

impl Probe for MonitoringAgent {
    const ID: &'static str = "monitoring_agent";
    type Facts = MonitoringAgentFacts;

    fn units() -> Vec<&'static str> {
        KNOWN.iter().map(|known| known.unit).collect()
    }

    fn observe(observation: &mut Observation<'_>) -> Result<MonitoringAgentFacts, Unobservable> {
        let names = Self::units();
        let programs: Vec<&str> = KNOWN.iter().map(|known| known.programs).collect();
        let units = units(observation, &names)?;
        let running = if observation.is_live() {
            daemons(observation, &programs)?
        } else {
            Vec::new()
        };
        let mut agents = Vec::new();
        for known in &KNOWN {
            let unit = units.get(known.unit);
            let own: Vec<&DaemonProcess> = running
                .iter()
                .filter(|process| process.program.starts_with(known.programs))
                .collect();
            let mut agent = Agent {
                name: known.name.to_owned(),
                installed: !own.is_empty() || observation.stat(known.installed)?.is_some(),
                active: !own.is_empty(),
                enabled: unit.is_some_and(|unit| unit.enabled && !unit.masked),
                connected: false,
                answered: None,
                state: None,
            };
            for process in own {
                agent.connected |= is_connected(observation, process.pid)?;
            }
            if agent.active {
                ask(observation, &mut agent)?;
            }
            agents.push(agent);
        }
        Ok(MonitoringAgentFacts { agents })
    }
}

/// What the agent says of itself, for those that do.
fn ask(observation: &mut Observation<'_>, agent: &mut Agent) -> Result<(), Unobservable> {
    match agent.name.as_str() {
        "wazuh" => {
            // A record that is rewritten every few seconds has no digest worth keeping.
            let Some(text) = observation.secret_text(WAZUH_STATE)? else {
                return Ok(());
            };
            let status = wazuh_status(&text)
                .ok_or_else(|| Unobservable::unparsable(WAZUH_STATE, "no status"))?;
            agent.connected = status == "connected";
            agent.state = Some(if agent.connected {
                HEALTHY.to_owned()
            } else {
                status
            });
            let written = observation.host().stat(WAZUH_STATE)?.mtime.unix_ms();
            agent.answered = Some(Timestamp::from_unix_ms(
                written - written.rem_euclid(MINUTE_MS),
            ));
        }
        "elastic-agent" => {
            let program = Program::new(ELASTIC_AGENT, &["status", "--output", "json"]);
            if let Some(output) = observation.run(&program)? {
                let status: Value = serde_json::from_slice(&output.stdout)
                    .map_err(|error| Unobservable::unparsable(&program.line(), error))?;
                let (state, connected) = elastic_status(&status)
                    .ok_or_else(|| Unobservable::unparsable(&program.line(), "no state"))?;
                agent.state = Some(state);
                agent.connected = connected;
            }
        }
        _ => {}
    }
    Ok(())
}

/// `status='connected'` of wazuh-agentd.state: `pending`, `connected` or `disconnected`.
fn wazuh_status(text: &str) -> Option<String> {
    let value = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("status="))?;
    let value = value.trim_matches(['\'', '"']);
    ["pending", "connected", "disconnected"]
        .contains(&value)
        .then(|| value.to_owned())
}

/// State of the agent, and whether its server answers; states are numbers or words by version, 2 is healthy.
fn elastic_status(status: &Value) -> Option<(String, bool)> {
    let word = |value: &Value| match value {
        Value::Number(number) => match number.as_i64() {
            Some(2) => HEALTHY.to_owned(),
            _ => format!("state {number}"),
        },
        Value::String(text) => text.chars().take(40).collect::<String>().to_lowercase(),
        _ => String::new(),
    };
    let state = word(status.get("state")?);
    let fleet = status
        .get("FleetState")
        .or_else(|| status.get("fleet_state"))
        .map(word);
    Some((state, fleet.as_deref() == Some(HEALTHY)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_say_how_they_are() {
        let text = "# State file for wazuh-agentd\nstatus='connected'\nlast_keepalive='2026-11-24 06:59:50'\n";
        assert_eq!(wazuh_status(text).as_deref(), Some("connected"));
        assert_eq!(wazuh_status("status='fine'"), None);
        assert_eq!(wazuh_status(""), None);
        let status = serde_json::json!({"state": 2, "message": "Running", "FleetState": 2});
        assert_eq!(elastic_status(&status), Some((HEALTHY.to_owned(), true)));
        let status = serde_json::json!({"state": 3, "FleetState": 4});
        assert_eq!(elastic_status(&status), Some(("state 3".to_owned(), false)));
        assert_eq!(elastic_status(&Value::Null), None);
    }

    #[test]
    fn names_are_sorted() {
        assert!(KNOWN.is_sorted_by_key(|known| known.name));
    }
}
