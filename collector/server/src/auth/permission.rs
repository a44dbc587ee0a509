//! The one table of who may do what, route by route. What is not in it does not exist.

use std::str::FromStr;

use axum::http::Method;

/// What a person may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// Read outcomes, controls and the ledger.
    ReadEvidence,
    /// Take evidence away as files.
    ExportEvidence,
    /// See enrolment tokens; revoke and retire agents.
    ManageAgents,
    /// Put bundles in force and approve what hosts propose.
    ManagePolicy,
}

/// What an account is for (design: viewer, operator, isms_owner, auditor, admin).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Looks.
    Viewer,
    /// Runs hosts and agents.
    Operator,
    /// Owns the information security management system.
    IsmsOwner,
    /// Relies on the evidence.
    Auditor,
    /// Runs the collector.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 5] = [
        Role::Viewer,
        Role::Operator,
        Role::IsmsOwner,
        Role::Auditor,
        Role::Admin,
    ];

    /// The word in the database and in decisions.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::IsmsOwner => "isms_owner",
            Role::Auditor => "auditor",
            Role::Admin => "admin",
        }
    }

    /// Whether the role carries the permission.
    #[must_use]
    pub const fn may(self, permission: Permission) -> bool {
        match permission {
            Permission::ReadEvidence => true,
            Permission::ExportEvidence => !matches!(self, Role::Viewer),
            Permission::ManageAgents => matches!(self, Role::Operator | Role::Admin),
            Permission::ManagePolicy => matches!(self, Role::IsmsOwner | Role::Admin),
        }
    }
}

/// A word that is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no role")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;
    fn from_str(word: &str) -> Result<Role, UnknownRole> {
        Role::ALL
            .into_iter()
            .find(|role| role.as_str() == word)
            .ok_or_else(|| UnknownRole(word.to_owned()))
    }
}

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone: signs of life, the log, sign-in, a bundle by its digest.
    Public,
    /// An agent, which its handler authenticates by token or signature.
    Agent,
    /// A signed-in person whose role carries the permission.
    Person(Permission),
}

/// A route and who may call it.
#[derive(Debug, Clone)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path as the router matches it.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
}

const fn get(path: &'static str, access: Access) -> Route {
    Route {
        method: Method::GET,
        path,
        access,
    }
}

const fn post(path: &'static str, access: Access) -> Route {
    Route {
        method: Method::POST,
        path,
        access,
    }
}

const READ: Access = Access::Person(Permission::ReadEvidence);
const EXPORT: Access = Access::Person(Permission::ExportEvidence);
const MANAGE: Access = Access::Person(Permission::ManageAgents);
const APPROVE: Access = Access::Person(Permission::ManagePolicy);

/// Every route there is.
pub const ROUTES: &[Route] = &[
    get("/healthz", Access::Public),
    get("/readyz", Access::Public),
    get("/metrics", Access::Public),
    get("/log/checkpoint", Access::Public),
    get("/log/tile/{*path}", Access::Public),
    post("/agent/v1/challenge", Access::Agent),
    post("/agent/v1/enrol", Access::Agent),
    post("/agent/v1/statements", Access::Agent),
    // Named by its digest, which stands in no public place: only signed answers to agents tell it, and whoever has the
    // bytes can prove by signature and digest that they are the bundle. An agent asks before it has a place in the log
    // and could sign the question.
    get("/agent/v1/bundles/{sha256}", Access::Public),
    get("/assets/{file}", Access::Public),
    get("/sign-in", Access::Public),
    post("/sign-in", Access::Public),
    get("/sign-in/{secret}", Access::Public),
    post("/sign-out", Access::Public),
    get("/", READ),
    get("/controls", READ),
    get("/controls/{number}", READ),
    get("/checks/{check}", READ),
    get("/hosts", READ),
    get("/hosts/{key}", READ),
    get("/hosts/{key}/{check}", READ),
    post("/hosts/{key}/{check}/approve", APPROVE),
    get("/ledger", READ),
    get("/ledger/{index}", READ),
    get("/ledger/{index}/{*file}", EXPORT),
    get("/search", READ),
    get("/api/v1/openapi.json", READ),
    get("/api/v1/overview", READ),
    get("/api/v1/controls", READ),
    get("/api/v1/controls/{number}", READ),
    get("/api/v1/checks/{check}", READ),
    get("/api/v1/hosts", READ),
    get("/api/v1/hosts/{key}", READ),
    get("/api/v1/hosts/{key}/outcomes/{check}", READ),
    get("/api/v1/ledger", READ),
    get("/api/v1/entries/{index}/round.tar", EXPORT),
    get("/api/v1/tokens", MANAGE),
    post("/api/v1/agents/{key}/revoke", MANAGE),
    post("/api/v1/agents/{key}/retire", MANAGE),
];

/// Who may call the route that was matched; `None` if the table does not have it.
#[must_use]
pub fn access(method: &Method, matched: &str) -> Option<Access> {
    let method = if *method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    ROUTES
        .iter()
        .find(|route| route.method == *method && route.path == matched)
        .map(|route| route.access)
}

/// The methods of a path for the header Allow (RFC 9110, 10.2.1); empty if the table does not have it.
#[must_use]
pub fn methods(matched: &str) -> String {
    let mut methods: Vec<&str> = ROUTES
        .iter()
        .filter(|route| route.path == matched)
        .map(|route| route.method.as_str())
        .collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_stands_once_and_public_ones_change_nothing_but_sessions() {
        for (i, route) in ROUTES.iter().enumerate() {
            let twice = ROUTES[i + 1..]
                .iter()
                .any(|other| other.path == route.path && other.method == route.method);
            assert!(!twice, "{} {}", route.method, route.path);
            let changes = route.access == Access::Public && route.method != Method::GET;
            assert!(
                !changes || route.path.starts_with("/sign-"),
                "{}",
                route.path
            );
        }
    }

    #[test]
    fn what_is_not_in_the_table_does_not_exist() {
        assert_eq!(access(&Method::GET, "/nothing"), None);
        assert_eq!(access(&Method::DELETE, "/hosts"), None);
        assert_eq!(access(&Method::HEAD, "/hosts"), Some(READ));
        assert_eq!(methods("/nothing"), "");
        assert_eq!(methods("/hosts"), "GET, HEAD");
        assert_eq!(methods("/agent/v1/enrol"), "POST");
    }

    #[test]
    fn roles_have_one_word_each() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse::<Role>(), Ok(role));
        }
        assert!("root".parse::<Role>().is_err());
    }
}
