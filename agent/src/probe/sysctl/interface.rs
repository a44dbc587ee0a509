//! Settings of network interfaces as they take effect (include/linux/inetdevice.h).

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::boot::Boot;
use super::number;
use crate::host::{FileKind, Host, HostError};

/// Most interfaces looked at.
const MAX_INTERFACES: usize = 1024;
/// Beginnings of names that go on with hexadecimal digits drawn by lot, for a container or its network.
const DRAWN: [&str; 3] = ["cali", "lxc", "br-"];
/// Beginnings of names that go on with the next free number.
const NUMBERED: [&str; 2] = ["vnet", "tap"];

/// Settings of IPv4 with the value an interface starts with, and how the kernel combines it with that of `all`.
const IPV4: [(&str, i64, Rule); 6] = [
    ("accept_redirects", 1, Rule::Redirects),
    ("accept_source_route", 1, Rule::Both),
    ("log_martians", 0, Rule::Either),
    ("rp_filter", 0, Rule::Highest),
    ("secure_redirects", 1, Rule::Either),
    ("send_redirects", 1, Rule::Either),
];

/// Settings of IPv6 with the value an interface starts with.
const IPV6: [(&str, i64, Rule); 3] = [
    ("accept_ra", 1, Rule::Own),
    ("accept_redirects", 1, Rule::Own),
    ("accept_source_route", 0, Rule::Own),
];

/// How the value of `all` takes part.
#[derive(Debug, Clone, Copy)]
enum Rule {
    /// Not at all.
    Own,
    /// On if both are on (IN_DEV_ANDCONF).
    Both,
    /// On if one is on (IN_DEV_ORCONF).
    Either,
    /// The higher value counts (IN_DEV_MAXCONF).
    Highest,
    /// As `Both` while the interface forwards, else as `Either` (IN_DEV_RX_REDIRECTS).
    Redirects,
}

/// One setting of one interface, as it takes effect.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct InterfaceSetting {
    /// The interface, or `default` for those to come.
    interface: String,
    /// It reaches this host only.
    loopback: bool,
    /// The protocol.
    family: Family,
    /// The setting, for example `accept_redirects`.
    key: String,
    /// The effective value now; absent on an unpacked root.
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<i64>,
    /// The effective value after the next boot.
    boot: i64,
}

/// A version of the Internet Protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    fn path(self, interface: &str, key: &str) -> String {
        format!("net/{}/conf/{interface}/{key}", self.name())
    }

    fn name(self) -> &'static str {
        match self {
            Family::Ipv4 => "ipv4",
            Family::Ipv6 => "ipv6",
        }
    }
}

/// The settings of all interfaces; on an unpacked root those of `default` alone.
pub(super) fn settings(host: &dyn Host, boot: &Boot) -> Result<Vec<InterfaceSetting>, HostError> {
    let mut found = BTreeSet::new();
    for (family, keys) in [(Family::Ipv4, &IPV4[..]), (Family::Ipv6, &IPV6[..])] {
        for interface in interfaces(host, boot, family)? {
            if family == Family::Ipv6 && is_off(host, boot, &interface)? {
                continue;
            }
            for (key, start, rule) in keys {
                let one = One {
                    family,
                    interface: &interface,
                    key,
                    start: *start,
                    rule: *rule,
                };
                found.insert(one.setting(host, boot)?);
            }
        }
    }
    Ok(found.into_iter().collect())
}

fn interfaces(host: &dyn Host, boot: &Boot, family: Family) -> Result<Vec<String>, HostError> {
    if !host.is_live() {
        let mut named = boot.interfaces(family.name());
        named.insert("default".to_owned());
        return Ok(named.into_iter().take(MAX_INTERFACES).collect());
    }
    let directory = format!("/proc/sys/{}", family.path("", ""));
    let entries = match host.list(directory.trim_end_matches('/')) {
        Err(HostError::NotFound(_)) => return Ok(Vec::new()),
        other => other?,
    };
    let names: Vec<String> = entries
        .into_iter()
        .filter(|entry| entry.kind == FileKind::Directory && entry.name != "all")
        .map(|entry| entry.name)
        .collect();
    if names.len() > MAX_INTERFACES {
        return Err(HostError::TooLarge(directory, MAX_INTERFACES));
    }
    Ok(names)
}

/// IPv6 is switched off for an interface, now and after the next boot. A write to `all` reaches every interface here.
fn is_off(host: &dyn Host, boot: &Boot, interface: &str) -> Result<bool, HostError> {
    let path = |of: &str| Family::Ipv6.path(of, "disable_ipv6");
    let at_boot = [interface, "all", "default"]
        .iter()
        .find_map(|of| boot.get(&path(of)))
        .is_some_and(|assigned| assigned.number() == Some(1));
    Ok(at_boot && (!host.is_live() || number(host, &path(interface))? == Some(1)))
}

/// One setting of one interface, before it is read.
struct One<'a> {
    family: Family,
    interface: &'a str,
    key: &'a str,
    start: i64,
    rule: Rule,
}

impl One<'_> {
    fn setting(&self, host: &dyn Host, boot: &Boot) -> Result<InterfaceSetting, HostError> {
        let now_of = |of: &str, key: &str| number(host, &self.family.path(of, key));
        let forwards = now_of(self.interface, "forwarding")?.is_some_and(|value| value != 0);
        let now = match now_of(self.interface, self.key)? {
            None => None,
            Some(own) => {
                let all = now_of("all", self.key)?.unwrap_or(own);
                Some(self.rule.effective(all, own, forwards))
            }
        };
        let at_boot = |of: &str| {
            let assigned = boot.get(&self.family.path(of, self.key))?;
            assigned.number()
        };
        let own = at_boot(self.interface)
            .or_else(|| at_boot("default"))
            .unwrap_or(self.start);
        // The kernel starts with `all` at what an interface starts with, but for source routes, which it turns off there.
        let all = at_boot("all").unwrap_or(match self.rule {
            Rule::Both => 0,
            _ => self.start,
        });
        Ok(InterfaceSetting {
            interface: shortened(self.interface),
            loopback: self.interface == "lo",
            family: self.family,
            key: self.key.to_owned(),
            now,
            boot: self.rule.effective(all, own, forwards),
        })
    }
}

impl Rule {
    fn effective(self, all: i64, own: i64, forwards: bool) -> i64 {
        let both = i64::from(all != 0 && own != 0);
        let either = i64::from(all != 0 || own != 0);
        match self {
            Rule::Own => own,
            Rule::Both => both,
            Rule::Either => either,
            Rule::Highest => all.max(own),
            Rule::Redirects if forwards => both,
            Rule::Redirects => either,
        }
    }
}

/// A name without what was drawn by lot, so that facts stay the same when containers come and go.
pub(in crate::probe) fn shortened(interface: &str) -> String {
    let rest = |prefix: &&str| interface.strip_prefix(*prefix).map(str::as_bytes);
    let drawn = |rest: &[u8]| rest.len() >= 8 && rest.iter().all(u8::is_ascii_hexdigit);
    let number = |rest: &[u8]| !rest.is_empty() && rest.iter().all(u8::is_ascii_digit);
    let prefix = if interface.starts_with("veth") {
        Some(&"veth")
    } else {
        DRAWN
            .iter()
            .find(|prefix| rest(prefix).is_some_and(drawn))
            .or_else(|| {
                NUMBERED
                    .iter()
                    .find(|prefix| rest(prefix).is_some_and(number))
            })
    };
    prefix.map_or_else(|| interface.to_owned(), |prefix| format!("{prefix}*"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_is_combined_by_its_own_rule() {
        for (rule, all, own, forwards, expected) in [
            (Rule::Both, 0, 1, false, 0),
            (Rule::Both, 1, 1, false, 1),
            (Rule::Either, 0, 1, false, 1),
            (Rule::Either, 1, 0, false, 1),
            (Rule::Either, 0, 0, false, 0),
            (Rule::Redirects, 0, 1, false, 1),
            (Rule::Redirects, 0, 1, true, 0),
            (Rule::Highest, 1, 2, false, 2),
            (Rule::Own, 0, 1, false, 1),
        ] {
            assert_eq!(
                rule.effective(all, own, forwards),
                expected,
                "{rule:?} of all={all} and own={own}, forwarding: {forwards}"
            );
        }
    }

    #[test]
    fn names_drawn_by_lot_are_shortened() {
        assert_eq!(shortened("veth12ab34c"), "veth*");
        assert_eq!(shortened("br-0a1b2c3d4e5f"), "br-*");
        assert_eq!(shortened("eth0"), "eth0");
        assert_eq!(shortened("br-lan"), "br-lan");
        assert_eq!(shortened("br-backend"), "br-backend");
        assert_eq!(shortened("tap0"), "tap*");
    }
}
