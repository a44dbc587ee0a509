//! The packet filter as the kernel holds it: nftables, and the legacy tables that nftables does not show.

use std::collections::BTreeSet;

use evidence::outcome::Reason;
use schemars::JsonSchema;
use serde::Serialize;

use super::rule::{Family, Ruleset};
use super::{iptables, nft};
use crate::host::{HostError, Program, ProgramOutput};
use crate::probe::{Observation, Unobservable};

/// Tables that iptables-nft keeps in nftables.
const IPTABLES_TABLES: [&str; 5] = ["filter", "nat", "mangle", "raw", "security"];

/// Where rules were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Engine {
    /// Tables of nftables.
    Nftables,
    /// Tables of nftables that iptables-nft loaded.
    IptablesNft,
    /// The legacy tables of the kernel.
    IptablesLegacy,
}

/// All rules in force.
#[derive(Debug, Default)]
pub(super) struct InForce {
    pub(super) rules: Ruleset,
    pub(super) engines: BTreeSet<Engine>,
    /// Tables that are loaded and filter nothing.
    pub(super) dormant: Vec<String>,
}

/// Reads all of them.
///
/// # Errors
/// [`Unobservable`] if some of them cannot be listed: what is not seen could let everything in.
pub(super) fn read(observation: &mut Observation<'_>) -> Result<InForce, Unobservable> {
    let mut found = InForce::default();
    nftables(observation, &mut found)?;
    for family in [Family::Ipv4, Family::Ipv6] {
        legacy(observation, family, &mut found)?;
    }
    Ok(found)
}

/// Runs the first of several places of a program that is there.
fn first(
    observation: &mut Observation<'_>,
    places: &[&'static str],
    args: &[&str],
) -> Result<Option<ProgramOutput>, Unobservable> {
    for place in places {
        let program = Program::new(place, args);
        let Some(output) = observation.run(&program)? else {
            continue;
        };
        if output.exit != 0 {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().next().unwrap_or_default();
            let reason = if said.contains("not permitted") || said.contains("denied") {
                Reason::PermissionDenied
            } else {
                Reason::Unparsable
            };
            return Err(Unobservable::new(
                reason,
                format!("{}: exit {}: {said}", program.line(), output.exit),
            ));
        }
        return Ok(Some(output));
    }
    Ok(None)
}

fn nftables(observation: &mut Observation<'_>, found: &mut InForce) -> Result<(), Unobservable> {
    const PLACES: [&str; 3] = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"];
    let wrong = |problem: String| Unobservable::unparsable("nft list ruleset", problem);
    let Some(output) = first(observation, &PLACES, &["-j", "list", "ruleset"])? else {
        if without_nf_tables(observation)? {
            return Ok(());
        }
        return Err(HostError::ToolMissing("/usr/sbin/nft (package nftables)".to_owned()).into());
    };
    let mut listing = nft::parse(&output.stdout).map_err(wrong)?;
    if !listing.flagged.is_empty() {
        let text = first(observation, &PLACES, &["-t", "list", "ruleset"])?
            .ok_or_else(|| wrong("flags of tables could not be listed".to_owned()))?;
        for (family, table) in dormant(&text.text()) {
            listing.remove(&family, &table);
            listing.opaque.remove(&(family.clone(), table.clone()));
            found.dormant.push(format!("{family} {table}"));
        }
    }
    for (family, name) in [(Family::Ipv4, "ip"), (Family::Ipv6, "ip6")] {
        let is_own = |of: &str, table: &str| of == name && IPTABLES_TABLES.contains(&table);
        if !listing.opaque.iter().any(|(of, table)| is_own(of, table)) {
            continue;
        }
        for table in IPTABLES_TABLES {
            listing.remove(name, table);
        }
        listing.opaque.retain(|(of, table)| !is_own(of, table));
        let text = iptables_nft(observation, family)?;
        iptables::parse(&text, family, "nft", &mut listing.rules)
            .map_err(|problem| Unobservable::unparsable("iptables-nft-save", problem))?;
        found.engines.insert(Engine::IptablesNft);
    }
    if let Some((family, table)) = listing.opaque.first() {
        return Err(wrong(format!(
            "table {family} {table} holds matches that only iptables can print"
        )));
    }
    if !listing.rules.chains.is_empty() {
        found.engines.insert(Engine::Nftables);
    }
    found.rules.chains.append(&mut listing.rules.chains);
    Ok(())
}

/// Tables with the flag `dormant`, from the text form of a listing.
fn dormant(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut table = None;
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("table ") {
            let mut words = head.split_whitespace();
            table = words
                .next()
                .map(str::to_owned)
                .zip(words.next().map(str::to_owned));
        } else if let Some(flags) = line.trim().strip_prefix("flags ")
            // A set's own flags stand deeper.
            && line.starts_with('\t')
            && !line.starts_with("\t\t")
            && flags.split([',', ' ']).any(|flag| flag == "dormant")
        {
            found.extend(table.take());
        }
    }
    found
}

/// Whether this kernel has no nftables at all: neither loaded nor built in.
fn without_nf_tables(observation: &mut Observation<'_>) -> Result<bool, Unobservable> {
    let Some(modules) = observation.text("/proc/modules")? else {
        return Ok(false);
    };
    if modules.lines().any(|line| line.starts_with("nf_tables ")) {
        return Ok(false);
    }
    let release = observation
        .text("/proc/sys/kernel/osrelease")?
        .unwrap_or_default();
    let built_in = observation.text(&format!("/lib/modules/{}/modules.builtin", release.trim()))?;
    Ok(built_in.is_some_and(|list| !list.contains("/nf_tables.ko")))
}

fn iptables_nft(observation: &mut Observation<'_>, family: Family) -> Result<String, Unobservable> {
    let (own, any): (&[&'static str], &[&'static str]) = match family {
        Family::Ipv4 => (
            &[
                "/usr/sbin/iptables-nft-save",
                "/sbin/iptables-nft-save",
                "/usr/bin/iptables-nft-save",
            ],
            &["/usr/sbin/iptables-save", "/sbin/iptables-save"],
        ),
        Family::Ipv6 => (
            &[
                "/usr/sbin/ip6tables-nft-save",
                "/sbin/ip6tables-nft-save",
                "/usr/bin/ip6tables-nft-save",
            ],
            &["/usr/sbin/ip6tables-save", "/sbin/ip6tables-save"],
        ),
    };
    let text = match first(observation, own, &[])? {
        Some(output) => output.text(),
        None => first(observation, any, &[])?
            .map(|output| output.text())
            .filter(|text| {
                text.lines()
                    .next()
                    .is_some_and(|line| line.contains("(nf_tables)"))
            })
            .ok_or_else(|| HostError::ToolMissing(format!("{} (package iptables)", own[0])))?,
    };
    if text.contains("is incompatible, use 'nft' tool") {
        return Err(Unobservable::unparsable(
            own[0],
            "a table holds rules that iptables cannot print",
        ));
    }
    Ok(text)
}

/// The legacy tables of a family, which neither nft nor iptables-nft shows.
fn legacy(
    observation: &mut Observation<'_>,
    family: Family,
    found: &mut InForce,
) -> Result<(), Unobservable> {
    let (names, own, any): (_, &[&'static str], &[&'static str]) = match family {
        Family::Ipv4 => (
            "/proc/net/ip_tables_names",
            &[
                "/usr/sbin/iptables-legacy-save",
                "/sbin/iptables-legacy-save",
                "/usr/bin/iptables-legacy-save",
            ],
            &["/usr/sbin/iptables-save", "/sbin/iptables-save"],
        ),
        Family::Ipv6 => (
            "/proc/net/ip6_tables_names",
            &[
                "/usr/sbin/ip6tables-legacy-save",
                "/sbin/ip6tables-legacy-save",
                "/usr/bin/ip6tables-legacy-save",
            ],
            &["/usr/sbin/ip6tables-save", "/sbin/ip6tables-save"],
        ),
    };
    if observation
        .text(names)?
        .unwrap_or_default()
        .trim()
        .is_empty()
    {
        return Ok(());
    }
    let text = match first(observation, own, &[])? {
        Some(output) => output.text(),
        None => first(observation, any, &[])?
            .map(|output| output.text())
            .filter(|text| {
                !text
                    .lines()
                    .next()
                    .is_some_and(|line| line.contains("(nf_tables)"))
            })
            .ok_or_else(|| HostError::ToolMissing(format!("{} (package iptables)", own[0])))?,
    };
    iptables::parse(&text, family, "legacy", &mut found.rules)
        .map_err(|problem| Unobservable::unparsable(own[0], problem))?;
    found.engines.insert(Engine::IptablesLegacy);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dormant_table_is_told_from_a_set_with_flags() {
        let text = "table inet a {\n\tset s {\n\t\ttype ipv4_addr\n\t\tflags dormant\n\t}\n}\ntable ip b {\n\tflags dormant\n\n\tchain c {\n\t}\n}\n";
        assert_eq!(dormant(text), [("ip".to_owned(), "b".to_owned())]);
    }
}
