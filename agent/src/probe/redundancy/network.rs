//! Bonds of network links, from `/proc/net/bonding/` (Documentation/networking/bonding.rst).

use super::{Group, attribute, names};
use crate::probe::{Observation, Unobservable};

const DIRECTORY: &str = "/proc/net/bonding";

pub(super) fn bonds(observation: &mut Observation<'_>) -> Result<Vec<Group>, Unobservable> {
    let mut found = Vec::new();
    for name in names(observation, DIRECTORY)? {
        let path = format!("{DIRECTORY}/{name}");
        if let Some(text) = attribute(observation, &path)? {
            observation.note(&path);
            found.push(bond(&name, &text));
        }
    }
    Ok(found)
}

fn bond(name: &str, text: &str) -> Group {
    let mut level = String::new();
    let mut member: Option<String> = None;
    let mut members = 0;
    let mut faults = Vec::new();
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.trim();
        match key.trim() {
            "Bonding Mode" => {
                level = value.chars().take(80).collect();
            }
            "Slave Interface" => {
                members += 1;
                member = Some(value.to_owned());
            }
            "MII Status" if value != "up" => {
                faults.push(format!(
                    "{} is {value}",
                    member.as_deref().unwrap_or("the bond")
                ));
            }
            _ => {}
        }
    }
    if members < 2 {
        faults.push(format!("{members} link"));
    }
    Group {
        name: name.to_owned(),
        level,
        faults,
        rebuilding: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bond_needs_two_links_that_are_up() {
        let text = "Ethernet Channel Bonding Driver: v6.1\n\nBonding Mode: fault-tolerance (active-backup)\nMII Status: up\n\nSlave Interface: eno1\nMII Status: up\n\nSlave Interface: eno2\nMII Status: down\n";
        assert_eq!(bond("bond0", text).faults, ["eno2 is down"]);
        assert!(bond("bond0", &text.replace("down", "up")).faults.is_empty());
        assert_eq!(bond("bond0", "").faults, ["0 link"]);
    }
}
