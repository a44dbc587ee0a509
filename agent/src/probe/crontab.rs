//! Where cron finds what root has it run: tables (crontab(5)) and folders of scripts, and which files of a folder count.

use super::system::OsRelease;
use super::{Observation, Unobservable, debian};

/// Root's tables, and folders of tables or scripts; Alpine's crond runs those of `/etc/periodic`.
pub(super) const OF_ROOT: [&str; 12] = [
    "/etc/crontab",
    "/etc/cron.d",
    "/etc/cron.hourly",
    "/etc/cron.daily",
    "/etc/cron.weekly",
    "/etc/periodic/hourly",
    "/etc/periodic/daily",
    "/etc/periodic/weekly",
    "/var/spool/cron/root",
    "/var/spool/cron/crontabs/root",
    "/var/spool/cron/tabs/root",
    "/etc/crontabs/root",
];

/// Names that cron or run-parts takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    /// Every name.
    Any,
    /// All but hidden ones and what editors and rpm leave behind (cronie's crond; its run-parts leaves out a few more).
    Cronie,
    /// Letters, digits, `_` and `-` (cron(8) and run-parts(8) of Debian).
    Debian,
    /// With `-l`, also those of the LSB, which may hold dots before a dash (cron(8) of Debian).
    Lsb,
}

/// Which files of cron's folders count on this host.
#[derive(Debug, Clone, Copy)]
pub(super) struct Naming {
    tables: Names,
    scripts: Names,
}

impl Naming {
    /// By the family, and the options that Debian's cron and run-parts are given.
    ///
    /// # Errors
    /// [`Unobservable`] if os-release(5) or the options are there and cannot be read.
    pub(super) fn read(observation: &mut Observation<'_>) -> Result<Naming, Unobservable> {
        const CRONIE: &str = "/var/lib/dpkg/info/cronie.list";
        if debian::distribution(observation)?.is_none() {
            let alpine = OsRelease::read(observation)?.get("ID").as_deref() == Some("alpine");
            let names = if alpine { Names::Any } else { Names::Cronie };
            return Ok(Naming {
                tables: names,
                scripts: names,
            });
        }
        let options = observation.text("/etc/default/cron")?.unwrap_or_default();
        let tables = match () {
            () if observation.stat(CRONIE)?.is_some() => Names::Cronie,
            () if takes_lsb_names(&options) => Names::Lsb,
            () => Names::Debian,
        };
        // What other names run-parts is told to take is not followed here: then every one counts.
        let mut scripts = Names::Debian;
        for table in ["/etc/crontab", "/etc/anacrontab"] {
            let text = observation.text(table)?.unwrap_or_default();
            if text.contains("--lsbsysinit") || text.contains("--regex") {
                scripts = Names::Any;
            }
        }
        Ok(Naming { tables, scripts })
    }

    /// Whether a file of that name in `/etc/cron.d`, or in a folder of scripts, counts.
    pub(super) fn takes(&self, folder: &str, name: &str) -> bool {
        match folder {
            "/etc/cron.d" => self.tables.take(name),
            _ => self.scripts.take(name),
        }
    }
}

impl Names {
    fn take(self, name: &str) -> bool {
        let plain = |name: &str| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        };
        match self {
            Names::Any => true,
            Names::Cronie => {
                let left_behind = ["~", ".rpmsave", ".rpmorig", ".rpmnew"];
                !name.starts_with(['.', '#'])
                    && !left_behind.iter().any(|ending| name.ends_with(ending))
            }
            Names::Debian => plain(name),
            Names::Lsb => plain(name) || is_lsb(name),
        }
    }
}

/// `^_?([a-z0-9_.]+-)+[a-z0-9]+$`, run-parts(8).
fn is_lsb(name: &str) -> bool {
    let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.rsplit_once('-').is_some_and(|(before, last)| {
        let part =
            |part: &str| !part.is_empty() && part.bytes().all(|b| lower(b) || b"_.".contains(&b));
        // Files that dpkg leaves behind are none of the names.
        let of_dpkg = [".dpkg-old", ".dpkg-dist", ".dpkg-new", ".dpkg-tmp"];
        let left_behind = of_dpkg.iter().any(|ending| name.ends_with(ending));
        !left_behind && !last.is_empty() && last.bytes().all(lower) && before.split('-').all(part)
    })
}

/// `-l` among the options that the service hands to cron: `EXTRA_OPTS="-l"`.
fn takes_lsb_names(options: &str) -> bool {
    options
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(|line| line.split(['=', '"', '\'', ' ', '\t']))
        .any(|word| word == "-l")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cron_takes_its_own_names() {
        let taken = |names: Names| {
            [
                "a-b_C1",
                "a.sh",
                "a.b-c",
                ".a",
                "a~",
                "a.rpmsave",
                "#a#",
                "a.dpkg-old",
            ]
            .into_iter()
            .filter(|name| names.take(name))
            .collect::<Vec<_>>()
        };
        assert_eq!(taken(Names::Debian), ["a-b_C1"]);
        assert_eq!(taken(Names::Lsb), ["a-b_C1", "a.b-c"]);
        assert_eq!(
            taken(Names::Cronie),
            ["a-b_C1", "a.sh", "a.b-c", "a.dpkg-old"]
        );
        assert_eq!(taken(Names::Any).len(), 8);
    }

    #[test]
    fn an_option_widens_the_names_of_debian() {
        assert!(takes_lsb_names("# x\nEXTRA_OPTS=\"-L 2 -l\"\n"));
        assert!(!takes_lsb_names("#EXTRA_OPTS=\"-l\"\nEXTRA_OPTS=''\n"));
    }
}
