//! Package URLs (github.com/package-url/purl-spec): one line that names a package for people and for matchers.

use super::{Manager, OsRelease, Package};

/// Names packages of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namer {
    namespace: String,
    distribution: String,
}

impl Namer {
    /// A namer for the distribution that os-release(5) describes.
    #[must_use]
    pub fn new(release: &OsRelease) -> Namer {
        let namespace = release.get("ID").unwrap_or_else(|| "linux".to_owned());
        let distribution = match release.get("VERSION_ID") {
            Some(version) => format!("{namespace}-{version}"),
            None => namespace.clone(),
        };
        Namer {
            namespace,
            distribution,
        }
    }

    /// For example `pkg:deb/debian/libssl3@3.0.17-1~deb12u2?arch=amd64&distro=debian-12&upstream=openssl`.
    #[must_use]
    pub fn name(&self, manager: Manager, package: &Package) -> String {
        let kind = match manager {
            Manager::Apk => "apk",
            Manager::Dpkg => "deb",
            Manager::Pacman => "alpm",
            Manager::Rpm => "rpm",
        };
        let (epoch, version) = match (manager, package.version.split_once(':')) {
            (Manager::Rpm, Some((epoch, version))) => (Some(epoch), version),
            _ => (None, package.version.as_str()),
        };
        let mut text = format!(
            "pkg:{kind}/{}/{}@{}?arch={}&distro={}",
            encoded(&self.namespace),
            encoded(&package.name),
            encoded(version),
            encoded(&package.architecture),
            encoded(&self.distribution)
        );
        for (name, value) in [("epoch", epoch), ("upstream", package.source.as_deref())] {
            if let Some(value) = value {
                text.push_str(&format!("&{name}={}", encoded(value)));
            }
        }
        text
    }
}

/// Percent-encoding of everything but what the specification leaves as it is.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_package_urls() {
        let namer = Namer {
            namespace: "debian".into(),
            distribution: "debian-12".into(),
        };
        let package = Package {
            name: "g++-12".into(),
            version: "1:12.2.0-14+deb12u1".into(),
            architecture: "amd64".into(),
            source: Some("gcc-12".into()),
            ..Package::default()
        };
        assert_eq!(
            namer.name(Manager::Dpkg, &package),
            "pkg:deb/debian/g%2B%2B-12@1:12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12&upstream=gcc-12"
        );
        assert_eq!(
            namer.name(Manager::Rpm, &package),
            "pkg:rpm/debian/g%2B%2B-12@12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12&epoch=1&upstream=gcc-12"
        );
    }
}
