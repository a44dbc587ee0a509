//! Tunnels of this host: interfaces of WireGuard, TUN and IPsec, and whether they lead anywhere.
//!
//! The kernel keeps the time of WireGuard's last handshake to itself; one call tells it, only if there is such an
//! interface: `/usr/bin/wg show all latest-handshakes`.

use std::collections::{BTreeMap, BTreeSet};

use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Observation, Probe, Unobservable};
use crate::host::{Host, HostError, Program};

/// Most interfaces looked at.
const MAX_INTERFACES: usize = 1024;
/// Most bytes of an attribute below /sys.
const MAX_BYTES: usize = 4096;
/// The interface is up (IFF_UP of if.h).
const UP: u32 = 1;

/// The probe `vpn`.
pub struct Vpn;

/// Facts about tunnels.
#[derive(Debug, Serialize, JsonSchema)]
pub struct VpnFacts {
    /// The tunnels.
    tunnels: BTreeSet<Tunnel>,
}

/// A tunnel's end at this host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
struct Tunnel {
    /// The interface.
    interface: String,
    /// What it is.
    kind: Kind,
    /// It is up, and a program holds its other end where it needs one.
    up: bool,
    /// It has an address or a route.
    addressed: bool,
    /// WireGuard: the last handshake with any peer; absent if there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    handshake: Option<Timestamp>,
    /// WireGuard: the time of the handshake could not be asked for.
    handshake_unknown: bool,
}

/// What a tunnel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// WireGuard.
    Wireguard,
    /// TUN, held by a program: OpenVPN, Tailscale, most vendors' clients.
    Tun,
    /// An interface of IPsec (xfrm, vti).
    Ipsec,
    /// PPP, as L2TP and some clients of SSL VPNs use it.
    Ppp,
}

impl Probe for Vpn {
    const ID: &'static str = "vpn";
    type Facts = VpnFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<VpnFacts, Unobservable> {
        observation.require_live("tunnels")?;
        let host = observation.host();
        let entries = match host.list("/sys/class/net") {
            Err(HostError::NotFound(_)) => Vec::new(),
            other => other?,
        };
        observation.note("/sys/class/net");
        if entries.len() > MAX_INTERFACES {
            return Err(Unobservable::unparsable(
                "/sys/class/net",
                "too many interfaces to look at",
            ));
        }
        let addressed = addressed(observation)?;
        let mut tunnels = BTreeSet::new();
        for entry in entries {
            let Some(kind) = kind(host, &entry.name)? else {
                continue;
            };
            tunnels.insert(Tunnel {
                up: is_up(host, &entry.name, kind)?,
                addressed: addressed.contains(&entry.name),
                handshake: None,
                handshake_unknown: false,
                interface: entry.name,
                kind,
            });
        }
        if tunnels.iter().any(|tunnel| tunnel.kind == Kind::Wireguard) {
            tunnels = with_handshakes(observation, tunnels)?;
        }
        Ok(VpnFacts { tunnels })
    }
}

fn attribute(host: &dyn Host, interface: &str, name: &str) -> Result<Option<String>, HostError> {
    match host.read(&format!("/sys/class/net/{interface}/{name}"), MAX_BYTES) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).trim().to_owned())),
        // An interface that is down has no carrier to read.
        Err(HostError::NotFound(_) | HostError::Io(..)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn kind(host: &dyn Host, interface: &str) -> Result<Option<Kind>, HostError> {
    let event = attribute(host, interface, "uevent")?.unwrap_or_default();
    if event.lines().any(|line| line == "DEVTYPE=wireguard") {
        return Ok(Some(Kind::Wireguard));
    }
    if event.lines().any(|line| line == "DEVTYPE=ppp") {
        return Ok(Some(Kind::Ppp));
    }
    // TUN carries packets of IP (IFF_TUN); TAP carries frames, as virtual machines use it.
    if let Some(flags) = attribute(host, interface, "tun_flags")? {
        let flags = u32::from_str_radix(flags.trim_start_matches("0x"), 16).unwrap_or(0);
        return Ok((flags & 1 != 0).then_some(Kind::Tun));
    }
    // ARPHRD_NONE for xfrm interfaces, ARPHRD_TUNNEL and ARPHRD_TUNNEL6 for vti, which must bear the name.
    let number = attribute(host, interface, "type")?.unwrap_or_default();
    let named = ["xfrm", "ipsec", "vti", "ip_vti"]
        .iter()
        .any(|start| interface.starts_with(start));
    Ok((named && ["65534", "768", "769"].contains(&number.as_str())).then_some(Kind::Ipsec))
}

fn is_up(host: &dyn Host, interface: &str, kind: Kind) -> Result<bool, HostError> {
    let flags = attribute(host, interface, "flags")?.unwrap_or_default();
    let flags = u32::from_str_radix(flags.trim_start_matches("0x"), 16).unwrap_or(0);
    if flags & UP == 0 {
        return Ok(false);
    }
    // A TUN interface without a program at its other end has no carrier.
    Ok(kind != Kind::Tun || attribute(host, interface, "carrier")?.as_deref() == Some("1"))
}

/// Interfaces with a route of IPv4 in the main table or an address of IPv6 that is more than link-local.
fn addressed(observation: &mut Observation<'_>) -> Result<BTreeSet<String>, Unobservable> {
    let routes = observation.text("/proc/net/route")?.unwrap_or_default();
    let addresses = observation.text("/proc/net/if_inet6")?.unwrap_or_default();
    let mut found: BTreeSet<String> = routes
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect();
    found.extend(addresses.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        (*fields.get(3)? == "00").then(|| fields.get(5).map(|name| (*name).to_owned()))?
    }));
    Ok(found)
}

/// Adds the time of the last handshake to each WireGuard interface.
fn with_handshakes(
    observation: &mut Observation<'_>,
    tunnels: BTreeSet<Tunnel>,
) -> Result<BTreeSet<Tunnel>, Unobservable> {
    let program = Program::new("/usr/bin/wg", &["show", "all", "latest-handshakes"]);
    let answer = observation.run(&program)?.filter(|output| output.exit == 0);
    let times = answer.map(|output| handshakes(&output.text()));
    Ok(tunnels
        .into_iter()
        .map(|mut tunnel| {
            if tunnel.kind == Kind::Wireguard {
                match &times {
                    Some(times) => tunnel.handshake = times.get(&tunnel.interface).copied(),
                    None => tunnel.handshake_unknown = true,
                }
            }
            tunnel
        })
        .collect())
}

/// `INTERFACE PEER SECONDS`, 0 for none: the latest of each interface. Peers are not kept.
fn handshakes(text: &str) -> BTreeMap<String, Timestamp> {
    let mut found: BTreeMap<String, Timestamp> = BTreeMap::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if let [interface, _, seconds] = fields.as_slice()
            && let Ok(seconds) = seconds.parse::<i64>()
            && seconds > 0
        {
            let time = Timestamp::from_unix_seconds(seconds);
            let known = found.entry((*interface).to_owned()).or_insert(time);
            *known = time.max(*known);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_handshake_counts() {
        let found = handshakes(
            "wg0\tAAA=\t0\nwg0\tBBB=\t1795503000\nwg0\tCCC=\t1795502000\nwg1\tDDD=\t0\nx\n",
        );
        assert_eq!(found.len(), 1);
        assert_eq!(found["wg0"], Timestamp::from_unix_seconds(1_795_503_000));
    }
}
