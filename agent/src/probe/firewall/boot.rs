//! What the next boot would load: the services that load a packet filter, and whether the rules they would load filter.

use schemars::JsonSchema;
use serde::Serialize;

use super::rule::{Family, Ruleset};
use super::{iptables, script, walk};
use crate::host::Host;
use crate::probe::unit::boot::Obstacle;
use crate::probe::{Observation, Unobservable, system, unit};

/// Both families.
const BOTH: [Family; 2] = [Family::Ipv4, Family::Ipv6];

/// A service that loads rules at boot.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Loader {
    /// Its name, for example `nftables`.
    pub(super) name: String,
    /// It starts at boot.
    pub(super) enabled: bool,
    /// Families that what it loads filters inbound.
    pub(super) filters: Vec<Family>,
    /// Where its rules lie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
    /// Why its rules could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
}

/// A service this probe knows: its name and how it is read.
type Known = (
    &'static str,
    fn(&mut Observation<'_>, bool) -> Result<Option<Rules>, Unobservable>,
);

/// What a service would load.
struct Rules {
    file: String,
    filters: Result<Vec<Family>, String>,
}

const KNOWN: [Known; 6] = [
    ("firewalld", firewalld),
    ("ip6tables", |observation, openrc| {
        restored(observation, Family::Ipv6, openrc)
    }),
    ("iptables", |observation, openrc| {
        restored(observation, Family::Ipv4, openrc)
    }),
    ("netfilter-persistent", |observation, _| {
        netfilter_persistent(observation)
    }),
    ("nftables", nftables),
    ("ufw", |observation, _| ufw(observation)),
];

/// The services that are installed.
///
/// # Errors
/// [`Unobservable`] if units or files are there and cannot be read.
pub(super) fn loaders(observation: &mut Observation<'_>) -> Result<Vec<Loader>, Unobservable> {
    let systemd = system::runs_systemd(observation)?;
    let names: Vec<String> = KNOWN
        .iter()
        .map(|(name, _)| format!("{name}.service"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let units = unit::persisted(observation, &names)?;
    let mut found = Vec::new();
    for ((name, read), unit_name) in KNOWN.iter().zip(&names) {
        let mut enabled = if systemd {
            units
                .get(*unit_name)
                .is_some_and(|unit| unit.enabled && !unit.masked)
        } else {
            starts_by_openrc(observation.host(), name)
        };
        if !enabled && !units.get(*unit_name).is_some_and(|unit| unit.exists) {
            continue;
        }
        let Some(rules) = read(observation, !systemd)? else {
            continue;
        };
        let (mut filters, mut problem) = match rules.filters {
            Ok(filters) => (filters, None),
            Err(problem) => (Vec::new(), Some(problem)),
        };
        if enabled && systemd {
            match obstacle(observation, unit_name)? {
                Some(Obstacle::Hinders(_)) => enabled = false,
                Some(Obstacle::Unknown(what)) => {
                    filters.clear();
                    problem = Some(what);
                }
                None => {}
            }
        }
        found.push(Loader {
            name: (*name).to_owned(),
            enabled,
            filters,
            file: Some(rules.file),
            problem,
        });
    }
    Ok(found)
}

/// What keeps a service that is enabled from starting; nothing can keep a script of System V's init.
fn obstacle(
    observation: &mut Observation<'_>,
    name: &str,
) -> Result<Option<Obstacle>, Unobservable> {
    match unit::text(observation, name)? {
        Some(text) => unit::boot::obstacle(observation, &text),
        None => Ok(None),
    }
}

fn starts_by_openrc(host: &dyn Host, name: &str) -> bool {
    ["sysinit", "boot", "default"]
        .iter()
        .any(|level| host.stat(&format!("/etc/runlevels/{level}/{name}")).is_ok())
}

fn filtered(rules: &Ruleset) -> Vec<Family> {
    BOTH.into_iter()
        .filter(|family| walk::filters(rules, *family))
        .collect()
}

/// The file that nftables.service loads, as its unit names it; OpenRC's own place where there is no systemd.
fn nftables(
    observation: &mut Observation<'_>,
    openrc: bool,
) -> Result<Option<Rules>, Unobservable> {
    let mut file = "/etc/nftables.conf".to_owned();
    if openrc {
        for place in ["/etc/nftables.nft", "/var/lib/nftables/rules-save"] {
            if observation.stat(place)?.is_some() {
                place.clone_into(&mut file);
                break;
            }
        }
    } else if let Some(named) = unit::text(observation, "nftables.service")?
        .as_deref()
        .and_then(loaded_file)
    {
        file = named;
    }
    let filters = script::read(observation, &file)?.map(|rules| filtered(&rules));
    Ok(Some(Rules { file, filters }))
}

/// The path in `ExecStart=… nft -f PATH` or `… include "PATH"`.
fn loaded_file(unit: &str) -> Option<String> {
    let command = unit
        .lines()
        .filter_map(|line| line.trim().strip_prefix("ExecStart="))
        .next_back()?;
    let path = command
        .split(['"', '\'', ' ', ';'])
        .find(|word| word.starts_with("/etc/") || word.starts_with("/var/"))?;
    Some(path.to_owned())
}

/// Files in the form of iptables-restore, by distribution.
fn restored(
    observation: &mut Observation<'_>,
    family: Family,
    openrc: bool,
) -> Result<Option<Rules>, Unobservable> {
    let places: &[&str] = match (family, openrc) {
        (Family::Ipv4, false) => &["/etc/sysconfig/iptables", "/etc/iptables/iptables.rules"],
        (Family::Ipv6, false) => &["/etc/sysconfig/ip6tables", "/etc/iptables/ip6tables.rules"],
        (Family::Ipv4, true) => &["/etc/iptables/rules-save", "/var/lib/iptables/rules-save"],
        (Family::Ipv6, true) => &["/etc/iptables/rules6-save", "/var/lib/ip6tables/rules-save"],
    };
    for place in places {
        if let Some(text) = observation.text(place)? {
            let mut rules = Ruleset::default();
            let read = iptables::parse(&text, family, "disk", &mut rules);
            return Ok(Some(Rules {
                file: (*place).to_owned(),
                filters: read.map(|()| filtered(&rules)),
            }));
        }
    }
    Ok(Some(Rules {
        file: places[0].to_owned(),
        filters: Ok(Vec::new()),
    }))
}

fn netfilter_persistent(observation: &mut Observation<'_>) -> Result<Option<Rules>, Unobservable> {
    let mut rules = Ruleset::default();
    let mut read = Ok(());
    for (family, place) in [
        (Family::Ipv4, "/etc/iptables/rules.v4"),
        (Family::Ipv6, "/etc/iptables/rules.v6"),
    ] {
        if let Some(text) = observation.text(place)? {
            read = read.and_then(|()| iptables::parse(&text, family, "disk", &mut rules));
        }
    }
    Ok(Some(Rules {
        file: "/etc/iptables".to_owned(),
        filters: read.map(|()| filtered(&rules)),
    }))
}

/// ufw filters both families if it is on at all: without IPv6 it drops all of it.
fn ufw(observation: &mut Observation<'_>) -> Result<Option<Rules>, Unobservable> {
    const FILE: &str = "/etc/ufw/ufw.conf";
    let Some(text) = observation.text(FILE)? else {
        return Ok(None);
    };
    let on = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("ENABLED="))
        .next_back()
        .is_some_and(|value| value.trim_matches(['"', '\'']).eq_ignore_ascii_case("yes"));
    Ok(Some(Rules {
        file: FILE.to_owned(),
        filters: Ok(if on { BOTH.to_vec() } else { Vec::new() }),
    }))
}

/// firewalld rejects what no zone allows, unless the zone for everything accepts all.
fn firewalld(
    observation: &mut Observation<'_>,
    _openrc: bool,
) -> Result<Option<Rules>, Unobservable> {
    const FILE: &str = "/etc/firewalld/firewalld.conf";
    let text = observation.text(FILE)?.unwrap_or_default();
    let zone = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("DefaultZone="))
        .next_back()
        .map_or_else(|| "public".to_owned(), |zone| zone.trim().to_owned());
    if zone.contains('/') {
        return Ok(Some(Rules {
            file: FILE.to_owned(),
            filters: Err(format!("{zone} is no name of a zone")),
        }));
    }
    let mut target = if zone == "trusted" {
        "ACCEPT".to_owned()
    } else {
        String::new()
    };
    for directory in ["/etc/firewalld/zones", "/usr/lib/firewalld/zones"] {
        if let Some(text) = observation.text(&format!("{directory}/{zone}.xml"))? {
            target = text
                .split_once("target=\"")
                .and_then(|(_, rest)| Some(rest.split_once('"')?.0.to_owned()))
                .unwrap_or_default();
            break;
        }
    }
    Ok(Some(Rules {
        file: FILE.to_owned(),
        filters: Ok(if target == "ACCEPT" {
            Vec::new()
        } else {
            BOTH.to_vec()
        }),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_the_one_the_unit_names() {
        for (unit, file) in [
            (
                "ExecStart=/usr/sbin/nft -f /etc/nftables.conf\n",
                Some("/etc/nftables.conf"),
            ),
            (
                "ExecStart=/sbin/nft -f /etc/sysconfig/nftables.conf\n",
                Some("/etc/sysconfig/nftables.conf"),
            ),
            (
                "ExecStart=/usr/sbin/nft 'flush ruleset; include \"/etc/nftables/rules/main.nft\";'\n",
                Some("/etc/nftables/rules/main.nft"),
            ),
            ("ExecStart=/usr/sbin/nft -f -\n", None),
        ] {
            assert_eq!(loaded_file(unit).as_deref(), file, "{unit}");
        }
    }
}
