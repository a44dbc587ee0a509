//! nginx, as `nginx -T` would show it.

use super::block::{Piece, pieces};
use super::{TlsSite, files, text};
use crate::probe::{Observation, Unobservable};

const MAIN: [&str; 2] = ["/etc/nginx/nginx.conf", "/usr/local/nginx/conf/nginx.conf"];
const MAX_DEPTH: usize = 16;

/// Settings that a block hands down to the blocks in it.
#[derive(Debug, Clone, Default)]
struct Scope {
    server: bool,
    listens: bool,
    /// It set certificates of its own.
    own: bool,
    names: Vec<String>,
    certificates: Vec<String>,
    configured_in: String,
}

/// The sites that nginx serves with TLS.
pub(super) fn sites(observation: &mut Observation<'_>) -> Result<Vec<TlsSite>, Unobservable> {
    for main in MAIN {
        if observation.stat(main)?.is_some() {
            let base = main
                .rsplit_once('/')
                .map_or("", |(base, _)| base)
                .to_owned();
            let mut reader = Reader {
                base,
                scopes: vec![Scope::default()],
                found: Vec::new(),
                files: 0,
            };
            reader.file(observation, main, 0)?;
            return Ok(reader.found);
        }
    }
    Ok(Vec::new())
}

struct Reader {
    base: String,
    scopes: Vec<Scope>,
    found: Vec<TlsSite>,
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
            return Err(Unobservable::unparsable(path, "included, and not there"));
        };
        let pieces = pieces(&text).map_err(|problem| Unobservable::unparsable(path, problem))?;
        for piece in pieces {
            match piece {
                Piece::Open(words) => self.open(&words, path),
                Piece::Close => self.close(),
                Piece::Directive(words) => match words.as_slice() {
                    [name, pattern] if name == "include" => {
                        let pattern = self.absolute(pattern);
                        let is_plain = !pattern.contains(['*', '?', '[']);
                        for included in files(observation, &pattern)? {
                            if is_plain || observation.stat(&included)?.is_some() {
                                self.file(observation, &included, depth + 1)?;
                            }
                        }
                    }
                    _ => self.directive(&words),
                },
            }
        }
        Ok(())
    }

    fn absolute(&self, path: &str) -> String {
        if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("{}/{path}", self.base)
        }
    }

    fn open(&mut self, words: &[String], path: &str) {
        let mut scope = self.scopes.last().cloned().unwrap_or_default();
        let is_server = words.first().is_some_and(|word| word == "server") && words.len() == 1;
        if is_server {
            scope.server = true;
            scope.listens = false;
            scope.own = false;
            scope.names = Vec::new();
            scope.configured_in = path.to_owned();
        } else if scope.server {
            // A location inside of a server: what it sets is not the server's.
            scope.server = false;
        }
        self.scopes.push(scope);
    }

    fn close(&mut self) {
        let Some(scope) = self.scopes.pop() else {
            return;
        };
        if self.scopes.is_empty() {
            self.scopes.push(Scope::default());
        }
        if scope.server && scope.listens {
            let open = scope.certificates.iter().any(|path| path.contains('$'));
            self.found.push(TlsSite {
                service: "nginx",
                configured_in: scope.configured_in,
                names: scope.names,
                certificates: scope
                    .certificates
                    .into_iter()
                    .filter(|path| !path.contains('$') && !path.starts_with("data:"))
                    .collect(),
                open,
            });
        }
    }

    fn directive(&mut self, words: &[String]) {
        let absolute = words.get(1).map(|path| self.absolute(path));
        let Some(scope) = self.scopes.last_mut() else {
            return;
        };
        match (words.first().map(String::as_str), words.get(1..)) {
            (Some("listen"), Some(values)) if scope.server => {
                scope.listens |= values.iter().any(|word| word == "ssl" || word == "quic");
            }
            // The switch of old versions turns every listen line of the server into one of TLS.
            (Some("ssl"), Some([value])) if value == "on" => scope.listens = true,
            (Some("server_name"), Some(values)) if scope.server => {
                scope.names = values
                    .iter()
                    .filter(|name| {
                        !name.is_empty()
                            && *name != "_"
                            && !name.starts_with(['~', '$', '.'])
                            && !name.contains('*')
                    })
                    .cloned()
                    .collect();
            }
            (Some("ssl_certificate"), Some(_)) => {
                // A level that sets certificates of its own inherits none; two lines are two kinds of key.
                if !scope.own {
                    scope.certificates.clear();
                    scope.own = true;
                }
                scope.certificates.extend(absolute);
            }
            _ => {}
        }
    }
}
