//! Root file systems of Arch, made on this machine: packages in the form that makepkg(8) gives them, signed with a key made
//! for the purpose, offered by a repository of repo-add(8) on the local disk, and installed from there by pacman(8) with
//! signatures required. The databases are therefore those of the real tools.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use evidence::time::{Clock as _, SystemClock};

use super::error::MachineError;
use super::program;
use super::rpm::Package;

/// Packages were built so many days ago: longer than any wait in a testing repository.
const BUILT_DAYS_AGO: u64 = 100;

/// A repository of signed packages on the local disk.
#[derive(Debug)]
pub struct PacmanRepository {
    folder: PathBuf,
    keys: PathBuf,
    place: PathBuf,
}

impl PacmanRepository {
    /// Builds `packages` from the files in `content` and offers them from a folder in `place`, signed.
    ///
    /// # Errors
    /// A missing program, a package that cannot be built, with what the program said.
    pub fn build(
        place: &Path,
        content: &Path,
        packages: &[Package],
    ) -> Result<PacmanRepository, MachineError> {
        let repository = PacmanRepository {
            folder: place.join("repository"),
            keys: place.join("keys"),
            place: place.to_path_buf(),
        };
        for folder in [&repository.folder, &repository.keys] {
            fs::create_dir_all(folder).map_err(MachineError::io("create", folder))?;
        }
        repository.make_key()?;
        let mut add = vec![
            "--quiet".to_owned(),
            shown(&repository.folder.join("core.db.tar.gz")),
        ];
        for package in packages {
            add.push(shown(&repository.build_package(content, package)?));
        }
        repository.run("repo-add", &add)?;
        Ok(repository)
    }

    /// Installs every package of the repository into the root file system `root`.
    ///
    /// # Errors
    /// What pacman said.
    pub fn install(&self, root: &Path, packages: &[Package]) -> Result<(), MachineError> {
        let configuration = self.place.join("pacman.conf");
        let text = format!(
            "[options]\nArchitecture = x86_64\nSigLevel = PackageRequired DatabaseOptional\n[core]\nServer = file://{}\n",
            self.folder.display()
        );
        fs::write(&configuration, text)
            .map_err(MachineError::io("write", configuration.clone()))?;
        let database = root.join("var/lib/pacman");
        fs::create_dir_all(&database).map_err(MachineError::io("create", &database))?;
        let places = [
            ("--root", root.to_path_buf()),
            ("--dbpath", database),
            ("--cachedir", self.place.join("cache")),
            ("--gpgdir", self.keys.clone()),
            ("--logfile", self.place.join("log")),
            ("--config", configuration),
        ];
        let mut arguments: Vec<String> = places
            .into_iter()
            .flat_map(|(name, path)| [name.to_owned(), shown(&path)])
            .collect();
        let names = packages.iter().map(|package| package.name.clone());
        let options = ["--noconfirm", "--noprogressbar", "-Sy"];
        arguments.extend(options.map(str::to_owned));
        arguments.extend(names);
        self.run("pacman", &arguments).map(|_| ())
    }

    fn make_key(&self) -> Result<(), MachineError> {
        let mut arguments: Vec<String> = "--batch --quiet --passphrase= --quick-generate-key"
            .split(' ')
            .map(str::to_owned)
            .collect();
        let identity = "Corpus <corpus@example.org>";
        arguments.extend([identity.to_owned(), "rsa2048".to_owned(), "sign".to_owned()]);
        self.run("gpg", &arguments).map(|_| ())
    }

    /// A package: its description, the description of its files, and the files.
    fn build_package(&self, content: &Path, package: &Package) -> Result<PathBuf, MachineError> {
        let tree = self.place.join(format!("tree-{}", package.name));
        fs::create_dir_all(&tree).map_err(MachineError::io("create", &tree))?;
        for file in &package.files {
            let file = file.trim_start_matches('/');
            let (from, to) = (content.join(file), tree.join(file));
            if let Some(parent) = to.parent() {
                fs::create_dir_all(parent).map_err(MachineError::io("create", parent))?;
            }
            self.run("cp", &["-a".to_owned(), shown(&from), shown(&to)])?;
        }
        let Package {
            name,
            version,
            release,
            ..
        } = package;
        let mut about = String::new();
        let _ = write!(
            about,
            "pkgname = {name}\npkgbase = {name}\npkgver = {version}-{release}\npkgdesc = {name}\nurl = https://archlinux.org\nbuilddate = {}\npackager = Corpus <corpus@example.org>\nsize = 0\narch = x86_64\nlicense = Apache-2.0\n",
            built()
        );
        let description = tree.join(".PKGINFO");
        fs::write(&description, about).map_err(MachineError::io("write", description))?;
        let file = self
            .folder
            .join(format!("{name}-{version}-{release}-x86_64.pkg.tar.gz"));
        let within = ["-C".to_owned(), shown(&tree)];
        let members = members(&tree)?;
        let mut describe = vec![
            "-czf".to_owned(),
            shown(&tree.join(".MTREE")),
            "--format=mtree".to_owned(),
            "--options=!all,use-set,type,uid,gid,mode,time,size,sha256,link".to_owned(),
        ];
        describe.extend(within.clone());
        describe.extend(members.clone());
        self.run("bsdtar", &describe)?;
        let mut pack = vec!["-czf".to_owned(), shown(&file)];
        pack.extend(within);
        pack.push(".MTREE".to_owned());
        pack.extend(members);
        self.run("bsdtar", &pack)?;
        let mut sign: Vec<String> = "--batch --quiet --detach-sign"
            .split(' ')
            .map(str::to_owned)
            .collect();
        sign.push(shown(&file));
        self.run("gpg", &sign)?;
        Ok(file)
    }

    fn run(&self, name: &'static str, arguments: &[String]) -> Result<String, MachineError> {
        let mut command = program::command(name)?;
        command.env("GNUPGHOME", &self.keys).args(arguments);
        let output = command
            .output()
            .map_err(MachineError::io("run", program::find(name)?))?;
        program::succeeded(&format!("{command:?}"), output)
    }
}

impl Drop for PacmanRepository {
    fn drop(&mut self) {
        // gpg leaves an agent behind for the key.
        let kill = ["--kill".to_owned(), "gpg-agent".to_owned()];
        if let Err(error) = self.run("gpgconf", &kill) {
            eprintln!("{error}");
        }
    }
}

/// What lies at the top of a package's tree, its description first.
fn members(tree: &Path) -> Result<Vec<String>, MachineError> {
    let entries = fs::read_dir(tree).map_err(MachineError::io("list", tree))?;
    let names = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    Ok(names)
}

/// Seconds since 1970 when the packages are said to have been built.
fn built() -> u64 {
    let now = SystemClock::new().now().unix_ms() / 1000;
    u64::try_from(now)
        .unwrap_or_default()
        .saturating_sub(BUILT_DAYS_AGO * 86_400)
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
