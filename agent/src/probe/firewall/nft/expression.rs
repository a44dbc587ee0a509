//! Matches of a rule: what a new packet from the network must be like.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::probe::firewall::rule::{Condition, Family};
use crate::probe::firewall::space::{Ports, Space};

/// The elements of the named sets and maps of a table.
pub(super) type Sets = BTreeMap<String, Vec<Value>>;

/// Most elements written out in a restriction; of a longer set the name stands for all.
const MAX_SHOWN: usize = 20;

/// The conditions that a `match` statement makes.
pub(super) fn condition(of: &Value, sets: &Sets) -> Vec<Condition> {
    let (Some(left), Some(right)) = (of.get("left"), of.get("right")) else {
        return vec![unknown("a match", of)];
    };
    let op = of.get("op").and_then(Value::as_str).unwrap_or("==");
    let negated = match op {
        "==" | "in" => false,
        "!=" => true,
        order => {
            return match ordered(order, left, right) {
                Some(right) => condition(&serde_json::json!({"left": left, "right": right}), sets),
                None => vec![Condition::Some],
            };
        }
    };
    let Some(values) = values(right, sets) else {
        return vec![unknown("the right side of a match", right)];
    };
    let found = if let Some(key) = member(left, "meta", "key") {
        meta(key, &values)
    } else if let Some(key) = member(left, "ct", "key") {
        vec![connection(key, &values)]
    } else if left.get("payload").is_some() {
        payload(left, &values, negated, right)
    } else if let Some(parts) = left.get("concat").and_then(Value::as_array) {
        return concatenated(parts, &values, negated);
    } else if left.get("fib").is_some() {
        vec![route(&values)]
    } else if [
        "&",
        "|",
        "^",
        "exthdr",
        "tcp option",
        "ip option",
        "rt",
        "socket",
        "numgen",
        "osf",
    ]
    .iter()
    .any(|kind| left.get(*kind).is_some())
    {
        vec![Condition::Some]
    } else {
        vec![unknown("the left side of a match", left)]
    };
    if negated { negate(found) } else { found }
}

/// An order of destination ports as a range of them.
fn ordered(op: &str, left: &Value, right: &Value) -> Option<Value> {
    if member(left, "payload", "field") != Some("dport") {
        return None;
    }
    let port = u16::try_from(right.as_u64()?).ok()?;
    let (first, last) = match op {
        "<" => (0, port.checked_sub(1)?),
        "<=" => (0, port),
        ">" => (port.checked_add(1)?, u16::MAX),
        ">=" => (port, u16::MAX),
        _ => return None,
    };
    Some(serde_json::json!({"range": [first, last]}))
}

fn unknown(what: &str, value: &Value) -> Condition {
    let shown: String = value.to_string().chars().take(120).collect();
    Condition::Unknown(format!("{what}: {shown}"))
}

fn member<'v>(of: &'v Value, kind: &str, name: &str) -> Option<&'v str> {
    of.get(kind)?.get(name)?.as_str()
}

/// The negation of a field's condition, which is the last one: family and protocol that it implies stay asked for.
fn negate(mut conditions: Vec<Condition>) -> Vec<Condition> {
    if let Some(field) = conditions.pop() {
        conditions.push(field.negated());
    }
    conditions
}

/// The values of the right side, one by one; `None` if a named set is not listed.
fn values(right: &Value, sets: &Sets) -> Option<Vec<Value>> {
    let list = if let Some(name) = right.as_str().and_then(|text| text.strip_prefix('@')) {
        sets.get(name)?.clone()
    } else if let Some(list) = right.get("set").and_then(Value::as_array) {
        list.clone()
    } else if let Some(list) = right.as_array() {
        list.clone()
    } else {
        vec![right.clone()]
    };
    Some(
        list.into_iter()
            .map(|item| {
                item.get("elem")
                    .and_then(|elem| elem.get("val"))
                    .cloned()
                    .unwrap_or(item)
            })
            .collect(),
    )
}

fn meta(key: &str, values: &[Value]) -> Vec<Condition> {
    match key {
        "iifname" | "iif" => vec![Condition::Interfaces {
            names: values.iter().map(shown).collect(),
            negated: false,
        }],
        // A packet for this host has no way out yet.
        "oifname" | "oif" => vec![Condition::Some],
        "l4proto" => vec![protocols(values)],
        "nfproto" | "protocol" => match values {
            [one] => match shown(one).as_str() {
                "ipv4" | "ip" | "2" => vec![Condition::Family(Family::Ipv4)],
                "ipv6" | "ip6" | "10" => vec![Condition::Family(Family::Ipv6)],
                _ => vec![Condition::Never],
            },
            _ => vec![Condition::Some],
        },
        "mark" | "pkttype" | "ipsec" | "iifgroup" | "iiftype" | "iifkind" | "ibrname"
        | "priority" => {
            vec![Condition::Only(format!("{key} {}", list(values)))]
        }
        "length" | "time" | "day" | "hour" | "cpu" | "random" => vec![Condition::Some],
        other => vec![Condition::Unknown(format!("meta {other}"))],
    }
}

/// A new packet from the network is in state `new`; `untracked` it is only where rules take it out of tracking.
fn connection(key: &str, values: &[Value]) -> Condition {
    let words: Vec<String> = values.iter().map(shown).collect();
    match key {
        "state" if words.iter().any(|word| word == "new") => Condition::Packets {
            space: Space::all(),
            exact: true,
        },
        "state" if words.iter().any(|word| word == "untracked") => {
            Condition::Only("connections that are not tracked".to_owned())
        }
        "state" if words.iter().any(|word| word.parse::<u64>().is_ok()) => Condition::Some,
        "state" => Condition::Never,
        // What is translated is listed by the rules that translate it.
        "status" if words.iter().all(|word| word == "dnat") => Condition::Never,
        "direction" if words == ["original"] => Condition::Some,
        "direction" => Condition::Never,
        "mark" | "zone" | "helper" => Condition::Only(format!("ct {key} {}", list(values))),
        other => Condition::Unknown(format!("ct {other}")),
    }
}

/// The type of a route to the packet's address.
fn route(values: &[Value]) -> Condition {
    match values {
        [one] if shown(one) == "local" => Condition::Some,
        _ => Condition::Only(format!("route {}", list(values))),
    }
}

fn payload(left: &Value, values: &[Value], negated: bool, right: &Value) -> Vec<Condition> {
    let protocol = member(left, "payload", "protocol").unwrap_or_default();
    let field = member(left, "payload", "field").unwrap_or_default();
    match (protocol, field) {
        ("ip" | "ip6", "saddr" | "daddr") => {
            let family = if protocol == "ip" {
                Family::Ipv4
            } else {
                Family::Ipv6
            };
            vec![
                Condition::Family(family),
                address(field == "saddr", values, negated, right),
            ]
        }
        ("ip", "protocol") => vec![Condition::Family(Family::Ipv4), protocols(values)],
        ("ip6", "nexthdr") => vec![Condition::Family(Family::Ipv6), protocols(values)],
        ("ip", _) => vec![Condition::Family(Family::Ipv4), Condition::Some],
        ("ip6", _) => vec![Condition::Family(Family::Ipv6), Condition::Some],
        ("th" | "@th", "dport") => vec![ports(values)],
        ("tcp" | "udp" | "sctp" | "dccp" | "udplite", "dport") => {
            vec![Condition::protocol(protocol), ports(values)]
        }
        ("tcp" | "udp" | "sctp" | "dccp" | "udplite" | "ah" | "esp" | "igmp", _) => {
            vec![Condition::protocol(protocol), Condition::Some]
        }
        ("icmp", _) => vec![
            Condition::Family(Family::Ipv4),
            Condition::protocol("icmp"),
            Condition::Some,
        ],
        ("icmpv6", _) => vec![
            Condition::Family(Family::Ipv6),
            Condition::protocol("icmpv6"),
            Condition::Some,
        ],
        ("th" | "@th", "sport") => vec![Condition::Some],
        ("ether", field) => vec![Condition::Only(format!("ether {field} {}", list(values)))],
        _ => vec![unknown("a field of the packet", left)],
    }
}

/// Addresses: every address is no restriction, loopback is nothing that comes from the network.
fn address(source: bool, values: &[Value], negated: bool, right: &Value) -> Condition {
    let everything = values.iter().any(|value| {
        value
            .get("prefix")
            .and_then(|prefix| prefix.get("len"))
            .and_then(Value::as_u64)
            == Some(0)
    });
    if everything {
        return Condition::Packets {
            space: Space::all(),
            exact: true,
        };
    }
    let loopback = |value: &Value| {
        let address = value
            .get("prefix")
            .and_then(|prefix| prefix.get("addr"))
            .unwrap_or(value);
        address
            .as_str()
            .is_some_and(|text| text.starts_with("127.") || text == "::1")
    };
    if !negated && !values.is_empty() && values.iter().all(loopback) {
        return Condition::Never;
    }
    if values.is_empty() && !negated {
        return Condition::Never;
    }
    let name = right.as_str().filter(|name| name.starts_with('@'));
    let text = match name {
        Some(name) if values.len() > MAX_SHOWN => name.to_owned(),
        _ => list(values),
    };
    if source {
        Condition::From(text)
    } else {
        Condition::Only(format!("to {text}"))
    }
}

fn protocols(values: &[Value]) -> Condition {
    let mut space = Space::default();
    let mut exact = true;
    for value in values {
        let (one, is_exact) = Space::of_protocol(&shown(value));
        space = space.or(&one);
        exact &= is_exact;
    }
    Condition::Packets { space, exact }
}

fn ports(values: &[Value]) -> Condition {
    let mut found = Ports::default();
    for value in values {
        let Some(range) = port_range(value) else {
            return unknown("a port", value);
        };
        found = found.or(&range);
    }
    Condition::Packets {
        space: Space::of_ports(&found),
        exact: true,
    }
}

fn port_range(value: &Value) -> Option<Ports> {
    let number = |value: &Value| {
        value
            .as_u64()
            .and_then(|number| u16::try_from(number).ok())
            .or_else(|| value.as_str()?.parse().ok())
    };
    if let Some([first, last]) = value
        .get("range")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
    {
        return Some(Ports::range(number(first)?, number(last)?));
    }
    number(value).map(|port| Ports::range(port, port))
}

/// `A . B { a . b, … }`: the parts of each element belong together; each part alone is a wider set, which is enough for
/// what is accepted, and nothing is dropped by it for sure.
fn concatenated(parts: &[Value], values: &[Value], negated: bool) -> Vec<Condition> {
    if negated {
        return vec![Condition::Some];
    }
    let mut conditions = vec![Condition::Some];
    for (at, part) in parts.iter().enumerate() {
        let mut column = Vec::new();
        for value in values {
            match value
                .get("concat")
                .and_then(Value::as_array)
                .and_then(|row| row.get(at))
            {
                Some(field) => column.push(field.clone()),
                None => return vec![unknown("a row of a set", value)],
            }
        }
        let asked = serde_json::json!({"op": "==", "left": part, "right": {"set": column}});
        conditions.extend(condition(&asked, &Sets::new()));
    }
    conditions
}

/// A value as nft would print it.
fn shown(value: &Value) -> String {
    if let Some(prefix) = value.get("prefix") {
        let address = prefix.get("addr").map(shown).unwrap_or_default();
        let length = prefix.get("len").map(shown).unwrap_or_default();
        return format!("{address}/{length}");
    }
    if let Some([first, last]) = value
        .get("range")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
    {
        return format!("{}-{}", shown(first), shown(last));
    }
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn list(values: &[Value]) -> String {
    let mut words: Vec<String> = values.iter().map(shown).collect();
    words.sort();
    words.join(", ")
}
