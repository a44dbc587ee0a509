//! Root file systems of the rpm families, made on this machine: packages are built by rpmbuild(8), signed with a key made for
//! the purpose, offered by a repository of createrepo_c(8) on the local disk, and installed from there by dnf(8) or zypper(8)
//! with signatures checked. The databases, caches and metadata are therefore those of the real tools.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::MachineError;
use super::program;

/// A package to build.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Version, without epoch.
    pub version: String,
    /// Release.
    pub release: String,
    /// Its files, absolute, all below the folder that the builder filled.
    #[serde(default)]
    pub files: Vec<String>,
}

/// The tool that installs, and with it the family's places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Installer {
    /// Red Hat's families: the database in `/var/lib/rpm`, in SQLite.
    Dnf,
    /// SUSE's place, `/usr/lib/sysimage/rpm`; in SQLite all the same, since the rpm of Debian does not know SUSE's format.
    Zypper,
}

/// A signed repository on the local disk.
#[derive(Debug)]
pub struct Repository {
    folder: PathBuf,
    home: PathBuf,
    installer: Installer,
}

impl Repository {
    /// Builds `packages` from the files in `content` and offers them from a folder in `place`, signed. The advisories of
    /// `updateinfo`, an XML document, come with them.
    ///
    /// # Errors
    /// A missing program, a package that cannot be built, with what the program said.
    pub fn build(
        place: &Path,
        content: &Path,
        installer: Installer,
        packages: &[Package],
    ) -> Result<Repository, MachineError> {
        let repository = Repository {
            folder: place.join("repository"),
            home: place.join("home"),
            installer,
        };
        for folder in [&repository.folder, &repository.home] {
            fs::create_dir_all(folder).map_err(MachineError::io("create", folder))?;
        }
        repository.write_macros()?;
        repository.make_key()?;
        for (number, package) in packages.iter().enumerate() {
            repository.build_package(place, content, number, package)?;
        }
        let rpms: Vec<PathBuf> = fs::read_dir(&repository.folder)
            .map_err(MachineError::io("list", &repository.folder))?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "rpm"))
            .collect();
        let mut signing = vec!["--addsign".to_owned()];
        signing.extend(rpms.iter().map(|path| path.to_string_lossy().into_owned()));
        repository.run("rpmsign", &signing)?;
        repository.run(
            "createrepo_c",
            &["--quiet".to_owned(), shown(&repository.folder)],
        )?;
        Ok(repository)
    }

    /// Installs every package of the repository into the root file system `root`.
    ///
    /// # Errors
    /// What the installer said.
    pub fn install(&self, root: &Path, packages: &[Package]) -> Result<(), MachineError> {
        let names = packages
            .iter()
            .map(|package| format!("{}-{}-{}", package.name, package.version, package.release));
        let mut arguments: Vec<String> = match self.installer {
            Installer::Dnf => vec![
                "--installroot".to_owned(),
                shown(root),
                "--assumeyes".to_owned(),
                "--quiet".to_owned(),
                "--releasever=9".to_owned(),
                "--disablerepo=*".to_owned(),
                format!("--repofrompath=baseos,file://{}", self.folder.display()),
                "--enablerepo=baseos".to_owned(),
                format!("--setopt=baseos.gpgkey=file://{}", self.key().display()),
                "--setopt=baseos.gpgcheck=1".to_owned(),
                "install".to_owned(),
            ],
            Installer::Zypper => {
                self.run(
                    "rpm",
                    &[
                        "--root".into(),
                        shown(root),
                        "--import".into(),
                        shown(&self.key()),
                    ],
                )?;
                self.run(
                    "zypper",
                    &[
                        "--root".to_owned(),
                        shown(root),
                        "--non-interactive".to_owned(),
                        "--quiet".to_owned(),
                        "addrepo".to_owned(),
                        "--gpgcheck-allow-unsigned-repo".to_owned(),
                        format!("file://{}", self.folder.display()),
                        "repo-oss".to_owned(),
                    ],
                )?;
                vec![
                    "--root".to_owned(),
                    shown(root),
                    "--non-interactive".to_owned(),
                    "--quiet".to_owned(),
                    "install".to_owned(),
                    "--no-recommends".to_owned(),
                ]
            }
        };
        arguments.extend(names);
        let tool = match self.installer {
            Installer::Dnf => "dnf",
            Installer::Zypper => "zypper",
        };
        self.run(tool, &arguments).map(|_| ())
    }

    /// The public half of the key that signed the packages.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.home.join("key.asc")
    }

    /// Debian's rpm keeps its database in the home of whoever runs it; the families have their own places and formats.
    fn write_macros(&self) -> Result<(), MachineError> {
        let (database, format) = match self.installer {
            Installer::Dnf => ("/var/lib/rpm", "sqlite"),
            Installer::Zypper => ("/usr/lib/sysimage/rpm", "sqlite"),
        };
        let text = format!(
            "%_dbpath {database}\n%_db_backend {format}\n%_gpg_name corpus@example.org\n%__gpg /usr/bin/gpg\n%_topdir {}/build\n%_rpmdir {}\n%_rpmfilename %%{{NAME}}-%%{{VERSION}}-%%{{RELEASE}}.%%{{ARCH}}.rpm\n",
            self.home.display(),
            self.folder.display(),
        );
        let path = self.home.join(".rpmmacros");
        fs::write(&path, text).map_err(MachineError::io("write", path))
    }

    fn make_key(&self) -> Result<(), MachineError> {
        let identity = "Corpus <corpus@example.org>";
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let mut arguments = words("--batch --quiet --passphrase= --quick-generate-key");
        arguments.extend([identity.to_owned(), "rsa2048".to_owned(), "sign".to_owned()]);
        self.run("gpg", &arguments)?;
        let armoured = self.run("gpg", &words("--batch --quiet --armor --export"))?;
        let path = self.key();
        fs::write(&path, armoured).map_err(MachineError::io("write", path))
    }

    fn build_package(
        &self,
        place: &Path,
        content: &Path,
        number: usize,
        package: &Package,
    ) -> Result<(), MachineError> {
        let mut spec = format!(
            "Name: {0}\nVersion: {1}\nRelease: {2}\nSummary: {0}\nLicense: Apache-2.0\nAutoReqProv: no\n\
             %description\n{0}\n%install\nmkdir -p %{{buildroot}}\n",
            package.name, package.version, package.release
        );
        for file in &package.files {
            let _ = writeln!(
                spec,
                "mkdir -p %{{buildroot}}$(dirname {file}); cp -a {}{file} %{{buildroot}}{file}",
                content.display()
            );
        }
        spec.push_str("%files\n%defattr(-,root,root,-)\n");
        for file in &package.files {
            let _ = writeln!(spec, "{file}");
        }
        let path = place.join(format!("{number}.spec"));
        fs::write(&path, spec).map_err(MachineError::io("write", &path))?;
        self.run(
            "rpmbuild",
            &[
                "-bb".to_owned(),
                "--quiet".to_owned(),
                "--define=debug_package %{nil}".to_owned(),
                "--define=__os_install_post %{nil}".to_owned(),
                shown(&path),
            ],
        )
        .map(|_| ())
    }

    fn run(&self, name: &'static str, arguments: &[String]) -> Result<String, MachineError> {
        let mut command = program::command(name)?;
        command.env("HOME", &self.home).args(arguments);
        let output = command
            .output()
            .map_err(MachineError::io("run", program::find(name)?))?;
        program::succeeded(&format!("{command:?}"), output)
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        // gpg leaves an agent behind for the key.
        let kill = ["--kill".to_owned(), "gpg-agent".to_owned()];
        if let Err(error) = self.run("gpgconf", &kill) {
            eprintln!("{error}");
        }
    }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
