//! Settings of services that speak without encryption unless they are told not to: SNMP, NFS, FTP, and what inetd starts.
//!
//! Community names are secrets of a kind and are not kept.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Observation, Probe, Unobservable};
use crate::host::FileKind;

/// Files of snmpd.conf(5).
const SNMPD: [&str; 3] = [
    "/etc/snmp/snmpd.conf",
    "/usr/share/snmp/snmpd.conf",
    "/var/lib/snmp/snmpd.conf",
];
/// Most files read of a directory.
const MAX_FILES: usize = 200;

/// The probe `cleartext`.
pub struct Cleartext;

/// Facts about services that speak in clear by default.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CleartextFacts {
    /// Files that grant access by an SNMP community (versions 1 and 2c) to other hosts.
    snmp_communities: BTreeSet<String>,
    /// Directories exported over NFS that a client may mount without Kerberos.
    nfs_exports: BTreeSet<String>,
    /// FTP servers whose configuration demands TLS for log-ons and data, by program: `vsftpd`, `proftpd`, `pure-ftpd`.
    ftp_with_tls: BTreeSet<String>,
    /// Programs that inetd or xinetd starts for a connection.
    inetd: BTreeSet<String>,
}

impl Probe for Cleartext {
    const ID: &'static str = "cleartext";
    type Facts = CleartextFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<CleartextFacts, Unobservable> {
        Ok(CleartextFacts {
            snmp_communities: snmp(observation)?,
            nfs_exports: nfs(observation)?,
            ftp_with_tls: ftp(observation)?,
            inetd: inetd(observation)?,
        })
    }
}

/// The regular files of a directory whose name ends so.
fn files(
    observation: &mut Observation<'_>,
    directory: &str,
    end: &str,
) -> Result<Vec<String>, Unobservable> {
    let entries = observation.list(directory)?.unwrap_or_default();
    if entries.len() > MAX_FILES {
        return Err(Unobservable::unparsable(
            directory,
            "too many files to read",
        ));
    }
    Ok(entries
        .into_iter()
        .filter(|entry| entry.kind != FileKind::Directory && entry.name.ends_with(end))
        .map(|entry| format!("{directory}/{}", entry.name))
        .collect())
}

fn snmp(observation: &mut Observation<'_>) -> Result<BTreeSet<String>, Unobservable> {
    let mut paths: Vec<String> = SNMPD.iter().map(|path| (*path).to_owned()).collect();
    paths.extend(files(observation, "/etc/snmp/snmpd.conf.d", ".conf")?);
    let mut found = BTreeSet::new();
    for path in paths {
        // No digest is kept: a community is a word that can be guessed.
        let text = observation.secret_text(&path)?.unwrap_or_default();
        if text.lines().any(is_open_community) {
            found.insert(path);
        }
    }
    Ok(found)
}

/// A line that lets other hosts in by a community: `rocommunity NAME [SOURCE …]`, `com2sec [-Cn CONTEXT] NAME SOURCE NAME`.
fn is_open_community(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let keyword = words.next().unwrap_or_default().to_ascii_lowercase();
    let rest: Vec<&str> = words.collect();
    let source = match keyword.as_str() {
        "rocommunity" | "rwcommunity" | "rocommunity6" | "rwcommunity6" if !rest.is_empty() => {
            rest.get(1).copied().unwrap_or("default")
        }
        "com2sec" | "com2sec6" => {
            let rest = if rest.first() == Some(&"-Cn") {
                rest.get(2..).unwrap_or_default()
            } else {
                &rest
            };
            match rest {
                [_, source, _, ..] => source,
                _ => return false,
            }
        }
        _ => return false,
    };
    !(source == "localhost" || source == "::1" || source.starts_with("127."))
}

fn nfs(observation: &mut Observation<'_>) -> Result<BTreeSet<String>, Unobservable> {
    let mut paths = vec!["/etc/exports".to_owned()];
    paths.extend(files(observation, "/etc/exports.d", ".exports")?);
    let mut found = BTreeSet::new();
    for path in paths {
        let text = observation.text(&path)?.unwrap_or_default();
        found.extend(unauthenticated_exports(&text));
    }
    Ok(found)
}

/// Directories of exports(5) with a client that is not held to Kerberos.
fn unauthenticated_exports(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in text.replace("\\\n", " ").lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let (directory, clients) =
            match line.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
                Some(quoted) => quoted,
                None => line.split_once([' ', '\t']).unwrap_or((line, "")),
            };
        let mut defaults = "";
        let mut open = clients.trim().is_empty();
        for client in clients.split_whitespace() {
            if let Some(options) = client.strip_prefix('-') {
                defaults = options;
                continue;
            }
            let options = client
                .split_once('(')
                .map_or("", |(_, options)| options.trim_end_matches(')'));
            let of = |options: &str| {
                options
                    .split(',')
                    .filter_map(|option| option.strip_prefix("sec=").map(str::to_owned))
                    .next_back()
            };
            let kinds = of(options)
                .or_else(|| of(defaults))
                .unwrap_or_else(|| "sys".to_owned());
            open |= kinds.split(':').any(|kind| !kind.starts_with("krb5"));
        }
        if open {
            found.insert(directory.to_owned());
        }
    }
    found
}

fn ftp(observation: &mut Observation<'_>) -> Result<BTreeSet<String>, Unobservable> {
    let mut found = BTreeSet::new();
    for path in ["/etc/vsftpd.conf", "/etc/vsftpd/vsftpd.conf"] {
        if let Some(text) = observation.text(path)? {
            let is = |name: &str, default: bool| {
                text.lines()
                    .filter_map(|line| line.trim().split_once('='))
                    .filter(|(key, _)| key.trim() == name)
                    .map(|(_, value)| {
                        ["YES", "TRUE", "1"].contains(&value.trim().to_ascii_uppercase().as_str())
                    })
                    .next_back()
                    .unwrap_or(default)
            };
            if is("ssl_enable", false)
                && is("force_local_logins_ssl", true)
                && is("force_local_data_ssl", true)
            {
                found.insert("vsftpd".to_owned());
            }
            break;
        }
    }
    for path in [
        "/etc/proftpd/tls.conf",
        "/etc/proftpd/proftpd.conf",
        "/etc/proftpd.conf",
    ] {
        let text = observation.text(path)?.unwrap_or_default();
        let mut words = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        if words.any(|words| matches!(words.as_slice(), ["TLSRequired", "on"])) {
            found.insert("proftpd".to_owned());
        }
    }
    let pure = observation
        .text("/etc/pure-ftpd/conf/TLS")?
        .unwrap_or_default();
    if matches!(pure.trim(), "2" | "3") {
        found.insert("pure-ftpd".to_owned());
    }
    Ok(found)
}

/// What inetd.conf(5) and xinetd.conf(5) start, by the name of the program.
fn inetd(observation: &mut Observation<'_>) -> Result<BTreeSet<String>, Unobservable> {
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let mut found = BTreeSet::new();
    let mut paths = vec!["/etc/inetd.conf".to_owned()];
    paths.extend(files(observation, "/etc/inetd.d", "")?);
    for path in paths {
        let text = observation.text(&path)?.unwrap_or_default();
        for line in text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
        {
            let words: Vec<&str> = line.split_whitespace().collect();
            // A wrapper starts what stands behind it.
            let server = words.get(5).map(|server| name(server));
            let program = match server.as_deref() {
                Some("tcpd") => words.get(6).map(|server| name(server)),
                _ => server,
            };
            found.extend(program);
        }
    }
    let mut paths = vec!["/etc/xinetd.conf".to_owned()];
    paths.extend(files(observation, "/etc/xinetd.d", "")?);
    for path in paths {
        let text = observation.text(&path)?.unwrap_or_default();
        for block in text.split('}') {
            let value = |key: &str| {
                block
                    .lines()
                    .filter_map(|line| line.trim().split_once('='))
                    .filter(|(name, _)| name.trim() == key)
                    .map(|(_, value)| value.trim().to_owned())
                    .next_back()
            };
            if let Some(server) = value("server")
                && value("disable").as_deref() != Some("yes")
            {
                found.insert(name(&server));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn communities_for_this_host_alone_are_not_open() {
        for (line, open) in [
            ("rocommunity public", true),
            ("rocommunity public default -V systemonly", true),
            ("ROCommunity public 192.0.2.0/24", true),
            ("rocommunity public localhost", false),
            ("rwcommunity6 private ::1", false),
            ("com2sec readonly default public", true),
            ("com2sec -Cn ctx readonly 127.0.0.1 public", false),
            ("com2sec readonly", false),
            ("#rocommunity public", false),
            ("rouser authPrivUser authpriv -V systemonly", false),
            ("", false),
        ] {
            assert_eq!(is_open_community(line), open, "{line}");
        }
    }

    #[test]
    fn exports_need_kerberos_for_every_client() {
        let text = "/srv/a *(rw,sec=krb5p)\n/srv/b 192.0.2.0/24(ro) # no\n/srv/c -sec=krb5i,rw a b\n/srv/d a(sec=krb5:sys)\n\"/srv/e f\" *(rw)\n#/srv/g *(rw)\n/srv/h\n/srv/i -sec=krb5 \\\n a(sec=sys)\n";
        let found: Vec<String> = unauthenticated_exports(text).into_iter().collect();
        assert_eq!(found, ["/srv/b", "/srv/d", "/srv/e f", "/srv/h", "/srv/i"]);
    }
}
