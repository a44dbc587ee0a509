//! The host's packet filter: what it lets in now, as the kernel holds the rules, and what the next boot would load.
//!
//! Read from the kernel: `/usr/sbin/nft -j list ruleset` (key of a recording: that line), and where tables of iptables-nft
//! hold matches that nft cannot print, `/usr/sbin/iptables-nft-save` and `/usr/sbin/ip6tables-nft-save`; where
//! `/proc/net/ip_tables_names` or `ip6_tables_names` is not empty, also `/usr/sbin/iptables-legacy-save` and
//! `/usr/sbin/ip6tables-legacy-save`, whose tables nft does not show. A table with flags needs `nft -t list ruleset`.
//!
//! The rules are not summed up by their look: new packets from the network are sent through the chains in thought (see
//! [`walk`]), for each family and each interface that a rule names. What cannot be resolved is said in `unresolved`.

mod boot;
mod iptables;
mod live;
mod nft;
mod rule;
mod script;
mod space;
mod walk;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::sysctl::{Boot, shortened};
use super::{Observation, Probe, Unobservable, system};
use live::{Engine, InForce};
use rule::{Condition, Family};
use walk::Walk;

/// Most interfaces told apart.
const MAX_INTERFACES: usize = 64;
/// Most flows listed.
const MAX_FLOWS: usize = 1000;

/// The probe `firewall`.
pub struct Firewall;

/// Facts about the packet filter.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FirewallFacts {
    /// IPv6 is in use, or could be.
    ipv6: bool,
    /// The filter in force; absent on an unpacked root and in a container, whose host filters.
    #[serde(skip_serializing_if = "Option::is_none")]
    loaded: Option<Loaded>,
    /// Services that load a filter at boot.
    at_boot: Vec<boot::Loader>,
}

/// The filter in force.
#[derive(Debug, Serialize, JsonSchema)]
struct Loaded {
    /// Where rules are.
    engines: BTreeSet<Engine>,
    /// Tables that are loaded but switched off.
    dormant: Vec<String>,
    /// Families of which something inbound is dropped.
    filters: Vec<Family>,
    /// What happens to packets that nobody thought of.
    defaults: Vec<Policy>,
    /// What is let in from the network.
    flows: Vec<Flow>,
    /// The construct that keeps `defaults` and `flows` from being known.
    #[serde(skip_serializing_if = "Option::is_none")]
    unresolved: Option<String>,
}

/// What happens by default to packets of a family that come in by an interface.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
struct Policy {
    /// The family.
    family: Family,
    /// The interface, or `*` for all that no rule names.
    interface: String,
    /// Packets from anywhere to more than half of the ports of TCP or UDP are let in.
    accepts: bool,
}

/// Packets that are let in.
#[derive(Debug, Serialize, JsonSchema)]
struct Flow {
    /// Protocol and port, for example `tcp/22` or `udp/8000-8100`; `any` for all.
    name: String,
    /// What else must hold: a source, or several restrictions; `any` for packets from anywhere.
    from: String,
    /// Sent on to another address or port, such as a container's.
    translated: bool,
    /// Families.
    families: BTreeSet<Family>,
    /// The interface, `*` for all that no rule names, `any` if it makes no difference by which one they come in.
    interface: String,
}

impl Probe for Firewall {
    const ID: &'static str = "firewall";
    type Facts = FirewallFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<FirewallFacts, Unobservable> {
        let inside = observation.is_live() && system::is_container(observation)?;
        let ipv6 = ipv6(observation)?;
        let loaded = if observation.is_live() && !inside {
            Some(loaded(&live::read(observation)?, ipv6))
        } else {
            None
        };
        Ok(FirewallFacts {
            ipv6,
            loaded,
            at_boot: boot::loaders(observation)?,
        })
    }
}

/// IPv6 is off where the kernel has none, or where it is off for every interface and will be after the boot.
fn ipv6(observation: &mut Observation<'_>) -> Result<bool, Unobservable> {
    const KEYS: [&str; 2] = [
        "net/ipv6/conf/all/disable_ipv6",
        "net/ipv6/conf/default/disable_ipv6",
    ];
    if !observation.is_live() {
        let (_, boot) = Boot::read(observation)?;
        let off = KEYS
            .iter()
            .all(|key| boot.get(key).is_some_and(|set| set.value == "1"));
        return Ok(!off);
    }
    let Some(addresses) = observation.text("/proc/net/if_inet6")? else {
        return Ok(false);
    };
    let beyond_loopback = addresses.lines().any(|line| {
        line.split_whitespace()
            .next_back()
            .is_some_and(|name| name != "lo")
    });
    let host = observation.host();
    let mut off = true;
    for key in KEYS {
        off &= super::sysctl::number(host, key)? == Some(1);
    }
    Ok(beyond_loopback || !off)
}

fn loaded(in_force: &InForce, ipv6: bool) -> Loaded {
    let families: &[Family] = if ipv6 {
        &[Family::Ipv4, Family::Ipv6]
    } else {
        &[Family::Ipv4]
    };
    let mut loaded = Loaded {
        engines: in_force.engines.clone(),
        dormant: in_force.dormant.clone(),
        filters: [Family::Ipv4, Family::Ipv6]
            .into_iter()
            .filter(|family| walk::filters(&in_force.rules, *family))
            .collect(),
        defaults: Vec::new(),
        flows: Vec::new(),
        unresolved: None,
    };
    match resolved(in_force, families) {
        Ok((defaults, flows)) => {
            loaded.defaults = defaults;
            loaded.flows = flows;
        }
        Err(construct) => loaded.unresolved = Some(construct),
    }
    loaded
}

fn resolved(in_force: &InForce, families: &[Family]) -> Result<(Vec<Policy>, Vec<Flow>), String> {
    let mut defaults: BTreeMap<(Family, String), bool> = BTreeMap::new();
    let mut flows: BTreeMap<Let, (BTreeSet<Family>, BTreeSet<String>)> = BTreeMap::new();
    let names = interfaces(in_force)?;
    for family in families {
        for interface in names.iter().map(Some).chain([None]) {
            let walk = Walk {
                rules: &in_force.rules,
                family: *family,
                interface: interface.map(String::as_str),
            };
            let shown = interface.map_or_else(|| "*".to_owned(), |name| shortened(name));
            let accepted = walk.accepted()?;
            let open = accepted
                .iter()
                .any(|flow| flow.only.is_empty() && flow.space.is_wide());
            *defaults.entry((*family, shown.clone())).or_default() |= open;
            let translated = walk.translated()?;
            let all = accepted
                .iter()
                .map(|flow| (flow, false))
                .chain(translated.iter().map(|flow| (flow, true)));
            for (flow, translated) in all {
                let from = if flow.only.is_empty() {
                    "any".to_owned()
                } else {
                    flow.only.iter().cloned().collect::<Vec<_>>().join(" and ")
                };
                for name in flow.space.names() {
                    let key = (name, from.clone(), translated);
                    let (families, interfaces) = flows.entry(key).or_default();
                    families.insert(*family);
                    interfaces.insert(shown.clone());
                }
            }
        }
    }
    let every: BTreeSet<&String> = defaults.keys().map(|(_, interface)| interface).collect();
    let flows: Vec<Flow> = flows
        .into_iter()
        .flat_map(|(key, (families, interfaces))| rows(key, &families, interfaces, every.len()))
        .collect();
    if flows.len() > MAX_FLOWS {
        return Err(format!("{} flows, more than are listed", flows.len()));
    }
    let defaults = defaults
        .into_iter()
        .map(|((family, interface), accepts)| Policy {
            family,
            interface,
            accepts,
        })
        .collect();
    Ok((defaults, flows))
}

/// A flow without the family and interface: its name, what else must hold, and whether it is sent on.
type Let = (String, String, bool);

/// One row for all interfaces, or one for each.
fn rows(
    (name, from, translated): Let,
    families: &BTreeSet<Family>,
    interfaces: BTreeSet<String>,
    every: usize,
) -> Vec<Flow> {
    let interfaces = if interfaces.len() == every {
        BTreeSet::from(["any".to_owned()])
    } else {
        interfaces
    };
    interfaces
        .into_iter()
        .map(|interface| Flow {
            name: name.clone(),
            from: from.clone(),
            translated,
            families: families.clone(),
            interface,
        })
        .collect()
}

/// Names and patterns of interfaces that rules tell apart; loopback brings nothing from the network.
fn interfaces(in_force: &InForce) -> Result<BTreeSet<String>, String> {
    let names: BTreeSet<String> = in_force
        .rules
        .chains
        .values()
        .flat_map(|chain| &chain.rules)
        .flat_map(|rule| &rule.conditions)
        .filter_map(|condition| match condition {
            Condition::Interfaces { names, .. } => Some(names),
            _ => None,
        })
        .flatten()
        .filter(|name| !["lo", "*", "lo*"].contains(&name.as_str()))
        .cloned()
        .collect();
    if names.len() > MAX_INTERFACES {
        return Err(format!("{} interfaces are told apart", names.len()));
    }
    Ok(names)
}
