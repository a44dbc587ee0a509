//! nsswitch.conf(5): which services are asked for names.

use super::super::{Observation, Unobservable};

/// Services asked for `database`, in order, without their actions. Without the file or the line glibc asks `files`.
pub(in crate::probe) fn services(
    observation: &mut Observation<'_>,
    database: &str,
) -> Result<Vec<String>, Unobservable> {
    let text = observation.text("/etc/nsswitch.conf")?.unwrap_or_default();
    Ok(parse(&text, database).unwrap_or_else(|| vec!["files".to_owned()]))
}

fn parse(text: &str, database: &str) -> Option<Vec<String>> {
    let line = text.lines().rev().find_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let (name, services) = line.split_once(':')?;
        (name.trim() == database).then_some(services)
    })?;
    let mut services = Vec::new();
    let mut in_action = false;
    for word in line
        .replace('[', " [ ")
        .replace(']', " ] ")
        .split_whitespace()
    {
        match word {
            "[" => in_action = true,
            "]" => in_action = false,
            service if !in_action => services.push(service.to_owned()),
            _ => {}
        }
    }
    Some(services)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn services_are_named_without_actions() {
        let text = "# passwd: ldap\npasswd:  files [NOTFOUND=return] systemd # end\ngroup:compat\n";
        assert_eq!(parse(text, "passwd").unwrap(), ["files", "systemd"]);
        assert_eq!(parse(text, "group").unwrap(), ["compat"]);
        assert_eq!(parse(text, "shadow"), None);
    }
}
