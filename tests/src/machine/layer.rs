//! Root file systems in layers: an [`Image`](super::Image) that belongs to every test, what was installed and set up above it,
//! and on top whatever one test changes, which is thrown away (overlayfs).
//!
//! Mounts are made in the mount namespace of the process: a test that wants them gone whatever happens runs itself under
//! unshare(1).

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crypto::Digest;

use super::error::MachineError;
use super::{image, program};

/// A root file system at rest: folders of which the first covers those after it.
#[derive(Debug, Clone)]
pub struct Layers {
    folders: Vec<PathBuf>,
}

impl Layers {
    /// One folder, nothing above it.
    #[must_use]
    pub fn of(folder: &Path) -> Layers {
        Layers {
            folders: vec![folder.to_owned()],
        }
    }

    /// These layers with another above them: what `make` does to a mounted root. It is made once for a `recipe` and what lies
    /// below, under a lock, and kept in the test cache; it is there completely or not at all.
    ///
    /// # Errors
    /// [`MachineError`] if the layer cannot be kept or mounted, or what `make` says.
    pub fn with<E: From<MachineError>>(
        &self,
        name: &str,
        recipe: &str,
        make: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<Layers, E> {
        let folder = image::cache().join("layers");
        fs::create_dir_all(&folder).map_err(MachineError::io("create", &folder))?;
        let digest = Digest::of(format!("{recipe}\n{}", self.identity()?).as_bytes()).to_hex();
        let made = folder.join(format!("{name}-{}", &digest[..12]));
        let lock_path = folder.join(format!("{name}.lock"));
        let lock = File::create(&lock_path).map_err(MachineError::io("open", &lock_path))?;
        lock.lock().map_err(MachineError::io("lock", &lock_path))?;
        if !made.exists() {
            forget_older(&folder, name)?;
            let draft = made.with_extension("draft");
            let upper = draft.join("upper");
            fs::create_dir_all(&upper).map_err(MachineError::io("create", &upper))?;
            let mounted = self.mount(&draft, &upper)?;
            make(mounted.root())?;
            mounted.unmount()?;
            fs::rename(&upper, &made).map_err(MachineError::io("rename", &upper))?;
            image::remove_tree(&draft)?;
        }
        Ok(self.below(&made))
    }

    /// These layers with the folder `above`, which an earlier mount of them filled, on top.
    #[must_use]
    pub fn below(&self, above: &Path) -> Layers {
        let mut folders = vec![above.to_owned()];
        folders.extend(self.folders.iter().cloned());
        Layers { folders }
    }

    /// Mounts the layers with a new, empty one above them. Everything it needs is made below `folder`.
    ///
    /// # Errors
    /// No overlayfs, no privilege.
    pub fn mounted(&self, folder: &Path) -> Result<Mounted, MachineError> {
        let upper = folder.join("upper");
        fs::create_dir_all(&upper).map_err(MachineError::io("create", &upper))?;
        self.mount(folder, &upper)
    }

    fn mount(&self, folder: &Path, upper: &Path) -> Result<Mounted, MachineError> {
        let (work, root) = (folder.join("work"), folder.join("root"));
        for needed in [&work, &root] {
            fs::create_dir_all(needed).map_err(MachineError::io("create", needed))?;
        }
        let below: Vec<String> = self.folders.iter().map(|path| shown(path)).collect();
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            below.join(":"),
            shown(upper),
            shown(&work)
        );
        program::run(
            "mount",
            &["-t", "overlay", "-o", &options, "overlay", &shown(&root)],
        )?;
        Ok(Mounted { root: Some(root) })
    }

    /// What tells these folders from others of the same names: an image is made anew each day.
    fn identity(&self) -> Result<String, MachineError> {
        use std::os::unix::fs::MetadataExt as _;
        let mut identity = String::new();
        for folder in &self.folders {
            let metadata = fs::metadata(folder).map_err(MachineError::io("look at", folder))?;
            identity.push_str(&format!(
                "{} {} {}\n",
                shown(folder),
                metadata.ino(),
                metadata.ctime()
            ));
        }
        Ok(identity)
    }
}

/// Removes earlier layers and drafts of that name.
fn forget_older(folder: &Path, name: &str) -> Result<(), MachineError> {
    let entries = fs::read_dir(folder).map_err(MachineError::io("list", folder))?;
    for entry in entries {
        let path = entry.map_err(MachineError::io("list", folder))?.path();
        let kept_name = path.file_stem().unwrap_or_default().to_string_lossy();
        let digest = kept_name.strip_prefix(&format!("{name}-"));
        if path.is_dir() && digest.is_some_and(|rest| rest.len() == 12 && !rest.contains('-')) {
            image::remove_tree(&path)?;
        }
    }
    Ok(())
}

/// A mounted root file system; dropping it unmounts.
#[derive(Debug)]
pub struct Mounted {
    root: Option<PathBuf>,
}

impl Mounted {
    /// Where it is mounted.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.as_deref().unwrap_or(Path::new(""))
    }

    /// Runs a program of the root inside of it, without the outer machine's processes or devices.
    ///
    /// # Errors
    /// What the program said, if it did not succeed.
    pub fn run(&self, command: &[String]) -> Result<String, MachineError> {
        run_inside(self.root(), command)
    }

    /// Unmounts, as soon as nobody looks into it any more.
    ///
    /// # Errors
    /// What umount(8) said.
    pub fn unmount(mut self) -> Result<(), MachineError> {
        match self.root.take() {
            Some(root) => program::run("umount", &["--lazy".to_owned(), shown(&root)]).map(|_| ()),
            None => Ok(()),
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Some(root) = self.root.take()
            && let Err(error) = program::run("umount", &["--lazy", &shown(&root)])
        {
            eprintln!("{error}");
        }
    }
}

/// Runs a program of the root file system in `root`, chrooted.
///
/// # Errors
/// What the program said, if it did not succeed.
pub fn run_inside(root: &Path, command: &[String]) -> Result<String, MachineError> {
    let mut arguments = vec![shown(root)];
    arguments.extend(command.iter().cloned());
    program::run("chroot", &arguments)
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
