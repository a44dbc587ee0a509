//! rpm's database, in each of the forms that its versions keep.

mod bdb;
pub mod header;
mod integer;
mod ndb;
mod sqlite;

use evidence::outcome::Reason;
use evidence::time::Timestamp;

use super::{Database, MAX_PACKAGES, Manager, Package, too_many};
use crate::host::{Host, HostError};
use crate::probe::{Observation, Unobservable};
use header::{Header, tag};
use sqlite::{Next, SqliteError, Value};

/// Where the database may lie. On most hosts two of them are links to the third.
const DIRECTORIES: [&str; 3] = ["/usr/lib/sysimage/rpm", "/var/lib/rpm", "/usr/share/rpm"];
/// Largest header of one package.
const MAX_HEADER_BYTES: usize = 32 * 1024 * 1024;
/// How often a database that changes while it is read is read again.
const ATTEMPTS: usize = 3;
/// Keys that rpm trusts are kept as packages of this name; they are none.
const KEY: &str = "gpg-pubkey";

/// Where the database of a host lies, and how it is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    path: String,
    form: Form,
}

impl Location {
    /// The files whose state changes with every installation; the second need not be there.
    #[must_use]
    pub fn files(&self) -> [String; 2] {
        [self.path.clone(), format!("{}-wal", self.path)]
    }

    /// A database that is damaged in this way.
    #[must_use]
    pub fn unparsable(&self, problem: &str) -> Unobservable {
        Unobservable::unparsable(&self.path, problem)
    }
}

/// The form of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Sqlite,
    Ndb,
    BerkeleyDb,
}

/// Files that hold the headers, by form.
const FILES: [(&str, Form); 3] = [
    ("rpmdb.sqlite", Form::Sqlite),
    ("Packages.db", Form::Ndb),
    ("Packages", Form::BerkeleyDb),
];

pub(super) fn read(observation: &mut Observation<'_>) -> Result<Option<Database>, Unobservable> {
    let Some(location) = locate(observation)? else {
        return Ok(None);
    };
    let packages = read_quiet(observation, &location);
    Ok(Some(Database {
        manager: Manager::Rpm,
        path: location.path,
        packages,
    }))
}

/// Visits the headers of all installed packages, keys included.
///
/// # Errors
/// [`Unobservable`] if there is no database, or it cannot be read to its end.
pub fn visit(
    host: &dyn Host,
    location: &Location,
    each: &mut dyn FnMut(Header<'_>) -> Result<(), Unobservable>,
) -> Result<(), Unobservable> {
    let path = location.path.as_str();
    let mut outcome = Ok(());
    let mut take = |blob: &[u8]| {
        outcome = match Header::parse(blob) {
            Some(header) => each(header),
            None => Err(Unobservable::unparsable(path, "a damaged package header")),
        };
        outcome.is_ok()
    };
    match location.form {
        Form::Sqlite => {
            sqlite_headers(host, path, &mut take).map_err(|error| from_sqlite(path, error))?
        }
        Form::Ndb => ndb::headers(host, path, &mut take)?,
        Form::BerkeleyDb => bdb::headers(host, path, &mut take)?,
    }
    outcome
}

/// The one database of this host. Two that differ are a conflict: which of them counts only rpm's own macros say.
///
/// # Errors
/// [`Unobservable`] if there are two, or the agent may not look.
pub fn locate(observation: &mut Observation<'_>) -> Result<Option<Location>, Unobservable> {
    let mut found: Option<(String, Form, State)> = None;
    for directory in DIRECTORIES {
        for (file, form) in FILES {
            let path = format!("{directory}/{file}");
            if observation.stat(&path)?.is_none() {
                continue;
            }
            let state = State::of(observation.host(), &path)?;
            match &found {
                None => found = Some((path, form, state)),
                // The same file by another way.
                Some((_, known, at)) if *known == form && at.main == state.main => {}
                Some((other, ..)) => {
                    let detail = format!(
                        "{other} and {path} are both there; remove the one that rpm does not use"
                    );
                    return Err(Unobservable::new(Reason::Conflict, detail));
                }
            }
        }
    }
    Ok(found.map(|(path, form, _)| Location { path, form }))
}

/// Reads the packages, again if the database changed meanwhile.
fn read_quiet(
    observation: &Observation<'_>,
    location: &Location,
) -> Result<Vec<Package>, Unobservable> {
    let host = observation.host();
    let path = location.path.as_str();
    for _ in 0..ATTEMPTS {
        let before = State::of(host, path)?;
        let packages = packages(host, location);
        if State::of(host, path)? == before {
            return packages;
        }
    }
    Err(Unobservable::new(
        Reason::Timeout,
        format!("{path} changed each time it was read: rpm is at work"),
    ))
}

fn packages(host: &dyn Host, location: &Location) -> Result<Vec<Package>, Unobservable> {
    let path = location.path.as_str();
    let mut packages = Vec::new();
    visit(host, location, &mut |header| {
        let package = package(&header)
            .ok_or_else(|| Unobservable::unparsable(path, "a package without name or version"))?;
        if packages.len() == MAX_PACKAGES {
            return Err(too_many(path));
        }
        if package.name != KEY {
            packages.push(package);
        }
        Ok(())
    })?;
    Ok(packages)
}

fn package(header: &Header<'_>) -> Option<Package> {
    let name = header.string(tag::NAME)?;
    let version = header.string(tag::VERSION)?;
    let release = header.string(tag::RELEASE)?;
    let version = match header.number(tag::EPOCH).unwrap_or(0) {
        0 => format!("{version}-{release}"),
        epoch => format!("{epoch}:{version}-{release}"),
    };
    Some(Package {
        source: header
            .string(tag::SOURCE_RPM)
            .and_then(|file| source_name(&file).map(str::to_owned))
            .filter(|source| *source != name),
        architecture: header
            .string(tag::ARCH)
            .unwrap_or_else(|| "noarch".to_owned()),
        installed: header
            .number(tag::INSTALL_TIME)
            .map(|seconds| Timestamp::from_unix_seconds(seconds.into())),
        unfinished: false,
        name,
        version,
    })
}

/// `openssl` of `openssl-3.2.2-6.el9.src.rpm`.
fn source_name(file: &str) -> Option<&str> {
    let (rest, _release) = file.rsplit_once('-')?;
    let (name, _version) = rest.rsplit_once('-')?;
    Some(name)
}

fn sqlite_headers(
    host: &dyn Host,
    path: &str,
    take: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<(), SqliteError> {
    let mut database = sqlite::Database::open(host, path)?;
    let mut wrong = false;
    database.rows("Packages", &mut |_, row| {
        let Some(blob) = row.get(1).and_then(Value::blob) else {
            wrong = true;
            return Next::Stop;
        };
        if take(blob) { Next::Go } else { Next::Stop }
    })?;
    if wrong {
        return Err(SqliteError::Damaged("a package without a header"));
    }
    Ok(())
}

fn from_sqlite(path: &str, error: SqliteError) -> Unobservable {
    match error {
        SqliteError::Host(error) => error.into(),
        other => Unobservable::unparsable(path, other),
    }
}

/// What changes when the database does: length and times of the file and of its write-ahead log.
#[derive(Debug, PartialEq, Eq)]
struct State {
    main: FileState,
    log: Option<FileState>,
}

type FileState = (u64, Timestamp, Timestamp, (u32, u32));

impl State {
    fn of(host: &dyn Host, path: &str) -> Result<State, HostError> {
        let state = |path: &str| {
            let stat = host.stat(path)?;
            Ok((stat.size, stat.mtime, stat.ctime, stat.device))
        };
        let log = match state(&format!("{path}-wal")) {
            Ok(log) => Some(log),
            Err(HostError::NotFound(_)) => None,
            Err(error) => return Err(error),
        };
        Ok(State {
            main: state(path)?,
            log,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_becomes_a_package() {
        let blob = header::tests::header(
            &[
                (tag::NAME, "openssl-libs"),
                (tag::VERSION, "3.2.2"),
                (tag::RELEASE, "6.el9_5"),
                (tag::ARCH, "x86_64"),
                (tag::SOURCE_RPM, "openssl-3.2.2-6.el9_5.src.rpm"),
            ],
            &[(tag::EPOCH, 1), (tag::INSTALL_TIME, 1_795_519_465)],
        );
        let package = package(&Header::parse(&blob).unwrap()).unwrap();
        assert_eq!(package.version, "1:3.2.2-6.el9_5");
        assert_eq!(package.source.as_deref(), Some("openssl"));
        assert_eq!(package.architecture, "x86_64");
        assert_eq!(source_name("nothing"), None);
    }
}
