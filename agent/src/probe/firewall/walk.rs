//! What a packet filter lets in: an over-estimate of the new packets from the network that may reach the host.
//!
//! A packet passes if every filter chain it goes through lets it pass: a `drop` is final, an `accept` ends its own chain
//! only. Accepting rules count with all that they may match, dropping rules with what they surely match, so that nothing
//! that passes is left out. A rule that accepts by a condition that is not understood is an error, never a guess.

use std::collections::BTreeSet;

use super::rule::{Base, ChainId, Condition, Family, Rule, Ruleset, Verdict};
use super::space::Space;

/// Deepest nesting of chains; the kernel's own limit is 16.
const MAX_DEPTH: usize = 32;
/// Most flows of one family and interface.
const MAX_FLOWS: usize = 2000;
/// Most rules looked at for one family and interface.
const MAX_STEPS: usize = 200_000;

/// Packets that pass, and under which restriction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flow {
    pub(super) space: Space,
    /// What else must hold, such as a source; empty for packets from anywhere.
    pub(super) only: BTreeSet<String>,
}

/// One family and one interface that packets come in by; `None` stands for all that no rule names.
pub(super) struct Walk<'r> {
    pub(super) rules: &'r Ruleset,
    pub(super) family: Family,
    pub(super) interface: Option<&'r str>,
}

/// What is found on the way through the chains of one base chain.
struct Found {
    flows: Vec<Flow>,
    steps: usize,
}

/// Under which restrictions a chain is entered.
#[derive(Clone, Default)]
struct Entered {
    only: BTreeSet<String>,
    unknown: Option<String>,
}

/// What a rule's conditions match.
struct Match {
    may: Space,
    must: Space,
    entered: Entered,
}

impl Walk<'_> {
    /// What reaches the host's own sockets: through all filter chains that inbound packets pass.
    ///
    /// # Errors
    /// The construct that is not understood.
    pub(super) fn accepted(&self) -> Result<Vec<Flow>, String> {
        let mut flows = vec![Flow {
            space: Space::all(),
            only: BTreeSet::new(),
        }];
        for (id, base) in self.inbound() {
            if base.kind != "filter" {
                continue;
            }
            flows = both(&flows, &self.through(id, base, &Verdict::Accept)?);
            if flows.len() > MAX_FLOWS {
                return Err(format!("{}: more flows than can be told apart", id.name));
            }
        }
        Ok(merged(flows))
    }

    /// What is sent on to another destination or port before it is filtered as inbound.
    ///
    /// # Errors
    /// The construct that is not understood.
    pub(super) fn translated(&self) -> Result<Vec<Flow>, String> {
        let mut flows = Vec::new();
        for (id, base) in self.inbound() {
            if base.hook == "prerouting" {
                flows.extend(self.through(id, base, &Verdict::Translate)?);
            }
        }
        Ok(merged(flows))
    }

    fn inbound(&self) -> impl Iterator<Item = (&ChainId, &Base)> {
        self.rules.chains.iter().filter_map(|(id, chain)| {
            let base = chain.base.as_ref()?;
            let is_inbound = matches!(base.hook.as_str(), "input" | "prerouting");
            (is_inbound && id.sees(self.family)).then_some((id, base))
        })
    }

    /// The flows that get the verdict looked for in one base chain; for `Accept` also what no rule decides.
    fn through(&self, id: &ChainId, base: &Base, wanted: &Verdict) -> Result<Vec<Flow>, String> {
        let mut found = Found {
            flows: Vec::new(),
            steps: 0,
        };
        let (left, only) =
            self.chain(id, Space::all(), &Entered::default(), wanted, 0, &mut found)?;
        if base.accepts && *wanted == Verdict::Accept && !left.is_empty() {
            found.flows.push(Flow { space: left, only });
        }
        Ok(found.flows)
    }

    /// What comes out of a chain undecided, with what is known of all of it.
    fn chain(
        &self,
        id: &ChainId,
        mut space: Space,
        entered: &Entered,
        wanted: &Verdict,
        depth: usize,
        found: &mut Found,
    ) -> Result<(Space, BTreeSet<String>), String> {
        let Some(chain) = self.rules.chains.get(id) else {
            return Err(format!("chain {} is not there", id.name));
        };
        if depth > MAX_DEPTH {
            return Err(format!("chain {} is nested too deep", id.name));
        }
        let mut returned = Space::default();
        // Sources that all that is still here comes from, after everything else was dropped.
        let mut kept: BTreeSet<String> = BTreeSet::new();
        for rule in &chain.rules {
            found.steps += 1;
            if found.steps > MAX_STEPS || found.flows.len() > MAX_FLOWS {
                return Err(format!("chain {}: too many rules", id.name));
            }
            let Some(matched) = self.matched(rule, entered) else {
                continue;
            };
            let may = space.and(&matched.may);
            if may.is_empty() {
                continue;
            }
            let must = space.and(&matched.must);
            match &rule.verdict {
                Verdict::Continue => {}
                Verdict::Unknown(text) => return Err(text.clone()),
                Verdict::Drop => {
                    kept.extend(the_only_source_left(rule));
                    space = space.without(&must);
                }
                verdict @ (Verdict::Accept | Verdict::Translate) => {
                    if verdict == wanted {
                        if let Some(text) = matched.entered.unknown {
                            return Err(text);
                        }
                        let mut only = matched.entered.only;
                        only.extend(kept.iter().cloned());
                        found.flows.push(Flow { space: may, only });
                    }
                    space = space.without(&must);
                }
                Verdict::Return => {
                    returned = returned.or(&may);
                    space = space.without(&must);
                }
                Verdict::Jump(target) => {
                    let mut inner = matched.entered;
                    inner.only.extend(kept.iter().cloned());
                    let (back, _) =
                        self.chain(&id.beside(target), may, &inner, wanted, depth + 1, found)?;
                    space = space.without(&must).or(&back);
                }
                Verdict::Goto(target) => {
                    let mut inner = matched.entered;
                    inner.only.extend(kept.iter().cloned());
                    let (back, _) =
                        self.chain(&id.beside(target), may, &inner, wanted, depth + 1, found)?;
                    returned = returned.or(&back);
                    space = space.without(&must);
                }
            }
            if space.is_empty() {
                break;
            }
        }
        // What a rule sent back before its source was checked is not known to come from there.
        if !returned.is_empty() {
            kept.clear();
        }
        Ok((space.or(&returned), kept))
    }

    /// What a rule matches; `None` if no new packet of this family from this interface.
    fn matched(&self, rule: &Rule, entered: &Entered) -> Option<Match> {
        let mut may = Space::all();
        let mut must = Space::all();
        let mut entered = entered.clone();
        for condition in &rule.conditions {
            match condition {
                Condition::Never => return None,
                Condition::Family(family) if *family != self.family => return None,
                Condition::Family(_) => {}
                Condition::Packets { space, exact } => {
                    may = may.and(space);
                    must = if *exact {
                        must.and(space)
                    } else {
                        Space::default()
                    };
                }
                Condition::From(text) | Condition::Only(text) => {
                    entered.only.insert(text.clone());
                    must = Space::default();
                }
                Condition::NotFrom(text) => {
                    entered.only.insert(format!("other than {text}"));
                    must = Space::default();
                }
                Condition::Interfaces { names, negated } => {
                    if names.iter().any(|name| fits(name, self.interface)) == *negated {
                        return None;
                    }
                }
                Condition::Some => must = Space::default(),
                Condition::Unknown(text) => {
                    entered.unknown.get_or_insert_with(|| text.clone());
                    must = Space::default();
                }
            }
        }
        Some(Match { may, must, entered })
    }
}

/// The source that all come from whom a dropping rule leaves, if it asks for nothing else. Family and interface were met.
fn the_only_source_left(rule: &Rule) -> Option<String> {
    let mut conditions = rule.conditions.iter().filter(|condition| {
        !matches!(
            condition,
            Condition::Family(_) | Condition::Interfaces { .. }
        )
    });
    match (conditions.next(), conditions.next()) {
        (Some(Condition::NotFrom(source)), None) => Some(source.clone()),
        _ => None,
    }
}

/// Whether packets of this interface come in by one of that name or pattern. Two patterns fit only if they are the same.
fn fits(pattern: &str, interface: Option<&str>) -> bool {
    let Some(interface) = interface else {
        return pattern == "*";
    };
    match pattern.strip_suffix('*') {
        Some(start) => interface.trim_end_matches('*').starts_with(start),
        None => pattern == interface,
    }
}

/// What is in both: every flow of one met with every flow of the other.
fn both(a: &[Flow], b: &[Flow]) -> Vec<Flow> {
    let mut flows = Vec::new();
    for one in a {
        for other in b {
            let space = one.space.and(&other.space);
            if !space.is_empty() {
                flows.push(Flow {
                    space,
                    only: one.only.union(&other.only).cloned().collect(),
                });
            }
        }
    }
    merged(flows)
}

/// One flow a restriction, without what passes unrestricted anyway.
fn merged(flows: Vec<Flow>) -> Vec<Flow> {
    let mut by_restriction: std::collections::BTreeMap<BTreeSet<String>, Space> =
        std::collections::BTreeMap::new();
    for flow in flows {
        let space = by_restriction.entry(flow.only).or_default();
        *space = space.or(&flow.space);
    }
    let open = by_restriction
        .get(&BTreeSet::new())
        .cloned()
        .unwrap_or_default();
    by_restriction
        .into_iter()
        .map(|(only, space)| Flow {
            space: if only.is_empty() {
                space
            } else {
                space.without(&open)
            },
            only,
        })
        .filter(|flow| !flow.space.is_empty())
        .collect()
}

/// Whether some chain that inbound packets of this family pass drops anything: by policy, or by a rule that can be
/// reached.
pub(super) fn filters(rules: &Ruleset, family: Family) -> bool {
    rules.chains.iter().any(|(id, chain)| {
        let Some(base) = &chain.base else {
            return false;
        };
        let inbound = matches!(base.hook.as_str(), "input" | "prerouting" | "ingress");
        inbound
            && base.kind == "filter"
            && id.sees(family)
            && (!base.accepts || drops(rules, id, family, &mut BTreeSet::new()))
    })
}

fn drops(rules: &Ruleset, id: &ChainId, family: Family, seen: &mut BTreeSet<ChainId>) -> bool {
    let Some(chain) = rules.chains.get(id) else {
        return false;
    };
    if !seen.insert(id.clone()) {
        return false;
    }
    for rule in &chain.rules {
        let possible = rule.conditions.iter().all(|condition| match condition {
            Condition::Never => false,
            Condition::Family(only) => *only == family,
            _ => true,
        });
        let found = match &rule.verdict {
            Verdict::Drop => possible,
            Verdict::Jump(target) | Verdict::Goto(target) => {
                possible && drops(rules, &id.beside(target), family, seen)
            }
            _ => false,
        };
        if found {
            return true;
        }
        // Behind an unconditional verdict nothing is reached.
        let ends = matches!(
            rule.verdict,
            Verdict::Accept | Verdict::Return | Verdict::Goto(_)
        );
        if rule.conditions.is_empty() && ends {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::firewall::iptables;

    /// What is let in by rules of iptables, as `name from restriction`.
    fn let_in(policy: &str, rules: &[&str]) -> Result<Vec<String>, String> {
        let rules: Vec<String> = rules.iter().map(|rule| format!("-A {rule}\n")).collect();
        let text = format!(
            "*filter\n:INPUT {policy} [0:0]\n:other - [0:0]\n{}COMMIT\n",
            rules.concat()
        );
        let mut ruleset = Ruleset::default();
        iptables::parse(&text, Family::Ipv4, "nft", &mut ruleset)?;
        let walk = Walk {
            rules: &ruleset,
            family: Family::Ipv4,
            interface: None,
        };
        let flows = walk.accepted()?;
        Ok(flows
            .iter()
            .flat_map(|flow| {
                let only = flow.only.iter().cloned().collect::<Vec<_>>().join(" and ");
                flow.space
                    .names()
                    .into_iter()
                    .map(move |name| format!("{name} from {only}"))
            })
            .collect())
    }

    #[test]
    fn dropping_some_packets_closes_nothing() {
        for rule in [
            "INPUT -s 198.51.100.7 -j DROP",
            "INPUT -m limit --limit 3/min -j DROP",
            "INPUT -m set --match-set banned src -j DROP",
            "INPUT -m conntrack --ctstate INVALID -j DROP",
            "INPUT -i eth1 -j DROP",
            "INPUT -p tcp -m tcp --tcp-flags FIN,SYN FIN,SYN -j DROP",
            "INPUT -s 198.51.100.7 -j other",
        ] {
            let rules = [rule, "other -j DROP"];
            assert_eq!(let_in("ACCEPT", &rules).unwrap(), ["any from "], "{rule}");
        }
    }

    #[test]
    fn what_comes_back_from_a_chain_goes_on() {
        let rules = [
            "INPUT -p tcp -j other",
            "INPUT -j REJECT",
            "INPUT -p udp -m udp --dport 53 -j ACCEPT",
            "other -p tcp -m tcp --dport 22 -j ACCEPT",
            "other -p tcp -m multiport --dports 80,443 -j RETURN",
            "other -p tcp -m tcp --dport 25 -s 192.0.2.0/24 -j ACCEPT",
            "other -j DROP",
        ];
        let found = let_in("ACCEPT", &rules).unwrap();
        assert_eq!(found, ["tcp/22 from ", "tcp/25 from 192.0.2.0/24"]);
        let mut open = rules;
        open[1] = "INPUT -p udp -j DROP";
        let found = let_in("ACCEPT", &open).unwrap();
        assert!(found.contains(&"tcp/80 from ".to_owned()), "{found:?}");
        assert!(
            !found
                .iter()
                .any(|flow| flow.starts_with("udp/") || flow == "udp from "),
            "{found:?}"
        );
    }

    #[test]
    fn what_is_not_understood_is_an_error_only_where_it_lets_in() {
        assert!(let_in("DROP", &["INPUT -m set --match-set friends src -j ACCEPT"]).is_err());
        assert!(let_in("DROP", &["INPUT -m nonsense -j ACCEPT"]).is_err());
        assert!(let_in("DROP", &["INPUT -j NFQUEUE --queue-num 0"]).is_err());
        assert!(let_in("DROP", &["INPUT -j nowhere"]).is_err());
        assert!(
            let_in("DROP", &["INPUT -m nonsense -j DROP"])
                .unwrap()
                .is_empty()
        );
        assert!(
            let_in("DROP", &["INPUT -j other", "other -j INPUT"]).is_err(),
            "a circle"
        );
        assert!(
            let_in("DROP", &["INPUT -j ACCEPT -p tcp"]).is_err(),
            "a match behind the target"
        );
    }
}
