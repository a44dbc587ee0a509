//! The kernel's ruleset as `nft -j list ruleset` prints it (libnftables-json(5)).

mod expression;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::rule::{Base, Chain, ChainId, Condition, Rule, Ruleset, Verdict};
use expression::{Sets, condition};

/// Most conditions that a map of verdicts makes.
const MAX_MAPPED: usize = 100_000;

/// A table: family and name.
type TableId = (String, String);

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) rules: Ruleset,
    /// Tables that say they have flags: an old nft prints the wrong ones, so which is for the text to tell.
    pub(super) flagged: BTreeSet<TableId>,
    /// Tables with rules that only iptables-nft can print.
    pub(super) opaque: BTreeSet<TableId>,
}

impl Listing {
    /// Takes a table's chains out.
    pub(super) fn remove(&mut self, family: &str, table: &str) {
        self.rules
            .chains
            .retain(|id, _| id.family != family || id.table != table);
    }
}

/// Reads a listing.
///
/// # Errors
/// What is not as documented.
pub(super) fn parse(text: &[u8]) -> Result<Listing, String> {
    let document: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let items = document
        .get("nftables")
        .and_then(Value::as_array)
        .ok_or("no member nftables")?;
    let sets = sets(items);
    let mut listing = Listing::default();
    for item in items {
        if let Some(table) = item.get("table") {
            if table.get("flags").is_some() {
                listing.flagged.insert(table_id(table, "name")?);
            }
        } else if let Some(chain) = item.get("chain") {
            let id = chain_id(chain, "name")?;
            listing.rules.chains.entry(id).or_default().base = base(chain)?;
        } else if let Some(rule) = item.get("rule") {
            let id = chain_id(rule, "chain")?;
            let statements = rule
                .get("expr")
                .and_then(Value::as_array)
                .ok_or("a rule without expr")?;
            if statements
                .iter()
                .any(|statement| statement.get("xt").is_some())
            {
                listing.opaque.insert((id.family.clone(), id.table.clone()));
            }
            let of_table = sets
                .get(&(id.family.clone(), id.table.clone()))
                .cloned()
                .unwrap_or_default();
            let chain: &mut Chain = listing.rules.chains.entry(id).or_default();
            chain.rules.extend(rules(statements, &of_table));
        }
    }
    Ok(listing)
}

fn text<'v>(of: &'v Value, member: &str) -> Result<&'v str, String> {
    of.get(member)
        .and_then(Value::as_str)
        .ok_or_else(|| format!("no member {member}"))
}

fn table_id(of: &Value, name: &str) -> Result<TableId, String> {
    Ok((text(of, "family")?.to_owned(), text(of, name)?.to_owned()))
}

fn chain_id(of: &Value, name: &str) -> Result<ChainId, String> {
    let (family, table) = table_id(of, "table")?;
    Ok(ChainId {
        engine: "nft",
        family,
        table,
        name: text(of, name)?.to_owned(),
    })
}

fn base(chain: &Value) -> Result<Option<Base>, String> {
    if chain.get("hook").is_none() {
        return Ok(None);
    }
    let policy = chain.get("policy").and_then(Value::as_str);
    Ok(Some(Base {
        kind: text(chain, "type")?.to_owned(),
        hook: text(chain, "hook")?.to_owned(),
        accepts: policy != Some("drop"),
    }))
}

/// The elements of named sets and maps, table by table.
fn sets(items: &[Value]) -> BTreeMap<TableId, Sets> {
    let mut found: BTreeMap<TableId, Sets> = BTreeMap::new();
    for item in items {
        let Some(set) = item.get("set").or_else(|| item.get("map")) else {
            continue;
        };
        let (Ok(table), Ok(name)) = (table_id(set, "table"), text(set, "name")) else {
            continue;
        };
        let elements = set.get("elem").and_then(Value::as_array);
        found
            .entry(table)
            .or_default()
            .insert(name.to_owned(), elements.cloned().unwrap_or_default());
    }
    found
}

/// A rule, or several where a map of verdicts tells packets apart.
fn rules(statements: &[Value], sets: &Sets) -> Vec<Rule> {
    let mut conditions = Vec::new();
    for statement in statements {
        let Some((name, value)) = statement
            .as_object()
            .and_then(|members| members.iter().next())
        else {
            continue;
        };
        match name.as_str() {
            "match" => conditions.extend(condition(value, sets)),
            "vmap" => return mapped(&conditions, value, sets),
            "limit" | "quota" | "ct count" | "connlimit" => conditions.push(Condition::Some),
            "counter" | "log" | "mangle" | "ct helper" | "ct timeout" | "ct expectation"
            | "set" | "map" | "meter" | "notrack" | "flow" | "secmark" | "dup" | "last"
            | "reset" | "masquerade" | "snat" => {}
            "xt" => conditions.push(Condition::Unknown("a match of iptables (xt)".to_owned())),
            _ => {
                return vec![Rule {
                    conditions,
                    verdict: verdict(name, value),
                }];
            }
        }
    }
    vec![Rule {
        conditions,
        verdict: Verdict::Continue,
    }]
}

fn verdict(name: &str, value: &Value) -> Verdict {
    let target = || text(value, "target").map(str::to_owned);
    match name {
        "accept" => Verdict::Accept,
        "drop" | "reject" => Verdict::Drop,
        "return" => Verdict::Return,
        "continue" => Verdict::Continue,
        "jump" => target().map_or_else(Verdict::Unknown, Verdict::Jump),
        "goto" => target().map_or_else(Verdict::Unknown, Verdict::Goto),
        "dnat" | "redirect" => Verdict::Translate,
        other => Verdict::Unknown(format!("the statement {other}")),
    }
}

/// `KEY vmap { ELEMENT : VERDICT, … }` or `KEY vmap @MAP`.
fn mapped(conditions: &[Condition], value: &Value, sets: &Sets) -> Vec<Rule> {
    let unknown = |what: &str| {
        vec![Rule {
            conditions: conditions.to_vec(),
            verdict: Verdict::Unknown(what.to_owned()),
        }]
    };
    let (Some(key), Some(data)) = (value.get("key"), value.get("data")) else {
        return unknown("a map of verdicts without key or data");
    };
    let named = data
        .as_str()
        .and_then(|name| sets.get(name.strip_prefix('@')?));
    let Some(elements) = named.or_else(|| data.get("set").and_then(Value::as_array)) else {
        return unknown("a map of verdicts that is not listed");
    };
    if elements.len().saturating_mul(conditions.len() + 1) > MAX_MAPPED {
        return unknown("a map of verdicts too large to follow");
    }
    let (mut rules, mut others) = (Vec::new(), Vec::new());
    for element in elements {
        let pair = element.as_array().map(Vec::as_slice);
        let Some([from, to]) = pair else {
            return unknown("an element of a map of verdicts");
        };
        let Some((name, inner)) = to.as_object().and_then(|members| members.iter().next()) else {
            return unknown("a verdict of a map");
        };
        let mut own = conditions.to_vec();
        // `*` stands for every key that no other element has; it comes last, so what others decided is gone by then.
        if from.as_str() != Some("*") {
            let asked = serde_json::json!({"op": "==", "left": key, "right": from});
            own.extend(condition(&asked, sets));
        }
        let rule = Rule {
            conditions: own,
            verdict: verdict(name, inner),
        };
        if from.as_str() == Some("*") {
            others.push(rule);
        } else {
            rules.push(rule);
        }
    }
    rules.append(&mut others);
    rules
}
