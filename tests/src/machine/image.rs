//! The root file system of a plain Debian server, made once by debootstrap and copied for every host.
//!
//! Images live in the test cache: the folder in `ASSAY_TEST_CACHE`, or `target/acceptance`. One is made under an exclusive lock
//! beside it and becomes visible by a rename, so it is there completely or not at all; copying takes the lock shared. An image is
//! named after its recipe and made anew after a day, because a server whose package lists are old is no longer a well-kept one.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crypto::{Digest, Random as _, SystemRandom};
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

use super::archive::{self, Archive};
use super::error::MachineError;
use super::program;

/// The folder of the test cache, when it is to be shared or kept.
const CACHE_VARIABLE: &str = "ASSAY_TEST_CACHE";

/// What Debian's installer leaves on a server without a desktop, beyond the packages that every system has.
const PACKAGES: &str = "systemd,systemd-sysv,systemd-timesyncd,libpam-systemd,dbus,udev,kmod,openssh-server,sudo,\
iproute2,iputils-ping,nftables,netbase,procps,cron,logrotate,unattended-upgrades,ca-certificates,tzdata,less,nano";

/// Where this machine keeps its name servers.
const RESOLVER: &str = "/etc/resolv.conf";

/// Raised when the steps below change, so that nobody tests on an image of the old recipe.
const RECIPE: u32 = 1;

/// An image older than this is made anew: its package lists and upgrades are those of another day.
const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// The root file system of a plain Debian server, ready to be copied.
#[derive(Debug, Clone)]
pub struct Image {
    root: PathBuf,
    lock: PathBuf,
}

impl Image {
    /// The image of a Debian suite (`bookworm`), made if it is not in the cache: security updates installed, package lists
    /// of the suite and its security updates fetched, no machine id and no ssh host keys (each host gets its own).
    ///
    /// # Errors
    /// A missing program or privilege, apt sources without that suite's security updates, a failed download.
    pub fn debian(suite: &str) -> Result<Image, MachineError> {
        if !rustix::process::geteuid().is_root() {
            return Err(MachineError::NotRoot);
        }
        let archive = Archive::of_this_machine(suite)?;
        let recipe = format!(
            "{RECIPE}\n{suite}\n{PACKAGES}\n{}\n{}",
            archive.mirror,
            archive.lines.join("\n")
        );
        let name = format!("{suite}-{}", &Digest::of(recipe.as_bytes()).to_hex()[..12]);
        let images = cache().join("images");
        fs::create_dir_all(&images).map_err(MachineError::io("create", &images))?;
        let image = Image {
            root: images.join(&name),
            lock: images.join(format!("{name}.lock")),
        };
        let lock = image.open_lock()?;
        lock.lock().map_err(MachineError::io("lock", &image.lock))?;
        if !image.is_fresh()? {
            image.make(suite, &archive)?;
        }
        Ok(image)
    }

    /// The root file system. It belongs to every test: copy it, never change it.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Copies the root file system to `target`, which must not exist; blocks are shared where the file system can do so.
    ///
    /// # Errors
    /// A failed copy, with what cp(1) said.
    pub fn copy_to(&self, target: &Path) -> Result<(), MachineError> {
        let lock = self.open_lock()?;
        lock.lock_shared()
            .map_err(MachineError::io("lock", &self.lock))?;
        let (from, to) = (self.root.as_os_str(), target.as_os_str());
        program::run(
            "cp",
            &[
                "-a".as_ref(),
                "--reflink=auto".as_ref(),
                "--no-target-directory".as_ref(),
                from,
                to,
            ],
        )?;
        Ok(())
    }

    fn open_lock(&self) -> Result<File, MachineError> {
        File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&self.lock)
            .map_err(MachineError::io("open", &self.lock))
    }

    /// The lock file is written once an image stands, so its time is the image's.
    fn is_fresh(&self) -> Result<bool, MachineError> {
        if !self.root.exists() {
            return Ok(false);
        }
        let metadata =
            fs::metadata(&self.lock).map_err(MachineError::io("read the time of", &self.lock))?;
        let made = metadata
            .modified()
            .map_err(MachineError::io("read the time of", &self.lock))?;
        Ok(made.elapsed().is_ok_and(|age| age < MAX_AGE))
    }

    fn make(&self, suite: &str, archive: &Archive) -> Result<(), MachineError> {
        let draft = self.root.with_extension("draft");
        remove_tree(&draft)?;
        let include = format!("--include={PACKAGES}");
        let draft_text = draft.to_string_lossy();
        program::run(
            "debootstrap",
            &[
                "--variant=minbase",
                &include,
                suite,
                &draft_text,
                &archive.mirror,
            ],
        )?;
        upgrade(&draft, archive)?;
        forget_identity(&draft)?;
        remove_tree(&self.root)?;
        fs::rename(&draft, &self.root).map_err(MachineError::io("rename", &draft))?;
        fs::write(&self.lock, suite).map_err(MachineError::io("write", &self.lock))
    }
}

/// The folder in which images and running hosts are kept.
pub(super) fn cache() -> PathBuf {
    match std::env::var_os(CACHE_VARIABLE) {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/acceptance"),
    }
}

/// A new folder name for a running host.
pub(super) fn machine_folder(machine: &str) -> Result<PathBuf, MachineError> {
    let folder = cache().join("machines");
    fs::create_dir_all(&folder).map_err(MachineError::io("create", &folder))?;
    // Ext4 hands out no inode that was freed within minutes and looks at each of them in turn, so a copy beside one just removed
    // takes twenty times as long. Under this flag each new name leads to another part of the disk. Other file systems refuse it.
    let opened = File::open(&folder).map_err(MachineError::io("open", &folder))?;
    if let Ok(flags) = ioctl_getflags(&opened) {
        let _ = ioctl_setflags(&opened, flags | IFlags::TOPDIR);
    }
    Ok(folder.join(format!(
        "{machine}-{}",
        hex::encode(&SystemRandom.bytes16()[..4])
    )))
}

/// Removes a folder with all below it; that it is not there is fine.
pub(super) fn remove_tree(folder: &Path) -> Result<(), MachineError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(MachineError::io("remove", folder)),
    }
}

/// Fetches the package lists and installs what is newer than the release, as a well-kept server would have done.
fn upgrade(root: &Path, archive: &Archive) -> Result<(), MachineError> {
    write(
        root,
        "etc/apt/sources.list",
        &(archive.lines.join("\n") + "\n"),
    )?;
    apt(root, &[&["update"], &["--yes", "dist-upgrade"], &["clean"]])
}

/// Installs packages above an image, from the lists that it has.
///
/// # Errors
/// A package that cannot be had, with what apt-get(8) said.
pub fn install(root: &Path, packages: &[String]) -> Result<(), MachineError> {
    let mut wanted = vec!["--yes", "--no-install-recommends", "install"];
    wanted.extend(packages.iter().map(String::as_str));
    // An image knows no name server; this machine's is lent to apt.
    let resolver = fs::read_to_string(RESOLVER).map_err(MachineError::io("read", RESOLVER))?;
    write(root, "etc/resolv.conf", &resolver)?;
    apt(root, &[&wanted, &["clean"]])?;
    write(root, "etc/resolv.conf", "")
}

fn apt(root: &Path, actions: &[&[&str]]) -> Result<(), MachineError> {
    // No daemon may start in the root: it would be one of the outer machine.
    write(root, "usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n")?;
    program::run(
        "chmod",
        &[
            "755".as_ref(),
            root.join("usr/sbin/policy-rc.d").as_os_str(),
        ],
    )?;
    let options = archive::mirror_options()?;
    for action in actions {
        let mut arguments = vec![
            root.to_string_lossy().into_owned(),
            "apt-get".to_owned(),
            "--quiet".to_owned(),
        ];
        arguments.extend(options.iter().cloned());
        arguments.extend(action.iter().map(|&word| word.to_owned()));
        program::run("chroot", &arguments)?;
    }
    let policy = root.join("usr/sbin/policy-rc.d");
    fs::remove_file(&policy).map_err(MachineError::io("remove", &policy))
}

/// Takes out what must differ from host to host, and what debootstrap copied from the outer machine.
fn forget_identity(root: &Path) -> Result<(), MachineError> {
    write(root, "etc/machine-id", "")?;
    write(root, "etc/hostname", "debian\n")?;
    write(root, "etc/resolv.conf", "")?;
    let ssh = root.join("etc/ssh");
    for entry in fs::read_dir(&ssh).map_err(MachineError::io("list", &ssh))? {
        let entry = entry.map_err(MachineError::io("list", &ssh))?;
        if entry.file_name().to_string_lossy().starts_with("ssh_host_") {
            fs::remove_file(entry.path()).map_err(MachineError::io("remove", entry.path()))?;
        }
    }
    let bus = root.join("var/lib/dbus/machine-id");
    if bus.symlink_metadata().is_ok() {
        fs::remove_file(&bus).map_err(MachineError::io("remove", &bus))?;
    }
    symlink("/etc/machine-id", &bus).map_err(MachineError::io("create", &bus))
}

/// Writes a file of a root that is at rest. `path` is relative and names a plain file.
pub(super) fn write(root: &Path, path: &str, text: &str) -> Result<(), MachineError> {
    let path = root.join(path);
    fs::write(&path, text).map_err(MachineError::io("write", path))
}
