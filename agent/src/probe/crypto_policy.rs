//! What the libraries for encryption allow by default on this host: crypto-policies(7), FIPS mode, OpenSSL's system
//! default and GnuTLS' system file.

mod openssl;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use self::openssl::{Effective, Protocol};
use super::{Observation, Probe, Unobservable};
use crate::host::FileKind;

/// The probe `crypto_policy`.
pub struct CryptoPolicy;

/// Facts of the defaults of encryption.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CryptoPolicyFacts {
    /// The central policy of crypto-policies(7); absent where the distribution has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<Policy>,
    /// The kernel runs in FIPS mode; absent on an unpacked root and on kernels without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    fips: Option<bool>,
    /// Configurations of OpenSSL: the default one, and those that OPENSSL_CONF names for services.
    openssl: Vec<Openssl>,
    /// Versions of TLS below 1.2 that GnuTLS' system file opens.
    gnutls_old_versions: Vec<String>,
}

/// The central policy.
#[derive(Debug, Serialize, JsonSchema)]
struct Policy {
    /// The policy asked for, for example `DEFAULT`.
    base: String,
    /// Modules on top of it, for example `SHA1`.
    modules: Vec<String>,
    /// The policy asked for is the one that the libraries' files were last written for.
    applied: bool,
    /// Files of this host that replace the vendor's policy or one of its modules.
    own_definitions: Vec<String>,
}

/// One configuration of OpenSSL as far as it takes effect.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
struct Openssl {
    /// The file.
    path: String,
    /// The file that sets OPENSSL_CONF to it; absent for the default configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    named_by: Option<String>,
    /// The lowest protocol it allows, if it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    min_protocol: Option<Protocol>,
    /// Security level (SSL_CTX_set_security_level(3)) it sets, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    security_level: Option<i64>,
}

const POLICIES: &str = "/etc/crypto-policies";
/// The default configuration by distribution; of the first that is there the rest are links or leftovers.
const OPENSSL: [&str; 3] = [
    "/usr/lib/ssl/openssl.cnf",
    "/etc/pki/tls/openssl.cnf",
    "/etc/ssl/openssl.cnf",
];
/// Kept beside the default for the older library by SUSE.
const OPENSSL_OLDER: &str = "/etc/ssl/openssl-1_1.cnf";
const GNUTLS: [&str; 2] = [
    "/etc/gnutls/config",
    "/etc/crypto-policies/back-ends/gnutls.config",
];
/// Directories of files that set variables for services.
const ENVIRONMENTS: [&str; 6] = [
    "/etc/default",
    "/etc/sysconfig",
    "/etc/conf.d",
    "/etc/environment.d",
    "/etc/profile.d",
    MANAGER[1],
];
const UNITS: [&str; 4] = [
    "/etc/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
/// Settings of the manager itself.
const MANAGER: [&str; 2] = ["/etc/systemd/system.conf", "/etc/systemd/system.conf.d"];
const MAX_FILES: usize = 1000;
const MAX_BYTES: usize = 256 * 1024;

impl Probe for CryptoPolicy {
    const ID: &'static str = "crypto_policy";
    type Facts = CryptoPolicyFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<CryptoPolicyFacts, Unobservable> {
        let fips = if observation.is_live() {
            observation.text("/proc/sys/crypto/fips_enabled")?
        } else {
            None
        };
        Ok(CryptoPolicyFacts {
            policy: policy(observation)?,
            fips: fips.map(|text| text.trim() == "1"),
            openssl: openssl(observation)?,
            gnutls_old_versions: gnutls(observation)?,
        })
    }
}

fn policy(observation: &mut Observation<'_>) -> Result<Option<Policy>, Unobservable> {
    let Some(text) = observation.text(&format!("{POLICIES}/config"))? else {
        return Ok(None);
    };
    let configured = policy_name(&text).unwrap_or_else(|| "DEFAULT".to_owned());
    let current = observation.text(&format!("{POLICIES}/state/current"))?;
    let applied = current.as_deref().and_then(policy_name).as_deref() == Some(&configured);
    let mut parts = configured.split(':').map(str::to_owned);
    let base = parts.next().unwrap_or_default();
    let modules: Vec<String> = parts.filter(|module| !module.is_empty()).collect();
    let mut own_definitions = Vec::new();
    let definitions = std::iter::once(format!("{POLICIES}/policies/{base}.pol")).chain(
        modules
            .iter()
            .map(|module| format!("{POLICIES}/policies/modules/{module}.pmod")),
    );
    for path in definitions {
        if observation.stat(&path)?.is_some() {
            own_definitions.push(path);
        }
    }
    Ok(Some(Policy {
        base,
        modules,
        applied,
        own_definitions,
    }))
}

/// The one line that is neither blank nor a comment; update-crypto-policies(8) reads names in any case.
fn policy_name(text: &str) -> Option<String> {
    text.lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .find(|line| !line.is_empty())
        .map(|line| line.chars().take(200).collect::<String>().to_uppercase())
}

fn openssl(observation: &mut Observation<'_>) -> Result<Vec<Openssl>, Unobservable> {
    let mut found = Vec::new();
    for path in OPENSSL {
        if let Some(effective) = openssl::effective(observation, path)? {
            found.push(configuration(path, None, effective));
            break;
        }
    }
    if let Some(effective) = openssl::effective(observation, OPENSSL_OLDER)? {
        found.push(configuration(OPENSSL_OLDER, None, effective));
    }
    for (named_by, path) in named_by_services(observation)? {
        let effective = openssl::effective(observation, &path)?.unwrap_or_default();
        found.push(configuration(&path, Some(named_by), effective));
    }
    found.sort();
    Ok(found)
}

fn configuration(path: &str, named_by: Option<String>, effective: Effective) -> Openssl {
    Openssl {
        path: path.to_owned(),
        named_by,
        min_protocol: effective.min_protocol,
        security_level: effective.security_level,
    }
}

/// Files that set OPENSSL_CONF for services, each with the path it sets.
fn named_by_services(
    observation: &mut Observation<'_>,
) -> Result<BTreeSet<(String, String)>, Unobservable> {
    let mut files = vec![
        "/etc/environment".to_owned(),
        "/etc/profile".to_owned(),
        "/etc/bash.bashrc".to_owned(),
        MANAGER[0].to_owned(),
    ];
    for directory in ENVIRONMENTS {
        files.extend(children(observation, directory, FileKind::Regular)?);
    }
    files.extend(children(observation, UNITS[0], FileKind::Regular)?);
    for directory in UNITS {
        for drop_ins in children(observation, directory, FileKind::Directory)? {
            if drop_ins.ends_with(".d") {
                files.extend(children(observation, &drop_ins, FileKind::Regular)?);
            }
        }
    }
    files.extend(children(observation, UNITS[1], FileKind::Regular)?);
    if files.len() > MAX_FILES {
        return Err(Unobservable::unparsable(
            UNITS[0],
            format!("more than {MAX_FILES} files that set variables"),
        ));
    }
    let mut found = BTreeSet::new();
    for path in files {
        let bytes = match observation.host().read(&path, MAX_BYTES) {
            Ok(bytes) => bytes,
            Err(crate::host::HostError::NotFound(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        for value in openssl_conf(&String::from_utf8_lossy(&bytes)) {
            observation.note(&path);
            found.insert((path.clone(), value));
        }
    }
    Ok(found)
}

fn children(
    observation: &Observation<'_>,
    directory: &str,
    kind: FileKind,
) -> Result<Vec<String>, Unobservable> {
    match observation.host().list(directory) {
        Ok(entries) => Ok(entries
            .into_iter()
            .filter(|entry| entry.kind == kind)
            .map(|entry| format!("{directory}/{}", entry.name))
            .collect()),
        Err(crate::host::HostError::NotFound(_)) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Paths that lines such as `OPENSSL_CONF=/x`, `export OPENSSL_CONF=/x` or `Environment="OPENSSL_CONF=/x"` set.
fn openssl_conf(text: &str) -> Vec<String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with(['#', ';']))
        .flat_map(|line| line.split([' ', '\t']))
        .filter_map(|word| {
            let word = word
                .strip_prefix("Environment=")
                .or_else(|| word.strip_prefix("DefaultEnvironment="))
                .unwrap_or(word);
            let value = word
                .trim_start_matches(['"', '\''])
                .strip_prefix("OPENSSL_CONF=")?;
            Some(value.trim_matches(['"', '\'']).to_owned())
        })
        .filter(|path| path.starts_with('/') && !path.contains('\0'))
        .collect()
}

/// Old versions that the priority strings or overrides of GnuTLS' system file open.
fn gnutls(observation: &mut Observation<'_>) -> Result<Vec<String>, Unobservable> {
    for path in GNUTLS {
        if let Some(text) = observation.text(path)? {
            return Ok(gnutls_old_versions(&text));
        }
    }
    Ok(Vec::new())
}

fn gnutls_old_versions(text: &str) -> Vec<String> {
    const OLD: [&str; 3] = ["SSL3.0", "TLS1.0", "TLS1.1"];
    let mut found = BTreeSet::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with('#') {
            continue;
        }
        let line = line.to_uppercase();
        let enabled = line
            .split_once('=')
            .filter(|(name, _)| name.trim() == "ENABLED-VERSION")
            .map(|(_, value)| value.trim());
        for version in OLD {
            let all = ["+VERS-ALL", "+VERS-TLS-ALL"]
                .iter()
                .any(|word| line.contains(word));
            if all && version != "SSL3.0"
                || line.contains(&format!("+VERS-{version}"))
                || enabled == Some(version)
            {
                found.insert(version.to_owned());
            }
        }
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_in_every_form() {
        let text = "# OPENSSL_CONF=/no\nOPENSSL_CONF=/a\nexport OPENSSL_CONF='/b'\nEnvironment=\"OPENSSL_CONF=/c\" X=y\nEnvironment=X=y OPENSSL_CONF=/d\nOPENSSL_CONF=relative\nNO_OPENSSL_CONF=/e\n";
        assert_eq!(openssl_conf(text), ["/a", "/b", "/c", "/d"]);
    }

    #[test]
    fn a_policy_is_one_line() {
        assert_eq!(
            policy_name("# comment\n\nDefault:sha1 # x\n").as_deref(),
            Some("DEFAULT:SHA1")
        );
        assert_eq!(policy_name("# nothing\n"), None);
    }

    #[test]
    fn gnutls_opens_old_versions_only_where_a_line_says_so() {
        let text = "[overrides]\nenabled-version = tls1.1\ndisabled-version = tls1.0\n[priorities]\nSYSTEM=NORMAL:-VERS-TLS1.0:+VERS-SSL3.0\n# +VERS-TLS1.0\n";
        assert_eq!(gnutls_old_versions(text), ["SSL3.0", "TLS1.1"]);
    }
}
