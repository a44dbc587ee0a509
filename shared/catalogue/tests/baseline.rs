//! The baseline bundle claims of each control exactly what the map of controls gives it.

use std::collections::BTreeMap;

use catalogue::Catalogue;
use evidence::check::{Check, Role};
use evidence::id::{CheckId, ControlId};

/// Where a check's claims and the map differ.
fn differences(catalogue: &Catalogue, id: &CheckId, check: &Check) -> Vec<String> {
    let mapped: BTreeMap<&ControlId, Role> = catalogue
        .controls()
        .iter()
        .filter_map(|control| Some((&control.id, control.role_of(id)?)))
        .collect();
    let links = check.control_links();
    let claimed: BTreeMap<&ControlId, Role> = links.iter().map(|(c, role)| (c, *role)).collect();
    let mut found = Vec::new();
    if claimed.len() != links.len() {
        found.push(format!("{id} claims a control twice"));
    }
    for control in claimed.keys() {
        if catalogue.control(control).is_none() {
            found.push(format!("{id} claims {control}, which does not exist"));
        }
    }
    if claimed != mapped {
        found.push(format!(
            "{id} claims {claimed:?}, the map gives it {mapped:?}"
        ));
    }
    found
}

#[test]
fn every_check_of_the_baseline_has_the_roles_of_the_map() {
    let catalogue = Catalogue::load().unwrap();
    let bundle = evidence::baseline::bundle().unwrap();
    assert!(!bundle.checks.is_empty());
    let found: Vec<String> = bundle
        .checks
        .iter()
        .flat_map(|(id, check)| differences(&catalogue, id, check))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_claim_too_many_too_few_or_of_another_role_is_seen() {
    let catalogue = Catalogue::load().unwrap();
    let bundle = evidence::baseline::bundle().unwrap();
    let (id, check) = bundle.checks.iter().next().unwrap();
    for change in [
        |links: &mut evidence::check::ControlLinks| links.primary.clear(),
        |links: &mut evidence::check::ControlLinks| links.supporting.push("A.5.1".to_owned()),
        |links: &mut evidence::check::ControlLinks| links.supporting.push("A.9.9".to_owned()),
        |links: &mut evidence::check::ControlLinks| {
            std::mem::swap(&mut links.primary, &mut links.supporting);
        },
    ] {
        let mut changed = check.clone();
        changed.controls.values_mut().for_each(change);
        assert!(!differences(&catalogue, id, &changed).is_empty());
    }
}
