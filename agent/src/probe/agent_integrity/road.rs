//! Whether only the superuser, and the owner asked about, decide what lies at the end of a path.

use crate::host::{FileKind, Host, HostError, Stat};

/// Links followed on one road; more than this is no road.
const MAX_LINKS: usize = 16;
const OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// Whether nobody but the superuser and `owner` can change the file or put another one in its place.
///
/// Every directory on the way, links resolved, must be closed to the writing of others, or be one like /tmp: in a directory
/// with the sticky bit that belongs to one of the two, others can neither rename nor remove what is not theirs
/// (unlink(2), rename(2)). What is not there yet, anybody who may write in its directory can put there.
pub(super) fn is_protected(host: &dyn Host, path: &str, owner: u32) -> Result<bool, HostError> {
    let mut left = parts(path);
    let mut done: Vec<String> = Vec::new();
    let mut directory = look(host, "/")?;
    let mut links = 0;
    while let Some(part) = left.pop() {
        if part == ".." {
            done.pop();
            directory = look(host, &join(&done))?;
            continue;
        }
        done.push(part);
        let here = look(host, &join(&done))?;
        if !holds(directory.as_ref(), here.as_ref(), owner) {
            return Ok(false);
        }
        let link = here
            .as_ref()
            .is_some_and(|stat| stat.kind == FileKind::Link);
        if !link {
            directory = here;
            continue;
        }
        links += 1;
        let target = host.read_link(&join(&done))?;
        if links > MAX_LINKS {
            return Ok(false);
        }
        done.pop();
        if target.starts_with('/') {
            done.clear();
            directory = look(host, "/")?;
        }
        left.extend(parts(&target));
    }
    // What lies at the end must itself be closed; the sticky bit of a directory says nothing of what will be in it.
    Ok(directory.is_none_or(|end| is_of(&end, owner) && is_closed(&end)))
}

/// Whether others can neither exchange nor make `entry` in `directory`. One that is not there holds nothing but what its
/// own directory lets in, which was asked before.
fn holds(directory: Option<&Stat>, entry: Option<&Stat>, owner: u32) -> bool {
    let Some(directory) = directory else {
        return true;
    };
    is_of(directory, owner)
        && match entry {
            Some(entry) => {
                is_of(entry, owner) && (is_closed(directory) || directory.mode & STICKY != 0)
            }
            None => is_closed(directory),
        }
}

fn is_of(stat: &Stat, owner: u32) -> bool {
    stat.uid == 0 || stat.uid == owner
}

fn is_closed(stat: &Stat) -> bool {
    let group_of_root = stat.gid == 0 && stat.mode & 0o002 == 0;
    stat.mode & OTHERS_WRITE == 0 || group_of_root
}

fn look(host: &dyn Host, path: &str) -> Result<Option<Stat>, HostError> {
    match host.lstat(path) {
        Ok(stat) => Ok(Some(stat)),
        Err(HostError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The parts of a path, the first one last.
fn parts(path: &str) -> Vec<String> {
    let parts = path.split('/').rev();
    parts
        .filter(|part| !part.is_empty() && *part != ".")
        .map(str::to_owned)
        .collect()
}

fn join(parts: &[String]) -> String {
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::RecordedHost;

    const HOST: &str = r#"
note = "Directories that others may write in, with and without the sticky bit"

[files."/tmp"]
kind = "directory"
mode = "1777"
[files."/tmp/ours"]
kind = "directory"
[files."/tmp/ours/file"]
text = ""
[files."/tmp/theirs"]
kind = "directory"
uid = 1000
[files."/tmp/theirs/file"]
text = ""
[files."/tmp/link"]
link = "ours"
[files."/tmp/their_link"]
link = "ours"
uid = 1000
[files."/open"]
kind = "directory"
mode = "0777"
[files."/open/ours"]
kind = "directory"
[files."/open/ours/file"]
text = ""
[files."/given"]
kind = "directory"
mode = "1777"
uid = 1000
[files."/given/ours"]
kind = "directory"
[files."/safe"]
kind = "directory"
[files."/safe/in"]
link = "../tmp/ours"
[files."/safe/out"]
link = "/open/ours"
[files."/safe/turn"]
link = "turn"
[files."/safe/open"]
text = ""
mode = "0666"
"#;

    #[test]
    fn what_others_can_exchange_is_not_protected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("host.toml");
        std::fs::write(&path, HOST).unwrap();
        let host = RecordedHost::load(&path).unwrap();
        for (path, expected) in [
            ("/tmp/ours/file", true),
            ("/tmp/theirs/file", false),
            ("/tmp/none/file", false),
            ("/tmp/link/file", true),
            ("/tmp/their_link/file", false),
            ("/open/ours/file", false),
            ("/given/ours/file", false),
            ("/safe/none/file", true),
            ("/safe/in/file", true),
            ("/safe/out/file", false),
            ("/safe/turn", false),
            ("/safe/open", false),
            ("/tmp", false),
        ] {
            assert_eq!(is_protected(&host, path, 0), Ok(expected), "{path}");
        }
        assert_eq!(is_protected(&host, "/tmp/theirs/file", 1000), Ok(true));
    }
}
