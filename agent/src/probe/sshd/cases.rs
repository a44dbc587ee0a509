//! Every distinct outcome that connections can get from a configuration.
//!
//! `Match` makes the settings depend on who connects from where. Rather than to ask for a few sample connections, all
//! combinations of representatives are held against all blocks: for each criterion the names, the first and last
//! addresses and the ports that its patterns speak of, and one that none of them means.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::accounts::Accounts;
use super::config::{ConfigError, Configuration};
use super::context::Context;
use super::criteria::{Connection, Criterion};
use super::evaluate::{self, Settings};
use super::package::Version;
use super::pattern::{self, AddressPattern};

/// An account that no policy means: it stands for everybody who is not named.
const SOMEONE: &str = "someone";
/// Addresses kept for documentation (RFC 5737, RFC 3849) stand for the outside.
const OUTSIDE: [&str; 2] = ["203.0.113.9", "2001:db8::9"];
const LOCAL: &str = "192.0.2.1";
/// Most combinations that are held against the blocks.
const MAX_COMBINATIONS: usize = 20_000;
/// Most distinct results that are kept.
const MAX_CONTEXTS: usize = 64;
/// Most local accounts taken for one group pattern.
const MAX_MEMBERS: usize = 8;

/// A context with the connection it was made for, and whether that connection could really be made.
#[derive(Debug, Clone)]
pub(super) struct Case {
    /// What sshd does.
    pub context: Context,
    /// The connection.
    pub connection: Connection,
    /// The account's groups are its real ones, so that sshd can be asked about it.
    pub real: bool,
}

/// All distinct cases, and whether no combination was left out. Anyone and root come first.
///
/// # Errors
/// [`ConfigError`] where sshd refuses the configuration.
pub(super) fn cases(
    configuration: &Configuration,
    global: &Settings,
    accounts: &Accounts,
    version: &Version,
) -> Result<(Vec<Case>, bool), ConfigError> {
    let criteria: Vec<_> = configuration.criteria().collect();
    let representatives = Representatives::of(configuration, global, accounts);
    let (connections, mut complete) = representatives.combine();
    let mut seen = BTreeSet::new();
    let mut cases: Vec<Case> = Vec::new();
    for (connection, real) in connections {
        let superuser = connection.user == "root"
            || accounts
                .get(&connection.user)
                .is_some_and(|account| account.uid == 0);
        let held: Vec<bool> = criteria
            .iter()
            .map(|all| all.hold(&connection, version))
            .collect();
        if !seen.insert((superuser, real, held)) {
            continue;
        }
        let settings = evaluate::for_connection(configuration, global, &connection, version)?;
        let name = representatives.describe(&connection, real);
        let context = Context::new(name, &connection, superuser, &settings, version);
        if cases.iter().any(|case| case.context.same_effect(&context)) {
            continue;
        }
        if cases.len() == MAX_CONTEXTS {
            complete = false;
            break;
        }
        cases.push(Case {
            context,
            connection,
            real,
        });
    }
    Ok((cases, complete))
}

/// A name or address for each way a criterion can turn out.
#[derive(Debug, Default)]
struct Representatives {
    users: Vec<(String, Vec<String>, bool)>,
    hosts: Vec<String>,
    addresses: Vec<String>,
    local_addresses: Vec<String>,
    local_ports: Vec<u16>,
    rdomains: Vec<Option<String>>,
    invalid: Vec<bool>,
}

impl Representatives {
    fn of(
        configuration: &Configuration,
        global: &Settings,
        accounts: &Accounts,
    ) -> Representatives {
        let mut names = BTreeSet::new();
        let mut groups = BTreeSet::new();
        let resolves = global
            .get("usedns")
            .is_some_and(|words| words.first().is_some_and(|word| word == "yes"));
        let port = global
            .get("port")
            .and_then(|ports| ports.first()?.parse().ok())
            .unwrap_or(22);
        let mut found = Representatives {
            addresses: vec![OUTSIDE[0].to_owned()],
            local_addresses: vec![LOCAL.to_owned()],
            local_ports: vec![port],
            rdomains: vec![None],
            invalid: vec![false],
            ..Representatives::default()
        };
        for criterion in configuration.criteria().flat_map(|criteria| &criteria.0) {
            match criterion {
                Criterion::User(patterns) => names.extend(examples(patterns)),
                Criterion::Group(patterns) => groups.extend(
                    patterns
                        .split(',')
                        .map(|item| pattern::negation(item).1.to_owned()),
                ),
                Criterion::Host(patterns) => {
                    // Without UseDNS the client's name is its address, and no other name can match.
                    let examples = examples(patterns);
                    found.addresses.extend(
                        examples
                            .iter()
                            .filter(|name| name.parse::<IpAddr>().is_ok())
                            .cloned(),
                    );
                    if resolves {
                        found.hosts.extend(examples);
                    }
                }
                Criterion::Address(patterns) => found.addresses.extend(address_examples(patterns)),
                Criterion::LocalAddress(patterns) => {
                    found.local_addresses.extend(address_examples(patterns))
                }
                Criterion::LocalPort(port) => found.local_ports.push(*port),
                Criterion::RDomain(patterns) => found
                    .rdomains
                    .extend(examples(patterns).into_iter().map(Some)),
                Criterion::InvalidUser => found.invalid.push(true),
                Criterion::Version(_) => {}
            }
        }
        if found.addresses.len() > 1 {
            found.addresses.push(OUTSIDE[1].to_owned());
        }
        found.add_users(&names, &groups, accounts);
        found.addresses = unique(found.addresses);
        found.local_addresses = unique(found.local_addresses);
        found
    }

    /// Local accounts with their real groups; names from elsewhere with each group that a pattern speaks of, since a
    /// directory may put them there.
    fn add_users(
        &mut self,
        names: &BTreeSet<String>,
        groups: &BTreeSet<String>,
        accounts: &Accounts,
    ) {
        let local = |name: &str| (name.to_owned(), accounts.groups_of(name), true);
        self.users = vec![(SOMEONE.to_owned(), Vec::new(), true), local("root")];
        self.users.extend(
            accounts
                .all
                .iter()
                .filter(|a| a.uid == 0)
                .map(|a| local(&a.name)),
        );
        self.users.extend(names.iter().map(|name| local(name)));
        for group in groups {
            let members = accounts.all.iter().filter(|account| {
                accounts
                    .groups_of(&account.name)
                    .iter()
                    .any(|name| pattern::matches(name, group))
            });
            self.users.extend(
                members
                    .take(MAX_MEMBERS)
                    .map(|account| local(&account.name)),
            );
            let foreign = names
                .iter()
                .map(String::as_str)
                .chain([SOMEONE])
                .filter(|name| accounts.get(name).is_none());
            self.users
                .extend(foreign.map(|name| (name.to_owned(), vec![example(group)], false)));
        }
        let mut seen = BTreeSet::new();
        self.users.retain(|user| seen.insert(user.clone()));
    }

    /// All combinations, anyone and root from outside first.
    fn combine(&self) -> (Vec<(Connection, bool)>, bool) {
        let mut connections = Vec::new();
        let hosts: Vec<Option<&String>> = std::iter::once(None)
            .chain(self.hosts.iter().map(Some))
            .collect();
        for address in &self.addresses {
            for local_address in &self.local_addresses {
                for local_port in &self.local_ports {
                    for rdomain in &self.rdomains {
                        for host in &hosts {
                            for invalid_user in &self.invalid {
                                for (user, groups, real) in &self.users {
                                    if connections.len() == MAX_COMBINATIONS {
                                        return (connections, false);
                                    }
                                    let connection = Connection {
                                        user: user.clone(),
                                        groups: groups.clone(),
                                        host: host.unwrap_or(address).clone(),
                                        address: address.clone(),
                                        local_address: local_address.clone(),
                                        local_port: *local_port,
                                        rdomain: rdomain.clone(),
                                        invalid_user: *invalid_user,
                                    };
                                    connections.push((
                                        connection,
                                        *real && !*invalid_user && rdomain.is_none(),
                                    ));
                                }
                            }
                        }
                    }
                }
            }
        }
        (connections, true)
    }

    fn describe(&self, connection: &Connection, real: bool) -> String {
        let mut parts = Vec::new();
        if connection.user != SOMEONE {
            parts.push(format!("user {}", connection.user));
        }
        if !real && !connection.groups.is_empty() {
            parts.push(format!("group {}", connection.groups.join(",")));
        }
        if connection.address != OUTSIDE[0] {
            parts.push(format!("address {}", connection.address));
        }
        if connection.host != connection.address {
            parts.push(format!("host {}", connection.host));
        }
        if connection.local_address != LOCAL {
            parts.push(format!("local address {}", connection.local_address));
        }
        if self.local_ports.first() != Some(&connection.local_port) {
            parts.push(format!("local port {}", connection.local_port));
        }
        if let Some(rdomain) = &connection.rdomain {
            parts.push(format!("routing domain {rdomain}"));
        }
        if connection.invalid_user {
            parts.push("invalid user".to_owned());
        }
        if parts.is_empty() {
            "anyone".to_owned()
        } else {
            parts.join(", ")
        }
    }
}

/// A name for every pattern of a list, negated ones too.
fn examples(patterns: &str) -> Vec<String> {
    patterns
        .split(',')
        .map(|item| example(pattern::negation(item).1))
        .collect()
}

/// A name that a pattern matches.
fn example(pattern: &str) -> String {
    let name = pattern.replace('*', "").replace('?', "x");
    if name.is_empty() {
        SOMEONE.to_owned()
    } else {
        name
    }
}

/// First and last address of every network of a list, and an address for every wildcard.
fn address_examples(patterns: &str) -> Vec<String> {
    let mut found = Vec::new();
    for item in patterns.split(',') {
        match AddressPattern::parse(pattern::negation(item).1) {
            Ok(AddressPattern::Network(address, length)) => {
                found.push(pattern::first(address, length).to_string());
                found.push(pattern::last(address, length).to_string());
            }
            Ok(AddressPattern::Wildcard(text)) => found.push(text.replace(['*', '?'], "1")),
            Err(_) => {}
        }
    }
    found
}

fn unique<T: Ord + Clone>(items: Vec<T>) -> Vec<T> {
    let mut seen = BTreeSet::new();
    items
        .into_iter()
        .filter(|item| seen.insert(item.clone()))
        .collect()
}
