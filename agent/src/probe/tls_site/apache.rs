//! Apache httpd, as `apachectl -S` would show it.

use super::{TlsSite, files, files_below, text};
use crate::host::FileKind;
use crate::probe::{Observation, Unobservable};

/// The main file by distribution, with the directory that its paths are relative to.
const MAIN: [(&str, &str); 4] = [
    ("/etc/apache2/apache2.conf", "/etc/apache2"),
    ("/etc/httpd/conf/httpd.conf", "/etc/httpd"),
    ("/etc/apache2/httpd.conf", "/etc/apache2"),
    ("/usr/local/apache2/conf/httpd.conf", "/usr/local/apache2"),
];
const MAX_DEPTH: usize = 16;

/// A virtual host, or the server outside of all.
#[derive(Debug, Default)]
struct Virtual {
    names: Vec<String>,
    certificates: Vec<String>,
    engine: Option<bool>,
    configured_in: String,
    open: bool,
}

/// The sites that Apache serves with TLS.
pub(super) fn sites(observation: &mut Observation<'_>) -> Result<Vec<TlsSite>, Unobservable> {
    for (main, root) in MAIN {
        if observation.stat(main)?.is_some() {
            let mut reader = Reader {
                root: root.to_owned(),
                server: Virtual::default(),
                hosts: Vec::new(),
                inside: false,
                files: 0,
            };
            reader.file(observation, main, 0)?;
            return Ok(reader.sites());
        }
    }
    Ok(Vec::new())
}

struct Reader {
    root: String,
    server: Virtual,
    hosts: Vec<Virtual>,
    inside: bool,
    files: usize,
}

impl Reader {
    fn file(
        &mut self,
        observation: &mut Observation<'_>,
        path: &str,
        depth: usize,
    ) -> Result<(), Unobservable> {
        self.files += 1;
        if depth > MAX_DEPTH || self.files > super::MAX_FILES {
            return Err(Unobservable::unparsable(path, "includes too many files"));
        }
        let Some(text) = text(observation, path)? else {
            return Ok(());
        };
        for line in lines(&text) {
            let words = words(&line);
            let Some(name) = words.first().map(|name| name.to_ascii_lowercase()) else {
                continue;
            };
            let value = words.get(1).cloned().unwrap_or_default();
            match name.as_str() {
                "include" | "includeoptional" => self.include(observation, path, &value, depth)?,
                "serverroot" => self.root = value.trim_end_matches('/').to_owned(),
                "<virtualhost" => {
                    self.inside = true;
                    self.hosts.push(Virtual {
                        configured_in: path.to_owned(),
                        ..Virtual::default()
                    });
                }
                "</virtualhost>" => self.inside = false,
                _ => self.directive(path, &name, &words),
            }
        }
        Ok(())
    }

    fn include(
        &mut self,
        observation: &mut Observation<'_>,
        from: &str,
        value: &str,
        depth: usize,
    ) -> Result<(), Unobservable> {
        if value.contains('$') {
            return Err(Unobservable::unparsable(
                from,
                format!("includes {value:.200}, which holds a variable"),
            ));
        }
        for path in files(observation, &self.absolute(value))? {
            match observation.stat(&path)?.map(|stat| stat.kind) {
                Some(FileKind::Directory) => {
                    for inner in files_below(observation, &path, 3)? {
                        self.file(observation, &inner, depth + 1)?;
                    }
                }
                Some(_) => self.file(observation, &path, depth + 1)?,
                None => {}
            }
        }
        Ok(())
    }

    fn absolute(&self, path: &str) -> String {
        if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("{}/{path}", self.root)
        }
    }

    fn directive(&mut self, path: &str, name: &str, words: &[String]) {
        let values = words.get(1..).unwrap_or_default();
        let Some(first) = values.first() else { return };
        let absolute = self.absolute(first);
        let target = match self.hosts.last_mut() {
            Some(host) if self.inside => host,
            _ => &mut self.server,
        };
        match name {
            "sslengine" => {
                let on = first.to_ascii_lowercase();
                target.engine = Some(on == "on" || on == "optional");
                if target.configured_in.is_empty() {
                    target.configured_in = path.to_owned();
                }
            }
            "sslcertificatefile" => {
                target.open |= first.contains('$');
                if !first.contains('$') {
                    target.certificates.push(absolute);
                }
            }
            // The old way to give the chain in a file of its own.
            "sslcertificatechainfile" => target.open = true,
            "servername" | "serveralias" => target.names.extend(
                values
                    .iter()
                    .map(|name| name.split(':').next().unwrap_or(name).to_owned())
                    .filter(|name| !name.is_empty() && !name.contains(['*', '$', '/'])),
            ),
            _ => {}
        }
    }

    fn sites(self) -> Vec<TlsSite> {
        let inherited = self.server.engine.unwrap_or(false);
        let common = self.server.certificates.clone();
        let has_hosts = !self.hosts.is_empty();
        std::iter::once(self.server)
            .filter(|_| !has_hosts)
            .chain(self.hosts)
            .filter(|host| host.engine.unwrap_or(inherited))
            .map(|host| TlsSite {
                service: "apache",
                configured_in: host.configured_in,
                names: host.names,
                certificates: if host.certificates.is_empty() {
                    common.clone()
                } else {
                    host.certificates
                },
                open: host.open,
            })
            .collect()
    }
}

/// Lines without comments and blank ones; a backslash at the end joins a line with the next.
fn lines(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut joined = String::new();
    for line in text.lines() {
        match line.strip_suffix('\\') {
            Some(start) => joined.push_str(start),
            None => {
                joined.push_str(line);
                let whole = std::mem::take(&mut joined);
                if !whole.trim().is_empty() && !whole.trim_start().starts_with('#') {
                    found.push(whole.trim().to_owned());
                }
            }
        }
    }
    found
}

fn words(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        found.push(word.to_owned());
        rest = after.trim_start();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_words_are_apaches() {
        assert_eq!(lines("# a\nA \\\n b\n\nC"), ["A  b", "C"]);
        assert_eq!(
            words("SSLCertificateFile \"/a b\" x"),
            ["SSLCertificateFile", "/a b", "x"]
        );
        assert_eq!(words("\""), [""]);
        assert!(words("").is_empty());
    }
}
