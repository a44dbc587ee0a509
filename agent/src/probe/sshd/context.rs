//! What sshd does for a connection: the settings with the version's defaults.

use schemars::JsonSchema;
use serde::Serialize;

use super::algorithm::List;
use super::criteria::Connection;
use super::evaluate::Settings;
use super::package::Version;

/// Who may log on as root (`PermitRootLogin`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RootLogin {
    /// By any method.
    Yes,
    /// By any method but passwords; also written `without-password`.
    ProhibitPassword,
    /// By key, for commands that the key forces.
    ForcedCommandsOnly,
    /// Not at all.
    No,
}

/// What sshd does for one kind of connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Context {
    /// The connections meant, in words: `anyone`, `user root`, `user bob, address 10.0.0.0`.
    pub name: String,
    /// The account asked for.
    pub user: String,
    /// The client's address.
    pub address: String,
    /// The account has uid 0.
    pub superuser: bool,
    /// `PermitRootLogin`.
    pub permit_root_login: RootLogin,
    /// `PasswordAuthentication`.
    pub password_authentication: bool,
    /// `KbdInteractiveAuthentication`, under any of its names.
    pub kbd_interactive_authentication: bool,
    /// `PermitEmptyPasswords`.
    pub permit_empty_passwords: bool,
    /// `HostbasedAuthentication`.
    pub hostbased_authentication: bool,
    /// `GSSAPIAuthentication`.
    pub gssapi_authentication: bool,
    /// `UsePAM`.
    pub use_pam: bool,
    /// `PubkeyAuthentication`.
    pub pubkey_authentication: bool,
    /// `AuthenticationMethods`, each a comma-separated list of which all are needed; empty is any single method.
    pub authentication_methods: Vec<String>,
    /// `PubkeyAuthOptions`: `touch-required`, `verify-required`.
    pub pubkey_auth_options: Vec<String>,
    /// `AllowUsers`.
    pub allow_users: Vec<String>,
    /// `AllowGroups`.
    pub allow_groups: Vec<String>,
    /// `DenyUsers`.
    pub deny_users: Vec<String>,
    /// `DenyGroups`.
    pub deny_groups: Vec<String>,
    /// `Ciphers`, resolved.
    pub ciphers: Vec<String>,
    /// `MACs`, resolved.
    pub macs: Vec<String>,
    /// `KexAlgorithms`, resolved.
    pub kex_algorithms: Vec<String>,
    /// `HostKeyAlgorithms`, resolved.
    pub host_key_algorithms: Vec<String>,
    /// `PubkeyAcceptedAlgorithms`, resolved.
    pub pubkey_accepted_algorithms: Vec<String>,
    /// `RequiredRSASize`, bits.
    pub required_rsa_size: u32,
    /// `MaxAuthTries`.
    pub max_auth_tries: u32,
    /// `PerSourcePenalties` as written, `yes` by default; absent before version 9.8, which has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_source_penalties: Option<Vec<String>>,
    /// `StrictModes`.
    pub strict_modes: bool,
    /// `AuthorizedKeysFile`; empty for `none`.
    pub authorized_keys_file: Vec<String>,
    /// `AuthorizedKeysCommand` with its arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorized_keys_command: Option<String>,
    /// `AuthorizedPrincipalsFile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorized_principals_file: Option<String>,
    /// `TrustedUserCAKeys`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_user_ca_keys: Option<String>,
}

impl Context {
    /// Settings with the version's defaults for what is not set.
    pub(super) fn new(
        name: String,
        connection: &Connection,
        superuser: bool,
        settings: &Settings,
        version: &Version,
    ) -> Context {
        let all = |key: &str| settings.get(key).cloned().unwrap_or_default();
        let first = |key: &str| settings.get(key).and_then(|words| words.first());
        let flag = |key: &str, default: bool| first(key).map_or(default, |word| word == "yes");
        let number = |key: &str, default: u32| {
            first(key)
                .and_then(|word| word.parse().ok())
                .unwrap_or(default)
        };
        let unless_none = |words: Vec<String>, none: &str| match words.as_slice() {
            [word] if word.eq_ignore_ascii_case(none) => Vec::new(),
            _ => words,
        };
        let path = |key: &str| {
            first(key)
                .filter(|word| !word.eq_ignore_ascii_case("none"))
                .cloned()
        };
        let list = |key: &str, list: List| list.resolve(first(key).map(String::as_str), version);
        let keys_files = match settings.get("authorizedkeysfile") {
            Some(words) => unless_none(words.clone(), "none"),
            None => vec![
                ".ssh/authorized_keys".to_owned(),
                ".ssh/authorized_keys2".to_owned(),
            ],
        };
        let command = unless_none(all("authorizedkeyscommand"), "none");
        let wanted_options = all("pubkeyauthoptions");
        let penalties = match all("persourcepenalties") {
            words if words.is_empty() => vec!["yes".to_owned()],
            words => words,
        };
        Context {
            name,
            user: connection.user.clone(),
            address: connection.address.clone(),
            superuser,
            permit_root_login: match first("permitrootlogin").map(String::as_str) {
                Some("yes") => RootLogin::Yes,
                Some("no") => RootLogin::No,
                Some("forced-commands-only") => RootLogin::ForcedCommandsOnly,
                _ => RootLogin::ProhibitPassword,
            },
            password_authentication: flag("passwordauthentication", true),
            kbd_interactive_authentication: if version.at_least(8, 7) {
                flag("kbdinteractiveauthentication", true)
            } else {
                flag("kbdinteractiveauthentication", false)
                    || flag("challengeresponseauthentication", true)
            },
            permit_empty_passwords: flag("permitemptypasswords", false),
            hostbased_authentication: flag("hostbasedauthentication", false),
            gssapi_authentication: flag("gssapiauthentication", false),
            use_pam: flag("usepam", false),
            pubkey_authentication: flag("pubkeyauthentication", true),
            authentication_methods: unless_none(all("authenticationmethods"), "any"),
            pubkey_auth_options: ["touch-required", "verify-required"]
                .into_iter()
                .filter(|option| {
                    wanted_options
                        .iter()
                        .any(|word| word.eq_ignore_ascii_case(option))
                })
                .map(str::to_owned)
                .collect(),
            allow_users: all("allowusers"),
            allow_groups: all("allowgroups"),
            deny_users: all("denyusers"),
            deny_groups: all("denygroups"),
            ciphers: list("ciphers", List::Ciphers),
            macs: list("macs", List::Macs),
            kex_algorithms: list("kexalgorithms", List::Kex),
            host_key_algorithms: list("hostkeyalgorithms", List::Signatures),
            pubkey_accepted_algorithms: list("pubkeyacceptedalgorithms", List::Signatures),
            required_rsa_size: number("requiredrsasize", 1024),
            max_auth_tries: number("maxauthtries", 6),
            per_source_penalties: version.at_least(9, 8).then_some(penalties),
            strict_modes: flag("strictmodes", true),
            authorized_keys_file: keys_files,
            authorized_keys_command: (!command.is_empty()).then(|| command.join(" ")),
            authorized_principals_file: path("authorizedprincipalsfile"),
            trusted_user_ca_keys: path("trustedusercakeys"),
        }
    }

    /// Whether the two differ in the connection they were made for only.
    pub(super) fn same_effect(&self, other: &Context) -> bool {
        let mut renamed = other.clone();
        renamed.name.clone_from(&self.name);
        renamed.user.clone_from(&self.user);
        renamed.address.clone_from(&self.address);
        *self == renamed
    }
}
