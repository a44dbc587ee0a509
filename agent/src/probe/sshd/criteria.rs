//! The criteria of `Match` lines and the connections they are held against.

use super::package::Version;
use super::pattern::{self, Matched};
use super::syntax;
use crate::probe::quoted::quoted;

/// A connection as `Match` sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Connection {
    /// The account asked for.
    pub user: String,
    /// The groups of that account; empty if there is no such account.
    pub groups: Vec<String>,
    /// The client's name; its address unless sshd looks names up.
    pub host: String,
    /// The client's address.
    pub address: String,
    /// The address it connected to.
    pub local_address: String,
    /// The port it connected to.
    pub local_port: u16,
    /// The routing domain it came in by.
    pub rdomain: Option<String>,
    /// The account does not exist.
    pub invalid_user: bool,
}

/// One criterion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Criterion {
    User(String),
    Group(String),
    Host(String),
    Address(String),
    LocalAddress(String),
    LocalPort(u16),
    RDomain(String),
    Version(String),
    InvalidUser,
}

/// All criteria of a `Match` line: they must hold together. None at all is `Match all`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Criteria(pub Vec<Criterion>);

impl Criteria {
    /// Reads what follows `Match`.
    ///
    /// # Errors
    /// A sentence for what sshd refuses.
    pub(super) fn parse(rest: &str) -> Result<Criteria, String> {
        let mut rest = Some(rest.to_owned());
        let mut criteria = Vec::new();
        while let Some(name) =
            syntax::delimited(&mut rest).filter(|name| !name.is_empty() && !name.starts_with('#'))
        {
            let name = name.to_ascii_lowercase();
            if name == "all" {
                let more = syntax::delimited(&mut rest)
                    .is_some_and(|word| !word.is_empty() && !word.starts_with('#'));
                if more || !criteria.is_empty() {
                    return Err("Match all cannot be combined with other criteria".to_owned());
                }
                return Ok(Criteria(Vec::new()));
            }
            if name == "invalid-user" {
                criteria.push(Criterion::InvalidUser);
                continue;
            }
            let argument = syntax::delimited(&mut rest)
                .filter(|word| !word.is_empty() && !word.starts_with('#'))
                .ok_or_else(|| format!("Match {} lacks its argument", quoted(&name)))?;
            criteria.push(criterion(&name, argument)?);
        }
        if criteria.is_empty() {
            return Err("Match without criteria".to_owned());
        }
        Ok(Criteria(criteria))
    }

    /// Whether a connection meets all of them.
    pub(super) fn hold(&self, connection: &Connection, version: &Version) -> bool {
        self.0
            .iter()
            .all(|criterion| criterion.holds(connection, version))
    }
}

fn criterion(name: &str, argument: String) -> Result<Criterion, String> {
    Ok(match name {
        "user" => Criterion::User(argument),
        "group" => Criterion::Group(argument),
        "host" => Criterion::Host(argument),
        "address" => {
            pattern::address_list("", &argument)?;
            Criterion::Address(argument)
        }
        "localaddress" => {
            pattern::address_list("", &argument)?;
            Criterion::LocalAddress(argument)
        }
        "localport" => match argument.parse::<u16>() {
            Ok(port) if port > 0 => Criterion::LocalPort(port),
            _ => return Err(format!("{} is no port", quoted(&argument))),
        },
        "rdomain" => Criterion::RDomain(argument),
        "version" => Criterion::Version(argument),
        other => return Err(format!("Match has no criterion {}", quoted(other))),
    })
}

impl Criterion {
    /// Whether it holds before there is any connection.
    pub(super) fn holds_for_nobody(&self, version: &Version) -> bool {
        matches!(self, Criterion::Version(patterns) if pattern::list(&version.release(), patterns) == Matched::Yes)
    }

    fn holds(&self, connection: &Connection, version: &Version) -> bool {
        let address =
            |text: &str, patterns: &str| pattern::address_list(text, patterns) == Ok(Matched::Yes);
        match self {
            Criterion::User(patterns) => pattern::list(&connection.user, patterns) == Matched::Yes,
            Criterion::Group(patterns) => groups_match(&connection.groups, patterns),
            Criterion::Host(patterns) => {
                pattern::list(
                    &connection.host.to_ascii_lowercase(),
                    &patterns.to_ascii_lowercase(),
                ) == Matched::Yes
            }
            Criterion::Address(patterns) => address(&connection.address, patterns),
            Criterion::LocalAddress(patterns) => address(&connection.local_address, patterns),
            Criterion::LocalPort(port) => connection.local_port == *port,
            Criterion::RDomain(patterns) => connection
                .rdomain
                .as_ref()
                .is_some_and(|rdomain| pattern::list(rdomain, patterns) == Matched::Yes),
            Criterion::Version(patterns) => {
                pattern::list(&version.release(), patterns) == Matched::Yes
            }
            Criterion::InvalidUser => connection.invalid_user,
        }
    }
}

/// A negated match of any group decides.
fn groups_match(groups: &[String], patterns: &str) -> bool {
    let mut found = false;
    for group in groups {
        match pattern::list(group, patterns) {
            Matched::Negated => return false,
            Matched::Yes => found = true,
            Matched::No => {}
        }
    }
    found
}
