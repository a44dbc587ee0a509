//! The addresses that pages link to, made in one place.

use std::fmt::Write as _;

/// The overview.
pub const OVERVIEW: &str = "/";
/// The list of all controls.
pub const CONTROLS: &str = "/controls";
/// The list of hosts.
pub const HOSTS: &str = "/hosts";
/// The ledger.
pub const LEDGER: &str = "/ledger";
/// The search over hosts, checks and controls.
pub const SEARCH: &str = "/search";
/// Where people sign in.
pub const SIGN_IN: &str = "/sign-in";
/// Where the sign-out form is sent.
pub const SIGN_OUT: &str = "/sign-out";

/// A control's page: `/controls/A.8.5`.
pub fn control(id: &str) -> String {
    format!("{CONTROLS}/{}", segment(id))
}

/// A check's page: `/checks/sshd.root`.
pub fn check(id: &str) -> String {
    format!("/checks/{}", segment(id))
}

/// A host's page, by the id of its key.
pub fn host(id: &str) -> String {
    format!("{HOSTS}/{}", segment(id))
}

/// The outcome of a check on a host.
pub fn outcome(host_id: &str, check_id: &str) -> String {
    format!("{}/{}", host(host_id), segment(check_id))
}

/// Where the approval of what a host proposes for a check is sent.
pub fn approve(host_id: &str, check_id: &str) -> String {
    format!("{}/approve", outcome(host_id, check_id))
}

/// One entry of the ledger.
pub fn entry(index: u64) -> String {
    format!("{LEDGER}/{index}")
}

/// The exported round of an entry as one archive.
pub fn round_archive(index: u64) -> String {
    format!("{LEDGER}/{index}/round.tar")
}

/// One file of the exported round of an entry.
pub fn round_file(index: u64, name: &str) -> String {
    let path: Vec<String> = name.split('/').map(segment).collect();
    format!("{LEDGER}/{index}/{}", path.join("/"))
}

/// `path` with a query of the pairs whose value is not empty.
pub fn with_query(path: &str, pairs: &[(&str, &str)]) -> String {
    let query: Vec<String> = pairs
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| format!("{}={}", segment(key), segment(value)))
        .collect();
    match query.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{}", query.join("&")),
    }
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => {
                // writing to a String cannot fail
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{outcome, round_file, with_query};

    #[test]
    fn what_is_not_plain_is_encoded() {
        assert_eq!(
            outcome("a/b ü", "sshd.root"),
            "/hosts/a%2Fb%20%C3%BC/sshd.root"
        );
        assert_eq!(
            with_query("/hosts", &[("q", "os:debian & x"), ("after", "")]),
            "/hosts?q=os%3Adebian%20%26%20x"
        );
        assert_eq!(with_query("/hosts", &[]), "/hosts");
        assert_eq!(round_file(7, "disclosures/ab"), "/ledger/7/disclosures/ab");
    }
}
