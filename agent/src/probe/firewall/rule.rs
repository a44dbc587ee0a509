//! Rules of a packet filter, as nftables and iptables both can be read into.
//!
//! What a condition is not known to let through or to keep out is said, not guessed: [`Condition::Some`] matches some
//! packets, nobody knows which, and [`Condition::Unknown`] makes whatever would be accepted by it unresolvable.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::space::Space;

/// A version of the Internet Protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Family {
    Ipv4,
    Ipv6,
}

/// All tables of one family and engine, or all of nftables.
#[derive(Debug, Default)]
pub(super) struct Ruleset {
    pub(super) chains: BTreeMap<ChainId, Chain>,
}

/// A chain's place: engine, family as written (`inet`, `ip`, `ip6`, `netdev`), table and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ChainId {
    /// `nft` or `legacy`: both can be loaded, and both count.
    pub(super) engine: &'static str,
    pub(super) family: String,
    pub(super) table: String,
    pub(super) name: String,
}

impl ChainId {
    /// The chain of that name in the same table.
    pub(super) fn beside(&self, name: &str) -> ChainId {
        ChainId {
            name: name.to_owned(),
            ..self.clone()
        }
    }

    /// Whether its table sees packets of that family.
    pub(super) fn sees(&self, family: Family) -> bool {
        match self.family.as_str() {
            "ip" => family == Family::Ipv4,
            "ip6" => family == Family::Ipv6,
            "inet" | "netdev" => true,
            _ => false,
        }
    }
}

/// A chain.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// Set where packets enter it.
    pub(super) base: Option<Base>,
    pub(super) rules: Vec<Rule>,
}

/// How packets enter a base chain.
#[derive(Debug, Clone)]
pub(super) struct Base {
    /// `filter`, `nat` or `route`.
    pub(super) kind: String,
    /// `input`, `prerouting`, `ingress`, `forward` and so on.
    pub(super) hook: String,
    /// What no rule decides is let through.
    pub(super) accepts: bool,
}

/// A rule.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) conditions: Vec<Condition>,
    pub(super) verdict: Verdict,
}

/// What a rule asks of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    /// Packets of one family.
    Family(Family),
    /// Packets of these protocols and destination ports; exact, or the least set known to hold all that match.
    Packets { space: Space, exact: bool },
    /// Packets that come from there.
    From(String),
    /// Packets that do not come from there.
    NotFrom(String),
    /// Packets that go to, or are marked, as the text says.
    Only(String),
    /// Packets that come in by one of these interfaces (a `*` at the end stands for any rest), or by none of them.
    Interfaces { names: Vec<String>, negated: bool },
    /// Some packets: nobody here knows which.
    Some,
    /// No new packet from the network.
    Never,
    /// A construct that is not understood.
    Unknown(String),
}

/// What a rule does with a packet that meets its conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Accept,
    /// Dropped or rejected.
    Drop,
    Jump(String),
    Goto(String),
    Return,
    /// Nothing that matters here.
    Continue,
    /// Sent to another destination or port.
    Translate,
    /// A construct that is not understood.
    Unknown(String),
}

impl Condition {
    /// Packets of a protocol by its name or number.
    pub(super) fn protocol(name: &str) -> Condition {
        let (space, exact) = Space::of_protocol(name);
        Condition::Packets { space, exact }
    }

    /// All packets but those.
    pub(super) fn negated(self) -> Condition {
        match self {
            Condition::Family(Family::Ipv4) => Condition::Family(Family::Ipv6),
            Condition::Family(Family::Ipv6) => Condition::Family(Family::Ipv4),
            Condition::Packets { space, exact: true } => Condition::Packets {
                space: space.complement(),
                exact: true,
            },
            Condition::Interfaces { names, negated } => Condition::Interfaces {
                names,
                negated: !negated,
            },
            Condition::From(text) => Condition::NotFrom(text),
            Condition::NotFrom(text) => Condition::From(text),
            Condition::Unknown(text) => Condition::Unknown(text),
            Condition::Never => Condition::Packets {
                space: Space::all(),
                exact: true,
            },
            Condition::Packets { exact: false, .. } | Condition::Only(_) | Condition::Some => {
                Condition::Some
            }
        }
    }
}
