//! One change of one file of a root at rest, or one program run inside it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use acceptance::machine::run_inside;
use evidence::time::{Clock as _, SystemClock};
use serde::Deserialize;

/// A change. It must change something: an old text that is not there, or a file to remove that does not exist, is an error,
/// since such a mutation would prove nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// The file, absolute in the root.
    pub file: Option<String>,
    /// A program of the root and its arguments, instead of a file.
    pub run: Option<Vec<String>>,
    /// New content.
    pub text: Option<String>,
    /// New content, which is that of a file below `tests/fixtures/`.
    pub fixture: Option<String>,
    /// Pairs of old and new text; each old text must be there, its first occurrence is replaced.
    #[serde(default)]
    pub replace: Vec<(String, String)>,
    /// Text before what is there.
    pub prepend: Option<String>,
    /// Text after what is there.
    pub append: Option<String>,
    /// Lines then end as on Windows.
    #[serde(default)]
    pub crlf: bool,
    /// A byte order mark then comes first.
    #[serde(default)]
    pub byte_order_mark: bool,
    /// A symbolic link to this target.
    pub link: Option<String>,
    /// A directory.
    #[serde(default)]
    pub directory: bool,
    /// Octal.
    pub mode: Option<String>,
    /// Numbers of owner and group.
    pub owner: Option<(u32, u32)>,
    /// Modified this many days ago.
    pub days_old: Option<u32>,
    /// Another file of the root whose content and place it takes.
    pub moved_from: Option<String>,
    /// No longer there.
    #[serde(default)]
    pub absent: bool,
}

impl Edit {
    /// Carries the change out in the root file system at `root`.
    ///
    /// # Errors
    /// What could not be done, for people.
    pub fn apply(&self, root: &Path) -> Result<(), String> {
        match (&self.file, &self.run) {
            (Some(file), None) => self
                .apply_to_file(root, file)
                .map_err(|problem| format!("{file}: {problem}")),
            (None, Some(command)) => run_inside(root, command)
                .map(|_| ())
                .map_err(|error| error.to_string()),
            _ => Err(format!("either `file` or `run`: {self:?}")),
        }
    }

    fn apply_to_file(&self, root: &Path, file: &str) -> Result<(), String> {
        let path = inside(root, file)?;
        let said = |error: std::io::Error| error.to_string();
        if self.absent {
            let removed = match path.symlink_metadata() {
                Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&path),
                _ => fs::remove_file(&path),
            };
            return removed.map_err(said);
        }
        if self.directory {
            fs::create_dir_all(&path).map_err(said)?;
        } else if let Some(target) = &self.link {
            if path.symlink_metadata().is_ok() {
                fs::remove_file(&path).map_err(said)?;
            }
            fs::create_dir_all(path.parent().unwrap_or(root)).map_err(said)?;
            return symlink(target, &path).map_err(said);
        } else if let Some(from) = &self.moved_from {
            fs::rename(inside(root, from)?, &path).map_err(said)?;
        } else if let Some(fixture) = &self.fixture {
            let from = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("fixtures")
                .join(fixture);
            let content = fs::read(from).map_err(said)?;
            fs::create_dir_all(path.parent().unwrap_or(root)).map_err(said)?;
            fs::write(&path, content).map_err(said)?;
        } else {
            self.write(&path)?;
        }
        if let Some((uid, gid)) = self.owner {
            chown(&path, Some(uid), Some(gid)).map_err(said)?;
        }
        if let Some(octal) = &self.mode {
            let mode = u32::from_str_radix(octal, 8).map_err(|error| error.to_string())?;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(said)?;
        }
        if let Some(days) = self.days_old {
            let days = i64::from(days) * 24 * 60 * 60 * 1000;
            let then = SystemClock::new().now().unix_ms() - days;
            let since_1970 = Duration::from_millis(then.max(0).unsigned_abs());
            let opened = fs::File::open(&path).map_err(said)?;
            opened.set_modified(UNIX_EPOCH + since_1970).map_err(said)?;
        }
        Ok(())
    }

    fn write(&self, path: &Path) -> Result<(), String> {
        let said = |error: std::io::Error| error.to_string();
        let is_link = |path: &Path| {
            path.symlink_metadata()
                .is_ok_and(|found| found.is_symlink())
        };
        let touches = self.text.is_some()
            || !self.replace.is_empty()
            || self.prepend.is_some()
            || self.append.is_some()
            || self.crlf
            || self.byte_order_mark;
        if !touches {
            return if path.symlink_metadata().is_ok() {
                Ok(())
            } else {
                Err("is not there".to_owned())
            };
        }
        if is_link(path) {
            return Err("is a link: name what it leads to".to_owned());
        }
        let mut content = match &self.text {
            Some(text) => text.clone(),
            None if self.replace.is_empty() && !path.exists() => String::new(),
            None => fs::read_to_string(path).map_err(said)?,
        };
        for (old, new) in &self.replace {
            if !content.contains(old) {
                return Err(format!("does not contain {old:?}"));
            }
            content = content.replacen(old, new, 1);
        }
        if let Some(text) = &self.prepend {
            content.insert_str(0, text);
        }
        content.push_str(self.append.as_deref().unwrap_or_default());
        if self.crlf {
            content = content.replace('\n', "\r\n");
        }
        if self.byte_order_mark {
            content.insert(0, '\u{feff}');
        }
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).map_err(said)?;
        fs::write(path, content).map_err(said)
    }
}

/// The place of `file` in the root; a link on the way must not lead out of it.
fn inside(root: &Path, file: &str) -> Result<PathBuf, String> {
    let relative = file
        .strip_prefix('/')
        .ok_or_else(|| "is no absolute path".to_owned())?;
    let path = root.join(relative);
    let mut above = path.parent().unwrap_or(root);
    while above.symlink_metadata().is_err() {
        above = above.parent().unwrap_or(root);
    }
    let real = above.canonicalize().map_err(|error| error.to_string())?;
    let real_root = root.canonicalize().map_err(|error| error.to_string())?;
    if real.starts_with(&real_root) {
        Ok(path)
    } else {
        Err(format!("leads out of the root to {}", real.display()))
    }
}
