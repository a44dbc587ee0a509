//! Whether this host forwards packets between networks, now and after the next boot, and by which way it reaches others.
//!
//! For IPv4 the interface that a packet comes in by decides (`conf/IF/forwarding`): `ip_forward` only sets them all. For
//! IPv6 `conf/all/forwarding` decides, or `force_forwarding` of the interface where the kernel has it; the interface's
//! own `forwarding` does not.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::Serialize;

use super::sysctl::{self, Boot, shortened};
use super::{Observation, Probe, Unobservable};
use crate::host::{FileKind, Host, HostError};

/// Most interfaces looked at.
const MAX_INTERFACES: usize = 1024;
/// The route to everywhere is in use (RTF_UP of route.h).
const UP: u32 = 1;

/// The probe `routing`.
pub struct Routing;

/// Facts about forwarding and routes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RoutingFacts {
    /// What forwards now; absent on an unpacked root.
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<Forwarding>,
    /// What the files of the next boot switch on.
    boot: AtBoot,
    /// Interfaces with a route of IPv4 or a global address of IPv6, without loopback.
    connected: BTreeSet<String>,
    /// Ways to everywhere of IPv4.
    default_routes: BTreeSet<DefaultRoute>,
}

/// What forwards now.
#[derive(Debug, Serialize, JsonSchema)]
struct Forwarding {
    /// Interfaces whose packets of IPv4 are forwarded.
    ipv4: BTreeSet<String>,
    /// Packets of IPv6 are forwarded, by whatever interface they come in.
    ipv6: bool,
    /// Interfaces whose packets of IPv6 are forwarded in any case.
    ipv6_forced: BTreeSet<String>,
}

/// What the files of the next boot switch on.
#[derive(Debug, Serialize, JsonSchema)]
struct AtBoot {
    /// Forwarding of IPv4, for one interface at least.
    ipv4: bool,
    /// Forwarding of IPv6.
    ipv6: bool,
    /// The files that do.
    files: BTreeSet<String>,
}

/// A way to everywhere.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
struct DefaultRoute {
    /// The interface.
    interface: String,
    /// The router's address; absent for a link without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<String>,
}

impl Probe for Routing {
    const ID: &'static str = "routing";
    type Facts = RoutingFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<RoutingFacts, Unobservable> {
        let (_, boot) = Boot::read(observation)?;
        let names = interfaces(observation.host())?;
        let mut later = names.clone();
        if !observation.is_live() {
            later.extend(boot.interfaces("ipv4"));
            later.extend(boot.interfaces("ipv6"));
        }
        let mut facts = RoutingFacts {
            now: None,
            boot: at_boot(&boot, &later),
            connected: BTreeSet::new(),
            default_routes: BTreeSet::new(),
        };
        if !observation.is_live() {
            return Ok(facts);
        }
        observation.note("/proc/sys/net/*/conf/*/forwarding");
        facts.now = Some(now(observation.host(), &names)?);
        let routes = observation.text("/proc/net/route")?.unwrap_or_default();
        for line in routes.lines().skip(1) {
            let route = route(line).ok_or_else(|| {
                Unobservable::unparsable("/proc/net/route", "a line of another form")
            })?;
            if route.interface == "lo" {
                continue;
            }
            let name = shortened(&route.interface);
            if route.to_everywhere {
                facts.default_routes.insert(DefaultRoute {
                    interface: name.clone(),
                    gateway: route.gateway.map(|gateway| gateway.to_string()),
                });
            }
            facts.connected.insert(name);
        }
        let addresses = observation.text("/proc/net/if_inet6")?.unwrap_or_default();
        facts
            .connected
            .extend(addresses.lines().filter_map(with_global_address));
        Ok(facts)
    }
}

fn interfaces(host: &dyn Host) -> Result<Vec<String>, HostError> {
    if !host.is_live() {
        return Ok(Vec::new());
    }
    let entries = host.list("/proc/sys/net/ipv4/conf")?;
    if entries.len() > MAX_INTERFACES {
        return Err(HostError::TooLarge(
            "/proc/sys/net/ipv4/conf".to_owned(),
            MAX_INTERFACES,
        ));
    }
    Ok(entries
        .into_iter()
        .filter(|entry| entry.kind == FileKind::Directory)
        .map(|entry| entry.name)
        .filter(|name| !["all", "default", "lo"].contains(&name.as_str()))
        .collect())
}

fn now(host: &dyn Host, names: &[String]) -> Result<Forwarding, HostError> {
    let on = |path: String| -> Result<bool, HostError> {
        Ok(sysctl::number(host, &path)?.is_some_and(|value| value != 0))
    };
    let mut ipv4 = BTreeSet::new();
    let mut ipv6_forced = BTreeSet::new();
    for name in names {
        if on(format!("net/ipv4/conf/{name}/forwarding"))? {
            ipv4.insert(shortened(name));
        }
        if on(format!("net/ipv6/conf/{name}/force_forwarding"))? {
            ipv6_forced.insert(shortened(name));
        }
    }
    Ok(Forwarding {
        ipv4,
        ipv6: on("net/ipv6/conf/all/forwarding".to_owned())?,
        ipv6_forced,
    })
}

fn at_boot(boot: &Boot, names: &[String]) -> AtBoot {
    let mut files = BTreeSet::new();
    let mut on = |path: &str| {
        let set = boot.get(path).filter(|set| set.number() != Some(0));
        files.extend(set.map(|set| set.file.clone()));
        set.is_some()
    };
    let mut ipv4 = on("net/ipv4/ip_forward")
        | on("net/ipv4/conf/all/forwarding")
        | on("net/ipv4/conf/default/forwarding");
    let mut ipv6 = on("net/ipv6/conf/all/forwarding") | on("net/ipv6/conf/all/force_forwarding");
    for name in names {
        ipv4 |= on(&format!("net/ipv4/conf/{name}/forwarding"));
        ipv6 |= on(&format!("net/ipv6/conf/{name}/force_forwarding"));
    }
    AtBoot { ipv4, ipv6, files }
}

/// A route of IPv4.
struct Route {
    interface: String,
    to_everywhere: bool,
    gateway: Option<Ipv4Addr>,
}

/// `Iface Destination Gateway Flags RefCnt Use Metric Mask …`, addresses as numbers in the processor's order.
fn route(line: &str) -> Option<Route> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let number = |at: usize| u32::from_str_radix(fields.get(at)?, 16).ok();
    let gateway = number(2)?;
    Some(Route {
        interface: (*fields.first()?).to_owned(),
        to_everywhere: number(1)? == 0 && number(7)? == 0 && number(3)? & UP != 0,
        gateway: (gateway != 0).then(|| Ipv4Addr::from(gateway.to_le_bytes())),
    })
}

/// `ADDRESS INDEX PREFIX SCOPE FLAGS NAME`: the scope 00 is global.
fn with_global_address(line: &str) -> Option<String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let name = *fields.get(5)?;
    (*fields.get(3)? == "00" && name != "lo").then(|| shortened(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read() {
        let everywhere =
            route("eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0").unwrap();
        assert!(everywhere.to_everywhere);
        assert_eq!(everywhere.gateway.unwrap().to_string(), "192.0.2.1");
        let near = route("eth0\t000200C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0").unwrap();
        assert!(!near.to_everywhere && near.gateway.is_none());
        assert!(route("eth0 x").is_none() && route("").is_none());
        assert_eq!(
            with_global_address("20010db8 02 40 00 80 eth0"),
            Some("eth0".to_owned())
        );
        assert_eq!(with_global_address("fe80 02 40 20 80 eth0"), None);
        assert_eq!(with_global_address(""), None);
    }
}
