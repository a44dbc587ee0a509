//! Advisories of a repository (`updateinfo.xml`): which versions fix weaknesses, and since when.

use std::collections::BTreeSet;
use std::io::{self, Read};

use evidence::time::Timestamp;

use super::tag::Tags;

/// A package that an advisory of kind `security` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// Its name.
    pub name: String,
    /// Its architecture.
    pub architecture: String,
    /// Its version: `EPOCH:VERSION-RELEASE`.
    pub version: String,
    /// When the advisory was issued, if it says so in a form that is known.
    pub issued: Option<Timestamp>,
}

/// Visits the fixes of all security advisories, but those of module streams that are not enabled.
///
/// # Errors
/// What the stream says, or a document that is cut.
pub fn fixes(
    document: impl Read,
    modules: &BTreeSet<String>,
    visit: &mut dyn FnMut(Fix),
) -> io::Result<()> {
    let mut tags = Tags::new(document);
    let (mut security, mut offered, mut closed) = (false, true, false);
    let mut issued = None;
    while let Some(tag) = tags.next_tag()? {
        match tag.name() {
            "update" => {
                security = tag.attribute("type").as_deref() == Some("security");
                issued = None;
            }
            "issued" => issued = tag.attribute("date").and_then(|date| time(&date)),
            "collection" => offered = true,
            "module" => {
                let value = |name: &str| tag.attribute(name).unwrap_or_default();
                offered = modules.contains(&format!("{}:{}", value("name"), value("stream")));
            }
            "package" if security && offered => {
                let value = |name: &str| tag.attribute(name);
                if let (Some(name), Some(version), Some(release), Some(architecture)) = (
                    value("name"),
                    value("version"),
                    value("release"),
                    value("arch"),
                ) {
                    let epoch = value("epoch").filter(|epoch| !epoch.is_empty());
                    visit(Fix {
                        name,
                        architecture,
                        version: format!("{}:{version}-{release}", epoch.as_deref().unwrap_or("0")),
                        issued,
                    });
                }
            }
            "/updates" => closed = true,
            // Closed at once in a repository without any.
            "updates" => closed = tag.is_closed(),
            _ => {}
        }
    }
    if closed {
        Ok(())
    } else {
        Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the advisories are cut",
        ))
    }
}

/// A day, with or without a time, in UTC; SUSE writes seconds since 1970.
fn time(date: &str) -> Option<Timestamp> {
    if let Ok(seconds) = date.parse::<i64>() {
        return Some(Timestamp::from_unix_seconds(seconds));
    }
    // The end of the day: an advisory is not public before it says so.
    format!("{}T23:59:59.000Z", date.get(..10)?).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "<?xml version=\"1.0\"?>\n<updates>\n<update from=\"x\" status=\"final\" type=\"security\" version=\"3\"><id>RHSA-1</id><issued date=\"2026-11-01 00:00:00\"/><description>a &lt;package&gt; b</description><pkglist><collection short=\"x\"><package name=\"openssl-libs\" version=\"3.2.2\" release=\"7.el9\" epoch=\"1\" arch=\"x86_64\" src=\"s\"><filename>f</filename></package></collection></pkglist></update>\n<update type=\"bugfix\"><pkglist><collection><package name=\"bash\" version=\"9\" release=\"1\" epoch=\"0\" arch=\"x86_64\"/></collection></pkglist></update>\n<update type=\"security\"><issued date=\"1731398400\"/><pkglist><collection><module name=\"nodejs\" stream=\"20\"/><package name=\"nodejs\" version=\"20\" release=\"1\" epoch=\"1\" arch=\"x86_64\"/></collection></pkglist></update>\n</updates>\n";

    fn found(document: &str, modules: &[&str]) -> io::Result<Vec<Fix>> {
        let modules = modules.iter().map(|name| (*name).to_owned()).collect();
        let mut found = Vec::new();
        fixes(document.as_bytes(), &modules, &mut |fix| found.push(fix))?;
        Ok(found)
    }

    #[test]
    fn only_security_fixes_of_enabled_streams_count() {
        let fixes = found(DOCUMENT, &[]).unwrap();
        assert_eq!(fixes.len(), 1);
        assert_eq!(fixes[0].version, "1:3.2.2-7.el9");
        assert_eq!(fixes[0].issued, "2026-11-01T23:59:59.000Z".parse().ok());
        let fixes = found(DOCUMENT, &["nodejs:20"]).unwrap();
        assert_eq!(
            fixes[1].issued,
            Some(Timestamp::from_unix_seconds(1_731_398_400))
        );
    }

    #[test]
    fn a_cut_document_is_an_error() {
        for cut in [10, 300, DOCUMENT.len() - 15] {
            assert!(found(&DOCUMENT[..cut], &[]).is_err(), "{cut}");
        }
        assert!(found("<updates/>", &[]).unwrap().is_empty());
    }
}
